"""Hours of the day in which a training may run, such as 22:00-06:00; knows no clock."""

import re
from dataclasses import dataclass

from viz_node.errors import UsageError

DAY_MINUTES = 24 * 60
_SPAN = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)-([01]?\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class Hours:
    """From minute `begin` of the day to minute `end`, over midnight if that is earlier."""

    begin: int
    end: int

    def minutes_to_begin(self, now: int) -> int:
        """How long from minute `now` of the day until they begin; 0 within them."""
        return 0 if self.minutes_to_end(now) else (self.begin - now) % DAY_MINUTES

    def minutes_to_end(self, now: int) -> int:
        """How much of them is left at minute `now`; 0 outside."""
        left, length = (self.end - now) % DAY_MINUTES, (self.end - self.begin) % DAY_MINUTES
        return left if 0 < left <= length else 0

    def text(self) -> str:
        """As people write them."""
        return f"{_clock(self.begin)}-{_clock(self.end)}"


def parse_hours(text: str) -> Hours:
    """Hours as people write them. Raises: UsageError."""
    found = _SPAN.fullmatch(text.strip())
    numbers = [int(part) for part in found.groups()] if found else []
    if not numbers or numbers[:2] == numbers[2:]:
        raise UsageError(f"{text[:40]!r} are no hours of the day", "--between 22:00-06:00")
    return Hours(numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3])


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
