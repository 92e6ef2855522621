"""What each format gives, and that bombs and broken files are refused."""

import contextlib
import functools
import io
import time
import unicodedata
import zipfile

import docx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.content import pdf as pdf_reader
from viz_node.content import readers
from viz_node.content.readers import clean_text, read_text
from viz_node.errors import VerificationError

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OPS/p.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
PACKAGE = (
    '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
    '<dc:title>My Book</dc:title></metadata><manifest><item id="b" href="two%20b.xhtml"/>'
    '<item id="a" href="one.xhtml"/>'
    '</manifest><spine><itemref idref="a"/><itemref idref="b"/><itemref idref="gone"/></spine></package>'
)
BOOK = {
    "META-INF/container.xml": CONTAINER,
    "OPS/p.opf": PACKAGE,
    "OPS/one.xhtml": "<html><head><title/><style>x{}</style></head><h1>One</h1><p>First&#160;part</p></html>",
    "OPS/two b.xhtml": "<html><body><p>Second <b>part</b>.</p></body></html>",
}


def archive(parts: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return buffer.getvalue()


def pdf(text: str = "Hello PDF", extra: bytes = b"") -> bytes:
    content = f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources 6 0 R >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Title (A PDF) >>",
        b"<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>",
    ]
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"xref\n0 7\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return out + table + b"trailer << /Size 7 /Root 1 0 R /Info 5 0 R %s >>\nstartxref\n%d\n%%%%EOF" % (extra, len(out))


def word(*paragraphs: str) -> bytes:
    document = docx.Document()
    document.core_properties.title = "A Letter"
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    document.add_table(1, 2).cell(0, 1).text = "cell"
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def test_read_text__txt__is_the_text() -> None:
    found = read_text(".TXT", b"\xef\xbb\xbfOne\r\n\r\n\r\n\r\nTwo \t\nThree")
    assert (found.title, found.text, found.media_type) == ("", "One\n\nTwo\nThree", "text/plain")
    assert read_text(".txt", "Grüße".encode("cp1252"), "cp1252").text == "Grüße"
    assert read_text(".txt", "Grüße".encode("utf-16")).text == "Grüße"


def test_read_text__markdown__title_from_heading_without_front_matter() -> None:
    found = read_text(".md", b"---\ntags: x\n---\nIntro\n\n# The *Book* #\n\nText")
    assert found.title == "The *Book*"
    assert found.text.startswith("Intro")


def test_read_text__html__visible_text_only() -> None:
    markup = (
        b"<html><head><title>T &amp; C</title><script>var a='<p>no</p>';</script></head><body><h1>Head</h1>"
        b"<p>One\n  two<br>three</p><svg><title>no</title></svg><table><tr><td>a</td><td>b</td></tr></table>"
        b"<pre>x\n  y</pre></body></html>"
    )
    found = read_text(".html", markup)
    assert found.title == "T & C"
    assert found.text == "Head\n\nOne two\nthree\n\na\tb\n\nx\ny"


def test_read_text__pdf__text_and_title() -> None:
    found = read_text(".pdf", pdf())
    assert (found.title, found.text, found.media_type) == ("A PDF", "Hello PDF", "application/pdf")


def test_read_text__docx__paragraphs_and_cells() -> None:
    found = read_text(".docx", word("First\ttab", "Second\nline"))
    assert found.title == "A Letter"
    assert found.text == "First\ttab\n\nSecond\nline\n\ncell"


def test_read_text__epub__chapters_in_spine_order() -> None:
    found = read_text(".epub", archive(BOOK))
    assert (found.title, found.text) == ("My Book", "One\n\nFirst part\n\nSecond part.")


