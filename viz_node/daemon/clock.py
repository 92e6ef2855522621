"""The one place that reads the wall clock."""

import time


def now() -> int:
    """Seconds since 1970, UTC."""
    return int(time.time())
