"""The lean QLoRA loop: packed documents, fused functions, atomic checkpoints, exact resume.

All that decides a step (documents, their order, learning rate, what dropout drops) follows from the recipe and the
step's number; a run resumed from a checkpoint therefore ends where an uninterrupted one would. The held-out texts are
evaluated now and then, and the weights that did best on them are the ones written.
"""

import hashlib
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError, safe_open

from viz_node.domain.names import FilePath
from viz_node.domain.recipe import Recipe
from viz_node.domain.report import MOST_POINTS, CurvePoint
from viz_node.domain.training import AUTO, AdapterTrained, Facts, FileFacts
from viz_node.domain.worker import Progress
from viz_node.errors import StorageError, TrainingError, UsageError, disk_full
from viz_node.models.adapter_files import describe_files
from viz_node.models.bases import ResolvedBase
from viz_node.models.checkpoints import write_checkpoint
from viz_node.models.documents import CUTTING, tokenize
from viz_node.models.evaluating import Emit, evaluate, progress
from viz_node.models.fused import TokenizedDocument
from viz_node.models.held_out import best_point, evaluation_interval, has_stalled
from viz_node.models.loading import load_tokenizer
from viz_node.models.measuring import measure
from viz_node.models.preparing import Trainee, prepare, write_checked
from viz_node.models.recipes import batch_order, scheduled_rate
from viz_node.models.stepping import (
    dropping,
    new_optimizer,
    optimizer_tensors,
    restore_optimizer,
    set_rate,
    take_step,
)

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
        named = f"{CUTTING}:{self.base.digest}:{texts}:{self.recipe.digest()}"
        return hashlib.sha256(named.encode()).hexdigest()


