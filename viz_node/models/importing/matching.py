"""Which layers a PEFT configuration means, by PEFT's own rules, but bounded: an expression may not run for long.

A regular expression of a stranger can take exponential time; the interpreter looks at signals while it matches, so an
alarm ends it.
"""

import re
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from types import FrameType
from typing import TypeVar

from viz_node.errors import VerificationError
from viz_node.models.importing.peft_config import ForeignConfig, Names, is_plain, refuse

# Every expression that PEFT or Unsloth writes is done with all layers of a large model in a tenth of it.
MATCHING_SECONDS = 0.05
_ALL_LINEAR = "all-linear"
_Value = TypeVar("_Value", int, Fraction)


@contextmanager
def bounded(seconds: float = MATCHING_SECONDS) -> Iterator[None]:
    """A block that may match strangers' expressions for so many seconds of this process, in its main thread.

    Raises: VerificationError (too slow, or no regular expression).
    """
    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGVTALRM, _stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    except (re.error, RecursionError, OverflowError) as error:
        refuse(f"it holds no regular expression: {str(error)[:80]}")
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


class Matcher:
    """What a configuration says about one layer after another; use it within `bounded`."""

    def __init__(self, config: ForeignConfig) -> None:
        self._config = config
        self._ranks = _Patterns(config.rank_by_pattern)
        self._alphas = _Patterns(config.alpha_by_pattern)
        names = config.layers_pattern
        self._numbers = [re.compile(rf"(?:^|.*?\.){name}\.(\d+)\.") for name in names] or [
            re.compile(r".*?\.[^.]*\.(\d+)\.")
        ]

    def is_meant(self, path: str) -> bool:
        """Whether PEFT changes the linear layer at this module path."""
        config = self._config
        if _matches(config.excluded, path):
            return False
        if config.targets != _ALL_LINEAR and not _matches(config.targets, path):
            return False
        return isinstance(config.targets, str) or config.layers is None or self._number(path) in config.layers

    def rank(self, path: str) -> int:
        """The rank of the layer's two matrices."""
        return self._ranks.find(path, self._config.rank)

    def scale_squared(self, path: str) -> Fraction:
        """The square of what PEFT multiplies B A with, which is a fraction even where the scale is not."""
        return _square(self.rank(path), self._alphas.find(path, self._config.alpha), self._config.is_rank_stabilized)

    def _number(self, path: str) -> int | None:
        match = next((found for pattern in self._numbers if (found := pattern.match(path))), None)
        return int(match.group(1)) if match else None


class _Patterns:
    """Values by pattern, the first that matches counting; paths are looked up, since there may be one per layer."""

    def __init__(self, values: Mapping[str, int] | Mapping[str, Fraction]) -> None:
        self._values = list(values.values())
        self._plain = {key: place for place, key in enumerate(values) if is_plain(key)}
        self._others = [
            (place, re.compile(rf"(.*\.)?({key})$")) for place, key in enumerate(values) if not is_plain(key)
        ]

    def find(self, path: str, default: _Value) -> _Value:
        places = [self._plain[end] for end in _ends(path) if end in self._plain]
        places += [place for place, pattern in self._others if pattern.match(path)]
        return self._values[min(places)] if places else default  # type: ignore[return-value]


@lru_cache(4096)
def _square(rank: int, alpha: Fraction, is_rank_stabilized: bool) -> Fraction:
    return alpha * alpha / rank if is_rank_stabilized else (alpha / rank) ** 2


def _matches(names: Names, path: str) -> bool:
    if isinstance(names, str):
        return re.fullmatch(names, path) is not None
    return not names.isdisjoint(_ends(path))


def _ends(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[start:]) for start in range(len(parts))]


def _stop(number: int, frame: FrameType | None) -> None:
    raise VerificationError(
        "adapter_config.json: an expression for layers takes too long to match", "write the names of the layers instead"
    )
