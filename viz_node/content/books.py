"""Texts of EPUB books: the spine's parts in order, found as reading systems find them, or named as missing."""

import posixpath
import unicodedata
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from viz_node.content.archives import Archive
from viz_node.content.decoding import decode_html
from viz_node.content.html_text import text_of_chapter
from viz_node.content.reading import Reading
from viz_node.domain.counting import counted
from viz_node.errors import VerificationError

_DC_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_TEXT_TYPES = frozenset(("", "application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document"))


def read_epub(data: bytes, reading: Reading) -> tuple[str, str]:
    """Title and text of a book. Raises: VerificationError (no EPUB, protected, or none of its parts is there)."""
    archive = Archive(data)
    names = _Names(archive)
    container = archive.read_xml(names.find("META-INF/container.xml") or "", reading)
    rootfile = container.find("{*}rootfiles/{*}rootfile") if container is not None else None
    package_name = names.find(rootfile.get("full-path", "")) if rootfile is not None else None
    package = archive.read_xml(package_name, reading) if package_name else None
    if package is None or package_name is None:
        raise VerificationError("the archive is not an EPUB")
    items = {item.get("id"): item for item in package.iterfind("{*}manifest/{*}item")}
    references = [items.get(node.get("idref")) for node in package.iterfind("{*}spine/{*}itemref")]
    locked = _locked_names(archive, names, reading)
    texts: list[str] = []
    missing = other = 0
    for item in references:
        if item is not None and (item.get("media-type") or "") not in _TEXT_TYPES:
            other += 1
            continue
        name = _name_of(item, package_name, names)
        if name in locked:
            raise VerificationError("the EPUB is protected (DRM); only its rights holder's open copy can be read")
        chapter = archive.read(name) if name else None
        if chapter is None:
            missing += 1
        else:
            texts.append(text_of_chapter(decode_html(chapter, Reading(notes=reading.notes)), reading))
    if missing and not texts:
        raise VerificationError(f"none of the book's {counted(missing, 'part')} is in the archive")
    if missing:
        reading.note(f"{missing} of the book's {counted(len(references), 'part')} are not in the archive")
    if other:
        reading.note(f"left out: {counted(other, 'part')} of the book that hold only pictures")
    return package.findtext(f"{{*}}metadata/{_DC_TITLE}") or "", "\n\n".join(texts)


def _name_of(item: Element | None, package_name: str, names: "_Names") -> str | None:
    href = item.get("href", "").partition("#")[0] if item is not None else ""
    return names.find(posixpath.join(posixpath.dirname(package_name), href)) if href else None


class _Names:
    """Finds entries by what a book calls them: percent-encoded or not, in another case or Unicode form."""

    def __init__(self, archive: Archive) -> None:
        self._exact = set(archive.names)
        self._alike: dict[str, str] = {}
        for name in archive.names:
            for spelling in {name, unquote(name), _as_utf8(name)}:
                self._alike.setdefault(_folded(spelling), name)

    def find(self, name: str) -> str | None:
        """The entry meant by `name`, an exact spelling first."""
        for spelling in (name, unquote(name)):
            path = posixpath.normpath(spelling)
            if path in self._exact:
                return path
        for spelling in (name, unquote(name)):
            if (found := self._alike.get(_folded(posixpath.normpath(spelling)))) is not None:
                return found
        return None


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/")).casefold()


def _as_utf8(name: str) -> str:
    """The name as UTF-8 where it can be: Python reads names that are not declared as UTF-8 as cp437."""
    try:
        return name.encode("cp437").decode()
    except ValueError:
        return name


def _locked_names(archive: Archive, names: _Names, reading: Reading) -> set[str | None]:
    encryption = archive.read_xml("META-INF/encryption.xml", reading)
    if encryption is None:
        return set()
    references = (node.get("URI", "") for node in encryption.iter() if node.tag.endswith("}CipherReference"))
    return {names.find(reference) for reference in references} - {None}
