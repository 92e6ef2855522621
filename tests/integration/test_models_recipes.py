"""What a recipe may choose computes what plain PEFT computes and can be taken up again, or is refused."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from tests.model_families import write_family
from viz_node.domain.memory import Room
from viz_node.domain.recipe import Recipe
from viz_node.errors import UsageError, VerificationError
from viz_node.models.adapter_files import check_adapter, export_adapter
from viz_node.models.bases import ResolvedBase
from viz_node.models.fused import TokenizedDocument, is_lean_supported, loss_sum
from viz_node.models.loading import guard, load_adapter, load_base
from viz_node.models.preparing import Trainee, prepare, write_checked
from viz_node.models.stepping import dropping, new_optimizer, optimizer_tensors, restore_optimizer, take_step

NF4 = BitsAndBytesConfig(
    load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.float32
)
# Sums in another order, as in test_models_families.
TOLERANCE = 5e-5


def document(length: int) -> TokenizedDocument:
    ids = torch.randint(3, 60, (length,), generator=torch.Generator().manual_seed(length))
    return TokenizedDocument(tuple(int(token) for token in ids), (False,) + (True,) * (length - 1))


DOCUMENTS = [document(20), document(13), document(17)]


def prepared(folder: Path, family: str = "llama", **values: Any) -> Trainee:
    """A tiny base model with the recipe's adapter, which changes what the model computes."""
    write_family(family, folder / "base")
    trainee = prepare(
        ResolvedBase(family, folder / "base", "0" * 64), DOCUMENTS, Recipe(rank=4, alpha=8, max_tokens=64, **values), 0
    )
    draws = torch.Generator().manual_seed(1)
    for name, parameter in trainee.model.named_parameters():
        if "lora_B" in name:
            parameter.data.copy_(0.05 * torch.randn(parameter.shape, generator=draws))
    return trainee


def plain_base(folder: Path) -> Any:
    base = AutoModelForCausalLM.from_pretrained(
        folder / "base", quantization_config=NF4, device_map={"": "cpu"}, dtype=torch.float32
    )
    return guard(base)


def plain_peft(folder: Path, trainee: Trainee, **config: Any) -> Any:
    """What PEFT makes of the same settings, with the same matrices."""
    usual = {"r": 4, "lora_alpha": 8, "target_modules": list(trainee.targets.names), "task_type": "CAUSAL_LM"}
    plain = get_peft_model(plain_base(folder), LoraConfig(**{**usual, **config})).train()
    values = dict(trainee.model.named_parameters())
    for name, parameter in plain.named_parameters():
        if parameter.requires_grad:
            parameter.data.copy_(values[name].data)
    return plain


