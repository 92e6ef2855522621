"""The same text as people's own files hold it: straight quotes, hyphens for dashes, hard-wrapped or indented lines.

Books are typeset, files of owners are not; a base that has seen only the former finds the latter strange.
"""

import random
import textwrap
import unicodedata

_PLAIN = str.maketrans(
    {
        "“": '"',
        "”": '"',
        "„": '"',
        "«": '"',
        "»": '"',
        "‘": "'",
        "’": "'",
        "‚": "'",
        "′": "'",
        "″": '"',
        "—": "--",
        "―": "--",
        "–": "-",
        "‐": "-",
        "‑": "-",
        "…": "...",
        "\u00a0": " ",
        "æ": "ae",
        "œ": "oe",
        "Æ": "Ae",
        "Œ": "Oe",
        "ß": "ss",
        "£": "L",
        "×": "x",
        "½": "1/2",
        "¼": "1/4",
        "¾": "3/4",
        "•": "*",
    }
)


def as_typed(text: str, rng: random.Random) -> str:
    """The text in one of six shapes, chosen by `rng`; paragraphs stay separate."""
    shape = rng.choice(("quotes", "ascii", "wrapped", "wrapped quotes", "indented", "spaced dashes"))
    if shape in ("quotes", "wrapped quotes", "indented"):
        text = straight_quotes(text)
    if shape == "ascii":
        text = plain_ascii(text)
    if shape.startswith("wrapped"):
        width = rng.randint(58, 80)
        text = "\n\n".join(_wrapped(paragraph, width) for paragraph in text.split("\n\n"))
    if shape == "indented":
        indent = " " * rng.choice((2, 4, 8))
        text = text.replace("\n\n", "\n" + indent)
    if shape == "spaced dashes":
        text = text.replace("—", rng.choice((" — ", " – ", " - ")))
    return text


def straight_quotes(text: str) -> str:
    """Typewriter quotes and double hyphens for typographic ones."""
    return text.translate(_PLAIN)


def plain_ascii(text: str) -> str:
    """Nothing but ASCII: accents are dropped, and what has no plain form goes."""
    return unicodedata.normalize("NFKD", text.translate(_PLAIN)).encode("ascii", "ignore").decode()


def _wrapped(paragraph: str, width: int) -> str:
    """Verse keeps its lines."""
    return paragraph if "\n" in paragraph else textwrap.fill(paragraph, width, break_long_words=False)
