"""Training with the real libraries on a tiny base model that is built first."""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.waiting import until_blocking
from viz_node.domain.recipe import Recipe
from viz_node.domain.training import BaseModel
from viz_node.models.adapter_files import adapter_digest, check_adapter, export_adapter
from viz_node.models.bases import list_bases, resolve_base

TINY = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "layers": 2,
    "heads": 2,
    "vocabulary": 512,
    "steps": 40,
    "batch": 8,
}
RECIPE = {"rank": 4, "alpha": 8, "learning_rate": 0.005, "epochs": 3, "batch_documents": 2, "max_tokens": 128}
TEXTS = [
    f"The publisher pays part {i} to the translator. The author signs page {i} of the contract." for i in range(16)
]
EVAL_TEXTS = ["The publisher pays part 40 to the translator.", "The author signs page 41 of the contract."]
Body = dict[str, Any]


def environment() -> dict[str, str]:
    quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "BNB_DISABLE_TELEMETRY": "1"}
    return {
        **os.environ,
        **quiet,
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
    }


def start(order: Body) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-m", "viz_node.models.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(order))
    process.stdin.close()
    return process


def events_of(order: Body) -> list[Body]:
    process = start(order)
    assert process.stdout is not None
    with process.stdout:
        events = [json.loads(line) for line in process.stdout]
    process.wait(timeout=120)
    return events


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Body:
    folder = tmp_path_factory.mktemp("bases") / "tiny"
    done = events_of({"order": "build_base", "out_dir": str(folder), "seed": 1, "recipe": {**TINY, "name": "tiny"}})[-1]
    assert done["event"] == "done", done
    return {"name": "tiny", "path": str(folder), "digest": done["digest"]}


def train_order(base: Body, folder: Path, **recipe: Any) -> Body:
    return {
        "order": "train",
        "base": base,
        "texts": TEXTS,
        "eval_texts": EVAL_TEXTS,
        "recipe": {**RECIPE, **recipe},
        "out_dir": str(folder / "out"),
        "checkpoint_dir": str(folder / "checkpoint"),
    }


def interrupt(order: Body, number: int) -> list[Body]:
    """Signal the worker as soon as a checkpoint exists; returns its events."""
    process = start(order)
    checkpoint = Path(order["checkpoint_dir"]) / "checkpoint.safetensors"
    until_blocking(lambda: checkpoint.exists() or process.poll() is not None, bool, 120, "a checkpoint")
    assert checkpoint.exists(), process.poll()
    process.send_signal(number)
    assert process.stdout is not None
    with process.stdout:
        events = [json.loads(line) for line in process.stdout.read().splitlines() if line.endswith("}")]
    process.wait(timeout=60)
    return events


def assert_measured(done: Body) -> None:
    """The report's measures agree with the evaluation, and both sides of them differ."""
    effects, evaluation = done["measured"]["own"], done["evaluation"]
    assert len(effects) == len(EVAL_TEXTS)
    tokens = sum(effect["tokens"] for effect in effects)
    assert tokens == evaluation["tokens"]
    for side, key in (("base", "perplexity_before"), ("adapter", "perplexity_after")):
        loss = sum(effect[side] for effect in effects) / tokens
        assert math.exp(loss) == pytest.approx(float(evaluation[key]), rel=0.01)
    general = done["measured"]["general"]
    assert general["tokens"] > 500
    assert general["base"] != general["adapter"]


def test_train__new_domain__perplexity_drops_and_peft_opens_the_export(base: Body, tmp_path: Path) -> None:
    done = events_of(train_order(base, tmp_path))[-1]
    assert done["event"] == "done", done
    assert float(done["evaluation"]["perplexity_after"]) < float(done["evaluation"]["perplexity_before"])
    assert done["evaluation"]["tokens"] > 10
    assert all(type(value) in (int, str) for part in ("training", "evaluation") for value in done[part].values())
    assert_measured(done)
    check_adapter(Path(done["directory"]))
    assert done["training"]["adapted_percent"] == "100.0"
    assert done["training"]["adapted"].startswith("mlp.down_proj, mlp.gate_proj, ")
    assert "not_adapted" not in done["training"]
    assert 0.6 < done["training"]["memory_mb"] / done["training"]["memory_estimated_mb"] < 1.1
    export_adapter(Path(done["directory"]), tmp_path / "exported")
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    model = transformers.AutoModelForCausalLM.from_pretrained(base["path"])
    opened = peft.PeftModel.from_pretrained(model, tmp_path / "exported")
    assert any(float(p.abs().sum()) > 0 for name, p in opened.named_parameters() if "lora_B" in name)


