"""Word and OpenDocument as they are printed: notes, moves, deletions, hidden text, other names of parts."""

import io
import zipfile

import pytest

from viz_node.content.office import read_docx, read_odt
from viz_node.content.readers import clean_text
from viz_node.content.reading import Reading
from viz_node.errors import VerificationError

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
SHOWN, GHOST = '<w:vanish w:val="0"/>', '<w:rStyle w:val="Ghost"/>'
REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
ODF = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"'
    ' xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" xmlns:dc="http://purl.org/dc/elements/1.1/"'
)


def archive(parts: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return buffer.getvalue()


def relations(**targets: str) -> str:
    rows = "".join(f'<Relationship Id="{t}" Type="{REL}/{kind}" Target="{t}"/>' for kind, t in targets.items())
    return f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{rows}</Relationships>'


def word(body: str, namespace: str = W, **parts: str) -> bytes:
    names = {kind: f"{kind}.xml" for kind in parts}
    return archive(
        {
            "_rels/.rels": relations(officeDocument="/texts/main.xml"),
            "texts/main.xml": f'<w:document xmlns:w="{namespace}"><w:body>{body}</w:body></w:document>',
            "texts/_rels/main.xml.rels": relations(**names),
            **{
                f"texts/{names[kind]}": f'<w:{kind} xmlns:w="{namespace}">{content}</w:{kind}>'
                for kind, content in parts.items()
            },
        }
    )


def run(text: str, properties: str = "") -> str:
    return f"<w:r><w:rPr>{properties}</w:rPr><w:t>{text}</w:t></w:r>"


def docx(body: str, **parts: str) -> tuple[str, list[str]]:
    reading = Reading()
    return clean_text(read_docx(word(body, **parts), reading)[1]), reading.notes


@pytest.mark.parametrize("namespace", [W, "http://purl.oclc.org/ooxml/wordprocessingml/main"])
def test_read_docx__main_part_of_another_name__read_in_both_namespaces(namespace: str) -> None:
    _, text = read_docx(word(f"<w:p>{run('The bell')}</w:p>", namespace), Reading())
    assert text.strip() == "The bell"


def test_read_docx__changes_and_hidden_text__as_if_accepted() -> None:
    text, notes = docx(
        f"<w:p>{run('kept ')}<w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins>{run('new')}</w:ins>"
        f"<w:moveFrom>{run('moved')}</w:moveFrom>{run('secret', '<w:vanish/>')}{run('!', SHOWN)}"
        f"{run('styled away', GHOST)}</w:p><w:p><w:moveTo>{run('moved')}</w:moveTo></w:p>",
        styles='<w:style w:styleId="Ghost"><w:rPr><w:vanish/></w:rPr></w:style>',
    )
    assert text == "kept new!\n\nmoved"
    assert notes == [
        "left out: tracked deletion (1 place)",
        "left out: tracked move (taken at its new place) (1 place)",
        "left out: hidden text (2 places)",
    ]


def test_read_docx__notes__at_the_end_without_separators() -> None:
    text, notes = docx(
        f"<w:p>{run('Text')}</w:p>",
        footnotes=f'<w:footnote w:type="separator"><w:p>{run("----")}</w:p></w:footnote>'
        f"<w:footnote><w:p>{run('one')}</w:p></w:footnote><w:footnote><w:p>{run('two')}</w:p></w:footnote>",
        endnotes=f"<w:endnote><w:p>{run('last')}</w:p></w:endnote>",
        header=f"<w:p>{run('Page 1')}</w:p>",
    )
    assert text == "Text\n\none\n\ntwo\n\nlast"
    assert notes == [
        "2 footnotes at the end of the text",
        "1 endnote at the end of the text",
        "left out: headers and footers of the pages",
    ]


def odt(body: str, **parts: str) -> tuple[str, list[str]]:
    reading = Reading()
    content = f"<office:document {ODF}><office:body><office:text>{body}</office:text></office:body></office:document>"
    return clean_text(read_odt(archive({"content.xml": content, **parts}), reading)[1]), reading.notes


def test_read_odt__paragraphs_spaces_notes_and_changes__as_printed() -> None:
    text, notes = odt(
        "\n  <text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>\n"
        "  <text:h>Head</text:h>\n  <text:p>One<text:s text:c='3'/>two<text:tab/>three\n   <text:span>four</text:span>"
        "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>A note.</text:p></text:note-body>"
        "</text:note>.<text:line-break/>five<office:annotation><text:p>remark</text:p></office:annotation></text:p>"
        "<text:list><text:list-item><text:p>item</text:p></text:list-item></text:list>"
    )
    assert text == "Head\n\nOne   two\tthree four.\nfive\n\nitem\n\nA note."
    assert notes == [
        "1 note at the end of the text",
        "left out: tracked deletions (1 place)",
        "left out: comments (1 place)",
    ]


def test_read_odt__encrypted_or_no_text__refused() -> None:
    locked = '<m:manifest xmlns:m="m"><m:file-entry><m:encryption-data/></m:file-entry></m:manifest>'
    with pytest.raises(VerificationError, match="encrypted"):
        odt("", **{"META-INF/manifest.xml": locked})
    with pytest.raises(VerificationError, match="not an OpenDocument text"):
        read_odt(archive({"content.xml": "<a/>"}), Reading())


def test_read_odt__deeply_nested__no_recursion() -> None:
    depth = 20_000
    assert odt("<text:span>" * depth + "deep" + "</text:span>" * depth)[0] == "deep"
