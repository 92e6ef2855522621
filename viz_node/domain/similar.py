"""Which works are nearly the same, by the signatures of their passages."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

SIGNATURE_SIZE = 128
LEAST_SHARE = 0.7
"""Of equal numbers; two such texts share about so many of their passages."""
# Texts that share LEAST_SHARE agree in one of the bands with a probability of 0.98.
_BAND = 4
# Of many copies of one text, each is compared with so many others.
_MOST_IN_A_BAND = 50


@dataclass(frozen=True)
class SimilarWorks:
    """Two works, the earlier one first, and how much of their passages they share, in percent."""

    percent: int
    first: str
    first_title: str
    second: str
    second_title: str


def shared(left: Sequence[int], right: Sequence[int]) -> float:
    """About which share of their passages two texts have in common; 0 if one has no signature."""
    if len(left) != SIGNATURE_SIZE or len(right) != SIGNATURE_SIZE:
        return 0.0
    return sum(a == b for a, b in zip(left, right, strict=True)) / SIGNATURE_SIZE


class SimilarIndex:
    """Texts by the bands of their signatures, so that a text is compared only with those that it may be like."""

    def __init__(self, signatures: Mapping[str, Sequence[int]]) -> None:
        self._signatures: dict[str, Sequence[int]] = {}
        self._bands: defaultdict[tuple[int, tuple[int, ...]], list[str]] = defaultdict(list)
        for name, signature in signatures.items():
            self.add(name, signature)

    def add(self, name: str, signature: Sequence[int]) -> None:
        """A text more; of many copies of one text, only the first ones are compared with others."""
        self._signatures[name] = signature
        for band in _bands(signature):
            names = self._bands[band]
            if len(names) < _MOST_IN_A_BAND:
                names.append(name)

    def most_similar(self, signature: Sequence[int]) -> tuple[str, float] | None:
        """The most similar text and what it shares, if that is enough."""
        names = {name for band in _bands(signature) for name in self._bands.get(band, ())}
        share, name = max(((shared(signature, self._signatures[name]), name) for name in names), default=(0.0, ""))
        return (name, share) if share >= LEAST_SHARE else None

    def pairs(self) -> list[tuple[str, str, float]]:
        """Pairs that share enough, the most similar first; linear in the number of texts as long as few are similar."""
        pairs = dict.fromkeys(pair for names in self._bands.values() for pair in combinations(names, 2))
        found = [(one, other, shared(self._signatures[one], self._signatures[other])) for one, other in pairs]
        return sorted(_enough(found), key=lambda pair: -pair[2])


def _bands(signature: Sequence[int]) -> Iterable[tuple[int, tuple[int, ...]]]:
    return ((start, tuple(signature[start : start + _BAND])) for start in range(0, len(signature), _BAND))


def _enough(pairs: Iterable[tuple[str, str, float]]) -> Iterable[tuple[str, str, float]]:
    return (pair for pair in pairs if pair[2] >= LEAST_SHARE)
