"""The lean QLoRA loop: packed documents, fused functions, atomic checkpoints, exact resume.

All that decides a step (documents, their order, learning rate) follows from the recipe and the step's number, and
nothing is random after the start; a run resumed from a checkpoint therefore ends where an uninterrupted one would.
"""

import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from viz_node.domain.names import FilePath
from viz_node.domain.recipe import Recipe
from viz_node.domain.training import AUTO, AdapterTrained, Facts, FileFacts
from viz_node.domain.worker import Progress
from viz_node.errors import StorageError, TrainingError, UsageError
from viz_node.models.adapter_files import describe_files
from viz_node.models.bases import ResolvedBase
from viz_node.models.checkpoints import write_checkpoint
from viz_node.models.documents import tokenize
from viz_node.models.evaluating import Emit, evaluate, micro_batches, progress
from viz_node.models.fused import TokenizedDocument, loss_sum
from viz_node.models.loading import load_tokenizer
from viz_node.models.measuring import measure
from viz_node.models.preparing import Trainee, prepare, write_checked
from viz_node.models.recipes import batch_order, scheduled_rate

CHECKPOINT_SECONDS = 20.0
CHECKPOINT_NAME = "checkpoint.safetensors"


@dataclass(frozen=True)
class TrainOrder:
    """What to train, where the result goes, and where checkpoints live."""

    base: ResolvedBase
    texts: Sequence[str]
    eval_texts: Sequence[str]
    recipe: Recipe
    out_dir: Path
    checkpoint_dir: Path
    device: str = AUTO

    def fingerprint(self) -> str:
        """Names the run: a checkpoint of any other order is ignored."""
        texts = hashlib.sha256("\0".join([*self.texts, "", *self.eval_texts]).encode()).hexdigest()
        return hashlib.sha256(f"{self.base.digest}:{texts}:{self.recipe.digest()}".encode()).hexdigest()


@dataclass
class _State:
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    before: float = 0.0


def train(order: TrainOrder, emit: Emit, is_stopping: Callable[[], bool] = lambda: False) -> AdapterTrained:
    """Train an adapter, or continue from the checkpoint, and write it to `out_dir`.

    Raises: TrainingError (stopped with the checkpoint kept; diverged), UsageError (nothing to train on; a text too long
    for the base model), VerificationError (the base model cannot be trained right here).
    """
    emit(Progress("load", 0, 1))
    torch.use_deterministic_algorithms(True, warn_only=True)
    recipe, tokenizer = order.recipe, load_tokenizer(order.base.directory)
    documents = tokenize(tokenizer, order.texts, recipe.max_tokens, recipe.goldfish)
    eval_documents = tokenize(tokenizer, order.eval_texts, recipe.max_tokens)
    if not documents:
        raise UsageError("there is no text to train on", "viz-node content add PATH --rights owned --author NAME")
    trainee = prepare(order.base, documents + eval_documents, recipe, recipe.seed, order.device)
    peft_model = trainee.model
    run = _Run(peft_model, order)
    state = run.resume()
    if state.step == 0:
        state.before = evaluate(peft_model, eval_documents, emit)[0]
    run.steps(state, documents, emit, is_stopping)
    after, eval_tokens = evaluate(peft_model, eval_documents, emit)
    measured = measure(
        peft_model,
        tokenizer,
        order.eval_texts,
        recipe.max_tokens,
        lambda step, steps: emit(Progress("measure", step, steps)),
    )
    files = finish(trainee, order.out_dir)
    shutil.rmtree(order.checkpoint_dir, ignore_errors=True)
    return AdapterTrained(
        FilePath(str(order.out_dir)),
        files,
        describe_training(recipe, len(documents), state.step, state.tokens, state.seconds) | trainee.targets.facts(),
        describe_evaluation(state.before, after, eval_tokens),
        measured,
    )


