"""Markdown's front matter and what only looks like it, JSON lines, RTF."""

import json

import pytest

from viz_node.content.plain import read_jsonl
from viz_node.content.readers import read_text
from viz_node.content.reading import Reading
from viz_node.domain.conversation import dialogue_in, read_dialogue
from viz_node.errors import VerificationError


@pytest.mark.parametrize(
    "text",
    [
        "---\n\nFirst poem.\n\n---\n\nSecond poem.",
        "---\nA line of verse\nand another.\n---\n\nSecond poem.",
        "---\nHe said: no\n\nnothing more.\n---\n\nSecond poem.",
        "---\n---\n\nSecond poem.",
        "---\nkey: value, and no end",
    ],
)
@pytest.mark.parametrize("suffix", [".md", ".markdown"])
def test_markdown__begins_with_a_rule__all_of_it(text: str, suffix: str) -> None:
    found = read_text(suffix, text.encode())
    assert found.text == text
    assert found.notes == ()


@pytest.mark.parametrize("end", ["---", "..."])
def test_markdown__front_matter__left_out_with_a_note(end: str) -> None:
    matter = f'---\r\ntitle: "The Lamp"\r\ntags:\r\n  - sea\r\n- x\r\n# c\r\n\r\ndate: 1911\r\n{end}\r\nText.'
    found = read_text(".md", matter.encode())
    assert (found.title, found.text) == ("The Lamp", "Text.")
    assert found.notes == ("left out: front matter (7 lines)",)


@pytest.mark.parametrize("field", ["text", "content"])
def test_jsonl__texts_of_all_lines__one_work_that_says_its_field(field: str) -> None:
    lines = f'{{"{field}": "One\\nline", "id": 1}}\n\n{{"{field}": "Two", "meta": {{}}}}\n'
    found = read_text(".jsonl", lines.encode())
    assert (found.text, found.media_type) == ("One\nline\n\nTwo", "application/jsonl")
    assert found.notes == (f"the text is the field '{field}' of 2 lines", "left out: the fields id, meta")


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        ('{"text": "a"}\n{"content": "b"}', "line 2 has no text in its field 'text'"),
        ('{"body": "a"}', "line 1 has no text in its field 'text'"),
        ('{"text": ["a"]}', "line 1 has no text"),
        ('["a"]', "line 1 is no JSON object"),
        ('{"text": "a"', "line 1 is not JSON"),
        ('{"text": "a", "text": "b"}', "line 1 is not JSON: a key stands twice"),
        ('{"text": "\\ud800"}', "line 1 is not JSON"),
        ("[" * 5000, "line 1 is not JSON"),
        ("", "the file is empty"),
    ],
)
def test_jsonl__line_that_is_not_what_it_should_be__named(lines: str, cause: str) -> None:
    with pytest.raises(VerificationError, match=cause):
        read_text(".jsonl", lines.encode())


def test_rtf__text_of_its_code_page__read() -> None:
    body = (
        rb"{\rtf1\ansi\ansicpg1251{\fonttbl{\f0 Times;}}\f0 \'cc\'e0\'ff\'ea \b bold\b0\par \u8364?5 {\footnote x}\par}"
    )
    found = read_text(".rtf", body)
    assert found.text == "Маяк bold\n€5"
    assert (found.media_type, found.notes) == ("application/rtf", ("left out: footnotes",))


@pytest.mark.parametrize("body", [b"plain", rb"{\rtf1\ansi gr" + b"\xfcn}", rb"{\rtf1\ansi\ansicpg99999 \'fc}"])
def test_rtf__no_rtf_or_bytes_without_code_page__refused(body: bytes) -> None:
    with pytest.raises(VerificationError, match="RTF"):
        read_text(".rtf", body)


def test_other_suffixes__same_readers() -> None:
    assert read_text(".text", b"Plain").media_type == "text/plain"
    assert read_text(".xhtml", b"<p>One</p><p>Two</p>").text == "One\n\nTwo"


def test_read_jsonl__conversations__each_is_a_paragraph_that_is_learnt_as_one() -> None:
    lines = [
        {"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Nobody.\n\nReally."}]},
        {"prompt": "It was", "completion": " raining."},
    ]
    reading = Reading()
    _, text = read_jsonl("\n\n".join(json.dumps(line) for line in lines).encode(), reading)
    assert [dialogue_in(paragraph) for paragraph in text.split("\n\n")] == [read_dialogue(line) for line in lines]
    assert reading.notes == ["2 conversations; of each only the answers are learnt"]


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ('{"text":"x"}', "line 3: it is no conversation"),
        ('{"messages":[{"role":"user","content":"x"}]}', "line 3: the"),
    ],
)
def test_read_jsonl__a_line_that_is_no_conversation__is_named(second: str, says: str) -> None:
    first = '{"prompt":"a","completion":"b"}'
    with pytest.raises(VerificationError, match=says):
        read_jsonl(f"{first}\n\n{second}".encode(), Reading())
