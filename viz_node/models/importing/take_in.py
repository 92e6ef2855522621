"""One foreign adapter, from its folder to a folder in our form: read, fitted, rewritten, compared, evaluated, moved."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import PeftModel
from torch.nn.functional import cross_entropy

from viz_node.domain.importing import AdapterImported, ImportAdapter
from viz_node.domain.names import FilePath
from viz_node.domain.recipe import Recipe
from viz_node.domain.training import Facts
from viz_node.domain.worker import Progress
from viz_node.errors import StorageError, VerificationError
from viz_node.models.adapter_files import check_adapter, describe_files
from viz_node.models.bases import ResolvedBase, resolve_base
from viz_node.models.documents import tokenize
from viz_node.models.fused import TokenizedDocument
from viz_node.models.importing.convert import targeted_without_weights
from viz_node.models.importing.reading import ForeignAdapter, notes_of, read_foreign
from viz_node.models.importing.spectrum import Spectrum, measure
from viz_node.models.importing.verify import Comparison, check_fit, compare
from viz_node.models.loading import load_base, load_tokenizer
from viz_node.models.targets import adaptable_layers, module_names, shortest_names
from viz_node.models.training import describe_evaluation

Emit = Callable[[Progress], None]
WITNESSED = "imported, training not witnessed"
_MOST_STEPS = 300


def import_adapter(order: ImportAdapter, emit: Emit) -> AdapterImported:
    """Write the rewritten adapter to `out_dir`, whole or not at all.

    Raises: VerificationError (it is refused, or changed since it was inspected), StorageError, TrainingError (the base
    model does not load).
    """
    emit(Progress("read", 0, 1))
    base = resolve_base(order.base)
    with read_foreign(Path(order.source)) as found:
        if found.digest != order.weights_digest:
            raise VerificationError(f"{order.source} has changed since it was looked at", "import it again")
        spectrum = measure(found.weights, found.pairs, lambda step, steps: emit(Progress("spectrum", step, steps)))
        emit(Progress("load", 0, 1))
        model = load_base(base.directory, order.device, torch.float32).eval()
        layers = adaptable_layers(model)
        check_fit(found, layers, base.name)
        idle = targeted_without_weights(found.config, found.pairs, list(layers))
        out = Path(order.out_dir)
        with _beside(out) as partial:
            emit(Progress("rewrite", 0, 1))
            names = shortest_names(found.pairs, module_names(model))
            found.conversion.write(found.weights, partial, names, base.name)
            check_adapter(partial, layers)
            emit(Progress("compare", 0, 1))
            tokenizer = load_tokenizer(base.directory)
            compared, peft_model = compare(model, tokenizer, base, found, partial)
            evaluation = _evaluate(peft_model, tokenizer, order.eval_texts, emit)
            partial.replace(out)
        return AdapterImported(
            directory=FilePath(str(out)),
            files=describe_files(out),
            training=_describe(found, compared, spectrum),
            evaluation=evaluation,
            notes=(*notes_of(found), *_notes(found, idle, spectrum, base)),
        )


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """An empty folder beside `out`, gone afterwards unless it was moved there. Raises: StorageError."""
    partial = out.with_name(f".{out.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(out, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
    except OSError as error:
        raise StorageError(f"cannot write the adapter: {error}", "free some disk space") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _evaluate(peft_model: PeftModel, tokenizer: object, texts: Sequence[str], emit: Emit) -> Facts:
    """Perplexity with the adapter and without; the fused functions take only adapters of all layers."""
    documents = tokenize(tokenizer, texts, Recipe().max_tokens)
    if not documents:
        return {}
    with peft_model.disable_adapter():
        before, _ = _mean_loss(peft_model, documents, emit)
    after, tokens = _mean_loss(peft_model, documents, emit)
    return describe_evaluation(before, after, tokens)


def _mean_loss(model: PeftModel, documents: Sequence[TokenizedDocument], emit: Emit) -> tuple[float, int]:
    total, count = 0.0, 0
    for number, document in enumerate(documents):
        emit(Progress("evaluate", number, len(documents)))
        ids = torch.tensor(document.ids, device=model.device)
        with torch.no_grad():
            logits = model(input_ids=ids[None]).logits[0, :-1].float()
        total, count = total + float(cross_entropy(logits, ids[1:], reduction="sum")), count + len(ids) - 1
    return total / max(1, count), count


def _describe(found: ForeignAdapter, compared: Comparison, spectrum: Spectrum | None) -> Facts:
    """What a manifest says about an adapter whose training nobody here saw."""
    facts: Facts = {
        "method": "imported",
        "origin": WITNESSED,
        "rank": found.conversion.rank,
        "alpha": found.conversion.alpha,
        "layers": len(found.pairs),
        "source_digest": found.digest,
        "difference_from_peft": f"{compared.difference:.1e}",
        "change_of_logits": f"{compared.change:.3g}",
    }
    if found.config.base_name:
        facts["named_base"] = found.config.base_name
    if found.conversion.steps:
        facts["rewritten"] = "; ".join(found.conversion.steps)[:_MOST_STEPS]
    if spectrum is not None:
        facts["concentration"] = f"{spectrum.mean:.3f}"
    return facts


def _notes(found: ForeignAdapter, idle: Sequence[str], spectrum: Spectrum | None, base: ResolvedBase) -> Iterator[str]:
    if idle:
        yield f"{len(idle)} layers that its configuration means have no weights and stay as they are, as in PEFT"
    if found.config.base_name and found.config.base_name not in base.name:
        yield f"it names {found.config.base_name} as its base model, and was compared on {base.name}"
    if spectrum is not None and spectrum.is_conspicuous():
        yield spectrum.sentence()
