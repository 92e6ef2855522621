"""Texts of Word (docx) and OpenDocument (odt): as a reader would print them, notes at the end."""

import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterator
from xml.etree.ElementTree import Element

from viz_node.content.archives import Archive
from viz_node.content.reading import Reading
from viz_node.domain.counting import counted
from viz_node.errors import VerificationError

_WORD = (
    "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}",
    "{http://purl.oclc.org/ooxml/wordprocessingml/main}",  # "Strict Open XML"
)
_MATH = (
    "{http://schemas.openxmlformats.org/officeDocument/2006/math}",
    "{http://purl.oclc.org/ooxml/officeDocument/math}",
)
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_DC_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_MARKS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_SILENT = frozenset(("pPr", "rPr", "sectPr", "tblPr", "trPr", "tcPr", "rt", "instrText", "delText", "fldData"))
_LEFT_OUT = {
    "del": "tracked deletion",
    "moveFrom": "tracked move (taken at its new place)",
    "commentReference": "comment",
    "altChunk": "embedded document",
    "sym": "sign of a symbol font",
}
_NOTES = {"footnotes": "footnote", "endnotes": "endnote"}

_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"


def read_docx(data: bytes, reading: Reading) -> tuple[str, str]:
    """Title and text of a Word document. Raises: VerificationError."""
    archive = Archive(data)
    main = _related(archive, "", reading).get("officeDocument", ["word/document.xml"])[0]
    document = archive.read_xml(main, reading)
    if document is None:
        raise VerificationError("the archive is not a Word document")
    related = _related(archive, main, reading)
    hidden = _hidden_styles(archive, related.get("styles", []), reading)
    walk = _WordText(hidden)
    pieces = [walk.text(document)]
    for kind, noun in _NOTES.items():
        notes = [node for part in related.get(kind, []) for node in _notes_of(archive, part, noun, reading)]
        texts = [text for node in notes if (text := walk.text(node).strip())]
        if texts:
            reading.note(f"{counted(len(texts), noun)} at the end of the text")
        pieces += texts
    walk.tell(reading)
    if related.get("header") or related.get("footer"):
        reading.note("left out: headers and footers of the pages")
    core = archive.read_xml("docProps/core.xml", reading)
    title = (core.findtext(_DC_TITLE) or "") if core is not None else ""
    return title, "\n\n".join(pieces)


def _related(archive: Archive, part: str, reading: Reading) -> dict[str, list[str]]:
    """Names of the parts that `part` refers to, by the last word of the relationship's type."""
    folder, name = posixpath.split(part)
    root = archive.read_xml(posixpath.join(folder, "_rels", f"{name}.rels"), reading)
    found: dict[str, list[str]] = {}
    for node in root if root is not None else ():
        if node.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join("/", folder, node.get("Target", ""))).lstrip("/")
            found.setdefault(node.get("Type", "").rpartition("/")[2], []).append(target)
    return found


def _notes_of(archive: Archive, part: str, noun: str, reading: Reading) -> Iterator[Element]:
    root = archive.read_xml(part, reading)
    for node in root if root is not None else ():
        # Separators have a type, notes have none.
        if _word_name(node) == noun and _attribute(node, "type") in (None, "normal"):
            yield node


def _hidden_styles(archive: Archive, parts: list[str], reading: Reading) -> frozenset[str]:
    roots = [archive.read_xml(part, reading) for part in parts]
    styles = [node for root in roots if root is not None for node in root if _word_name(node) == "style"]
    return frozenset(_attribute(style, "styleId") or "" for style in styles if _is_hidden(style, frozenset()))


def _is_hidden(node: Element, styles: frozenset[str]) -> bool:
    """Whether a run or style says `vanish` of itself, or a run has a style that does."""
    for properties in (child for child in node if _word_name(child) == "rPr"):
        for item in properties:
            name = _word_name(item)
            if name == "vanish":
                return _attribute(item, "val") not in {"0", "false", "off"}
            if name == "rStyle" and _attribute(item, "val") in styles:
                return True
    return False


def _word_name(node: Element) -> str:
    """The element's name without Word's namespace, of either kind; empty for any other element."""
    for namespace in _WORD:
        if node.tag.startswith(namespace):
            return node.tag[len(namespace) :]
    return ""


def _attribute(node: Element, name: str) -> str | None:
    return next((value for space in _WORD if (value := node.get(space + name)) is not None), None)


