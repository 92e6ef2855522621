"""Conversations in files, and in the text of a work."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.domain.conversation import (
    Completion,
    Conversation,
    Message,
    asked_messages,
    dialogue_in,
    is_dialogue,
    read_dialogue,
    written,
)
from viz_node.errors import UsageError

USER, ANSWER = {"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Nobody."}


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        ({"messages": [USER, ANSWER], "id": 7}, (1,)),
        ({"messages": [{"role": "system", "content": ""}, USER, ANSWER, USER, ANSWER]}, (2, 4)),
        ({"messages": [ANSWER]}, (0,)),
        ({"prompt": [USER, ANSWER, USER], "completion": [ANSWER]}, (3,)),
        ({"prompt": [], "completion": [USER, ANSWER]}, (1,)),
    ],
)
def test_read_dialogue__messages__answers_are_learnt(line: dict[str, object], answers: tuple[int, ...]) -> None:
    assert is_dialogue(line)
    found = read_dialogue(line)
    assert isinstance(found, Conversation)
    assert found.answers == answers
    assert dialogue_in(written(found)) == found


def test_read_dialogue__prompt_and_completion__are_texts() -> None:
    assert read_dialogue({"prompt": "", "completion": "It rained."}) == Completion("It rained.", "")
    assert not is_dialogue({"prompt": "a"})
    assert not is_dialogue({"text": "a"})


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"messages": []}, "has 1 to 1000 messages"),
        ({"messages": [USER] * 1001}, "has 1 to 1000 messages"),
        ({"messages": "hello"}, "no list"),
        ({"messages": [USER]}, "nothing to learn"),
        ({"messages": [USER, ANSWER | {"content": ""}]}, "nothing to learn"),
        ({"messages": [USER, {"role": "tool", "content": "x"}, ANSWER]}, "is by 'tool'"),
        ({"messages": [USER, {"role": "assistant", "content": [{"type": "image"}]}]}, "calls of tools and pictures"),
        ({"messages": [USER, {"content": "x"}]}, "no role"),
        ({"messages": [1, ANSWER]}, "no role"),
        ({"prompt": "a", "completion": ""}, "nothing to learn"),
        ({"prompt": "a", "completion": 1}, "no list"),
        ({"prompt": [USER, ANSWER], "completion": [USER]}, "nothing to learn"),
    ],
)
def test_read_dialogue__malformed__says_why(line: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_dialogue(line)


@given(st.text(), st.text(min_size=1))
def test_written__any_texts__one_paragraph_and_back(prompt: str, completion: str) -> None:
    for dialogue in (
        Completion(completion, prompt),
        Conversation(0, (Message("user", prompt), Message("assistant", completion))),
    ):
        paragraph = written(dialogue)
        assert "\n" not in paragraph
        assert dialogue_in(paragraph) == dialogue


@pytest.mark.parametrize(
    "paragraph",
    [
        "",
        "{",
        '{"completion":',
        '{"completion": "a", "prompt": "b"}',
        '{"completion":"","prompt":"b"}',
        '{"completion":"a","prompt":"b","more":1}',
        '{"counted_from":0,"messages":[]}',
        '{"counted_from":' + "[" * 9000,
        json.dumps({"messages": [USER, ANSWER]}),
    ],
)
def test_dialogue_in__not_in_our_form__is_prose(paragraph: str) -> None:
    assert dialogue_in(paragraph) is None


def test_asked_messages__must_end_with_somebody_who_waits() -> None:
    assert asked_messages([]) == ()
    assert asked_messages([USER]) == (Message("user", "Who?"),)
    for messages in ([USER, ANSWER], [{"role": "user"}], [USER] * 1001):
        with pytest.raises(UsageError):
            asked_messages(messages)
