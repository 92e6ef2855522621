"""What every test starts from."""

import sys

import pytest


@pytest.fixture(autouse=True)
def ordinary_recursion_limit() -> None:
    """Some test libraries raise the limit for good, and hostile nesting would then end the process."""
    sys.setrecursionlimit(1000)
