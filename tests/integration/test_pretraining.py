"""Pre-training with the real libraries: exact loss, exact resume, a base that adapters can be trained on."""

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from viz_node.domain.names import FilePath
from viz_node.domain.pretraining import Pretrain, PretrainRecipe
from viz_node.domain.sources import FORMAT, parse_sources
from viz_node.errors import TrainingError, UsageError
from viz_node.models.base_text import write_paragraphs
from viz_node.models.bases import base_digest, read_base
from viz_node.models.packed import pack, unpack
from viz_node.models.pretraining import loop
from viz_node.models.pretraining.build import pretrain
from viz_node.models.pretraining.corpus import make_corpus
from viz_node.models.pretraining.network import Network, new_model
from viz_node.models.pretraining.tokens import encode_pass, train_tokenizer

TINY = PretrainRecipe(
    vocabulary=600, hidden_size=64, intermediate_size=96, layers=2, heads=2, key_value_heads=1,
    context=64, batch=4, sequence=32, steps=12,
)  # fmt: skip


@pytest.fixture(autouse=True)
def without_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compilation takes longer than these trainings."""
    monkeypatch.setattr("viz_node.models.pretraining.network.shutil.which", lambda name: None)


def texts_of(seed: int, paragraphs: int) -> str:
    rows = write_paragraphs(seed)
    return "\n\n".join(f"{number}. {next(rows)}" for number in range(paragraphs))


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder, sources = tmp_path_factory.mktemp("texts"), []
    for seed, paragraphs in ((1, 900), (2, 60)):
        text = texts_of(seed, paragraphs)
        digest = hashlib.sha256(text.encode()).hexdigest()
        (folder / digest).write_text(text)
        row = {"title": f"Tales {seed}", "authors": ["A grammar"], "license": "CC0-1.0", "sha256": digest}
        sources.append({**row, "path": f"{seed}.txt", "held_out": seed == 2})
    return folder, {"format": FORMAT, "name": "tiny", "license": "CC0-1.0", "sources": sources}


def order(texts: tuple[Path, dict[str, Any]], out: Path, recipe: PretrainRecipe = TINY) -> Pretrain:
    folder, listed = texts
    return Pretrain(
        listed=parse_sources(listed), texts=FilePath(str(folder)), recipe=recipe,
        out_dir=FilePath(str(out / "tiny")), checkpoint_dir=FilePath(str(out / "run")),
    )  # fmt: skip


def test_pretrain__killed_and_started_again__gives_the_same_base_with_its_provenance(
    texts: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    whole = pretrain(order(texts, tmp_path / "a"), lambda line: None)
    steps: list[int] = []
    with pytest.raises(TrainingError, match="stopped at step 5 of 12"):
        pretrain(order(texts, tmp_path / "b"), lambda line: steps.append(line.step), lambda: steps[-1:] == [5])
    assert not (tmp_path / "b/tiny").exists()
    resumed = pretrain(order(texts, tmp_path / "b"), lambda line: steps.append(line.step))
    assert resumed.digest == whole.digest == base_digest(tmp_path / "b/tiny")
    assert steps.count(1) == steps.count(6) == 1
    assert not (tmp_path / "b/run").exists()
    base = read_base(tmp_path / "b/tiny")
    facts = base.provenance
    assert [source["title"] for source in facts["sources"]] == ["Tales 1", "Tales 2"]
    assert len(facts["samples"]) == 10
    assert float(facts["held_out_curve"][-1][1]) < float(facts["held_out_curve"][0][1])
    pack(tmp_path / "b/tiny", tmp_path / "packed")
    unpack(tmp_path / "packed", tmp_path / "unpacked")
    assert (
        read_base(tmp_path / "unpacked").digest
        == json.loads((tmp_path / "packed/provenance.json").read_text())["digest"]
    )


def test_pretrain__checkpoint_of_another_recipe_or_damaged__starts_anew(
    texts: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    first: list[int] = []
    with pytest.raises(TrainingError):
        pretrain(order(texts, tmp_path), lambda line: first.append(line.step), lambda: first[-1:] == [5])
    checkpoint = tmp_path / "run" / loop.CHECKPOINT_NAME
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1000])
    again: list[int] = []
    pretrain(order(texts, tmp_path), lambda line: again.append(line.step))
    assert again.count(2) == 1


def test_pretrain__too_little_text_or_too_large_a_step__is_refused(
    texts: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, listed = texts
    few = {**listed, "sources": [{**listed["sources"][1], "held_out": False}]}
    large = PretrainRecipe(vocabulary=600, hidden_size=64, intermediate_size=96, layers=1, heads=2, batch=1024)
    with pytest.raises(UsageError, match="characters to train on"):
        pretrain(order((folder, few), tmp_path), lambda line: None)
    with pytest.raises(UsageError, match="a pass has"):
        pretrain(order(texts, tmp_path, large), lambda line: None)


def test_loss__chunks_and_precision__equal_the_plain_loss_and_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("viz_node.models.pretraining.network.has_fast_bf16", lambda device: False)
    monkeypatch.setattr("viz_node.models.pretraining.network._CHUNK_TOKENS", 50)
    network = Network(new_model(TINY, 600))
    tokens = torch.randint(0, 600, (4, 33), generator=torch.Generator().manual_seed(1))
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    loss = network.loss(inputs, targets)
    loss.backward()
    found = {name: value.grad.clone() for name, value in network.model.named_parameters()}
    network.model.zero_grad()
    plain = functional.cross_entropy(network.model(input_ids=inputs).logits.reshape(-1, 600), targets.reshape(-1))
    plain.backward()
    assert abs(float(loss.detach()) - float(plain.detach())) < 1e-5
    for name, value in network.model.named_parameters():
        assert torch.allclose(found[name], value.grad, atol=2e-6), name


def test_encode_pass__every_pass__has_each_document_whole_in_an_order_of_its_own() -> None:
    documents = [f"document {number}" for number in range(300)]
    tokenizer = train_tokenizer(documents, 600, 0.0, 1)
    first, second = (tokenizer.decode(encode_pass(tokenizer, documents, 0.0, 1, number)) for number in (0, 1))
    assert first != second
    for text in (first, second):
        assert sorted(part for part in text.replace("</s>", "").split("<s>") if part) == sorted(documents)


def test_bits_per_character__uniform_model__is_the_logarithm_of_its_tokens() -> None:
    documents = [texts_of(3, 20)]
    tokenizer = train_tokenizer(documents, 600, 0.0, 1)
    model = new_model(TINY, len(tokenizer))
    torch.nn.init.zeros_(model.lm_head.weight)
    text = make_corpus([documents[0][:100]], []).train[0]
    ids = tokenizer(text)["input_ids"]
    expected = len(ids) * torch.log2(torch.tensor(float(len(tokenizer)))) / len(text)
    assert loop.bits_per_character(model, tokenizer, [text]) == pytest.approx(float(expected), rel=1e-5)
    assert loop.spread([str(random.random()) for _ in range(100)], 200)