@dataclass
class _State:
    """How far a run is; `losses` are those of the steps since the last point of the curve."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    curve: tuple[CurvePoint, ...] = ()

    def mark(self, held_out: float | None) -> None:
        """Add a point to the curve: the mean loss of the steps since the last one, and the held-out loss."""
        mean = sum(self.losses) / len(self.losses) if self.losses else None
        self.curve, self.losses = (*self.curve, CurvePoint(self.step, mean, held_out)), []


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
    run = _Run(peft_model, order, eval_documents, emit)
    state = run.resume()
    run.steps(state, documents, is_stopping)
    run.restore_best()
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
        describe_training(recipe, len(documents), state.step, state.tokens, state.seconds)
        | describe_choice(state.curve)
        | trainee.targets.facts()
        | trainee.memory(),
        describe_curve(state.curve, run.held_out_tokens),
        msgspec.structs.replace(measured, curve=state.curve),
    )


class _Run:
    """The loop with its optimizer, its checkpoint file, and a copy of the weights that did best so far."""

    def __init__(self, peft_model: Any, order: TrainOrder, held_out: Sequence[TokenizedDocument], emit: Emit) -> None:
        self.peft_model, self.order, self.held_out, self.emit = peft_model, order, held_out, emit
        self.held_out_tokens = sum(sum(document.counted) for document in held_out)
        self.parameters = {name: p for name, p in peft_model.named_parameters() if p.requires_grad}
        self.optimizer = new_optimizer(self.parameters.values(), order.recipe.learning_rate, order.recipe.optimizer)
        self.best: dict[str, torch.Tensor] = {}

    def look(self, state: _State) -> None:
        """Evaluate, add a point to the curve, and keep the weights if none did better. Raises: TrainingError."""
        measured, _ = evaluate(self.peft_model, self.held_out, self.emit, self.order.recipe.tokens_at_once)
        loss = measured if self.held_out else None
        if loss is not None and not math.isfinite(loss):
            raise _diverged("the loss on held-out text", loss, state.step, self.order.recipe)
        state.mark(loss)
        best = best_point(state.curve)
        if best is not None and best.step == state.step:
            self.best = {name: parameter.detach().cpu().clone() for name, parameter in self.parameters.items()}

    def restore_best(self) -> None:
        """Put the weights back that did best; without held-out texts the last ones stay."""
        for name, value in self.best.items():
            self.parameters[name].data.copy_(value)

    def steps(self, state: _State, documents: list[TokenizedDocument], is_stopping: Callable[[], bool]) -> None:
        """Train until the last step, or until the held-out loss no longer falls.

        Raises: TrainingError (stopped; diverged), StorageError.
        """
        recipe = self.order.recipe
        per_epoch = math.ceil(len(documents) / recipe.batch_documents)
        total = per_epoch * recipe.epochs
        mean_tokens = sum(len(document.ids) for document in documents) / per_epoch
        interval = evaluation_interval(total, mean_tokens, self.held_out_tokens, recipe.evaluations)
        if not state.curve:
            self.look(state)
        started, saved, first_tokens = time.perf_counter(), time.perf_counter(), state.tokens
        earlier, first_step = state.seconds, state.step
        while state.step < total and not has_stalled(state.curve, recipe.patience):
            epoch, index = divmod(state.step, per_epoch)
            chosen = batch_order(len(documents), recipe.batch_documents, epoch, recipe.seed)[index]
            batch = [documents[i] for i in chosen]
            rate = scheduled_rate(state.step, total, recipe.learning_rate, recipe.warmup_percent, recipe.schedule)
            set_rate(self.optimizer, rate)
            with dropping(self.peft_model, recipe, state.step):
                loss = take_step(self.peft_model, self.optimizer, batch, recipe.tokens_at_once)
            if not math.isfinite(loss):
                raise _diverged("the loss", loss, state.step + 1, recipe)
            state.step += 1
            state.losses.append(loss)
            state.tokens += sum(len(document.ids) for document in batch)
            elapsed = time.perf_counter() - started
            state.seconds = earlier + elapsed
            speed, eta = (state.tokens - first_tokens) / elapsed, elapsed / (state.step - first_step)
            self.emit(progress("train", state.step, total, loss, speed, (total - state.step) * eta))
            if state.step % interval == 0 or state.step == total:
                self.look(state)
            elif state.step % math.ceil(total / MOST_POINTS) == 0:
                state.mark(None)
            if is_stopping():
                self.save(state)
                raise TrainingError(f"stopped at step {state.step} of {total}", "start the job again to continue")
            if time.perf_counter() - saved > CHECKPOINT_SECONDS or state.step == interval:
                self.save(state)
                saved = time.perf_counter()

    def save(self, state: _State) -> None:
        """Replace the checkpoint as a whole. Raises: StorageError."""
        tensors = optimizer_tensors(self.optimizer, self.parameters)
        tensors |= {f"value/{name}": parameter.detach().cpu() for name, parameter in self.parameters.items()}
        tensors |= {f"best/{name}": value for name, value in self.best.items()}
        metadata = {"fingerprint": self.order.fingerprint(), "state": msgspec.json.encode(state).decode()}
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
            state = msgspec.json.decode(metadata["state"], type=_State)
            values = {name: tensors[f"value/{name}"] for name in self.parameters}
            has_best = best_point(state.curve) is not None
            self.best = {name: tensors[f"best/{name}"] for name in self.parameters} if has_best else {}
            restore_optimizer(self.optimizer, self.parameters, tensors)
        except (OSError, SafetensorError, KeyError, msgspec.MsgspecError):
            return _State()
        for name, parameter in self.parameters.items():
            parameter.data.copy_(values[name])
        return state


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
    except (OSError, SafetensorError) as error:
        raise disk_full(error) or StorageError(f"cannot write the adapter: {error}", "free some disk space") from error
    return describe_files(out_dir)


def describe_training(recipe: Recipe, documents: int, steps: int, tokens: int, seconds: float) -> Facts:
    """What the manifest says about a training: integers and text only."""
    facts: Facts = {
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
    return facts | {name: _told(value) for name, value in recipe.unusual().items()}


def _told(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value).lower()


def describe_choice(curve: Sequence[CurvePoint]) -> Facts:
    """Which step's weights were written, after how many evaluations; nothing if no text was held out."""
    best = best_point(curve)
    if best is None:
        return {}
    return {"best_step": best.step, "evaluations": sum(point.held_out is not None for point in curve) - 1}


def describe_curve(curve: Sequence[CurvePoint], tokens: int) -> Facts:
    """`describe_evaluation` of the untrained adapter and of the best one."""
    best = best_point(curve)
    if best is None:
        return describe_evaluation(0, 0, 0)
    return describe_evaluation(curve[0].held_out or 0.0, best.held_out or 0.0, tokens)


def describe_evaluation(before: float, after: float, tokens: int) -> Facts:
    """What the manifest says about an evaluation: perplexities as decimal text, and over how many tokens."""
    if not tokens:
        return {"tokens": 0}
    texts = {key: f"{math.exp(min(loss, 20)):.2f}" for key, loss in (("before", before), ("after", after))}
    return {"perplexity_before": texts["before"], "perplexity_after": texts["after"], "tokens": tokens}


def _diverged(what: str, loss: float, step: int, recipe: Recipe) -> TrainingError:
    return TrainingError(
        f"training diverged: {what} is {loss} at step {step}, with learning_rate = {recipe.learning_rate:g}",
        f"set learning_rate = {recipe.learning_rate / 3:.1g} or lower in the recipe, and train again",
    )
