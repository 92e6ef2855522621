"""What a configuration alone tells: unfit base models are refused from their small files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_model import write_tiny_model
from viz_node.domain.names import FilePath
from viz_node.domain.training import BaseModel
from viz_node.domain.worker import Progress
from viz_node.errors import UsageError, VerificationError
from viz_node.models.preflight import check_config, check_layers, check_tokenizer, check_weights

GPT = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_head": 4, "n_embd": 64, "n_layer": 2}
LARGE = {"hidden_size": 1 << 17, "intermediate_size": 1 << 20, "num_hidden_layers": 900, "num_attention_heads": 1024}
UNFIT: dict[str, tuple[dict[str, Any], str]] = {
    "unknown kind": ({"model_type": "klingon"}, "is unknown to transformers .*'klingon'"),
    "own code": ({"model_type": "evil", "auto_map": {"AutoModelForCausalLM": "evil.Evil"}}, "needs code of its own"),
    "quantized": ({"quantization_config": {"quant_method": "gptq"}}, r"stored quantized \(gptq\)"),
    "quantized strangely": ({"quantization_config": "x"}, r"stored quantized \(unknown\)"),
    "no writer": ({"architectures": ["LlamaForSequenceClassification"]}, "no model that writes text"),
    "encoder": ({"model_type": "vit", "architectures": ["ViTModel"]}, "no model that writes text"),
    "strange architectures": ({"architectures": {"a": 1}}, "no model that writes text"),
    "absurd": ({"num_hidden_layers": 10**9}, "absurd num_hidden_layers"),
    "absurd within": ({"text_config": {"num_experts": 10**6}}, "absurd num_experts"),
    "too large": (LARGE, "GiB of memory, this machine has"),
    "numbers that do not fit": ({"num_attention_heads": -3}, "cannot be built"),
    "quantized to 8 bits": (
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}},
        r"stored quantized \(bitsandbytes\)",
    ),
    "no layers to change": ({"num_hidden_layers": 0}, "no layers that an adapter can change"),
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_model(folder)
    return folder


FIT: dict[str, dict[str, Any]] = {
    "as it is": {},
    "another family": GPT,
    "wide experts": {"moe_shared_expert_intermediate_size": 7688, "vocab_size_per_layer_input": 262_144},
}


def judge(directory: Path) -> None:
    check_config(directory, "hf:a/b")
    check_layers(directory, "hf:a/b")


@pytest.mark.parametrize("name", FIT)
def test_preflight__fit__accepted(tiny: Path, tmp_path: Path, name: str) -> None:
    config = json.loads((tiny / "config.json").read_bytes()) | FIT[name]
    (tmp_path / "config.json").write_text(json.dumps(config))
    judge(tmp_path)


@pytest.mark.parametrize("name", UNFIT)
def test_preflight__unfit__refused(tiny: Path, tmp_path: Path, name: str) -> None:
    changes, reason = UNFIT[name]
    config = json.loads((tiny / "config.json").read_bytes()) | changes
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(VerificationError, match=reason):
        judge(tmp_path)


@pytest.mark.parametrize("body", [b"[", b"[]", b"\xff", b"null", b"[" * 100_000])
def test_check_config__malformed__refused(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "config.json").write_bytes(body)
    with pytest.raises(VerificationError, match=r"malformed config\.json"):
        check_config(tmp_path, "hf:a/b")


Tensors = dict[str, Any]


def without_one(tensors: Tensors) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if name != "model.layers.1.mlp.up_proj.weight"}


def with_one_of_another_shape(tensors: Tensors) -> Tensors:
    return tensors | {"model.layers.1.mlp.up_proj.weight": tensors["model.layers.1.mlp.up_proj.weight"][:3].clone()}


def with_a_further_layer(tensors: Tensors) -> Tensors:
    return tensors | {"model.layers.2.mlp.up_proj.weight": tensors["model.layers.1.mlp.up_proj.weight"].clone()}


def with_a_tower_for_pictures(tensors: Tensors) -> Tensors:
    return tensors | {"vision_tower.layers.0.mlp.fc1.weight": tensors["model.layers.1.mlp.up_proj.weight"][:3].clone()}


def with_other_weights(tiny: Path, folder: Path, change: Callable[[Tensors], Tensors]) -> Path:
    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny, folder)
    save_file(change(load_file(tiny / "model.safetensors")), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("change", [without_one, with_one_of_another_shape, with_a_further_layer])
def test_check_weights__not_those_of_the_configuration__refused(
    tiny: Path, tmp_path: Path, change: Callable[[Tensors], Tensors]
) -> None:
    with pytest.raises(VerificationError, match="other weights than its configuration says"):
        check_weights(with_other_weights(tiny, tmp_path / "base", change), "hf:a/b")


def test_check_weights__beside_what_text_needs__accepted(tiny: Path, tmp_path: Path) -> None:
    check_weights(tiny, "hf:a/b")
    check_weights(with_other_weights(tiny, tmp_path / "base", with_a_tower_for_pictures), "hf:a/b")


def test_check_tokenizer__damaged__refused(tiny: Path, tmp_path: Path) -> None:
    check_tokenizer(tiny, "hf:a/b")
    for name in ("config.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((tiny / name).read_bytes())
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(VerificationError, match="tokenizer that does not load"):
        check_tokenizer(tmp_path, "hf:a/b")


def test_train__base_without_all_its_weights__refused_before_the_first_step(tiny: Path, tmp_path: Path) -> None:
    from viz_node.domain.recipe import Recipe
    from viz_node.models.bases import resolve_base
    from viz_node.models.federated import FederatedTrainer
    from viz_node.models.training import TrainOrder, train

    base = with_other_weights(tiny, tmp_path / "base", without_one)
    resolved = resolve_base(BaseModel("b", FilePath(str(base)), ""))
    recipe, texts, events = Recipe(epochs=1, rank=2, max_tokens=64), ["the lamp. " * 20], list[Progress]()
    order = TrainOrder(resolved, texts, texts, recipe, tmp_path / "out", tmp_path / "checkpoint")
    with pytest.raises(VerificationError, match=r"other weights .* model\.layers\.1\.mlp\.up_proj"):
        train(order, events.append)
    assert {event.phase for event in events} == {"load"}
    with pytest.raises(VerificationError, match="other weights"):
        FederatedTrainer(resolved, texts, texts, recipe, 1)


def test_train__documents_longer_than_the_base_model_reads__refused_before_the_first_step(
    tiny: Path, tmp_path: Path
) -> None:
    from viz_node.domain.recipe import Recipe
    from viz_node.models.bases import resolve_base
    from viz_node.models.training import TrainOrder, train

    resolved, texts = resolve_base(BaseModel("b", FilePath(str(tiny)), "")), ["the lamp. " * 14]
    order = TrainOrder(resolved, texts, [], Recipe(max_tokens=160), tmp_path / "out", tmp_path / "checkpoint")
    with pytest.raises(UsageError, match="reads at most 128 tokens at once, and max_tokens is 160") as refused:
        train(order, lambda _: None)
    assert "max_tokens = 128" in refused.value.hint
