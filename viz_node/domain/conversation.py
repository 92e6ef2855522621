"""Conversations and answers to train on: how files give them, and how a work's text keeps them, one per paragraph.

A paragraph of a text is one of these if it is its JSON in our form, and prose otherwise.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import msgspec

from viz_node.errors import UsageError

MOST_MESSAGES = 1000
ROLES = ("system", "user", "assistant")
_STARTS = ('{"completion":', '{"counted_from":')


@dataclass(frozen=True)
class Message:
    """What one side says; `role` is `system`, `user` or `assistant`."""

    role: str
    content: str

    def __post_init__(self) -> None:
        """Raises: UsageError (another role)."""
        if self.role not in ROLES:
            raise UsageError(f"a message is by {self.role[:40]!r}, not by {', '.join(ROLES[:-1])} or {ROLES[-1]}")


@dataclass(frozen=True)
class Conversation:
    """Messages; what the assistant says from message `counted_from` on is learnt, all else is context."""

    counted_from: int
    messages: tuple[Message, ...]

    def __post_init__(self) -> None:
        """Raises: UsageError (nothing to learn, too long)."""
        if not 1 <= len(self.messages) <= MOST_MESSAGES:
            raise UsageError(f"a conversation has 1 to {MOST_MESSAGES} messages")
        if not any(message.role == "assistant" and message.content for message in self.messages[self.counted_from :]):
            raise UsageError("the assistant says nothing in it, so that there is nothing to learn")

    @property
    def answers(self) -> tuple[int, ...]:
        """The places of the messages that are learnt."""
        places = range(max(0, self.counted_from), len(self.messages))
        return tuple(place for place in places if self.messages[place].role == "assistant")


@dataclass(frozen=True)
class Completion:
    """A text and how it goes on; only `completion` is learnt."""

    completion: str
    prompt: str

    def __post_init__(self) -> None:
        """Raises: UsageError (nothing to learn)."""
        if not self.completion:
            raise UsageError("its completion is empty, so that there is nothing to learn")


Dialogue = Conversation | Completion


def is_dialogue(body: Mapping[str, object]) -> bool:
    """Whether a line of a file is meant as one: it has `messages`, or `prompt` and `completion`."""
    return "messages" in body or {"prompt", "completion"} <= body.keys()


def read_dialogue(body: Mapping[str, object]) -> Dialogue:
    """A line of a file, whose other keys are passed over; prompt and completion are both texts or both messages.

    Raises: UsageError (malformed, or nothing to learn).
    """
    if "messages" in body:
        return Conversation(0, _messages(body["messages"]))
    prompt, completion = body["prompt"], body["completion"]
    if isinstance(prompt, str) and isinstance(completion, str):
        return Completion(completion, prompt)
    before = _messages(prompt)
    return Conversation(len(before), before + _messages(completion))


def written(dialogue: Dialogue) -> str:
    """The paragraph of a work's text that holds it."""
    return json.dumps(asdict(dialogue), ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def dialogue_in(paragraph: str) -> Dialogue | None:
    """What the paragraph holds; None if it is prose."""
    if not paragraph.startswith(_STARTS):
        return None
    try:
        body = json.loads(paragraph)
        kind: type[Dialogue] = Completion if "completion" in body else Conversation
        found = msgspec.convert(body, kind)
    except (ValueError, RecursionError, msgspec.ValidationError, UsageError):
        return None
    return found if written(found) == paragraph else None


def asked_messages(value: Sequence[Mapping[str, str]]) -> tuple[Message, ...]:
    """Messages that the assistant is to answer. Raises: UsageError (malformed, or the assistant's is the last)."""
    messages = _messages(list(value))
    if messages and messages[-1].role == "assistant":
        raise UsageError("the last message is the assistant's", "end with one by user")
    if len(messages) > MOST_MESSAGES:
        raise UsageError(f"there are more than {MOST_MESSAGES} messages")
    return messages


def _messages(value: object) -> tuple[Message, ...]:
    if not isinstance(value, list):
        raise UsageError("its messages are no list")
    found = []
    for item in value:
        if not isinstance(item, dict) or not isinstance(item.get("role"), str):
            raise UsageError("a message has no role")
        if not isinstance(item.get("content"), str):
            raise UsageError("the content of a message is no text; calls of tools and pictures cannot be learnt")
        found.append(Message(item["role"], item["content"]))
    return tuple(found)
