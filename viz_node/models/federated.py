"""A federation member's trainer: A is orthonormal and follows from the run's seed, B is trained (FFA-LoRA).

With the same frozen A everywhere, the average of the members' B vectors is exactly the average of their adapters
(Sun et al. 2024, FFA-LoRA), one flat vector is all that travels, and the frozen 4-bit base never changes.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from viz_node.domain.names import FilePath
from viz_node.domain.recipe import Recipe
from viz_node.domain.training import AUTO, AdapterTrained
from viz_node.errors import TrainingError, UsageError
from viz_node.models.bases import ResolvedBase
from viz_node.models.documents import tokenize
from viz_node.models.evaluating import evaluate
from viz_node.models.loading import load_tokenizer
from viz_node.models.preparing import prepare
from viz_node.models.recipes import batch_order
from viz_node.models.stepping import new_optimizer, set_rate, take_step
from viz_node.models.training import (
    describe_evaluation,
    describe_training,
    finish,
)

Vector: TypeAlias = npt.NDArray[np.float32]


class FederatedTrainer:
    """Trains B of a LoRA adapter on local texts, from and to one flat float32 vector.

    Members of a run must share base digest, recipe and `run_seed`; `layout_digest` is equal exactly then. The vector is
    the absolute value of all B matrices in name order, so that a weighted mean of vectors is the aggregate.
    Raises: UsageError (no text), TrainingError (the base does not load; a vector of another size), VerificationError
    (the base cannot be trained right here).
    """

    def __init__(
        self,
        base: ResolvedBase,
        texts: Sequence[str],
        eval_texts: Sequence[str],
        recipe: Recipe,
        run_seed: int | str,
        device: str = AUTO,
    ) -> None:
        if recipe.dora or recipe.dropout:
            raise UsageError("a federation trains plain LoRA", "leave dora and dropout out of the recipe")
        self._recipe = recipe
        tokenizer = load_tokenizer(base.directory)
        self._documents = tokenize(tokenizer, texts, recipe.max_tokens, recipe.goldfish)
        self._eval_documents = tokenize(tokenizer, eval_texts, recipe.max_tokens)
        if not self._documents:
            raise UsageError("there is no text to train on", "viz-node content add PATH --rights owned --author NAME")
        self._trainee = prepare(base, self._documents + self._eval_documents, recipe, 0, device)
        self._peft_model = self._trainee.model
        self._sides: dict[str, torch.nn.Parameter] = {}
        for name, parameter in sorted(self._peft_model.named_parameters()):
            if "lora_A" in name:
                rows = orthonormal_rows(f"{run_seed}:{name}", int(parameter.shape[0]), int(parameter.shape[1]))
                parameter.data.copy_(torch.from_numpy(rows))
                parameter.requires_grad_(False)
            elif "lora_B" in name:
                self._sides[name] = parameter
        layout = {
            "base": base.digest,
            "run_seed": str(run_seed),
            "scale": [recipe.rank, recipe.written_alpha],
            "shapes": {name: list(parameter.shape) for name, parameter in self._sides.items()},
        }
        self.layout_digest = hashlib.sha256(json.dumps(layout, sort_keys=True).encode()).hexdigest()
        self.size = sum(parameter.numel() for parameter in self._sides.values())
        self._steps = self._tokens = 0
        self._seconds = 0.0

    def initial(self) -> Vector:
        """The untrained adapter: it changes nothing."""
        return np.zeros(self.size, np.float32)

    def train_round(
        self,
        vector: Vector,
        round_number: int,
        rounds: int,
        on_step: Callable[[int, int, float], None] | None = None,
    ) -> tuple[Vector, int, float]:
        """Train `recipe.epochs` local epochs from `vector` in round `round_number` (from 1) of `rounds`.

        Returns the new vector, the tokens trained on and the mean loss; the optimizer starts fresh, the learning rate
        follows one cosine over all rounds. `on_step` gets (step, steps, loss).
        Raises: TrainingError (the loss is not finite).
        """
        self._load(vector)
        recipe, count = self._recipe, len(self._documents)
        per_epoch = math.ceil(count / recipe.batch_documents)
        steps = per_epoch * recipe.epochs
        optimizer = new_optimizer(self._sides.values(), recipe.learning_rate, recipe.optimizer)
        tokens, losses, started = 0, [], time.perf_counter()
        for step in range(steps):
            epoch, index = divmod(step, per_epoch)
            epoch_number = (round_number - 1) * recipe.epochs + epoch
            chosen = batch_order(count, recipe.batch_documents, epoch_number, recipe.seed)[index]
            batch = [self._documents[i] for i in chosen]
            progress = ((round_number - 1) * steps + step) / max(1, rounds * steps)
            set_rate(optimizer, recipe.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, progress)))))
            losses.append(take_step(self._peft_model, optimizer, batch, recipe.tokens_at_once))
            if not math.isfinite(losses[-1]):
                raise TrainingError(f"the loss is {losses[-1]} in round {round_number}", "use a lower learning rate")
            tokens += sum(len(document.ids) for document in batch)
            if on_step is not None:
                on_step(step + 1, steps, losses[-1])
        self._steps += steps
        self._seconds += time.perf_counter() - started
        self._tokens += tokens
        return self._read(), tokens, sum(losses) / len(losses)

    def evaluate(self, vector: Vector) -> tuple[float, int]:
        """Mean loss per token over the evaluation texts, and their tokens; (0, 0) without such texts."""
        self._load(vector)
        return evaluate(self._peft_model, self._eval_documents)

    def save(self, vector: Vector, out_dir: Path) -> AdapterTrained:
        """Write the adapter of a vector; returns what `train` returns."""
        before, tokens = self.evaluate(self.initial())
        after, _ = self.evaluate(vector)
        files = finish(self._trainee, out_dir)
        facts = describe_training(self._recipe, len(self._documents), self._steps, self._tokens, self._seconds)
        facts |= {"method": "federated-ffa-qlora-nf4", **self._trainee.targets.facts()}
        return AdapterTrained(FilePath(str(out_dir)), files, facts, describe_evaluation(before, after, tokens))

    def _load(self, vector: Vector) -> None:
        if vector.shape != (self.size,) or vector.dtype != np.float32 or not bool(np.isfinite(vector).all()):
            raise TrainingError(f"expected {self.size} finite float32 numbers", "members need one base and recipe")
        start = 0
        for parameter in self._sides.values():
            part = vector[start : start + parameter.numel()].reshape(tuple(parameter.shape))
            parameter.data.copy_(torch.from_numpy(part.copy()))
            start += parameter.numel()

    def _read(self) -> Vector:
        parts = [parameter.detach().float().cpu().numpy().ravel() for parameter in self._sides.values()]
        return np.concatenate(parts).astype(np.float32)


def orthonormal_rows(seed: str, rows: int, columns: int) -> Vector:
    """A matrix with orthonormal rows (columns, where they are fewer) that every member derives from the seed."""
    key = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:16], "big")
    matrix = np.random.Generator(np.random.Philox(key=key)).standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(matrix)
    # the sign of QR is up to the library; this one is not
    q = q * np.sign(np.diag(r))
    return np.ascontiguousarray(q.T if rows <= columns else q, dtype=np.float32)