class _WordText:
    """Walks with an explicit stack, because the nesting depth is the stranger's choice."""

    def __init__(self, hidden_styles: frozenset[str]) -> None:
        self._hidden_styles = hidden_styles
        self._left_out: Counter[str] = Counter()

    def text(self, root: Element) -> str:
        """The visible text below `root`."""
        pieces: list[str] = []
        stack: list[Element | str] = [root]
        while stack:
            node = stack.pop()
            if isinstance(node, str):
                pieces.append(node)
                continue
            name = _word_name(node)
            if name == "t" or node.tag in {f"{space}t" for space in _MATH}:
                pieces.append(node.text or "")
            elif name in _MARKS:
                pieces.append(_MARKS[name])
            elif name in _LEFT_OUT:
                # A deleted paragraph mark has no text.
                self._left_out[_LEFT_OUT[name]] += name in {"commentReference", "sym", "altChunk"} or len(node) > 0
            elif name == "r" and _is_hidden(node, self._hidden_styles):
                self._left_out["hidden text"] += 1
            elif name not in _SILENT and node.tag != _FALLBACK:
                if name == "p":
                    stack.append("\n\n")
                stack.extend(reversed(node))
        return "".join(pieces)

    def tell(self, reading: Reading) -> None:
        """Note what was left out."""
        for noun, count in self._left_out.items():
            if count:
                reading.note(f"left out: {noun} ({counted(count, 'place')})")


def read_odt(data: bytes, reading: Reading) -> tuple[str, str]:
    """Title and text of an OpenDocument text. Raises: VerificationError."""
    archive = Archive(data)
    manifest = archive.read_xml("META-INF/manifest.xml", reading)
    if manifest is not None and any(node.tag.endswith("}encryption-data") for node in manifest.iter()):
        raise VerificationError("the document is encrypted; save it without a password")
    content = archive.read_xml("content.xml", reading)
    body = content.find(f"{_OFFICE}body/{_OFFICE}text") if content is not None else None
    if body is None:
        raise VerificationError("the archive is not an OpenDocument text")
    meta = archive.read_xml("meta.xml", reading)
    title = (meta.findtext(f".//{_DC_TITLE}") or "") if meta is not None else ""
    notes: list[Element] = []
    left_out: Counter[str] = Counter()
    text = _open_document_text(body, notes.append, left_out)
    if notes:
        reading.note(f"{counted(len(notes), 'note')} at the end of the text")
    later = [_open_document_text(note, lambda _: None, left_out).strip() for note in notes]
    for noun, count in left_out.items():
        reading.note(f"left out: {noun} ({counted(count, 'place')})")
    return title, "\n\n".join([text, *later])


_OPEN_DOCUMENT_LEFT_OUT = {
    f"{_TEXT}tracked-changes": "tracked deletions",
    f"{_OFFICE}annotation": "comments",
    f"{_TEXT}hidden-text": "hidden text",
    f"{_TEXT}hidden-paragraph": "hidden text",
    f"{_TEXT}table-of-content": "table of contents",
}


def _open_document_text(root: Element, on_note: Callable[[Element], None], left_out: Counter[str]) -> str:
    pieces: list[str] = []
    stack: list[Element | str] = [*reversed(root), root.text or ""]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            pieces.append(node)
            continue
        if node.tail:
            stack.append(_as_printed(node.tail))
        if node.tag == f"{_TEXT}note":
            for note in node.iterfind(f"{_TEXT}note-body"):
                on_note(note)
        elif node.tag in _OPEN_DOCUMENT_LEFT_OUT:
            left_out[_OPEN_DOCUMENT_LEFT_OUT[node.tag]] += 1
        elif node.tag == f"{_TEXT}s":
            count = node.get(f"{_TEXT}c", "1")
            pieces.append(" " * min(int(count), 100) if count.isdecimal() else " ")
        elif node.tag == f"{_TEXT}tab":
            pieces.append("\t")
        elif node.tag == f"{_TEXT}line-break":
            pieces.append("\n")
        else:
            if node.tag in {f"{_TEXT}p", f"{_TEXT}h"}:
                stack.append("\n\n")
            stack.extend(reversed(node))
            if node.text:
                stack.append(_as_printed(node.text))
    return "".join(pieces)


def _as_printed(text: str) -> str:
    """OpenDocument's white space: a run of it is one space, and what only indents the XML is nothing."""
    return "" if "\n" in text and text.isspace() else re.sub(r"[ \t\r\n]+", " ", text)