@pytest.mark.parametrize("values", [{}, {"dora": True, "dropout": 0.2, "optimizer": "adamw8bit", "rank": 9}])
def test_train__killed_and_started_again__same_adapter_as_without(base: Body, tmp_path: Path, values: Body) -> None:
    long = {"epochs": 12} | values
    whole = events_of(train_order(base, tmp_path / "whole", **long))[-1]
    order = train_order(base, tmp_path / "killed", **long)
    assert not any(event["event"] == "done" for event in interrupt(order, signal.SIGKILL))
    events = events_of(order)
    first = next(event for event in events if event.get("phase") == "train")
    assert first["step"] > 1
    assert (events[-1]["files"], events[-1]["measured"]) == (whole["files"], whole["measured"])
    assert adapter_digest(Path(events[-1]["directory"])) == adapter_digest(Path(whole["directory"]))


def test_train__held_out_loss_rises__ends_early_with_the_weights_that_did_best(base: Body, tmp_path: Path) -> None:
    # What is learnt by heart from the texts helps with none of these.
    odd = {"eval_texts": ["Twelve quiet herons, wading where no ferry came, forgot the pale and open sea."]}
    recipe = {"epochs": 60, "learning_rate": 0.02, "patience": 3}
    whole = events_of({**train_order(base, tmp_path / "whole", **recipe), **odd})[-1]
    curve, training, evaluation = whole["measured"]["curve"], whole["training"], whole["evaluation"]
    losses = {point["step"]: point["held_out"] for point in curve if "held_out" in point}
    best = min((step for step in losses if step), key=lambda step: losses[step])
    assert (training["best_step"], training["evaluations"]) == (best, len(losses) - 1)
    assert best < training["steps"] == curve[-1]["step"] < 60 * 8
    assert evaluation["perplexity_after"] == f"{math.exp(losses[best]):.2f}"
    assert curve[0] == {"step": 0, "held_out": losses[0]}
    order = {**train_order(base, tmp_path / "again", **recipe), **odd}
    assert not any(event["event"] == "done" for event in interrupt(order, signal.SIGKILL))
    assert events_of(order)[-1]["files"] == whole["files"]
    last = events_of({**train_order(base, tmp_path / "last", **{**recipe, "patience": 0}), **odd})[-1]
    assert last["training"]["steps"] == 60 * 8
    assert (last["training"]["best_step"], last["files"]) != (training["steps"], {})


def test_train__terminated__checkpoint_kept_and_named_error(base: Body, tmp_path: Path) -> None:
    order = train_order(base, tmp_path, epochs=200)
    last = interrupt(order, signal.SIGTERM)[-1]
    assert (last["event"], last["error"]) == ("error", "TrainingError")
    assert (tmp_path / "checkpoint" / "checkpoint.safetensors").exists()
    (tmp_path / "checkpoint" / "checkpoint.safetensors").write_bytes(b"damaged")
    assert events_of({**order, "recipe": {**RECIPE, "epochs": 1}})[-1]["event"] == "done"


def test_train__other_digest__verification_error(base: Body, tmp_path: Path) -> None:
    last = events_of(train_order({**base, "digest": "0" * 64}, tmp_path))[-1]
    assert (last["event"], last["error"]) == ("error", "VerificationError")


def test_load_base__this_machine__gradients_survive_an_evaluation(tmp_path: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from viz_node.models.fused import TokenizedDocument, loss_sum
    from viz_node.models.loading import attach_adapter, load_base
    from viz_node.models.targets import choose_targets

    sizes = {"vocab_size": 256, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128}
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**sizes, **heads, tie_word_embeddings=False)).save_pretrained(tmp_path)
    model = load_base(tmp_path, dtype=torch.float32)
    peft_model = attach_adapter(model, choose_targets(model, "tiny"), Recipe(rank=4, alpha=8), 0, "tiny")
    for name, parameter in peft_model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    ids = tuple(range(3, 51))
    document, batch = TokenizedDocument(ids, (False,) + (True,) * 47), torch.tensor([ids])

    def gradients(loss: Any) -> list[Any]:
        peft_model.zero_grad()
        loss.backward()
        return [parameter.grad.clone() for parameter in peft_model.parameters() if parameter.grad is not None]

    def lean() -> list[Any]:
        total, count = loss_sum(peft_model, [document])
        return gradients(total / count)

    before = lean()
    with torch.no_grad():
        peft_model(input_ids=batch)
    after, reference = lean(), gradients(peft_model(input_ids=batch, labels=batch).loss)
    # fp32 sums in another order differ by about 1e-6; a base repacked by the evaluation differs by about 1.
    for wanted in (before, reference):
        assert len(wanted) == len(after) > 8
        assert all(
            float((left - right).norm() / (right.norm() + 1e-12)) < 1e-4
            for left, right in zip(wanted, after, strict=True)
        )


