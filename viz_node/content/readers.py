"""Plain text out of a stranger's file of any kind that is read; meant for the child process of `worker`.

Knows no paths: the caller reads the file once, so that the digest is of the very bytes that were parsed. Every limit
guards against input that is small on the disk and large in memory.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from viz_node.content.books import read_epub
from viz_node.content.decoding import decode_html
from viz_node.content.html_text import text_of_page
from viz_node.content.office import read_docx, read_odt
from viz_node.content.plain import read_jsonl, read_markdown, read_rtf, read_txt
from viz_node.content.reading import Reading
from viz_node.domain.counting import counted
from viz_node.errors import VerificationError

MAX_FILE_BYTES = 64 << 20
MAX_CHARACTERS = 20_000_000

_KEPT_FORMAT_CHARACTERS = "\u200c\u200d"  # joiners that Persian, Indic scripts and emoji need


@dataclass(frozen=True)
class ReadText:
    """What a reader found; `title` is empty when the file names none, `notes` tell what was guessed or left out."""

    title: str
    text: str
    media_type: str
    notes: tuple[str, ...] = ()


def read_text(suffix: str, data: bytes, encoding: str = "") -> ReadText:
    """The text of a file with this suffix (`.pdf`), in NFC, without control characters.

    `encoding` is what the owner says of files that are texts. Raises: VerificationError (unknown type, damaged, over a
    limit, an encoding that is not certain, nothing readable in it).
    """
    if suffix.lower() not in READERS:
        raise VerificationError(f"{suffix or 'no suffix'} is not one of {', '.join(sorted(READERS))}")
    if len(data) > MAX_FILE_BYTES:
        raise VerificationError(f"it is larger than {MAX_FILE_BYTES >> 20} MiB")
    if not data.strip():
        raise VerificationError("the file is empty")
    media_type, reader = READERS[suffix.lower()]
    reading = Reading(encoding)
    title, text = reader(data, reading)
    cleaned = clean_text(text)
    _note_lost_characters(text, reading)
    if not cleaned:
        hint = " (a scanned document needs text recognition first)" if suffix.lower() == ".pdf" else ""
        raise VerificationError(f"there is no text in it{hint}")
    return ReadText(clean_title(title), cleaned, media_type, tuple(reading.notes))


def _note_lost_characters(text: str, reading: Reading) -> None:
    """Characters without a meaning outside their file, and marks of an earlier loss."""
    without_meaning = {character for character in set(text) if unicodedata.category(character) in {"Co", "Cn"}}
    if without_meaning:
        count = sum(text.count(character) for character in without_meaning)
        reading.note(f"left out: {counted(count, 'character')} that only a certain font shows")
    if "\ufffd" in text and not any("�" in note for note in reading.notes):
        reading.note(f"{counted(text.count(chr(0xFFFD)), 'character')} in it was lost before (�)")


def clean_title(title: str) -> str:
    """One line of at most 200 clean characters; empty when nothing is left."""
    return " ".join(clean_text(title[:1000]).split())[:200]


def clean_text(text: str) -> str:
    """NFC, single line ends, at most one empty line, no control, invisible or unassigned characters."""
    if len(text) > MAX_CHARACTERS:
        raise VerificationError(f"it has more than {MAX_CHARACTERS} characters")
    text = re.sub(r"\r\n?|[\u2028\u2029\x0b\x0c\x85]", "\n", text)
    unwanted = [character for character in set(text) if _is_unwanted(character)]
    text = unicodedata.normalize("NFC", text.translate({ord(character): None for character in unwanted}))
    text = re.sub(r"[^\S\n]+\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _is_unwanted(character: str) -> bool:
    category = unicodedata.category(character)
    if character in "\n\t" or character in _KEPT_FORMAT_CHARACTERS:
        return False
    return category in {"Cc", "Cf", "Cs", "Co", "Cn"}


def _read_html(data: bytes, reading: Reading) -> tuple[str, str]:
    return text_of_page(decode_html(data, reading), reading)


def _read_pdf(data: bytes, reading: Reading) -> tuple[str, str]:
    from viz_node.content.pdf import read_pdf

    return read_pdf(data, reading, MAX_CHARACTERS)


READERS: dict[str, tuple[str, Callable[[bytes, Reading], tuple[str, str]]]] = {
    ".txt": ("text/plain", read_txt),
    ".text": ("text/plain", read_txt),
    ".md": ("text/markdown", read_markdown),
    ".markdown": ("text/markdown", read_markdown),
    ".html": ("text/html", _read_html),
    ".htm": ("text/html", _read_html),
    ".xhtml": ("application/xhtml+xml", _read_html),
    ".pdf": ("application/pdf", _read_pdf),
    ".docx": ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", read_docx),
    ".odt": ("application/vnd.oasis.opendocument.text", read_odt),
    ".rtf": ("application/rtf", read_rtf),
    ".epub": ("application/epub+zip", read_epub),
    ".jsonl": ("application/jsonl", read_jsonl),
}
