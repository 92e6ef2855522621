"""Texts that are nearly plain: txt, Markdown, JSON lines and RTF."""

import re
from typing import Any

from viz_node.content.decoding import check_encoding, decode_text
from viz_node.content.reading import Reading
from viz_node.domain.conversation import is_dialogue, read_dialogue, written
from viz_node.domain.counting import counted
from viz_node.domain.strict_json import parse_json
from viz_node.errors import UsageError, VerificationError

MAX_LINES = 100_000
_NAMED_FIELDS = 8
TEXT_FIELDS = ("text", "content")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n((?:.{0,2000}\n){1,200}?)(?:---|\.\.\.)[ \t]*(?:\n|\Z)")
_ENTRY = re.compile(r"[A-Za-z_][\w .-]{0,60}:(?:[ \t].*)?\Z")
_CONTINUED = re.compile(r"(?:[ \t]+\S.*|- .*|#.*)\Z")
_RTF_CODE_PAGE = re.compile(rb"\\ansicpg(\d{2,5})")


def read_txt(data: bytes, reading: Reading) -> tuple[str, str]:
    """No title, and all of the text. Raises: VerificationError."""
    return "", decode_text(data, reading)


def read_markdown(data: bytes, reading: Reading) -> tuple[str, str]:
    """The first heading as title, and the text without front matter. Raises: VerificationError."""
    text = re.sub(r"\r\n?", "\n", decode_text(data, reading))
    matter = _FRONT_MATTER.match(text)
    title = ""
    if matter and _is_front_matter(matter.group(1)):
        text = text[matter.end() :]
        reading.note(f"left out: front matter ({counted(matter.group(1).count(chr(10)), 'line')})")
        named = re.search(r"^title:[ \t]*[\"']?(.{1,500}?)[\"']?[ \t]*$", matter.group(1), flags=re.MULTILINE)
        title = named.group(1) if named else ""
    heading = re.search(r"^#[ \t]+([^\n]{1,500})$", text, flags=re.MULTILINE)
    return (heading.group(1).strip(" #") if heading else title), text


def _is_front_matter(block: str) -> bool:
    """Whether every line is `key: value` or goes on with one; a rule (`---`) before a poem is none."""
    lines = block.split("\n")[:-1]
    entries = [bool(_ENTRY.match(line)) for line in lines]
    return entries[0] and all(
        is_entry or not line or _CONTINUED.match(line) for line, is_entry in zip(lines, entries, strict=True)
    )


def read_jsonl(data: bytes, reading: Reading) -> tuple[str, str]:
    """No title, and the texts of all lines: objects with the field `text`, or else `content`, in every one.

    If the first line is a conversation, or a prompt and its completion, so must all be; each is a paragraph then.
    Raises: VerificationError (a line that is no such object, or too many lines).
    """
    bodies = _objects(decode_text(data, reading))
    if bodies and is_dialogue(bodies[0][1]):
        talks = [_dialogue(body, number) for number, body in bodies]
        reading.note(f"{counted(len(talks), 'conversation')}; of each only the answers are learnt")
        return "", "\n\n".join(talks)
    texts, others = list[str](), set[str]()
    field = next((name for name in TEXT_FIELDS if bodies and name in bodies[0][1]), TEXT_FIELDS[0])
    for number, body in bodies:
        if not isinstance(body.get(field), str):
            raise VerificationError(f"line {number} has no text in its field {field!r}, as every line must have")
        texts.append(body[field])
        others |= set(body) - {field}
    if texts:
        reading.note(f"the text is the field {field!r} of {counted(len(texts), 'line')}")
    if others:
        reading.note(f"left out: the fields {', '.join(sorted(others)[:_NAMED_FIELDS])}")
    return "", "\n\n".join(texts)


def _objects(text: str) -> list[tuple[int, dict[str, Any]]]:
    """The lines that are not empty, with their numbers."""
    found = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if len(found) > MAX_LINES:
        raise VerificationError(f"it has more than {MAX_LINES} lines; divide it")
    return [(number, _object(line, number)) for number, line in found]


def _dialogue(body: dict[str, Any], number: int) -> str:
    try:
        if not is_dialogue(body):
            raise UsageError("it is no conversation, as the first line is")
        return written(read_dialogue(body))
    except UsageError as error:
        raise VerificationError(f"line {number}: {error.message}") from error


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        body = parse_json(line.encode())
    except (ValueError, RecursionError) as error:
        raise VerificationError(f"line {number} is not JSON: {error}".removesuffix(": it is not JSON")) from error
    if not isinstance(body, dict):
        raise VerificationError(f"line {number} is no JSON object")
    return body


def read_rtf(data: bytes, reading: Reading) -> tuple[str, str]:
    """No title, and the text without its formats. Raises: VerificationError (no RTF, or characters of no code page)."""
    from striprtf.striprtf import rtf_to_text

    if not data.lstrip().startswith(b"{\\rtf"):
        raise VerificationError("it is not RTF")
    page = _RTF_CODE_PAGE.search(data[:2048])
    encoding = reading.encoding or (f"cp{page.group(1).decode()}" if page else "cp1252")
    try:
        # RTF itself is ASCII but for pictures: other characters are escapes in its code page, or in that of the font.
        raw = data.decode("latin-1" if rb"\bin" in data else "ascii")
        text = rtf_to_text(raw, encoding=check_encoding(encoding), errors="strict")
    except (UsageError, ValueError, LookupError, IndexError, KeyError, OverflowError) as error:
        cause = error.message if isinstance(error, UsageError) else str(error)
        raise VerificationError(f"the RTF cannot be read: {cause[:100]}") from error
    for word, noun in (("footnote", "footnotes"), ("header", "headers"), ("footer", "footers")):
        if re.search(rb"\\%s[lrf]?[ \\\r\n]" % word.encode(), data):
            reading.note(f"left out: {noun}")
    return "", text
