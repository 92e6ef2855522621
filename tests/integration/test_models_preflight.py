"""What a configuration alone tells: unfit base models are refused from their small files."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_model import write_tiny_model
from viz_node.domain.names import FilePath
from viz_node.domain.training import BaseModel
from viz_node.domain.worker import Progress
from viz_node.errors import VerificationError
from viz_node.models.bases import base_shapes
from viz_node.models.preflight import check_config, check_shapes, check_tokenizer, plan_modules

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
    "no layers to change": (GPT, "no layers that an adapter can change"),
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_model(folder)
    return folder


def judge(directory: Path) -> dict[str, tuple[int, int]]:
    check_config(directory, "hf:a/b")
    return plan_modules(directory, "hf:a/b")


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


def test_plan_modules__fit__layers_of_the_weights_that_come_later(tiny: Path) -> None:
    planned = judge(tiny)
    assert planned == base_shapes(tiny)
    check_shapes(planned, base_shapes(tiny) | {"model.layers.0.mlp.experts.0.w1": (1, 1)}, "hf:a/b")
    with pytest.raises(VerificationError, match="other weights than its configuration says"):
        check_shapes(planned, {**planned, "model.layers.0.self_attn.q_proj": (1, 1)}, "hf:a/b")


def test_check_tokenizer__damaged__refused(tiny: Path, tmp_path: Path) -> None:
    check_tokenizer(tiny, "hf:a/b")
    for name in ("config.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((tiny / name).read_bytes())
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(VerificationError, match="tokenizer that does not load"):
        check_tokenizer(tmp_path, "hf:a/b")


def test_train__base_whose_adapters_nobody_could_take__refused_before_the_first_step(
    tiny: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import save_file

    from viz_node.domain.recipe import Recipe
    from viz_node.models.bases import resolve_base
    from viz_node.models.federated import FederatedTrainer
    from viz_node.models.training import TrainOrder, train

    base = tmp_path / "base"
    shutil.copytree(tiny, base)
    save_file({"model.layers.7.self_attn.q_proj.weight": torch.zeros(64, 64)}, base / "more.safetensors")
    resolved = resolve_base(BaseModel("b", FilePath(str(base)), ""))
    recipe, texts, events = Recipe(epochs=1, rank=2, max_tokens=64), ["the lamp. " * 20], list[Progress]()
    order = TrainOrder(resolved, texts, texts, recipe, tmp_path / "out", tmp_path / "checkpoint")
    with pytest.raises(VerificationError, match="does not fit the base model"):
        train(order, events.append)
    assert {event.phase for event in events} == {"load"}
    with pytest.raises(VerificationError, match="does not fit the base model"):
        FederatedTrainer(resolved, texts, texts, recipe, 1)