class _Run:
    """The loop with its optimizer and its checkpoint file."""

    def __init__(self, peft_model: Any, order: TrainOrder) -> None:
        self.peft_model, self.order = peft_model, order
        self.parameters = {name: p for name, p in peft_model.named_parameters() if p.requires_grad}
        self.optimizer = new_optimizer(self.parameters.values(), order.recipe.learning_rate)

    def steps(
        self, state: _State, documents: list[TokenizedDocument], emit: Emit, is_stopping: Callable[[], bool]
    ) -> None:
        recipe = self.order.recipe
        per_epoch = math.ceil(len(documents) / recipe.batch_documents)
        total = per_epoch * recipe.epochs
        started, saved, first_tokens = time.perf_counter(), time.perf_counter(), state.tokens
        earlier, first_step = state.seconds, state.step
        while state.step < total:
            epoch, index = divmod(state.step, per_epoch)
            chosen = batch_order(len(documents), recipe.batch_documents, epoch, recipe.seed)[index]
            batch = [documents[i] for i in chosen]
            set_rate(self.optimizer, scheduled_rate(state.step, total, recipe.learning_rate))
            loss = take_step(self.peft_model, self.optimizer, batch)
            if not math.isfinite(loss):
                raise TrainingError(f"the loss is {loss} at step {state.step + 1}", "train with a lower learning rate")
            state.step += 1
            state.tokens += sum(len(document.ids) for document in batch)
            elapsed = time.perf_counter() - started
            state.seconds = earlier + elapsed
            speed = (state.tokens - first_tokens) / elapsed
            emit(
                progress(
                    "train", state.step, total, loss, speed, (total - state.step) * elapsed / (state.step - first_step)
                )
            )
            if is_stopping():
                self.save(state)
                raise TrainingError(f"stopped at step {state.step} of {total}", "start the job again to continue")
            if time.perf_counter() - saved > CHECKPOINT_SECONDS or state.step == max(1, total // 4):
                self.save(state)
                saved = time.perf_counter()

    def save(self, state: _State) -> None:
        """Replace the checkpoint as a whole. Raises: StorageError."""
        tensors = {}
        for name, parameter in self.parameters.items():
            moments = self.optimizer.state[parameter]
            tensors[f"value/{name}"] = parameter.detach().cpu()
            tensors |= {f"{key}/{name}": moments[key].detach().cpu() for key in ("exp_avg", "exp_avg_sq", "step")}
        facts = {"step": state.step, "tokens": state.tokens, "seconds": state.seconds, "before": state.before}
        metadata = {"fingerprint": self.order.fingerprint(), "state": json.dumps(facts)}
        write_checkpoint(self.order.checkpoint_dir / CHECKPOINT_NAME, tensors, metadata)

    def resume(self) -> _State:
        """The state of the checkpoint, loaded; a fresh one if there is none for this order, or it is damaged."""
        path = self.order.checkpoint_dir / CHECKPOINT_NAME
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("fingerprint") != self.order.fingerprint():
                    return _State()
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (safe_open is no mapping)
            state = _State(**json.loads(metadata["state"]))
            moments = {
                name: {key: tensors[f"{key}/{name}"] for key in ("exp_avg", "exp_avg_sq", "step")}
                for name in self.parameters
            }
            values = {name: tensors[f"value/{name}"] for name in self.parameters}
        except (OSError, SafetensorError, KeyError, ValueError, TypeError):
            return _State()
        for name, parameter in self.parameters.items():
            parameter.data.copy_(values[name])
            on_device = {key: value.to(parameter.device) for key, value in moments[name].items()}
            self.optimizer.state[parameter] = on_device
        return state


def new_optimizer(parameters: Any, rate: float) -> torch.optim.Optimizer:
    """Fused AdamW without decay: on CPUs faster than the 8-bit and paged ones, and LoRA states are small."""
    return torch.optim.AdamW(list(parameters), lr=rate, weight_decay=0.0, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Use this learning rate from now on."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def take_step(peft_model: Any, optimizer: torch.optim.Optimizer, batch: Sequence[TokenizedDocument]) -> float:
    """One optimizer step on the mean loss over all counted tokens of the batch, which it returns."""
    counted = max(1, sum(sum(document.counted) for document in batch))
    loss = 0.0
    for part in micro_batches(batch):
        total, _ = loss_sum(peft_model, part)
        mean = total / counted
        mean.backward()
        loss += float(mean.detach())
    torch.nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return loss


def finish(trainee: Trainee, out_dir: Path) -> dict[str, FileFacts]:
    """Write the adapter beside `out_dir`, check it as a stranger would, and move it there in one step.

    Raises: StorageError, VerificationError (it could not be published).
    """
    partial = out_dir.with_name(f".{out_dir.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        write_checked(trainee, partial)
        shutil.rmtree(out_dir, ignore_errors=True)
        partial.replace(out_dir)
    except OSError as error:
        raise StorageError(f"cannot write the adapter: {error}", "free some disk space") from error
    return describe_files(out_dir)


def describe_training(recipe: Recipe, documents: int, steps: int, tokens: int, seconds: float) -> Facts:
    """What the manifest says about a training: integers and text only."""
    return {
        "method": "qlora-nf4",
        "documents": documents,
        "steps": steps,
        "tokens": tokens,
        "seconds": round(seconds),
        "rank": recipe.rank,
        "alpha": recipe.alpha,
        "epochs": recipe.epochs,
        "batch_documents": recipe.batch_documents,
        "max_tokens": recipe.max_tokens,
        "learning_rate": f"{recipe.learning_rate:g}",
        "goldfish": recipe.goldfish,
        "seed": recipe.seed,
    }


def describe_evaluation(before: float, after: float, tokens: int) -> Facts:
    """What the manifest says about an evaluation: perplexities as decimal text, and over how many tokens."""
    if not tokens:
        return {"tokens": 0}
    texts = {key: f"{math.exp(min(loss, 20)):.2f}" for key, loss in (("before", before), ("after", after))}
    return {"perplexity_before": texts["before"], "perplexity_after": texts["after"], "tokens": tokens}