def step_of(model: Any, loss: torch.Tensor) -> tuple[float, dict[str, torch.Tensor]]:
    loss.backward()
    return float(loss.detach()), {name: p.grad for name, p in model.named_parameters() if p.requires_grad}


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "rslora": ({"rslora": True}, {"use_rslora": True}),
    "dora": ({"dora": True}, {"use_dora": True}),
    "dropout": ({"dropout": 0.3}, {"lora_dropout": 0.3}),
    "targets": ({"targets": ("q_proj", "mlp.down_proj")}, {"target_modules": ["q_proj", "mlp.down_proj"]}),
    "checkpointing": ({"checkpointing": True}, {}),
    "everything": (
        {"rslora": True, "dora": True, "dropout": 0.1, "targets": ("v_proj", "up_proj"), "checkpointing": True},
        {"use_rslora": True, "use_dora": True, "lora_dropout": 0.1, "target_modules": ["v_proj", "up_proj"]},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_loss_sum__recipe__loss_and_gradients_of_plain_peft(case: str, tmp_path: Path) -> None:
    values, config = CASES[case]
    trainee = prepared(tmp_path, **values)
    recipe, plain = Recipe(rank=4, alpha=8, max_tokens=64, **values), plain_peft(tmp_path, trainee, **config)
    with dropping(trainee.model, recipe, 7):
        is_lean = is_lean_supported(trainee.model.base_model.model, 20)
        total, count = loss_sum(trainee.model, DOCUMENTS)
        mine = step_of(trainee.model, total / count)
    assert is_lean == (case in {"plain", "rslora", "checkpointing"})
    sums = []
    with dropping(plain, recipe, 7):
        for one in DOCUMENTS:
            ids = torch.tensor([one.ids])
            sums.append(plain(input_ids=ids, labels=ids).loss * (len(one.ids) - 1))
        reference = step_of(plain, torch.stack(sums).sum() / count)
    assert mine[0] == pytest.approx(reference[0], abs=2e-6)
    assert mine[1].keys() == reference[1].keys()
    assert max(float((g - reference[1][n]).norm() / reference[1][n].norm()) for n, g in mine[1].items()) < TOLERANCE


@pytest.mark.parametrize("case", ["rslora", "dora", "targets", "everything"])
def test_write_checked__recipe__plain_peft_and_we_load_what_was_trained(case: str, tmp_path: Path) -> None:
    trainee = prepared(tmp_path, **CASES[case][0])
    write_checked(trainee, tmp_path / "adapter")
    facts = check_adapter(tmp_path / "adapter", trainee.targets.shapes)
    assert (facts.is_dora, facts.alpha) == ("dora" in CASES[case][0], 16 if "rslora" in CASES[case][0] else 8)
    export_adapter(tmp_path / "adapter", tmp_path / "exported")
    ids = torch.tensor([DOCUMENTS[0].ids])
    with torch.no_grad():
        trained = trainee.model(input_ids=ids).logits
        theirs = PeftModel.from_pretrained(plain_base(tmp_path), tmp_path / "exported").eval()(input_ids=ids).logits
        ours = load_adapter(load_base(tmp_path / "base"), trainee.base, tmp_path / "adapter")(input_ids=ids).logits
    assert torch.equal(trained, theirs)
    assert torch.equal(trained, ours)


def test_dropping__same_step_and_another__same_draw_and_another(tmp_path: Path) -> None:
    trainee, recipe = prepared(tmp_path, dropout=0.5), Recipe(dropout=0.5)

    def loss(step: int | None) -> float:
        with torch.no_grad():
            if step is None:
                return float(loss_sum(trainee.model, DOCUMENTS)[0])
            with dropping(trainee.model, recipe, step):
                return float(loss_sum(trainee.model, DOCUMENTS)[0])

    assert loss(3) == loss(3)
    assert len({loss(3), loss(4), loss(None)}) == 3
    assert loss(None) == loss(None)


@pytest.mark.parametrize("tokens_at_once", [64, 4096])
def test_take_step__in_parts__the_same_mean(tokens_at_once: int, tmp_path: Path) -> None:
    trainee = prepared(tmp_path)
    parameters = [p for p in trainee.model.parameters() if p.requires_grad]
    batch = DOCUMENTS * 3
    loss = take_step(trainee.model, new_optimizer(parameters, 1e-3), batch, tokens_at_once)
    total, count = loss_sum(prepared(tmp_path / "again").model, batch)
    assert loss == pytest.approx(float(total.detach()) / count, rel=1e-6)


@pytest.mark.parametrize("name", ["adamw", "adamw8bit"])
def test_optimizer__state_put_back__goes_on_bit_for_bit(name: str, tmp_path: Path) -> None:
    def trained(folder: str, stops: bool) -> dict[str, torch.Tensor]:
        model = prepared(tmp_path / folder).model
        parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        # States below 4096 numbers are kept in 32 bits.
        extra = torch.nn.Parameter(torch.ones(64, 128))
        parameters["extra"] = extra
        optimizer = new_optimizer(parameters.values(), 1e-2, name)
        for step in range(4):
            extra.grad = torch.sin(torch.arange(64 * 128).float() * (step + 1)).view(64, 128)
            take_step(model, optimizer, DOCUMENTS)
            if stops and step == 1:
                kept = optimizer_tensors(optimizer, parameters)
                optimizer = new_optimizer(parameters.values(), 1e-2, name)
                restore_optimizer(optimizer, parameters, kept)
        return {n: p.detach().clone() for n, p in parameters.items()}

    whole, resumed = trained("whole", False), trained("resumed", True)
    assert all(torch.equal(whole[n], resumed[n]) for n in whole)


REFUSED: dict[str, tuple[str, dict[str, Any], type[Exception], str]] = {
    "targets of another family": (
        "gpt2",
        {"targets": ("q_proj",)},
        UsageError,
        "targets names q_proj, and gpt2 has no",
    ),
    "blocks that keep a state": ("mamba2", {"checkpointing": True}, VerificationError, "compute its blocks again"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_prepare__recipe_that_this_model_cannot_have__refused_with_the_way_out(case: str, tmp_path: Path) -> None:
    family, values, error, told = REFUSED[case]
    with pytest.raises(error, match=told) as refused:
        prepared(tmp_path, family, **values)
    assert refused.value.hint  # type: ignore[attr-defined]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_new_optimizer__paged_without_a_gpu__refused() -> None:
    with pytest.raises(UsageError, match="needs a GPU of CUDA") as refused:
        new_optimizer([torch.nn.Parameter(torch.ones(2))], 1e-3, "paged_adamw8bit")
    assert "adamw8bit" in refused.value.hint


def test_prepare__too_little_memory__refused_with_the_recipe_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"batch_documents": 512, "max_tokens": 64, "tokens_at_once": 65536}
    write_family("llama", tmp_path)
    base, documents = ResolvedBase("llama", tmp_path, "0" * 64), [document(60)] * 512
    needed = prepare(base, documents, Recipe(**values), 0).estimated_bytes
    monkeypatch.setattr("viz_node.models.preparing.room_on", lambda device: Room(False, needed - 1))
    with pytest.raises(UsageError, match="MB of memory, and this machine has") as refused:
        prepare(base, documents, Recipe(**values), 0)
    changes = tomllib.loads(refused.value.hint.removeprefix("in the recipe: ").replace(", ", "\n"))
    assert prepare(base, documents, Recipe(**{**values, **changes}), 0).estimated_bytes < needed
    monkeypatch.setattr("viz_node.models.preparing.room_on", lambda device: Room(False, 1000))
    with pytest.raises(UsageError) as refused:
        prepare(base, documents, Recipe(**values), 0)
    assert "smaller base model" in refused.value.hint
