"""Adapters as real PEFT and other trainers write them, taken in on a small base model and compared with plain PEFT.

Shapes of folders that other tools write, from what these public repositories and versions hold:
Unsloth: unslothai/unsloth 2026.3 (target_modules as an expression, base named by its 4-bit copy), as in
Ey-luccas/chatbot_unsloth at 346bf8ee528609e4fd4a058a9edd754e1e8fe99b; LLaMA-Factory: hiyouga/LLaMA-Factory 0.9 (a local
path as base, scheduler and state files beside), as in EDLlyc/kangya-glm4-lora at
98f84eabf239a9ec469f1bf10c36c3e9708da399; Axolotl: axolotl-ai-cloud/axolotl 0.16 (its card, the tokenizer and
checkpoints beside, an empty list for modules_to_save).
"""

import dataclasses
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from tests.tiny_model import write_tiny_model
from viz_node.daemon.processes import Workers
from viz_node.domain.importing import AdapterImported, ImportAdapter, InspectAdapter
from viz_node.domain.names import FilePath
from viz_node.domain.training import BaseModel
from viz_node.domain.worker import Progress
from viz_node.errors import VerificationError
from viz_node.models.adapter_files import check_adapter
from viz_node.models.bases import base_digest
from viz_node.models.importing.peft_config import IGNORED_FIELDS, REFUSED_FIELDS, USED_FIELDS
from viz_node.models.importing.reading import inspect
from viz_node.models.importing.take_in import import_adapter

_ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
_UNSLOTH = (
    r"(?:.*?(?:language|text).*?(?:self_attn|mlp).*?\.(?:q_proj|v_proj|down_proj))"
    r"|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|mlp)\.(?:(?:q_proj|v_proj|down_proj)))"
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    folder = tmp_path_factory.mktemp("bases") / "tiny"
    write_tiny_model(folder)
    return BaseModel("tiny", FilePath(str(folder)), base_digest(folder))


def train_in_peft(base: BaseModel, folder: Path, dtype: torch.dtype | None = None, **config: Any) -> Path:
    """A folder as `save_pretrained` leaves it after two steps of training."""
    torch.manual_seed(7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_pretrained(base.path)
        model = get_peft_model(model, LoraConfig(**({"task_type": "CAUSAL_LM", "r": 4} | config)))
        optimizer = torch.optim.AdamW([part for part in model.parameters() if part.requires_grad], lr=0.05)
        ids = torch.randint(3, 30, (2, 24), generator=torch.Generator().manual_seed(1))
        for _ in range(2):
            model(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        if dtype is not None:
            for name, part in model.named_parameters():
                if "lora_" in name:
                    part.data = part.data.to(dtype)
        model.save_pretrained(folder)
    return folder


def take_in(base: BaseModel, folder: Path, out: Path, texts: tuple[str, ...] = ()) -> AdapterImported:
    seen: list[Progress] = []
    digest = inspect(folder).weights_digest
    order = _order(folder, digest, base, out, texts)
    imported = import_adapter(order, seen.append)
    assert [progress.phase for progress in seen if progress.phase != "spectrum"][:4] == [
        *("read", "load", "rewrite", "compare")
    ]
    return imported


def _order(folder: Path, digest: str, base: BaseModel, out: Path, texts: tuple[str, ...] = ()) -> ImportAdapter:
    return ImportAdapter(
        source=FilePath(str(folder)), weights_digest=digest, base=base, out_dir=FilePath(str(out)), eval_texts=texts
    )


def logits(base: BaseModel, folder: Path) -> torch.Tensor:
    """What plain transformers and PEFT compute in 32 bits with this folder."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base.path), folder).eval()
        result: torch.Tensor = model(input_ids=torch.arange(3, 30)[None]).logits
    return result


@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": ["q_proj", "v_proj"]},
        {"target_modules": _ALL, "lora_alpha": 16, "lora_dropout": 0.1},
        {"target_modules": "all-linear"},
        {"target_modules": _UNSLOTH},
        {"target_modules": r".*layers\.1\..*(gate|up)_proj"},
        {"target_modules": ["model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj"]},
        {"target_modules": _ALL, "layers_to_transform": [1]},
        {"target_modules": _ALL, "layers_to_transform": 0, "layers_pattern": "layers"},
        {"target_modules": _ALL, "exclude_modules": ["down_proj"]},
        {"target_modules": _ALL, "exclude_modules": r".*layers\.0.*"},
        {"target_modules": _ALL, "use_rslora": True, "lora_alpha": 8},
        {"target_modules": _ALL, "use_rslora": True, "r": 8, "lora_alpha": 8},
        {"target_modules": _ALL, "rank_pattern": {"v_proj": 2, "down_proj": 8}},
        {"target_modules": _ALL, "alpha_pattern": {"v_proj": 32, r"^model\.layers\.1.*q_proj": 3}},
        {"target_modules": _ALL, "rank_pattern": {".*_proj": 3}, "alpha_pattern": {"k_proj": 5}, "use_rslora": True},
        {"target_modules": ["q_proj"], "init_lora_weights": "gaussian"},
        {"target_modules": ["q_proj"], "init_lora_weights": False},
        {"target_modules": ["q_proj"], "init_lora_weights": "orthogonal"},
        {"target_modules": ["q_proj"], "init_lora_weights": "mica"},
        {"target_modules": ["q_proj"], "fan_in_fan_out": False, "revision": "main"},
    ],
    ids=lambda config: "-".join(f"{key}={str(value)[:24]}" for key, value in config.items()),
)  # fmt: skip
def test_what_peft_writes_computes_the_same(tiny: BaseModel, tmp_path: Path, config: dict[str, Any]) -> None:
    folder = train_in_peft(tiny, tmp_path / "in", **config)
    imported = take_in(tiny, folder, tmp_path / "out")
    assert imported.training["origin"] == "imported, training not witnessed"
    assert float(imported.training["difference_from_peft"]) < 1e-4
    check_adapter(tmp_path / "out")
    theirs, ours = logits(tiny, folder), logits(tiny, tmp_path / "out")
    assert float((theirs - ours).abs().max()) < 1e-5 * float(theirs.abs().max())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_as_it_is(tiny: BaseModel, tmp_path: Path, dtype: torch.dtype) -> None:
    folder = train_in_peft(tiny, tmp_path / "in", dtype, target_modules=["q_proj", "up_proj"])
    take_in(tiny, folder, tmp_path / "out")
    before, after = (load_file(at / "adapter_model.safetensors") for at in (folder, tmp_path / "out"))
    assert all(torch.equal(after[name], before[name]) and after[name].dtype == dtype for name in before)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"init_lora_weights": "pissa"}, "pissa"),
        ({"init_lora_weights": "pissa_niter_2"}, "pissa_niter_2"),
        ({"init_lora_weights": "olora"}, "olora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"target_modules": ["q_proj", "lm_head"]}, "output head"),
        ({"target_modules": ["q_proj", "embed_tokens"]}, "embeddings"),
        ({"bias": "all"}, "bias"),
        ({"bias": "lora_only"}, "bias"),
        ({"lora_bias": True}, "lora_bias"),
        ({"trainable_token_indices": [3, 4]}, "trainable_token_indices"),
        ({"layer_replication": [[0, 2], [1, 2]]}, "layer_replication"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_plain_lora_is_refused(tiny: BaseModel, tmp_path: Path, config: dict[str, Any], named: str) -> None:
    folder = train_in_peft(tiny, tmp_path / "in", **({"target_modules": ["q_proj"]} | config))
    with pytest.raises(VerificationError, match=named):
        inspect(folder)


def _unsloth(folder: Path) -> None:
    _edit(folder, base_model_name_or_path="unsloth/tiny-bnb-4bit", lora_dropout=0, peft_version=...)
    for name in ("tokenizer.json", "special_tokens_map.json", "chat_template.jinja", "README.md"):
        (folder / name).write_text("{}")


def _llama_factory(folder: Path) -> None:
    _edit(folder, base_model_name_or_path="/root/models/tiny", eva_config=..., corda_config=..., lora_bias=...)
    for name in ("all_results.json", "trainer_log.jsonl", "training_loss.png", "training_args.bin", "vocab.json"):
        (folder / name).write_bytes(b"\x80\x02.")


def _axolotl(folder: Path) -> None:
    _edit(folder, base_model_name_or_path="someone/tiny", modules_to_save=[], target_parameters=[])
    checkpoint = folder / "checkpoint-2"
    checkpoint.mkdir()
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "adapter_config.json"):
        (checkpoint / name).write_bytes(b"\x80\x02.")
    (folder / "config.json").write_text("{}")


def _early_peft(folder: Path) -> None:
    """PEFT 0.2 wrote these two fields, and knew none of the later ones."""
    _edit(folder, enable_lora=None, merge_weights=False, use_rslora=..., use_dora=..., rank_pattern=..., revision=...)


def _edit(folder: Path, **changes: Any) -> None:
    body = json.loads((folder / "adapter_config.json").read_bytes()) | changes
    body = {name: value for name, value in body.items() if value is not ...}
    (folder / "adapter_config.json").write_text(json.dumps(body))


@pytest.mark.parametrize("tool", [_unsloth, _llama_factory, _axolotl, _early_peft])
def test_what_other_tools_write_is_taken_in(tiny: BaseModel, tmp_path: Path, tool: Callable[[Path], None]) -> None:
    folder = train_in_peft(tiny, tmp_path / "in", target_modules=_ALL, lora_alpha=16)
    tool(folder)
    imported = take_in(tiny, folder, tmp_path / "out")
    assert float(imported.training["difference_from_peft"]) < 1e-4
    assert torch.equal(logits(tiny, folder), logits(tiny, tmp_path / "out"))


@pytest.mark.parametrize(("before", "after"), [("base_model.model.", ""), (".weight", ".default.weight")])
def test_names_of_other_writers_are_understood(tiny: BaseModel, tmp_path: Path, before: str, after: str) -> None:
    folder = train_in_peft(tiny, tmp_path / "in", target_modules=_ALL)
    weights = load_file(folder / "adapter_model.safetensors")
    theirs = logits(tiny, folder)
    renamed = {name.replace(before, after): value for name, value in weights.items()}
    save_file(renamed, folder / "adapter_model.safetensors")
    take_in(tiny, folder, tmp_path / "out")
    assert torch.equal(logits(tiny, tmp_path / "out"), theirs)


def test_an_adapter_of_another_base_model_is_refused_by_its_shapes(tiny: BaseModel, tmp_path: Path) -> None:
    folder = train_in_peft(tiny, tmp_path / "in", target_modules=["q_proj"])
    weights = load_file(folder / "adapter_model.safetensors")
    wider = {name: value.repeat(1, 2) if "lora_A" in name else value for name, value in weights.items()}
    save_file(wider, folder / "adapter_model.safetensors")
    with pytest.raises(VerificationError, match=r"64 x 64 in tiny, and 64 x 128 here") as caught:
        take_in(tiny, folder, tmp_path / "out")
    assert "--base" in caught.value.hint
    deeper = {name.replace("layers.0", "layers.9"): value for name, value in weights.items()}
    save_file(deeper, folder / "adapter_model.safetensors")
    with pytest.raises(VerificationError, match="tiny has no layer"):
        take_in(tiny, folder, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_a_mistake_in_rewriting_is_noticed(tiny: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison is with PEFT's own reading, so a conversion that forgets rsLoRA does not get in."""
    folder = train_in_peft(tiny, tmp_path / "in", target_modules=_ALL, use_rslora=True, lora_alpha=8)
    from viz_node.models.importing import matching

    monkeypatch.setattr(matching, "_square", lambda rank, alpha, is_rank_stabilized: (alpha / rank) ** 2)
    with pytest.raises(VerificationError, match="something else than in PEFT"):
        take_in(tiny, folder, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_a_folder_that_changes_after_it_was_looked_at_is_refused(tiny: BaseModel, tmp_path: Path) -> None:
    folder = train_in_peft(tiny, tmp_path / "in", target_modules=["q_proj"])
    order = _order(folder, "0" * 64, tiny, tmp_path / "out")
    with pytest.raises(VerificationError, match="has changed"):
        import_adapter(order, lambda progress: None)


def test_texts_give_an_evaluation(tiny: BaseModel, tmp_path: Path) -> None:
    folder = train_in_peft(tiny, tmp_path / "in", target_modules=_ALL)
    imported = take_in(tiny, folder, tmp_path / "out", ("the old sailor counted every lamp.",))
    assert {"perplexity_before", "perplexity_after", "tokens"} <= set(imported.evaluation)
    assert imported.evaluation["perplexity_before"] != imported.evaluation["perplexity_after"]


def test_layers_without_weights_and_another_name_of_the_base_model_are_told(tiny: BaseModel, tmp_path: Path) -> None:
    folder = train_in_peft(tiny, tmp_path / "in", target_modules=_ALL)
    weights = load_file(folder / "adapter_model.safetensors")
    kept = {name: value for name, value in weights.items() if "k_proj" not in name}
    save_file(kept, folder / "adapter_model.safetensors")
    _edit(folder, base_model_name_or_path="someone/else")
    notes = take_in(tiny, folder, tmp_path / "out").notes
    assert any(note.startswith("2 layers") for note in notes)
    assert any("someone/else" in note for note in notes)
    assert float((logits(tiny, folder) - logits(tiny, tmp_path / "out")).abs().max()) < 1e-6


async def test_a_worker_inspects_and_imports(tiny: BaseModel, tmp_path: Path) -> None:
    folder = train_in_peft(tiny, tmp_path / "in", target_modules=_ALL)
    workers = Workers({**os.environ, "HF_HUB_OFFLINE": "1"}, tmp_path / "log")
    inspected = await workers.inspect_adapter(InspectAdapter(source=FilePath(str(folder))))
    assert (inspected.rank, inspected.layers, inspected.ignored) == (4, 14, ("README.md",))
    order = ImportAdapter(
        source=FilePath(str(folder)), weights_digest=inspected.weights_digest, base=tiny,
        out_dir=FilePath(str(tmp_path / "out")),
    )  # fmt: skip
    told: list[object] = []
    imported = await workers.import_adapter(order, told.append)
    assert imported.training["method"] == "imported"
    assert {getattr(line, "phase", "") for line in told} >= {"read", "load", "compare"}
    (folder / "adapter_model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(VerificationError, match="header"):
        await workers.inspect_adapter(InspectAdapter(source=FilePath(str(folder))))


def test_every_field_of_the_installed_peft_has_its_rule() -> None:
    fields = {field.name for field in dataclasses.fields(LoraConfig)}
    lists = USED_FIELDS, IGNORED_FIELDS, frozenset(REFUSED_FIELDS)
    assert fields == frozenset.union(*lists)
    assert sum(map(len, lists)) == len(fields)
