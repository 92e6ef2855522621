"""The worker that stays: `python -m viz_node.models.writing` writes one text after another with what it has loaded.

Base model and adapter stay in memory. Files are read again, and their digests compared again, when an order names
others, or when theirs were changed. An adapter is taken off the base model before the next one is put on it.
"""

import gc
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from viz_node.domain.training import Generate, TextWritten
from viz_node.domain.worker import Progress, TextPiece
from viz_node.errors import VerificationError
from viz_node.models.bases import ResolvedBase, resolve_base
from viz_node.workers.serve import Emit, serve_in_turn

if TYPE_CHECKING:
    from torch.nn import Module
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Hidden size; measured with `benchmarks/writing.py`.
_SMALL_WIDTH = 1024
Stamp: TypeAlias = tuple[tuple[str, int, int, int], ...]
"""Name, inode, size and time of change of every file in a folder: not even a file with an older date put back fits."""


class Loaded:
    """The base model and the adapter that the last order named."""

    def __init__(self) -> None:
        self._base_key: object = None
        self._adapter_key: object = None
        self._base: ResolvedBase | None = None
        # Types of torch and transformers, which only the first order loads.
        self._model: Any = None
        self._tokenizer: Any = None

    def ready(self, order: Generate, emit: Emit) -> "tuple[Module, PreTrainedTokenizerBase]":
        """Model and tokenizer for this order. Raises: VerificationError, TrainingError, NotFoundError, UsageError."""
        key = order.base, order.device, stamp_of(Path(order.base.path))
        if key != self._base_key:
            emit(Progress("load", 0, 1))
            self._forget()
            self._load_base(order)
            _check_unchanged(Path(order.base.path), key[-1])
            self._base_key = key
        self._wear(order)
        return self._model, self._tokenizer

    def _load_base(self, order: Generate) -> None:
        from viz_node.models.dense import unpack_weights
        from viz_node.models.loading import load_base, load_tokenizer

        self._base = base = resolve_base(order.base)
        self._model = unpack_weights(load_base(base.directory, order.device).eval())
        self._tokenizer = load_tokenizer(base.directory)
        _choose_threads(self._model)

    def _wear(self, order: Generate) -> None:
        from viz_node.models.loading import load_adapter

        directory = Path(order.adapter_dir)
        key = (directory, order.adapter_digest, stamp_of(directory)) if order.adapter_dir else None
        if key == self._adapter_key:
            return
        if self._adapter_key is not None:
            self._adapter_key, self._model = None, self._model.unload()
        if key is not None:
            assert self._base is not None
            self._model = load_adapter(self._model, self._base, directory, order.adapter_digest)
            _check_unchanged(directory, key[-1])
            self._adapter_key = key

    def _forget(self) -> None:
        """Free the memory before another base model needs it."""
        self._base_key = self._adapter_key = self._base = self._model = self._tokenizer = None
        gc.collect()


def _choose_threads(model: "PreTrainedModel") -> None:
    """One thread for a small model: waking a second one takes longer than what it would compute of a token."""
    import torch

    usual = _threads()
    is_small = getattr(model.config.get_text_config(), "hidden_size", _SMALL_WIDTH) < _SMALL_WIDTH
    torch.set_num_threads(1 if is_small else usual)


@cache
def _threads() -> int:
    """As many as the process was given."""
    import torch

    return int(torch.get_num_threads())


def stamp_of(directory: Path) -> Stamp:
    """What tells the files of the folder from those that were there before. Raises: OSError."""
    if not directory.is_dir():
        return ()
    found = ((path.name, path.stat()) for path in sorted(directory.iterdir()))
    return tuple((name, facts.st_ino, facts.st_size, facts.st_ctime_ns) for name, facts in found)


def _check_unchanged(directory: Path, stamp: Stamp) -> None:
    if stamp_of(directory) != stamp:
        raise VerificationError(f"{directory} was changed while it was read", "ask again")


def write(loaded: Loaded, order: Generate, emit: Emit, check: Callable[[], None]) -> TextWritten:
    """Write on from the prompt, a piece after another; `check` is called before every token."""
    model, tokenizer = loaded.ready(order, emit)
    from viz_node.models.inference import generate

    check()
    emit(Progress("read", 0, 1))
    started, tokens = time.perf_counter(), 0

    def hear(text: str) -> None:
        nonlocal tokens
        check()
        tokens = min(tokens + 1, order.max_new_tokens)
        emit(Progress("write", tokens, order.max_new_tokens))
        if text:
            emit(TextPiece(text))

    written = generate(model, tokenizer, order.messages or order.prompt, order.max_new_tokens, order.sampling, hear)
    seconds = time.perf_counter() - started
    return msgspec.structs.replace(
        written, seconds=round(seconds, 2), tokens_per_second=round(written.tokens / seconds, 1)
    )


def main() -> int:
    """Serve the orders on stdin."""
    loaded = Loaded()

    def carry_out(order: Generate, emit: Emit, check: Callable[[], None]) -> TextWritten:
        return write(loaded, order, emit, check)

    return serve_in_turn(Generate, carry_out)


if __name__ == "__main__":
    sys.exit(main())
