"""PDFs that hold pictures instead of text, or codes instead of characters."""

import io

import pypdf
import pytest
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    NameObject,
    NumberObject,
    TextStringObject,
)

from viz_node.content.readers import ReadText, read_text
from viz_node.errors import VerificationError

TEXT = "The keeper of the lamp counted the ships"
HELVETICA = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}


def named(**items: str) -> DictionaryObject:
    return DictionaryObject({NameObject(f"/{key}"): NameObject(f"/{value}") for key, value in items.items()})


def font_by_numbers(ordering: str) -> DictionaryObject:
    below = named(Type="Font", Subtype="CIDFontType2", BaseFont="X")
    below[NameObject("/CIDSystemInfo")] = DictionaryObject({NameObject("/Ordering"): TextStringObject(ordering)})
    font = named(Type="Font", Subtype="Type0", BaseFont="X", Encoding="Identity-H")
    font[NameObject("/DescendantFonts")] = ArrayObject([below])
    return font


def pdf(pages: list[str], font: DictionaryObject | None = None) -> ReadText:
    """Pages of `text`, `scan` (a picture), `codes` (in `font`) or nothing."""
    writer = pypdf.PdfWriter()
    for kind in pages:
        page = writer.add_blank_page(200, 200)
        fonts, objects, content = DictionaryObject(), DictionaryObject(), DecodedStreamObject()
        if kind == "scan":
            picture = DecodedStreamObject()
            picture.update({NameObject("/Subtype"): NameObject("/Image"), NameObject("/Width"): NumberObject(1)})
            objects[NameObject("/I")] = writer._add_object(picture)
            content.set_data(b"/I Do")
        elif kind:
            fonts[NameObject("/F")] = named(Type="Font", Subtype="Type1", BaseFont="Helvetica")
            fonts[NameObject("/N")] = font or font_by_numbers("Identity")
            shown = f"/F 9 Tf ({TEXT}) Tj" if kind == "text" else "/N 9 Tf <002400250026> Tj"
            content.set_data(f"BT {shown} ET".encode())
        page[NameObject("/Contents")] = writer._add_object(content)
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts, NameObject("/XObject"): objects})
    buffer = io.BytesIO()
    writer.write(buffer)
    return read_text(".pdf", buffer.getvalue())


def test_read_pdf__mostly_scanned__refused_with_the_counts() -> None:
    with pytest.raises(VerificationError, match=r"3 of its 4 pages are pictures; they need text recognition \(OCR\)"):
        pdf(["text", "scan", "scan", "scan"])


def test_read_pdf__some_pages_scanned__read_with_a_note_and_empty_pages_do_not_count() -> None:
    found = pdf(["text", "scan", "text", "", ""])
    assert found.text.count(TEXT) == 2
    assert found.notes == ("left out: 1 of 5 pages, which are pictures without text",)


def test_read_pdf__codes_without_meaning__refused_or_noted_by_their_share() -> None:
    with pytest.raises(VerificationError, match="100% of its characters cannot be known"):
        pdf(["codes"])
    found = pdf(["text"] * 8 + ["codes"])
    assert found.notes == ("3 characters may be wrong: a font has no character map",)


def test_read_pdf__needs_a_password__says_so() -> None:
    writer = pypdf.PdfWriter()
    writer.add_blank_page(9, 9)
    writer.encrypt("secret", algorithm="AES-256")
    buffer = io.BytesIO()
    writer.write(buffer)
    with pytest.raises(VerificationError, match="needs a password"):
        read_text(".pdf", buffer.getvalue())
