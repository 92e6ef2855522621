"""Conversations by a base model's chat template: the tokens, and which of them are learnt; knows no torch.

The template of a model hub is a program of a stranger: transformers runs it in Jinja's sandbox, in a worker.
"""

from collections.abc import Sequence
from typing import cast

from transformers import PreTrainedTokenizerBase

from viz_node.domain.conversation import Completion, Conversation, Dialogue, Message
from viz_node.errors import UsageError, VerificationError

PLAIN_TEMPLATE = (
    "{{ bos_token or '' }}{% for message in messages %}"
    "{% if message.role == 'user' %}Question:\n{% elif message.role == 'assistant' %}Answer:\n{% endif %}"
    "{{ message.content }}{% if message.role == 'assistant' %}{{ eos_token or '' }}{% endif %}\n\n{% endfor %}"
    "{% if add_generation_prompt %}Answer:\n{% endif %}"
)
"""For base models without a template; a line end, unlike a space, is no part of the answer's first token."""
Learnt = tuple[tuple[int, ...], tuple[bool, ...]]
"""Tokens, and which of them count."""


def has_template(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the base model brings one."""
    return bool(tokenizer.chat_template)


def encode_dialogue(tokenizer: PreTrainedTokenizerBase, dialogue: Dialogue) -> Learnt:
    """The whole of it. Raises: UsageError (a control token in it), VerificationError (a template that does not fit)."""
    if isinstance(dialogue, Completion):
        return _encode_completion(tokenizer, dialogue)
    return _encode_conversation(tokenizer, dialogue)


def encode_question(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    """The tokens after which the assistant's next words come. Raises: UsageError, VerificationError."""
    _refuse_control_tokens(tokenizer, [message.content for message in messages])
    return list(tokenizer(_rendered(tokenizer, messages, asks=True), add_special_tokens=False)["input_ids"])


def _encode_conversation(tokenizer: PreTrainedTokenizerBase, conversation: Conversation) -> Learnt:
    messages = conversation.messages
    _refuse_control_tokens(tokenizer, [message.content for message in messages])
    whole, spans = _rendered(tokenizer, messages), []
    for place in conversation.answers:
        begin = _rendered(tokenizer, messages[:place], asks=True)
        end = _rendered(tokenizer, messages[: place + 1])
        if not (whole.startswith(end) and end.startswith(begin)):
            raise VerificationError(
                "the base model's chat template writes earlier messages anew when more follow",
                "give each answer as a conversation of its own, or use another base model",
            )
        spans.append((len(begin), len(end.rstrip("\n"))))
    return _counted(tokenizer, whole, spans)


def _encode_completion(tokenizer: PreTrainedTokenizerBase, example: Completion) -> Learnt:
    _refuse_control_tokens(tokenizer, [example.prompt, example.completion])
    begin, end = tokenizer.bos_token or "", tokenizer.eos_token or ""
    start = len(begin) + len(example.prompt)
    whole = f"{begin}{example.prompt}{example.completion}{end}"
    return _counted(tokenizer, whole, [(start, len(whole))])


def _counted(tokenizer: PreTrainedTokenizerBase, whole: str, spans: Sequence[tuple[int, int]]) -> Learnt:
    if not tokenizer.is_fast:
        raise VerificationError(
            "the base model's tokenizer does not tell where its tokens begin", "use another base model"
        )
    encoded = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    ids, places = tuple(encoded["input_ids"]), encoded["offset_mapping"]
    # The first token follows from nothing.
    learnt = [any(start < last and end > first for first, last in spans) for start, end in places]
    return ids, (False, *learnt[1:])


def _rendered(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], asks: bool = False) -> str:
    template = None if has_template(tokenizer) else PLAIN_TEMPLATE
    said = [{"role": message.role, "content": message.content} for message in messages]
    try:
        text = tokenizer.apply_chat_template(said, chat_template=template, tokenize=False, add_generation_prompt=asks)
    except Exception as error:  # whatever a template, which is a program of a stranger, comes to
        raise VerificationError(
            f"the base model's chat template takes no such conversation: {str(error)[:200]}",
            "use messages by user and assistant in turn, or another base model",
        ) from error
    return cast(str, text)


def _refuse_control_tokens(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> None:
    marks = {token.content for token in tokenizer.added_tokens_decoder.values() if token.content.strip()}
    for text in texts:
        mark = next((mark for mark in marks if mark in text), None)
        if mark is not None:
            raise UsageError(
                f"a message holds {mark}, which the base model reads as a control token", "write it otherwise"
            )
