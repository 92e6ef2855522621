"""Plain text out of a stranger's txt, md, html, pdf, docx or epub bytes; meant for the child process of `worker`.

Knows no paths: the caller reads the file once, so that the digest is of the very bytes that were parsed. Every limit
guards against input that is small on the disk and large in memory (ecosystem research, section 3.2).
"""

import codecs
import io
import posixpath
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import unquote
from xml.etree.ElementTree import Element

import pypdf
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from viz_node.errors import VerificationError

MAX_FILE_BYTES = 64 << 20
MAX_CHARACTERS = 20_000_000
MAX_PAGES = 2000
MAX_RATIO = 100
MAX_ENTRIES = 10_000
# A small archive of plain XML may well shrink more than 100:1; below this size no ratio hurts.
_RATIO_FREE_BYTES = 1 << 20

_KEPT_FORMAT_CHARACTERS = "\u200c\u200d"  # joiners that Persian, Indic scripts and emoji need
_SKIPPED_ELEMENTS = {"script", "style", "template", "noscript", "svg", "math", "iframe", "object", "title"}
_BLOCK_ELEMENTS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "body", "dd", "div", "dl", "dt", "figcaption", "figure"),
        *("footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p"),
        *("pre", "section", "table", "tr", "ul"),
    )
)
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_DC_TITLE = "{http://purl.org/dc/elements/1.1/}title"


@dataclass(frozen=True)
class ReadText:
    """What a reader found; `title` is empty when the file names none."""

    title: str
    text: str
    media_type: str


def read_text(suffix: str, data: bytes) -> ReadText:
    """The text of a file with this suffix (`.pdf`), in NFC, without control characters.

    Raises: VerificationError (unknown type, damaged, over a limit, nothing readable in it).
    """
    if suffix.lower() not in READERS:
        raise VerificationError(f"{suffix or 'no suffix'} is not one of {', '.join(sorted(READERS))}")
    if len(data) > MAX_FILE_BYTES:
        raise VerificationError(f"it is larger than {MAX_FILE_BYTES >> 20} MiB")
    media_type, reader = READERS[suffix.lower()]
    title, text = reader(data)
    cleaned = clean_text(text)
    if not cleaned:
        raise VerificationError("there is no text in it (a scanned document needs text recognition first)")
    return ReadText(clean_title(title), cleaned, media_type)


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


def _decode(data: bytes) -> str:
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    if b"\0" in data:
        raise VerificationError("it is not a text file")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def _read_txt(data: bytes) -> tuple[str, str]:
    return "", _decode(data)


def _read_markdown(data: bytes) -> tuple[str, str]:
    text = re.sub(r"\A---\r?\n.{0,20000}?\n---\r?\n", "", _decode(data), flags=re.DOTALL)
    heading = re.search(r"^#[ \t]+([^\n]{1,500})$", text, flags=re.MULTILINE)
    return (heading.group(1).strip(" #\r") if heading else ""), text


