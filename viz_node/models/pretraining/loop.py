"""The loop of a pre-training: steps, measurements, checkpoints that replace each other as a whole, exact resume.

What a step sees follows from the documents, the recipe and the number of the step; a run that was killed goes on from
its last checkpoint and ends, on one machine with one number of threads, with the weights of a run that was not.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn import functional
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from viz_node.domain.pretraining import PretrainRecipe
from viz_node.domain.worker import Progress
from viz_node.errors import TrainingError, UsageError
from viz_node.models.checkpoints import write_checkpoint
from viz_node.models.pretraining.corpus import Corpus
from viz_node.models.pretraining.network import Network, new_model, new_optimizers
from viz_node.models.pretraining.tokens import BEGIN, encode_pass

CHECKPOINT_SECONDS = 60.0
CHECKPOINT_NAME = "pretraining.safetensors"
_POINTS, _MEASUREMENTS = 400, 20
_MEASURED_CHARACTERS = 120_000

Emit = Callable[[Progress], None]


@dataclass
class Run:
    """Where a run is. `losses` are (step, nats per token), `held_out` (step, bits per character)."""

    step: int = 0
    number: int = 0
    offset: int = 0
    seconds: float = 0.0
    losses: list[tuple[int, float]] = field(default_factory=list)
    held_out: list[tuple[int, float]] = field(default_factory=list)


class Pretraining:
    """A model in the making."""

    def __init__(
        self, corpus: Corpus, recipe: PretrainRecipe, tokenizer: PreTrainedTokenizerFast, directory: Path
    ) -> None:
        self.corpus, self.recipe, self.tokenizer = corpus, recipe, tokenizer
        self.network = Network(new_model(recipe, len(tokenizer)))
        self._optimizers = new_optimizers(self.network.model, recipe)
        self._path = directory / CHECKPOINT_NAME
        self._fingerprint = _fingerprint(corpus, recipe)
        self.tokens_per_pass = 0
        self.run = self._resumed()

    @property
    def model(self) -> LlamaForCausalLM:
        return self.network.model

    def steps(self, emit: Emit, is_stopping: Callable[[], bool]) -> None:
        """Take the steps that are left. Raises: TrainingError (stopped with a checkpoint, diverged), StorageError."""
        recipe, run = self.recipe, self.run
        saved, first, earlier, started = time.monotonic(), run.step, run.seconds, time.monotonic()
        every, often = max(1, recipe.steps // _MEASUREMENTS), max(1, recipe.steps // _POINTS)
        stream = self._stream(run.number)
        if len(stream) <= recipe.step_tokens():
            raise UsageError(
                f"a step takes {recipe.step_tokens()} tokens, a pass has {len(stream)}", "use a smaller batch"
            )
        self.model.train()
        while run.step < recipe.steps:
            if run.offset + recipe.step_tokens() >= len(stream):
                run.number, run.offset = run.number + 1, 0
                stream = self._stream(run.number)
            loss = self._step(stream[run.offset : run.offset + recipe.step_tokens() + 1])
            run.offset, run.step = run.offset + recipe.step_tokens(), run.step + 1
            if not math.isfinite(loss):
                raise TrainingError(f"the loss is {loss} at step {run.step}", "pre-train with lower rates")
            if run.step % often == 0:
                run.losses.append((run.step, round(loss, 4)))
            if run.step % every == 0 and run.step < recipe.steps:
                self._note_held_out()
            elapsed = time.monotonic() - started
            run.seconds = earlier + elapsed
            emit(self._progress(loss, elapsed / (run.step - first)))
            if is_stopping():
                self.save()
                raise TrainingError(f"stopped at step {run.step} of {recipe.steps}", "start the job again to continue")
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                self.save()
                saved = time.monotonic()
        self._note_held_out()
        self.save()

    def _note_held_out(self) -> None:
        """Bits per character of the held-out documents, of about 120,000 characters spread over them."""
        measured = spread(self.corpus.held_out, _MEASURED_CHARACTERS)
        noted = self.run.held_out[-1:]
        if measured and not (noted and noted[0][0] == self.run.step):
            bits = bits_per_character(self.model, self.tokenizer, measured)
            self.run.held_out.append((self.run.step, round(bits, 4)))

    def save(self) -> None:
        """Replace the checkpoint. Raises: StorageError."""
        tensors = {f"value/{name}": value.detach().cpu() for name, value in self.model.named_parameters()}
        for place, (optimizer, _) in enumerate(self._optimizers):
            for number, moments in optimizer.state_dict()["state"].items():
                tensors |= {f"state/{place}/{number}/{key}": value.cpu() for key, value in moments.items()}
        metadata = {"fingerprint": self._fingerprint, "run": json.dumps(asdict(self.run))}
        write_checkpoint(self._path, tensors, metadata)

    def _resumed(self) -> Run:
        """The run of the checkpoint, with its weights and moments; a new one if there is none, or it is another's."""
        try:
            with safe_open(self._path, framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("fingerprint") != self._fingerprint:
                    return Run()
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (safe_open is no mapping)
            run = msgspec.json.decode(metadata["run"], type=Run)
            values = [(value, tensors[f"value/{name}"]) for name, value in self.model.named_parameters()]
        except (OSError, SafetensorError, KeyError, msgspec.MsgspecError):
            return Run()
        for value, kept in values:
            value.data.copy_(kept)
        for place, (optimizer, _) in enumerate(self._optimizers):
            state: dict[int, dict[str, Tensor]] = {}
            for name, tensor in tensors.items():
                if name.startswith(f"state/{place}/"):
                    _, _, number, key = name.split("/")
                    state.setdefault(int(number), {})[key] = tensor
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        return run

    def _stream(self, number: int) -> Tensor:
        recipe = self.recipe
        stream = encode_pass(self.tokenizer, self.corpus.train, recipe.typed_share, recipe.seed, number)
        self.tokens_per_pass = len(stream)
        return stream

    def _step(self, tokens: Tensor) -> float:
        row = self.recipe.row_tokens(self.run.step)
        tokens = tokens.long().to(self.network.device)
        loss = self.network.loss(tokens[:-1].view(-1, row), tokens[1:].view(-1, row))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer, peak in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = peak * self.recipe.rate_share(self.run.step)
            optimizer.step()
            optimizer.zero_grad()
        return float(loss.detach())

    def _progress(self, loss: float, seconds_per_step: float) -> Progress:
        speed, left = self.recipe.step_tokens() / seconds_per_step, self.recipe.steps - self.run.step
        return Progress(
            "pretrain",
            self.run.step,
            self.recipe.steps,
            round(loss, 4),
            round(speed, 1),
            round(left * seconds_per_step, 1),
        )


def bits_per_character(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, documents: Sequence[str]) -> float:
    """How many bits the model needs for a character of these documents, each cut at the model's context."""
    nats, characters, was_training = 0.0, 0, model.training
    model.eval()
    with torch.no_grad():
        for document in documents:
            ids = tokenizer(document, add_special_tokens=False)["input_ids"]
            row = torch.tensor([[BEGIN, *ids][: model.config.max_position_embeddings]], device=model.device)
            logits = model(input_ids=row).logits[0, :-1].float()
            nats += float(functional.cross_entropy(logits, row[0, 1:], reduction="sum"))
            characters += len(tokenizer.decode(row[0, 1:]))
    model.train(was_training)
    return nats / max(1, characters) / math.log(2)


def spread(documents: Sequence[str], characters: int) -> list[str]:
    """Every n-th document, so that about so many characters come together; all, if they are fewer."""
    every = max(1, math.ceil(sum(map(len, documents)) / characters))
    return list(documents[::every])


def _fingerprint(corpus: Corpus, recipe: PretrainRecipe) -> str:
    """Names the run: a checkpoint of any other is ignored."""
    texts = hashlib.sha256("\0".join([*corpus.train, "", *corpus.held_out]).encode()).hexdigest()
    return hashlib.sha256(f"{texts}:{msgspec.json.encode(recipe, order='sorted').decode()}".encode()).hexdigest()
