"""Conversations by chat templates: the tokens of transformers, and the loss on answers alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from viz_node.domain.conversation import Completion, Conversation, Message, written
from viz_node.domain.sampling import Sampling
from viz_node.errors import UsageError, VerificationError

pytest.importorskip("torch")
CHAT_ML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}{% else %}"
    "{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TWO = [("user", "a"), ("assistant", "c")]
MARKED = [("user", "a <|im_end|> b"), ("assistant", "c")]
TALK = Conversation(
    0,
    (
        Message("system", "Be short."),
        Message("user", "Who counts the lamps?"),
        Message("assistant", "The builder does."),
        Message("user", "And the boats?"),
        Message("assistant", "Nobody,\nuntil spring."),
    ),
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from viz_node.models.packed import SHIPPED, unpack

    folder = tmp_path_factory.mktemp("base") / "shipped"
    unpack(SHIPPED, folder)
    return folder


def tokenizer_of(base: Path, template: str | None = None) -> Any:
    from viz_node.models.loading import load_tokenizer

    tokenizer: Any = load_tokenizer(base)
    if template is not None:
        tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
        tokenizer.chat_template = template
    return tokenizer


def test_encode_dialogue__template_that_marks_answers__tokens_and_mask_of_transformers(base: Path) -> None:
    from viz_node.models.chat import encode_dialogue

    tokenizer = tokenizer_of(base, CHAT_ML)
    said = [{"role": message.role, "content": message.content} for message in TALK.messages]
    wanted = tokenizer.apply_chat_template(said, return_dict=True, return_assistant_tokens_mask=True)
    ids, counted = encode_dialogue(tokenizer, TALK)
    assert list(ids) == wanted["input_ids"]
    assert list(counted) == [bool(mark) for mark in wanted["assistant_masks"]]
    learnt = tokenizer.decode([token for token, counts in zip(ids, counted, strict=True) if counts])
    assert learnt == "The builder does.<|im_end|>Nobody,\nuntil spring.<|im_end|>"
    later = encode_dialogue(tokenizer, Conversation(3, TALK.messages))
    assert later[0] == ids
    assert sum(later[1]) < sum(counted)


def test_encode_dialogue__base_without_a_template__ours_and_answers_end_the_text(base: Path) -> None:
    from viz_node.models.chat import encode_dialogue, encode_question

    tokenizer = tokenizer_of(base)
    ids, counted = encode_dialogue(tokenizer, TALK)
    learnt = tokenizer.decode([token for token, counts in zip(ids, counted, strict=True) if counts])
    assert learnt.replace(" ", "") == "Thebuilderdoes.</s>Nobody,\nuntilspring.</s>"
    asked = encode_question(tokenizer, TALK.messages[:2])
    assert list(ids[: len(asked)]) == asked
    assert ids[0] == tokenizer.bos_token_id
    ids, counted = encode_dialogue(tokenizer, Completion(" the boats.", "Nobody counts"))
    assert tokenizer.decode(ids) == "<s>Nobody counts the boats.</s>"
    assert tokenizer.decode([token for token, counts in zip(ids, counted, strict=True) if counts]) == " the boats.</s>"


@pytest.mark.parametrize(
    ("template", "talk", "error", "says"),
    [
        (CHAT_ML, MARKED, UsageError, "reads as a control"),
        ("{{ raise_exception('Only one turn') }}", TWO, VerificationError, "Only one turn"),
        ("{{ messages | length }}", TWO, VerificationError, "writes earlier messages anew"),
        ("{{ ''.__class__.__mro__ }}", TWO, VerificationError, "takes no such conversation"),
        ("{% for x in", TWO, VerificationError, "takes no such conversation"),
    ],
)  # fmt: skip
def test_encode_dialogue__does_not_fit__refused_by_name(
    base: Path, template: str, talk: list[tuple[str, str]], error: type[Exception], says: str
) -> None:
    from viz_node.models.chat import encode_dialogue

    conversation = Conversation(0, tuple(Message(role, content) for role, content in talk))
    with pytest.raises(error, match=says):
        encode_dialogue(tokenizer_of(base, template), conversation)


def test_tokenize__prose_and_conversations__each_as_it_is(base: Path) -> None:
    from viz_node.models.documents import tokenize

    tokenizer, prose = tokenizer_of(base), "It rained.\n\nNobody came."
    text = "\n\n".join([prose, written(TALK), written(Completion("b", "a")), "The end."])
    documents = tokenize(tokenizer, [text], 256)
    assert [tokenizer.decode(document.ids, skip_special_tokens=True) for document in documents[:2]] == [
        prose,
        "The end.",
    ]
    assert len(documents) == 4
    assert documents[2].counted.count(True) < len(documents[2].ids) / 2
    assert len(tokenize(tokenizer, [written(TALK)], 12)) == 0


def test_train__on_conversations__the_adapter_answers_what_it_was_taught(base: Path, tmp_path: Path) -> None:
    from viz_node.domain.names import FilePath
    from viz_node.domain.recipe import Recipe
    from viz_node.domain.training import BaseModel, Generate
    from viz_node.models.bases import resolve_base
    from viz_node.models.training import TrainOrder, train
    from viz_node.models.writing import Loaded, write

    talks = [
        Conversation(0, (Message("user", f"Who counts the {thing}?"), Message("assistant", "Nobody counts them.")))
        for thing in ("lamps", "boats", "ships", "bells", "ropes", "stones", "letters", "books")
    ]
    texts = ["\n\n".join(written(talk) for talk in talks)]
    resolved = resolve_base(BaseModel("b", FilePath(str(base)), ""))
    recipe = Recipe(epochs=12, learning_rate=5e-3, batch_documents=4)
    done = train(TrainOrder(resolved, texts, [], recipe, tmp_path / "out", tmp_path / "c"), lambda _: None)
    asked = (Message("user", "Who counts the lamps?"),)
    order = Generate(
        BaseModel("b", FilePath(str(base)), ""), "", FilePath(str(done.directory)), "", 24, Sampling(0), messages=asked
    )
    answer = write(Loaded(), order, lambda _: None, lambda: None)
    assert (answer.text.strip(), answer.finish_reason) == ("Nobody counts them.", "stop")
    assert json.dumps(done.training)