class _TextOfHtml(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self.title: list[str] = []
        self._skipped: list[str] = []
        self._depth_of_pre = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if self._skipped or tag in _SKIPPED_ELEMENTS:
            if not self._skipped or tag == self._skipped[0]:
                self._skipped.append(tag)
            return
        self._depth_of_pre += tag == "pre"
        if tag == "br":
            self.pieces.append("\n")
        elif tag in _BLOCK_ELEMENTS:
            self.pieces.append("\n\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # XHTML's <script/> and <title/> have no end tag, so they must not begin a skipped part
        if tag not in _SKIPPED_ELEMENTS:
            self.handle_starttag(tag, attrs)
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._skipped:
            if tag == self._skipped[0]:
                self._skipped.pop()
            return
        self._depth_of_pre -= tag == "pre" and self._depth_of_pre > 0
        if tag in _BLOCK_ELEMENTS:
            self.pieces.append("\n\n")
        elif tag in {"td", "th"}:
            self.pieces.append("\t")

    def handle_data(self, data: str) -> None:
        if self._skipped:
            if self._skipped[0] == "title":
                self.title.append(data)
            return
        self.pieces.append(data if self._depth_of_pre else re.sub(r"\s+", " ", data))


def _text_of_html(markup: str) -> tuple[str, str]:
    parser = _TextOfHtml()
    parser.feed(markup)
    parser.close()
    lines = [line.strip(" ") for line in "".join(parser.pieces).split("\n")]
    return "".join(parser.title), "\n".join(lines)


def _read_html(data: bytes) -> tuple[str, str]:
    return _text_of_html(_decode(data))


def _read_pdf(data: bytes) -> tuple[str, str]:
    try:
        reader = pypdf.PdfReader(io.BytesIO(data), strict=False)
        if reader.is_encrypted:
            raise VerificationError("the PDF is encrypted; save it without a password")
        count = len(reader.pages)
        if count > MAX_PAGES:
            raise VerificationError(f"the PDF has {count} pages; the limit is {MAX_PAGES}")
        pages: list[str] = []
        characters = 0
        for page in reader.pages:
            pages.append(page.extract_text())
            characters += len(pages[-1])
            if characters > MAX_CHARACTERS:
                raise VerificationError(f"it has more than {MAX_CHARACTERS} characters")
        title = str(reader.metadata.title or "") if reader.metadata else ""
    except VerificationError:
        raise
    except MemoryError:
        raise
    except Exception as error:  # a damaged PDF makes pypdf raise nearly anything
        raise VerificationError(f"the PDF is damaged: {type(error).__name__}") from error
    return title, "\n\n".join(pages)


class _Archive:
    """A zip file whose parts are read under one budget."""

    def __init__(self, data: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            entries = self._zip.infolist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
            raise VerificationError("the file is not a whole zip archive") from error
        if len(entries) > MAX_ENTRIES:
            raise VerificationError(f"the archive has more than {MAX_ENTRIES} entries")
        if len({entry.filename for entry in entries}) != len(entries):
            raise VerificationError("the archive names an entry twice")
        self._budget = max(MAX_RATIO * len(data), _RATIO_FREE_BYTES)
        if sum(entry.file_size for entry in entries) > self._budget:
            raise VerificationError(f"the archive unpacks to more than {MAX_RATIO} times its size")

    def read(self, name: str) -> bytes | None:
        """The entry, or None when there is none. Raises: VerificationError."""
        try:
            # The sizes in the directory may lie, so what really comes out is counted as well.
            with self._zip.open(name) as file:
                content = file.read(self._budget + 1)
        except KeyError:
            return None
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError, ValueError) as error:
            raise VerificationError(f"the archive's {name[:80]!r} is damaged or encrypted") from error
        except zlib.error as error:
            raise VerificationError(f"the archive's {name[:80]!r} is damaged") from error
        self._budget -= len(content)
        if self._budget < 0:
            raise VerificationError(f"the archive unpacks to more than {MAX_RATIO} times its size")
        return content

    def read_xml(self, name: str) -> Element | None:
        """The entry as XML without DTD tricks, or None when there is none. Raises: VerificationError."""
        content = self.read(name)
        if content is None:
            return None
        try:
            return fromstring(content, forbid_dtd=False)
        except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
            raise VerificationError(f"the archive's {name[:80]!r} is not acceptable XML") from error


def _read_docx(data: bytes) -> tuple[str, str]:
    archive = _Archive(data)
    document = archive.read_xml("word/document.xml")
    if document is None:
        raise VerificationError("the archive is not a Word document")
    core = archive.read_xml("docProps/core.xml")
    title = (core.findtext(_DC_TITLE) or "") if core is not None else ""
    return title, "".join(_word_pieces(document))


def _word_pieces(root: Element) -> list[str]:
    pieces: list[str] = []
    marks = {f"{_WORD}tab": "\t", f"{_WORD}br": "\n", f"{_WORD}cr": "\n", f"{_WORD}noBreakHyphen": "-"}
    # An explicit stack, because the nesting depth is the stranger's choice.
    stack: list[Element | str] = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            pieces.append(node)
        elif node.tag == f"{_WORD}t":
            pieces.append(node.text or "")
        elif node.tag in marks:
            pieces.append(marks[node.tag])
        elif node.tag not in {_FALLBACK, f"{_WORD}pPr", f"{_WORD}rPr"}:
            if node.tag == f"{_WORD}p":
                stack.append("\n\n")
            stack.extend(reversed(node))
    return pieces


def _read_epub(data: bytes) -> tuple[str, str]:
    archive = _Archive(data)
    container = archive.read_xml("META-INF/container.xml")
    rootfile = container.find("{*}rootfiles/{*}rootfile") if container is not None else None
    package_name = rootfile.get("full-path", "") if rootfile is not None else ""
    package = archive.read_xml(package_name) if package_name else None
    if package is None:
        raise VerificationError("the archive is not an EPUB")
    hrefs = {item.get("id"): item.get("href", "") for item in package.iterfind("{*}manifest/{*}item")}
    locked = _locked_names(archive)
    texts: list[str] = []
    for reference in package.iterfind("{*}spine/{*}itemref"):
        href = unquote(hrefs.get(reference.get("idref"), "").partition("#")[0])
        name = posixpath.normpath(posixpath.join(posixpath.dirname(package_name), href))
        if name in locked:
            raise VerificationError("the EPUB is protected (DRM); only its rights holder's open copy can be read")
        chapter = archive.read(name) if href else None
        if chapter is not None:
            texts.append(_text_of_html(_decode(chapter))[1])
    return package.findtext(f"{{*}}metadata/{_DC_TITLE}") or "", "\n\n".join(texts)


def _locked_names(archive: _Archive) -> set[str]:
    encryption = archive.read_xml("META-INF/encryption.xml")
    if encryption is None:
        return set()
    return {unquote(node.get("URI", "")) for node in encryption.iter() if node.tag.endswith("}CipherReference")}


READERS: dict[str, tuple[str, Callable[[bytes], tuple[str, str]]]] = {
    ".txt": ("text/plain", _read_txt),
    ".md": ("text/markdown", _read_markdown),
    ".html": ("text/html", _read_html),
    ".htm": ("text/html", _read_html),
    ".pdf": ("application/pdf", _read_pdf),
    ".docx": ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", _read_docx),
    ".epub": ("application/epub+zip", _read_epub),
}
