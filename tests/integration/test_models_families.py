"""Tiny models of many families: trained as transformers and PEFT compute it, or refused before the first step."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from tests.model_families import write_family
from viz_node.domain.recipe import Recipe
from viz_node.errors import VerificationError
from viz_node.models.bases import ResolvedBase
from viz_node.models.fused import TokenizedDocument, is_lean_supported, loss_sum, packed_loss_sum
from viz_node.models.loading import guard, load_adapter, load_base
from viz_node.models.preflight import check_layers, check_weights
from viz_node.models.preparing import Trainee, prepare, write_checked

RECIPE = Recipe(rank=4, alpha=8, max_tokens=64)
NF4 = BitsAndBytesConfig(
    load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.float32
)
# On the plain path gradients are equal, and losses but for the order of their sum. The fused path sums otherwise:
# against 64 bits its worst gradient, a vanishing one of 2e-6, is off by 1.7e-5 of its size, and that of PEFT by 2.9e-5.
LOSS_TOLERANCE, GRADIENT_TOLERANCE, FUSED_TOLERANCE = 1.4e-6, 5e-6, 5e-5

WHOLE = [
    "llama", "mistral", "ministral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "gemma3", "gemma3n_text",
    "gemma4_text", "phi", "phi3", "gpt_neox", "gpt2", "gpt_bigcode", "gpt_neo", "gptj", "opt", "bloom", "falcon",
    "stablelm", "olmo", "olmo2", "olmo3", "granite", "smollm3", "cohere", "starcoder2", "apertus", "mpt", "glm4",
    "ernie4_5", "nemotron", "exaone4",
]  # fmt: skip
# The percent of the blocks' weights that an adapter changes, and what it must name among the rest.
IN_PART = {
    "mixtral": ("14.2", "mlp.experts.gate_up_proj 56.8 % (not a linear layer)"),
    "olmoe": ("14.2", "mlp.experts.gate_up_proj"),
    "qwen2_moe": ("42.5", "mlp.experts.gate_up_proj"),
    "qwen3_moe": ("34.4", "mlp.up_proj 4.3 % (PEFT adapts no layer of this name here)"),
    "qwen3_next": ("35.1", "mlp.shared_expert.up_proj"),
    "qwen3_5": ("97.9", "linear_attn.conv1d"),
    "deepseek_v2": ("38.3", "mlp.experts.down_proj"),
    "deepseek_v3": ("38.3", "mlp.experts.down_proj"),
    "granitemoehybrid": ("25.7", "block_sparse_moe.experts.gate_up_proj"),
    "lfm2": ("99.4", "conv.conv"),
    "lfm2_moe": ("49.9", "feed_forward.experts.gate_up_proj"),
    "jamba": ("44.3", "feed_forward.experts.gate_up_proj"),
    "falcon_h1": ("84.0", "mamba.out_proj 13.9 % (PEFT adapts no layer of this name here)"),
    "mamba2": ("66.7", "mixer.out_proj"),
    "gpt_oss": ("13.9", "mlp.experts.gate_up_proj"),
    "llama4_text": ("29.3", "feed_forward.experts.gate_up_proj"),
}
REFUSED = {
    "bert": "bert lets a token see those after it",
    "mamba": "mamba does not run in 4 bits",
    "rwkv": "rwkv cannot be trained in 4 bits: .* modified by an inplace operation",
}
# They want more than text while they are in training mode, or clamp weights that are quantized there.
NOT_IN_TRAINING_MODE = {"gemma3", "gemma3n_text"}


def document(length: int) -> TokenizedDocument:
    ids = torch.randint(3, 60, (length,), generator=torch.Generator().manual_seed(length))
    return TokenizedDocument(tuple(int(token) for token in ids), (False,) + (True,) * (length - 1))


DOCUMENTS = [document(20), document(13)]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def prepared(family: str, folder: Path, **sizes: Any) -> Trainee:
    """A tiny base model with an adapter that changes what it computes."""
    write_family(family, folder / "base", **sizes)
    trainee = prepared_on(family, folder / "base")
    write_checked(trainee, folder / "adapter")
    return trainee


def prepared_on(family: str, base: Path) -> Trainee:
    trainee = prepare(ResolvedBase(family, base, "0" * 64), DOCUMENTS, RECIPE, 0)
    draws = torch.Generator().manual_seed(1)
    for name, parameter in trainee.model.named_parameters():
        if "lora_B" in name:
            parameter.data.copy_(0.05 * torch.randn(parameter.shape, generator=draws))
    return trainee


def load_plain(folder: Path) -> Any:
    """Base model and adapter as their libraries load them, with everything in training mode that allows it."""
    base = AutoModelForCausalLM.from_pretrained(
        folder / "base", quantization_config=NF4, device_map={"": "cpu"}, dtype=torch.float32
    )
    return PeftModel.from_pretrained(guard(base), folder / "adapter", is_trainable=True)


@dataclass(frozen=True)
class Computed:
    loss: float
    gradients: dict[str, torch.Tensor]


def computed(model: Any, mean: torch.Tensor) -> Computed:
    mean.backward()
    gradients = {name: part.grad for name, part in model.named_parameters() if part.requires_grad}
    return Computed(float(mean.detach()), gradients)


def ours(trainee: Trainee) -> Computed:
    total, count = loss_sum(trainee.model, DOCUMENTS)
    return computed(trainee.model, total / count)


def theirs(plain: Any) -> Computed:
    counted = [len(one.ids) - 1 for one in DOCUMENTS]
    batches = [torch.tensor([one.ids]) for one in DOCUMENTS]
    losses = [plain(input_ids=ids, labels=ids).loss * n for ids, n in zip(batches, counted, strict=True)]
    return computed(plain, torch.stack(losses).sum() / sum(counted))


def furthest(left: Computed, right: Computed) -> float:
    """The largest difference of a gradient, of its own size."""
    assert left.gradients.keys() == right.gradients.keys()
    return max(float((g - right.gradients[n]).norm() / right.gradients[n].norm()) for n, g in left.gradients.items())


@pytest.mark.parametrize("family", [*WHOLE, *IN_PART])
def test_family__one_batch__as_transformers_and_peft_and_its_adapter_loads_in_plain_peft(
    family: str, tmp_path: Path
) -> None:
    trainee = prepared(family, tmp_path)
    facts = trainee.targets.facts()
    percent, left_out = IN_PART.get(family, ("100.0", ""))
    assert facts["adapted_percent"] == percent
    assert left_out in str(facts.get("not_adapted", ""))
    plain = load_plain(tmp_path)
    plain.train(family not in NOT_IN_TRAINING_MODE)
    mine, reference = ours(trainee), theirs(plain)
    assert mine.loss == pytest.approx(reference.loss, abs=LOSS_TOLERANCE)
    assert furthest(mine, reference) < GRADIENT_TOLERANCE
    ids, own = torch.tensor([DOCUMENTS[0].ids]), load_base(trainee.base.directory)
    with torch.no_grad():
        logits, bare = plain.eval()(input_ids=ids).logits, own(input_ids=ids).logits
        assert torch.equal(load_adapter(own, trainee.base, tmp_path / "adapter")(input_ids=ids).logits, logits)
    assert not torch.allclose(logits, bare, atol=1e-3)


LEAN: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama with biases": {"attention_bias": True, "mlp_bias": True},
    "llama with scaled positions": {
        "rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10_000.0},
        "tie_word_embeddings": True,
    },
    "mistral": {"sliding_window": 20},
    "qwen2": {},
    "qwen3": {},
    "smollm3": {"no_rope_layer_interval": 2},
    "olmo2": {},
}


@pytest.mark.parametrize("case", LEAN)
def test_packed_loss_sum__family__as_transformers_and_peft(case: str, tmp_path: Path) -> None:
    trainee = prepared(case.partition(" ")[0], tmp_path, **LEAN[case])
    assert is_lean_supported(trainee.model.base_model.model, 20)
    total, count = packed_loss_sum(trainee.model, DOCUMENTS)
    mine, reference = computed(trainee.model, total / count), theirs(load_plain(tmp_path).train())
    assert mine.loss == pytest.approx(reference.loss, abs=LOSS_TOLERANCE)
    assert furthest(mine, reference) < FUSED_TOLERANCE


@pytest.mark.parametrize(("family", "sizes"), [("llama", {"hidden_size": 64}), ("gpt2", {"n_embd": 64})])
def test_prepare__base_stored_in_nf4__trained_as_the_original_is(
    family: str, sizes: dict[str, int], tmp_path: Path
) -> None:
    original = ours(prepared(family, tmp_path / "whole", **sizes))
    load_base(tmp_path / "whole" / "base").save_pretrained(tmp_path / "packed")
    check_layers(tmp_path / "packed", family)
    packed = ours(prepared_on(family, tmp_path / "packed"))
    assert packed.loss == original.loss
    assert furthest(packed, original) == 0
    weights = load_file(tmp_path / "packed" / "model.safetensors")
    halved = {
        name: part[::2].clone() if name.endswith(".weight") and part.ndim == 2 else part
        for name, part in weights.items()
    }
    save_file(halved, tmp_path / "packed" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(VerificationError, match="other weights than its configuration says"):
        check_weights(tmp_path / "packed", family)


NOT_LEAN: dict[str, dict[str, Any]] = {
    "mistral": {"sliding_window": 19},
    "llama": {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10_000.0}},
    "qwen3": {"hidden_act": "gelu"},
    "gemma": {},
}


@pytest.mark.parametrize("family", NOT_LEAN)
def test_is_lean_supported__other_mathematics__plain_path(family: str, tmp_path: Path) -> None:
    trainee = prepared(family, tmp_path, **NOT_LEAN[family])
    assert not is_lean_supported(trainee.model.base_model.model, 20)
    mine, reference = ours(trainee), theirs(load_plain(tmp_path).train())
    assert mine.loss == pytest.approx(reference.loss, abs=LOSS_TOLERANCE)


@pytest.mark.parametrize("family", REFUSED)
def test_family__cannot_be_trained_right__refused_before_the_first_step(family: str, tmp_path: Path) -> None:
    write_family(family, tmp_path)
    with pytest.raises(VerificationError, match=REFUSED[family]) as refused:
        prepare(ResolvedBase(family, tmp_path, "0" * 64), DOCUMENTS, RECIPE, 0)
    assert refused.value.hint == "use another base model, such as a Llama-like one"
