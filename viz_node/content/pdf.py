"""Texts of PDF files, by pypdf; what it cannot know is refused instead of guessed."""

import io
import unicodedata
from collections import Counter
from collections.abc import Callable
from typing import Any

import pypdf

from viz_node.content.reading import Reading
from viz_node.domain.counting import counted
from viz_node.errors import VerificationError

MAX_PAGES = 2000
# A page of fewer characters is a scan with a stamp, a page number or nothing.
_LEAST_CHARACTERS_OF_A_PAGE = 20
_MOST_UNKNOWN_SHARE = 0.02


def read_pdf(data: bytes, reading: Reading, most_characters: int) -> tuple[str, str]:
    """Title and text of a PDF. Raises: VerificationError (damaged, locked, scanned, or characters without meaning)."""
    try:
        return _read(data, reading, most_characters)
    except (VerificationError, MemoryError):
        raise
    except Exception as error:  # a damaged PDF makes pypdf raise nearly anything
        raise VerificationError(f"the PDF is damaged: {type(error).__name__}") from error


def _read(data: bytes, reading: Reading, most_characters: int) -> tuple[str, str]:
    reader = pypdf.PdfReader(io.BytesIO(data), strict=False)
    if reader.is_encrypted:
        if not reader.decrypt(""):
            raise VerificationError("the PDF needs a password; save it without one")
        reading.note("the PDF opens without a password, but restricts what readers may do with it")
    count = len(reader.pages)
    if count > MAX_PAGES:
        raise VerificationError(f"the PDF has {count} pages; the limit is {MAX_PAGES}")
    pages: list[str] = []
    characters = scanned = 0
    unknown: Counter[bool] = Counter()
    for page in reader.pages:
        pages.append(page.extract_text(visitor_text=_counter_of(unknown)))
        characters += len(pages[-1])
        if characters > most_characters:
            raise VerificationError(f"it has more than {most_characters} characters")
        scanned += len(pages[-1].strip()) < _LEAST_CHARACTERS_OF_A_PAGE and _shows_a_picture(page)
    _judge(reading, unknown, scanned, count)
    title = str(reader.metadata.title or "") if reader.metadata else ""
    return title, "\n\n".join(pages)


def _judge(reading: Reading, unknown: Counter[bool], scanned: int, pages: int) -> None:
    share = unknown[True] / max(1, unknown.total())
    if share > _MOST_UNKNOWN_SHARE:
        raise VerificationError(
            f"{share:.0%} of its characters cannot be known: the fonts have no character map (ToUnicode);"
            " save it again from its source"
        )
    if unknown[True]:
        reading.note(f"{counted(unknown[True], 'character')} may be wrong: a font has no character map")
    if scanned * 2 > pages:
        raise VerificationError(
            f"{scanned} of its {counted(pages, 'page')} are pictures; they need text recognition (OCR) first"
        )
    if scanned:
        reading.note(f"left out: {scanned} of {counted(pages, 'page')}, which are pictures without text")


def _counter_of(unknown: Counter[bool]) -> Callable[..., None]:
    verdicts: dict[int, bool] = {}

    def count(text: str, _matrix: Any, _text_matrix: Any, font: Any, _size: Any) -> None:
        visible = [character for character in text if not character.isspace()]
        if font is not None and id(font) not in verdicts:
            verdicts[id(font)] = _has_no_meaning(font)
        is_unknown = font is not None and verdicts[id(font)]
        for character in visible:
            unknown[is_unknown or unicodedata.category(character) in {"Cc", "Co", "Cn"} or character == "\ufffd"] += 1

    return count


def _has_no_meaning(font: Any) -> bool:
    """Whether the font's codes number shapes, and nothing says which characters these are."""
    if "/ToUnicode" in font:
        return False
    if font.get("/Subtype") == "/Type0":
        system = _plain(_plain(_plain(font["/DescendantFonts"])[0]).get("/CIDSystemInfo", {}))
        return str(font.get("/Encoding", "")).startswith("/Identity") and system.get("/Ordering", "Identity") not in (
            "Japan1", "Japan2", "GB1", "CNS1", "Korea1", "KR",
        )  # fmt: skip
    return False


def _shows_a_picture(page: Any) -> bool:
    objects = _plain(_plain(page.get("/Resources", {})).get("/XObject", {}))
    return any(_plain(item).get("/Subtype") in ("/Image", "/Form") for item in objects.values())


def _plain(item: Any) -> Any:
    """The object that a reference names."""
    return item.get_object() if hasattr(item, "get_object") else item
