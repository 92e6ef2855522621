"""Books whose parts are named in many ways: found, or named as missing."""

import io
import zipfile

import pytest

from viz_node.content.books import read_epub
from viz_node.content.readers import clean_text
from viz_node.content.reading import Reading
from viz_node.errors import VerificationError

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OPS/p.opf"/></rootfiles></container>'
)


def book(entry: str, href: str, chapter: str | bytes = "<p>Chapter</p>", more: str = "", package: str = "") -> bytes:
    package = package or (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        f'<dc:title>Маяк</dc:title></metadata><manifest><item id="a" href="{href}"/>{more}</manifest>'
        '<spine><itemref idref="a"/><itemref idref="b"/></spine></package>'
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("META-INF/container.xml", CONTAINER)
        file.writestr("OPS/p.opf", package)
        file.writestr(entry, chapter)
    return buffer.getvalue()


def read(data: bytes) -> tuple[str, str, list[str]]:
    reading = Reading()
    title, text = read_epub(data, reading)
    return title, clean_text(text), reading.notes


@pytest.mark.parametrize(
    ("entry", "href"),
    [
        ("OPS/one.xhtml", "one.xhtml"),
        ("OPS/One.XHTML", "one.xhtml"),
        ("OPS/one two.xhtml", "one%20two.xhtml"),
        ("OPS/one%20two.xhtml", "one%20two.xhtml"),
        ("OPS/one%20two.xhtml", "one two.xhtml"),
        ("OPS/gr\u00fcn.xhtml", "gru\u0308n.xhtml"),
        ("OPS/gr\u00fcn.xhtml", "gr%C3%BCn.xhtml"),
        ("text/one.xhtml", "../text/one.xhtml#part"),
        ("OPS\\one.xhtml", "one.xhtml"),
    ],
)
def test_read_epub__part_by_another_spelling__found(entry: str, href: str) -> None:
    title, text, notes = read(book(entry, href))
    assert (title, text) == ("Маяк", "Chapter")
    assert notes == ["1 of the book's 2 parts are not in the archive"]


def test_read_epub__declared_encodings__obeyed_in_package_and_chapter() -> None:
    chapter = "<?xml version='1.0' encoding='koi8-r'?><html><p>Маяк</p></html>".encode("koi8-r")
    package = (
        "<?xml version='1.0' encoding='windows-1251'?><package xmlns='http://www.idpf.org/2007/opf'"
        " xmlns:dc='http://purl.org/dc/elements/1.1/'><metadata><dc:title>Смотритель</dc:title></metadata><manifest>"
        "<item id='a' href='маяк.xhtml'/></manifest><spine><itemref idref='a'/></spine></package>"
    )
    data = book("OPS/маяк.xhtml", "", chapter, package=package.encode("cp1251"))
    assert read(data) == ("Смотритель", "Маяк", [])


def test_read_epub__other_media_and_nothing_there__told() -> None:
    more = '<item id="b" href="map.svg" media-type="image/svg+xml"/>'
    assert read(book("OPS/one.xhtml", "one.xhtml", more=more))[2] == [
        "left out: 1 part of the book that hold only pictures"
    ]
    with pytest.raises(VerificationError, match="none of the book's 2 parts is in the archive"):
        read(book("OPS/one.xhtml", "other.xhtml"))
