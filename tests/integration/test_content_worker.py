"""The real child process on a folder with every format, bad files, and files that kill it."""

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import docx
import pytest

from viz_node.content.importing import import_works
from viz_node.domain.work import ImportedWork, ImportFailure
from viz_node.errors import UsageError

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="p.opf"/></rootfiles></container>'
)
PACKAGE = (
    '<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="a" href="a.xhtml"/></manifest>'
    '<spine><itemref idref="a"/></spine></package>'
)


def write_pdf(path: Path, content: bytes) -> None:
    """A PDF by hand; the reader finds the objects without a cross-reference table."""
    objects = (
        b"1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
        b"2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n"
        b"3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources << /Font << /F1"
        b" << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>\nendobj\n"
    )
    stream = b"4 0 obj\n<< /Length %d >>\nstream\n%s\nendstream\nendobj\n" % (len(content), content)
    path.write_bytes(b"%PDF-1.4\n" + objects + stream + b"trailer << /Root 1 0 R /Size 5 >>\nstartxref\n0\n%%EOF")


def write_epub(path: Path, chapter: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("META-INF/container.xml", CONTAINER)
        file.writestr("p.opf", PACKAGE)
        file.writestr("a.xhtml", chapter)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "works"
    root.mkdir()
    (root / "a_note.txt").write_text("Plain text")
    (root / "b.md").write_text("# Mark\n\ndown")
    (root / "c.html").write_text("<title>Page</title><p>Hyper text</p>")
    write_pdf(root / "d.pdf", b"BT /F1 12 Tf (Portable) Tj ET")
    document = docx.Document()
    document.add_paragraph("Word text")
    buffer = io.BytesIO()
    document.save(buffer)
    (root / "e.docx").write_bytes(buffer.getvalue())
    write_epub(root / "f.epub", "<p>Book text</p>")
    (root / "g.pdf").write_bytes(b"%PDF-1.7 broken")
    write_epub(root / "h.epub", "<p>" + "0" * (20 << 20))
    (root / "i.exe").write_bytes(b"MZ")
    with (root / "j.txt").open("wb") as file:
        file.truncate(65 << 20)
    (root / "k.txt").symlink_to("/etc/hostname")
    os.mkfifo(root / "l.txt")
    (root / "m.txt").write_text("The last")
    return root


async def test_import_works__all_formats_and_bad_files__each_gets_its_answer(folder: Path) -> None:
    items = [item async for item in import_works([folder, folder / "none.txt"])]
    works = {Path(item.path).name: item for item in items if isinstance(item, ImportedWork)}
    failures = {Path(item.path).name: item.error for item in items if isinstance(item, ImportFailure)}
    assert {name: work.text for name, work in works.items()} == {
        "a_note.txt": "Plain text",
        "b.md": "# Mark\n\ndown",
        "c.html": "Hyper text",
        "d.pdf": "Portable",
        "e.docx": "Word text",
        "f.epub": "Book text",
        "m.txt": "The last",
    }
    assert (works["a_note.txt"].title, works["b.md"].title, works["c.html"].title) == ("a note", "Mark", "Page")
    assert works["a_note.txt"].digest == hashlib.sha256(b"Plain text").hexdigest()
    assert works["a_note.txt"].size_bytes == 10
    assert sorted(failures) == ["g.pdf", "h.epub", "i.exe", "j.txt", "k.txt", "l.txt", "none.txt"]
    assert "damaged" in failures["g.pdf"]
    assert "times its size" in failures["h.epub"]
    assert "larger than 64 MiB" in failures["j.txt"]
    assert "out of the folder" in failures["k.txt"]


async def test_import_works__encodings_and_newer_types__read_under_the_same_limits(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("grün".encode("cp1252"))
    (tmp_path / "b.jsonl").write_text('{"text": "One"}\n{"text": "Two"}\n')
    (tmp_path / "c.rtf").write_bytes(rb"{\rtf1\ansi Rich}")
    (tmp_path / "d.text").write_bytes(b"\xef\xbb\xbfgr\xc3\xbcn")
    ns = ('xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"'
          ' xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"')  # fmt: skip
    with zipfile.ZipFile(tmp_path / "e.odt", "w") as file:
        body = "<office:body><office:text><text:p>Open</text:p></office:text></office:body>"
        file.writestr("content.xml", f"<office:document {ns}>{body}</office:document>")
    first, *rest = [item async for item in import_works([tmp_path])]
    assert isinstance(first, ImportFailure)
    assert "--encoding NAME" in first.error
    assert [item.text for item in rest if isinstance(item, ImportedWork)] == ["One\n\nTwo", "Rich", "grün", "Open"]
    assert rest[0].notes == ("the text is the field 'text' of 2 lines",)
    said = [item async for item in import_works([tmp_path / "a.txt", tmp_path / "d.text"], encoding="windows-1252")]
    assert [item.text for item in said] == ["grün", "grün"]
    with pytest.raises(UsageError, match="no text encoding"):
        await anext(import_works([tmp_path], encoding="klingon"))


async def test_import_works__file_that_stalls_the_child__others_still_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("before")
    write_pdf(tmp_path / "b.pdf", b"BT /F1 12 Tf " + b"(x) Tj " * 3_000_000 + b"ET")
    (tmp_path / "c.txt").write_text("after")
    items = [item async for item in import_works([tmp_path], timeout_seconds=2)]
    assert [type(item) for item in items] == [ImportedWork, ImportFailure, ImportedWork]
    assert "2 s" in items[1].error


async def test_import_works__names_that_are_not_utf8__come_out_as_text(tmp_path: Path) -> None:
    for name in (b"gr\xfcn.txt", b"\xff\xfe.txt", b"\xed\xa0\x80.bad"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text(f"text {len(name)}")
    items = [item async for item in import_works([tmp_path])]
    for item in items:
        json.dumps(vars(item), ensure_ascii=False).encode()
    assert sorted(item.title for item in items if isinstance(item, ImportedWork)) == ["gr\ufffdn", "\ufffd\ufffd"]
    assert sum(isinstance(item, ImportFailure) for item in items) == 1


async def test_import_works__abandoned__child_is_gone(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text("x")
    works = import_works([tmp_path])
    assert (await anext(works)).text == "x"
    await works.aclose()
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    commands = [Path(f"/proc/{child}/cmdline").read_bytes() for child in children]
    assert not any(b"content.worker" in command for command in commands)


def test_worker__order_on_stdin__lines_on_stdout(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    order = json.dumps({"order": "read", "paths": [str(tmp_path), str(tmp_path / "none.md")]}).encode()
    command = [sys.executable, "-m", "viz_node.content.worker"]
    done = subprocess.run(command, input=order, capture_output=True, timeout=20, check=True)
    first, second = map(json.loads, done.stdout.splitlines())
    assert sorted(first) == ["digest", "event", "media_type", "size_bytes", "text", "title"]
    assert (second["event"], sorted(second)) == ("failure", ["error", "event"])
    assert subprocess.run(command, input=b"[]", capture_output=True, timeout=20, check=False).returncode == 1


def test_limit_process__memory_or_time_used_up__process_ends_not_the_machine() -> None:
    hungry = "from viz_node.content.worker import *; limit_process(); x = bytearray(1 << 31)"
    done = subprocess.run([sys.executable, "-c", hungry], capture_output=True, timeout=20, check=False)
    assert b"MemoryError" in done.stderr
    busy = (
        "from viz_node.content import worker; worker.SECONDS_PER_FILE = 0; worker.allow_more_time()\nwhile True: pass"
    )
    done = subprocess.run([sys.executable, "-c", busy], capture_output=True, timeout=20, check=False)
    assert done.returncode < 0
