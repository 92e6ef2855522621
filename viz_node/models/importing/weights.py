"""The matrices of a stranger's weights file: names brought into one form, values looked at, nothing trusted.

The header is decoded into a fixed form before anything else, so that one that is no list of tensors costs nothing, and
read a second time by the strict parser, which refuses what the first passes over, such as a name that stands twice.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from typing import NoReturn

import msgspec
import numpy as np
from numpy.typing import NDArray

from viz_node.domain.strict_json import parse_json
from viz_node.errors import VerificationError
from viz_node.models.adapter_files import MAX_HEADER_BYTES, MAX_JSON_DEPTH, MAX_RANK, WEIGHTS_NAME

MOST_MATRICES = 14_000
# Trained matrices hold numbers far below one; a thousand is no result of a training.
MAX_VALUE = 1000.0
_BLOCK_BYTES = 1 << 20
_MOST_SIZE = 1 << 24
_LONGEST_NAME = 400
ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
_MOST_METADATA_BYTES = 64 * 1024
_WRAPPERS = re.compile(r"(?:^module\.|(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.)")
_PREFIX = "base_model.model."
_MATRIX = re.compile(r"((?:[A-Za-z0-9_]+\.)*[A-Za-z0-9_]+)\.lora_([AB])(\.[A-Za-z0-9_-]+)?\.weight")
# Part of a tensor's name -> what such a tensor is, and what the person can do.
_REFUSED_TENSORS: Mapping[str, tuple[str, str]] = {
    "lora_magnitude_vector": ("belongs to DoRA", "train it again with use_dora off, as plain LoRA"),
    "lora_embedding_": ("changes the embeddings", "train it again without embed_tokens in target_modules"),
    "modules_to_save": ("is a whole layer", "train it again without modules_to_save"),
    "trainable_tokens": ("changes the embeddings of tokens", "train it again without trainable_token_indices"),
    "token_adapter": ("changes the embeddings of tokens", "train it again without trainable_token_indices"),
    "ia3_l": ("belongs to IA3", "import a LoRA adapter"),
    "hada_": ("belongs to LoHa", "import a LoRA adapter"),
    "lokr_": ("belongs to LoKr", "import a LoRA adapter"),
    "oft_": ("belongs to OFT", "import a LoRA adapter"),
    "boft_": ("belongs to BOFT", "import a LoRA adapter"),
    "vera_lambda": ("belongs to VeRA", "import a LoRA adapter"),
    "prompt_embeddings": ("belongs to prompt tuning", "import a LoRA adapter"),
    "lora_diag": ("belongs to KaSA", "train it again as plain LoRA"),
    ".bias": ("is a bias", "train it again with bias none"),
}
_HEADS = {
    "lm_head": ("changes the output head", "train it again without lm_head in target_modules"),
    "embed_tokens": ("changes the embeddings", "train it again without embed_tokens in target_modules"),
}


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


_PARTS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_METADATA = msgspec.json.Decoder(dict[str, str])
_ENTRY = msgspec.json.Decoder(_Entry)


@dataclass(frozen=True)
class Matrix:
    """One matrix in the file: its type, (rows, columns), and where its bytes start in the file."""

    dtype: str
    shape: tuple[int, int]
    start: int

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self.shape[0] * self.shape[1] * ITEM_BYTES[self.dtype]


@dataclass(frozen=True)
class Pair:
    """The two matrices of one layer: `a` is rank x inputs, `b` is outputs x rank."""

    a: Matrix
    b: Matrix


def read_pairs(file: BufferedReader, size: int) -> dict[str, Pair]:
    """The matrices by module path of the base model. Raises: VerificationError (malformed, or no plain LoRA)."""
    sides: dict[str, dict[str, Matrix]] = {}
    adapters: set[str] = set()
    for name, matrix in _read_header(file, size):
        path, side, adapter = _parse_name(name)
        adapters.add(adapter)
        if side in sides.setdefault(path, {}):
            refuse(f"two tensors are lora_{side} of {path}")
        sides[path][side] = matrix
    if len(adapters) > 1:
        refuse(f"it holds several adapters: {', '.join(sorted(adapters))[:80]}", "save the one alone that you mean")
    for path, found in sides.items():
        if found.keys() != {"A", "B"}:
            refuse(f"{path} lacks its lora_{'B' if 'A' in found else 'A'}", "save it again with PEFT")
        if found["A"].shape[0] != found["B"].shape[1]:
            refuse(f"the matrices of {path} have two ranks", "save it again with PEFT")
    if not sides:
        refuse("it holds no matrix", "save it again with PEFT")
    return {path: Pair(found["A"], found["B"]) for path, found in sorted(sides.items())}


def read_matrix(file: BufferedReader, matrix: Matrix) -> NDArray[np.float32]:
    """All numbers of a matrix, rows x columns, exactly. Raises: VerificationError (the file ended early)."""
    file.seek(matrix.start)
    raw = file.read(matrix.size)
    if len(raw) != matrix.size:
        refuse("the file ended early", "copy it again")
    return _as_floats(raw, matrix.dtype).reshape(matrix.shape)


def check_values(file: BufferedReader, pairs: Mapping[str, Pair]) -> int:
    """How many layers the adapter leaves as they are since a matrix of theirs is zero; reads the whole file once.

    Raises: VerificationError (NaN, infinity, absurd numbers, or no layer is changed).
    """
    idle = 0
    for path, pair in pairs.items():
        largest = [_largest(file, f"{path}.lora_{side}", matrix) for side, matrix in (("A", pair.a), ("B", pair.b))]
        idle += min(largest) == 0
    if idle == len(pairs):
        refuse("all its updates are zero, so it changes nothing", "was it saved before it was trained?")
    return idle


def refuse(what: str, hint: str = "save it again with PEFT and import that") -> NoReturn:
    """Raises: VerificationError, always, about the weights."""
    raise VerificationError(f"{WEIGHTS_NAME}: {what}", hint)


def _read_header(file: BufferedReader, size: int) -> Iterator[tuple[str, Matrix]]:
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
        refuse(f"its header is to have {length:,} bytes, which cannot be", "copy it again: it may be cut off")
    raw = file.read(length)
    body = _decoded(raw)
    position = 0
    for name, entry in sorted(body.items(), key=lambda item: item[1].data_offsets):
        start, end = entry.data_offsets
        if start != position or end < start:
            refuse("its tensors overlap or leave gaps", "copy it again, or save it again with PEFT")
        position = end
        yield name, _matrix(name, entry, 8 + length)
    if 8 + length + position != size:
        refuse("its size is not what its header says", "copy it again: it may be cut off")


def _decoded(raw: bytes) -> dict[str, _Entry]:
    try:
        parts = _PARTS.decode(raw)
        metadata = parts.pop("__metadata__", None)
        if metadata is not None:
            if len(metadata) > _MOST_METADATA_BYTES:
                refuse("its header holds more than 64 KiB of metadata")
            _METADATA.decode(metadata)
        if len(parts) > MOST_MATRICES:
            refuse("it holds too many tensors")
        body = {name: _ENTRY.decode(part) for name, part in parts.items()}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        refuse(f"its header is malformed: {str(error)[:100]}", "copy it again")
    try:
        # The first pass lets a name stand twice.
        parse_json(raw, MAX_JSON_DEPTH)
    except ValueError as error:
        refuse(f"its header is malformed: {error}")
    return body


def _matrix(name: str, entry: _Entry, data_start: int) -> Matrix:
    if entry.dtype not in ITEM_BYTES:
        refuse(f"{_shown(name)} is {_shown(entry.dtype)}, not F32, F16 or BF16", "save it again in one of them")
    _check_kind(name)
    if len(entry.shape) != 2 or not all(0 < length <= _MOST_SIZE for length in entry.shape):
        refuse(f"{_shown(name)} is no matrix of a linear layer", "train it on linear layers alone")
    matrix = Matrix(entry.dtype, (entry.shape[0], entry.shape[1]), data_start + entry.data_offsets[0])
    if entry.data_offsets[1] - entry.data_offsets[0] != matrix.size:
        refuse(f"{_shown(name)} does not have the size of its shape")
    if min(matrix.shape) > MAX_RANK:
        refuse(f"{_shown(name)} has a rank of more than {MAX_RANK}", f"train it again with a rank up to {MAX_RANK}")
    return matrix


def _check_kind(name: str) -> None:
    """Raises: VerificationError (a tensor of another method than LoRA, or of a layer that stays as it is)."""
    known = next((words for part, words in _REFUSED_TENSORS.items() if part in name), None)
    known = known or next((words for part, words in _HEADS.items() if f".{part}." in f".{name}"), None)
    if known:
        refuse(f"{_shown(name)} {known[0]}", known[1])


def _parse_name(name: str) -> tuple[str, str, str]:
    """Module path, side and adapter of a tensor's name."""
    plain = _WRAPPERS.sub("", name) if len(name) <= _LONGEST_NAME else ""
    match = _MATRIX.fullmatch(plain.removeprefix(_PREFIX))
    if match is None:
        refuse(f"{_shown(name)} is no matrix of LoRA", "import a LoRA adapter as PEFT writes it")
    return match.group(1), match.group(2), match.group(3) or ""


def _largest(file: BufferedReader, name: str, matrix: Matrix) -> float:
    """The largest magnitude. Raises: VerificationError (not finite, absurd, or the file ended early)."""
    file.seek(matrix.start)
    remaining, largest = matrix.size, 0.0
    while remaining > 0:
        block = file.read(min(remaining, _BLOCK_BYTES))
        if not block:
            refuse("the file ended early", "copy it again")
        remaining -= len(block)
        found = float(np.abs(_as_floats(block, matrix.dtype)).max())
        # Not `found > MAX_VALUE`, which is false for NaN.
        if not found <= MAX_VALUE:
            refuse(f"{name} holds NaN, infinity or an absurd number", "the training diverged: train it again")
        largest = max(largest, found)
    return largest


def _as_floats(raw: bytes, dtype: str) -> NDArray[np.float32]:
    if dtype == "BF16":
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(raw, "<f4" if dtype == "F32" else "<f2").astype(np.float32, copy=False)


def _shown(name: str) -> str:
    text = repr(name)
    return text if len(text) <= 120 else f"{text[:120]}…"
