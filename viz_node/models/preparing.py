"""From an installed base model to one with a fresh adapter that is known to train, or a refusal with its cause.

Everything that could make a training worthless is looked for here, before the first step: weights that are not those
of the configuration, layers that nobody could name, texts that are too long, and gradients that do not arrive.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from viz_node.domain.memory import MIB
from viz_node.domain.recipe import Recipe
from viz_node.domain.training import AUTO, Facts
from viz_node.errors import UsageError
from viz_node.models.adapter_files import check_adapter
from viz_node.models.bases import ResolvedBase
from viz_node.models.fitting import check_fits, peak_bytes, room_on
from viz_node.models.fused import TokenizedDocument
from viz_node.models.loading import attach_adapter, choose_placement, context_of, load_base, save_adapter
from viz_node.models.preflight import check_config, check_weights
from viz_node.models.targets import Targets, choose_targets
from viz_node.models.trial import TRIAL_TOKENS, check_checkpointing, check_gradients, layers_used


@dataclass(frozen=True)
class Trainee:
    """A base model with a fresh adapter, the layers that the adapter changes, where it computes, and in how much."""

    model: torch.nn.Module
    targets: Targets
    base: ResolvedBase
    device: str
    estimated_bytes: int

    def memory(self) -> Facts:
        """The estimate before, and what was taken until now."""
        return {"memory_estimated_mb": self.estimated_bytes // MIB, "memory_mb": peak_bytes(self.device) // MIB}


def prepare(
    base: ResolvedBase, documents: Sequence[TokenizedDocument], recipe: Recipe, seed: int, device: str = AUTO
) -> Trainee:
    """Load the base model, attach an adapter drawn from the seed, and try both on the start of the longest document.

    The same base model gives the same layers whatever the documents are. Raises: VerificationError (its adapters would
    be worthless, or nobody could take them in), TrainingError (it does not load, or not there), UsageError (documents
    longer than its context; too little memory).
    """
    check_config(base.directory, base.name)
    check_weights(base.directory, base.name)
    chosen = choose_placement(0, device).device
    lengths = sorted((len(document.ids) for document in documents), reverse=True)
    estimated = check_fits(base, recipe, sum(lengths[: recipe.batch_documents]), room_on(chosen))
    model = load_base(base.directory, chosen)
    longest = max(documents, key=lambda document: len(document.ids))
    context = context_of(model)
    if context is not None and recipe.max_tokens > context:
        raise UsageError(
            f"{base.name} reads at most {context} tokens at once, and max_tokens is {recipe.max_tokens}",
            f"train with max_tokens = {context} or fewer in the recipe",
        )
    ids = longest.ids[:TRIAL_TOKENS]
    targets = choose_targets(model, base.name, layers_used(model, base.name, ids), recipe.targets)
    trainee = Trainee(attach_adapter(model, targets, recipe, seed, base.name), targets, base, chosen, estimated)
    gradients = check_gradients(trainee.model, base.name, ids)
    if recipe.checkpointing:
        check_checkpointing(trainee.model, base.name, ids, gradients)
    with tempfile.TemporaryDirectory() as folder:
        write_checked(trainee, Path(folder))
    return trainee


def write_checked(trainee: Trainee, directory: Path) -> None:
    """Write the adapter and check it as a stranger would.

    Raises: VerificationError (it could not be published), OSError.
    """
    save_adapter(trainee.model, trainee.targets.names, directory, trainee.base.name)
    check_adapter(directory, trainee.targets.shapes)
