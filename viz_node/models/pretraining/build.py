"""One pre-training from its order to a base model with its provenance: sources, recipe, curve, samples, software."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
import transformers

from viz_node import __version__
from viz_node.domain.names import FilePath
from viz_node.domain.pretraining import Pretrain
from viz_node.domain.sampling import Sampling
from viz_node.domain.sources import SourceList
from viz_node.domain.training import BaseReady
from viz_node.domain.worker import Progress
from viz_node.errors import StorageError, UsageError
from viz_node.models.bases import PROVENANCE_NAME, base_digest
from viz_node.models.inference import generate
from viz_node.models.pretraining.corpus import Corpus, make_corpus
from viz_node.models.pretraining.loop import Emit, Pretraining, bits_per_character
from viz_node.models.pretraining.tokens import train_tokenizer

PROMPTS = (
    "The old man looked at the sea and said",
    "“My dear,” said she, “",
    "It was a dark night when",
    "In the morning the children",
    "The house stood at the end of the road, and",
    "He opened the letter and read",
    "There was once a king who",
    "The train was late, and",
    "“I do not believe it,” said the doctor.",
    "At the edge of the forest",
)
SAMPLING, SAMPLE_TOKENS = Sampling(temperature=0.7), 80
_LEAST_CHARACTERS = 100_000


def pretrain(order: Pretrain, emit: Emit, is_stopping: Callable[[], bool] = lambda: False) -> BaseReady:
    """Train the base, or go on from the checkpoint, and write it to the order's folder in one step.

    Raises: UsageError (the folder exists, too little text), TrainingError (stopped, diverged), StorageError.
    """
    out = Path(order.out_dir)
    if out.exists():
        raise UsageError(f"{out} exists", "choose another name in the list of sources")
    emit(Progress("read", 0, 1))
    texts = {source.sha256: _read(Path(order.texts) / source.sha256) for source in order.listed.sources}
    corpus = corpus_of(order.listed, texts)
    if corpus.characters() < _LEAST_CHARACTERS:
        told = f"there are {corpus.characters()} characters to train on, and {_LEAST_CHARACTERS} are the least"
        raise UsageError(told, "add sources")
    recipe = order.recipe
    emit(Progress("tokenizer", 0, 1))
    tokenizer = train_tokenizer(corpus.train, recipe.vocabulary, recipe.typed_share, recipe.seed)
    training = Pretraining(corpus, recipe, tokenizer, Path(order.checkpoint_dir))
    training.steps(emit, is_stopping)
    digest = _write(training, order, out)
    shutil.rmtree(order.checkpoint_dir, ignore_errors=True)
    return BaseReady(order.listed.name, FilePath(str(out)), digest)


def corpus_of(listed: SourceList, texts: Mapping[str, str]) -> Corpus:
    """The corpus of a list; `texts` holds the text of each source by the source's SHA-256."""
    parts = {
        held_out: [texts[source.sha256] for source in listed.sources if source.held_out is held_out]
        for held_out in (False, True)
    }
    return make_corpus(parts[False], parts[True], listed.leave_out)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"the text {path.name[:12]}… is not there: {error}", "start the job again") from error


def _write(training: Pretraining, order: Pretrain, out: Path) -> str:
    partial = out.with_name(f".{out.name}.partial")
    model = training.model.cpu().eval()
    model.config.use_cache = True
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        training.tokenizer.save_pretrained(partial)
        model.save_pretrained(partial)
        provenance = _provenance(training, order, base_digest(partial))
        (partial / PROVENANCE_NAME).write_text(json.dumps(provenance, indent=1, sort_keys=True) + "\n")
        partial.replace(out)
    except OSError as error:
        raise StorageError(f"cannot write the base model: {error}", "free some disk space") from error
    return str(provenance["digest"])


def _provenance(training: Pretraining, order: Pretrain, digest: str) -> dict[str, Any]:
    corpus, run, model = training.corpus, training.run, training.model
    tokens = run.step * order.recipe.step_tokens()
    held_out = bits_per_character(model, training.tokenizer, corpus.held_out) if corpus.held_out else None
    return {
        "format": "viz-node/base/1",
        "name": order.listed.name,
        "digest": digest,
        "license": order.listed.license,
        "sources": [msgspec.to_builtins(source) for source in order.listed.sources],
        "leave_out": list(order.listed.leave_out),
        "left_out_characters": dict(corpus.left_out),
        "recipe": msgspec.structs.asdict(order.recipe),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "characters": corpus.characters(),
        "tokens": tokens,
        "passes": f"{tokens / max(1, training.tokens_per_pass):.2f}",
        "seconds": round(run.seconds),
        "held_out_bits_per_character": None if held_out is None else f"{held_out:.3f}",
        "losses": [[step, f"{loss:.4f}"] for step, loss in run.losses],
        "held_out_curve": [[step, f"{bits:.4f}"] for step, bits in run.held_out],
        "samples": [{"prompt": prompt, "text": _sample(training, prompt)} for prompt in PROMPTS],
        "software": {
            "viz-node": __version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "precision": str(training.network.precision).removeprefix("torch."),
            "compiled": training.network.is_compiled,
            "threads": torch.get_num_threads(),
        },
    }


def _sample(training: Pretraining, prompt: str) -> str:
    written = generate(training.model, training.tokenizer, prompt, SAMPLE_TOKENS, SAMPLING, lambda piece: None)
    return written.text