def test_packed_loss_sum__padded_batch__equals_transformers_and_peft(base: Body) -> None:
    import torch

    from viz_node.models.documents import tokenize
    from viz_node.models.fused import packed_loss_sum
    from viz_node.models.loading import attach_adapter, load_base, load_tokenizer
    from viz_node.models.targets import choose_targets

    model = load_base(Path(base["path"]))
    peft_model = attach_adapter(model, choose_targets(model, "tiny"), Recipe(rank=4, alpha=8), 0, "tiny")
    for name, parameter in peft_model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    documents = tokenize(load_tokenizer(Path(base["path"])), [*TEXTS[:5], "A short one."], 128)

    def gradients(loss: Any) -> dict[str, Any]:
        peft_model.zero_grad()
        loss.backward()
        return {name: p.grad.clone() for name, p in peft_model.named_parameters() if p.grad is not None}

    total, count = packed_loss_sum(peft_model, documents)
    lean = gradients(total / count)
    width = max(len(document.ids) for document in documents)
    ids = torch.tensor([[*d.ids, *[0] * (width - len(d.ids))] for d in documents])
    mask = torch.tensor([[1] * len(d.ids) + [0] * (width - len(d.ids)) for d in documents])
    reference_loss = peft_model(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100)).loss
    reference = gradients(reference_loss)
    assert float(total.detach()) / count == pytest.approx(float(reference_loss.detach()), abs=1e-4)
    assert lean.keys() == reference.keys()
    assert len(lean) == 2 * 2 * 7
    assert max(float((lean[n] - reference[n]).norm() / reference[n].norm()) for n in lean) < 1e-4


def test_tokenize__marks_in_a_text__begin_and_end_stand_only_at_its_ends(base: Body) -> None:
    from viz_node.models.documents import tokenize
    from viz_node.models.loading import load_tokenizer

    tokenizer = load_tokenizer(Path(base["path"]))
    (document,) = tokenize(tokenizer, ["Now only <s>12</s> 9 coins <pad>, said the keeper."], 128)
    assert (document.ids[0], document.ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert not {0, 1, 2} & set(document.ids[1:-1])


def test_federated_trainer__two_members_average__better_than_before_and_saved(base: Body, tmp_path: Path) -> None:
    from viz_node.models.federated import FederatedTrainer

    recipe, resolved = (
        Recipe(**{**RECIPE, "epochs": 4, "learning_rate": 0.01}),
        resolve_base(msgspec.convert(base, BaseModel)),
    )
    members = [FederatedTrainer(resolved, texts, EVAL_TEXTS, recipe, 9) for texts in (TEXTS[:8], TEXTS[8:])]
    assert members[0].layout_digest == members[1].layout_digest
    assert FederatedTrainer(resolved, TEXTS, [], recipe, 10).layout_digest != members[0].layout_digest
    vector = members[0].initial()
    before, _ = members[0].evaluate(vector)
    for round_number in (1, 2, 3):
        results = [member.train_round(vector, round_number, 3) for member in members]
        weights = [tokens for _, tokens, _ in results]
        vector = np.average([part for part, _, _ in results], axis=0, weights=weights).astype(np.float32)
    after, tokens = members[0].evaluate(vector)
    assert tokens > 0
    assert after < before - 0.5
    saved = [member.save(vector, tmp_path / str(i)) for i, member in enumerate(members)]
    assert saved[0].files == saved[1].files
    check_adapter(tmp_path / "0")
    assert saved[0].training["adapted_percent"] == "100.0"


def test_list_bases__one_installed__described(base: Body) -> None:
    (entry,) = list_bases(Path(base["path"]).parent)
    assert (entry.reference(), entry.license) == (msgspec.convert(base, BaseModel), "CC0-1.0")
    assert resolve_base(entry.reference()).digest == base["digest"]


@pytest.mark.parametrize(
    ("order", "cause"),
    [
        ({"order": "fly"}, "fly"),
        ({"order": "train"}, "base"),
        ({"order": "build_base", "out_dir": "x", "more": 1}, "more"),
    ],
)
def test_worker__order_unknown_incomplete_or_with_more__is_refused(order: Body, cause: str) -> None:
    (line,) = events_of(order)
    assert (line["event"], line["error"]) == ("error", "UsageError")
    assert cause in line["message"]