@functools.cache
def bad_files() -> dict[str, tuple[str, bytes]]:
    zeros = bytes(3 << 20)
    laughs = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><x>&b;</x>'
    outside = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'
    locked = (
        '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><EncryptedData xmlns="e"><CipherData>'
        '<CipherReference URI="OPS/one.xhtml"/></CipherData></EncryptedData></encryption>'
    )
    return {
        "unknown type": (".exe", b"MZ"),
        "no suffix": ("", b"text"),
        "empty": (".txt", b""),
        "only spaces": (".txt", b" \n\x00\x01"[:2]),
        "binary as text": (".txt", b"a\0b"),
        "html without text": (".html", b"<script>alert(1)</script>"),
        "docx bomb": (".docx", archive({"word/document.xml": zeros})),
        "epub bomb": (".epub", archive({**BOOK, "OPS/one.xhtml": zeros})),
        "bomb beside the text": (".epub", archive({**BOOK, "x.bin": zeros})),
        "docx entities": (".docx", archive({"word/document.xml": laughs})),
        "docx outside entity": (".docx", archive({"word/document.xml": outside})),
        "docx not xml": (".docx", archive({"word/document.xml": "<w:p"})),
        "docx without document": (".docx", archive({"a": "b"})),
        "docx not zip": (".docx", b"PK\x03\x04 no"),
        "docx cut": (".docx", word("x" * 500)[:-60]),
        "epub without container": (".epub", archive({"a": "b"})),
        "epub protected": (".epub", archive({**BOOK, "META-INF/encryption.xml": locked})),
        "epub chapter repeated": (
            ".epub",
            archive(
                {
                    **BOOK,
                    "OPS/p.opf": PACKAGE.replace('<itemref idref="a"/>', '<itemref idref="a"/>' * 50),
                    "OPS/one.xhtml": "<p>x</p>" * 10_000,
                }
            ),
        ),
        "epub of too many": (".epub", archive({**BOOK, **{f"x{i}": "" for i in range(10_001)}})),
        "pdf garbage": (".pdf", b"%PDF-1.4 nothing"),
        "pdf empty": (".pdf", b""),
        "pdf cut": (".pdf", pdf()[:150]),
        "pdf encrypted": (".pdf", pdf(extra=b"/Encrypt << /Filter /Standard /V 1 /R 2 /O (x) /U (y) /P 1 >>")),
        "pdf page tree loop": (".pdf", pdf().replace(b"/Kids [3 0 R]", b"/Kids [2 0 R]")),
    }


@pytest.mark.parametrize("name", bad_files())
def test_read_text__bad_file__refused_quickly(name: str) -> None:
    suffix, data = bad_files()[name]
    start = time.process_time()
    with pytest.raises(VerificationError):
        read_text(suffix, data)
    assert time.process_time() - start < 2


def test_read_text__sizes_in_the_directory_lie__refused() -> None:
    real = archive({"word/document.xml": bytes(5 << 20)})
    lying = real.replace((5 << 20).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    assert lying != real
    with pytest.raises(VerificationError):
        read_text(".docx", lying)


def test_read_text__too_large_or_too_many_pages__refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "MAX_FILE_BYTES", 10)
    with pytest.raises(VerificationError, match="larger"):
        read_text(".txt", b"x" * 11)
    monkeypatch.setattr(readers, "MAX_FILE_BYTES", 10_000)
    monkeypatch.setattr(pdf_reader, "MAX_PAGES", 0)
    with pytest.raises(VerificationError, match="pages"):
        read_text(".pdf", pdf())
    monkeypatch.setattr(readers, "MAX_CHARACTERS", 3)
    with pytest.raises(VerificationError, match="characters"):
        read_text(".txt", b"four")


@given(st.sampled_from(sorted(readers.READERS)), st.binary(max_size=300))
def test_read_text__any_bytes__text_or_refusal(suffix: str, data: bytes) -> None:
    with contextlib.suppress(VerificationError):
        assert read_text(suffix, data).text


@given(st.data())
def test_read_text__damaged_archive_or_pdf__text_or_refusal(data: st.DataObject) -> None:
    suffix, whole = data.draw(st.sampled_from([(".epub", archive(BOOK)), (".pdf", pdf())]))
    changed = bytearray(whole)
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=5)):
        changed[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(VerificationError):
        assert read_text(suffix, bytes(changed)).text


@given(st.text())
def test_clean_text__any_text__is_clean_and_stable(text: str) -> None:
    cleaned = clean_text(text)
    assert clean_text(cleaned) == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not any(
        unicodedata.category(character) in {"Cc", "Cs", "Cn"} for character in cleaned if character not in "\n\t"
    )


def test_clean_text__invisible_characters__removed() -> None:
    assert clean_text("a\u200bb\u202ec\u00adde\x07\ufeff\U000e0041") == "abcde"
    assert clean_text("می\u200cخواهم") == "می\u200cخواهم"


@pytest.mark.parametrize(
    ("suffix", "data", "why"),
    [
        (".txt", b"", "the file is empty"),
        (".pdf", b" \n", "the file is empty"),
        (".txt", b"\x01\x02\n", "there is no text in it"),
        (".html", b"<p></p>", "there is no text in it"),
    ],
)
def test_read_text__nothing_in_it__no_word_of_scans(suffix: str, data: bytes, why: str) -> None:
    with pytest.raises(VerificationError) as caught:
        read_text(suffix, data)
    assert caught.value.message == why
