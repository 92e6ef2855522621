"""The language of a text, as a BCP 47 tag, by py3langid's own model; `und` where it cannot be told."""

from functools import cache
from typing import Protocol

UNDETERMINED = "und"
# Below this, and where the model is less sure, one language is as likely as its neighbour.
_FEWEST_LETTERS = 40
_LEAST_SHARE = 0.9
_WINDOW, _WINDOWS = 2000, 5


class Identifier(Protocol):
    """The part of the library that is used."""

    def classify(self, text: str) -> tuple[str, float]:
        """The likeliest language and its probability."""


def language_of(text: str) -> str:
    """The tag of the language in which most of the text is; windows over all of it are looked at."""
    step = max(_WINDOW, len(text) // _WINDOWS)
    sample = "\n".join(text[start : start + _WINDOW] for start in range(0, len(text), step))
    if sum(char.isalpha() for char in sample) < _FEWEST_LETTERS:
        return UNDETERMINED
    tag, share = _identifier().classify(sample)
    return tag if share >= _LEAST_SHARE else UNDETERMINED


def prepare() -> None:
    """Load the model: it is unpacked into a temporary file, so a process that may write none does this first."""
    _identifier()


@cache
def _identifier() -> Identifier:
    # Imported here: it loads for half a second, which only a reading worker spends.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    found: Identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    return found
