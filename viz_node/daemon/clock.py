"""The one place that reads the wall clock."""

import time


def now() -> int:
    """Seconds since 1970, UTC."""
    return int(time.time())


def minute_of_day() -> int:
    """Minutes since midnight, by the time zone of this machine."""
    local = time.localtime()
    return local.tm_hour * 60 + local.tm_min
