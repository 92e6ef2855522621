"""A strict reader and writer of adapter folders: two files, our own config schema, no torch and nothing executed.

PEFT runs `target_modules` as a regular expression, allocates whatever `r` says and falls back to pickle, so the
folder of a stranger never reaches it before `check_adapter` has compared every name, shape, type and number with
what they must be.
"""

import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from viz_node.domain.hub import parse_hub_model
from viz_node.domain.strict_json import parse_json
from viz_node.domain.training import FileFacts
from viz_node.errors import StorageError, UsageError, VerificationError, already_there

CONFIG_NAME = "adapter_config.json"
WEIGHTS_NAME = "adapter_model.safetensors"
MAX_RANK = 256
MAX_ALPHA = 1024
MAX_CONFIG_BYTES = 64 * 1024
MAX_HEADER_BYTES = 1024 * 1024
MAX_WEIGHTS_BYTES = 2 * 1024**3

_ITEM_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
_EXPONENT_BITS = {"F32": 0x7F800000, "F16": 0x7C00, "BF16": 0x7F80}
_WORD, _NUMBER = r"[A-Za-z_][A-Za-z0-9_]{0,39}", r"(?:0|[1-9][0-9]{0,2})"
# The path of a layer in a block: words, the block's number, then words and numbers.
_TENSOR_NAME = re.compile(
    rf"base_model\.model\.((?:{_WORD}\.){{1,5}}{_NUMBER}\.{_WORD}(?:\.(?:{_WORD}|{_NUMBER})){{0,9}})"
    r"\.lora_(A\.weight|B\.weight|magnitude_vector)"
)
_PLACES = {"A": "A.weight", "B": "B.weight", "magnitude": "magnitude_vector"}
_TARGET_NAME = re.compile(rf"{_WORD}(?:\.(?:{_WORD}|{_NUMBER})){{0,15}}")
_MOST_TARGETS = 4096
_MOST_TENSORS = 14_000
_FIXED_CONFIG: dict[str, Any] = {
    "bias": "none",
    "fan_in_fan_out": False,
    "inference_mode": True,
    "init_lora_weights": True,
    "lora_dropout": 0.0,
    "modules_to_save": None,
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "use_rslora": False,
}
_FREE_CONFIG = {"base_model_name_or_path", "lora_alpha", "r", "target_modules", "use_dora"}

MAX_JSON_DEPTH = 16

Shape: TypeAlias = tuple[int, int]
"""Outputs and inputs of a linear layer."""


@dataclass(frozen=True)
class AdapterFacts:
    """What a checked adapter folder holds; each of `modules` ends the paths of the layers that it changes.

    With DoRA (Liu et al. 2024) a layer also has a vector of magnitudes, one for each of its outputs.
    """

    rank: int
    alpha: int
    modules: tuple[str, ...]
    parameters: int
    base_name: str
    is_dora: bool = False


@dataclass(frozen=True)
class _Tensor:
    """A vector of magnitudes has the shape (outputs, 1) here."""

    name: str
    dtype: str
    shape: Shape
    start: int
    end: int


def check_adapter(directory: Path, base_shapes: Mapping[str, Shape] | None = None) -> AdapterFacts:
    """Accept exactly an adapter as we write it, reading nothing beyond the caps.

    `base_shapes` maps a module path like `model.layers.0.mlp.up_proj` to its shape; the adapter must then change
    exactly those of them that its config names. Raises: VerificationError.
    """
    _check_folder(directory)
    facts = _parse_config((directory / CONFIG_NAME).read_bytes())
    tensors, data_start = _read_tensors(directory / WEIGHTS_NAME)
    _check_layout(tensors, facts)
    if base_shapes is not None:
        _check_fit(tensors, facts, base_shapes)
    _check_finite(directory / WEIGHTS_NAME, tensors, data_start)
    return replace(facts, parameters=sum(tensor.shape[0] * tensor.shape[1] for tensor in tensors))


def config_bytes(rank: int, alpha: int, modules: Iterable[str], base_name: str, is_dora: bool = False) -> bytes:
    """The PEFT config of our schema. Raises: UsageError (a value that `check_adapter` would refuse)."""
    body = {**_FIXED_CONFIG, "r": rank, "lora_alpha": alpha, "target_modules": sorted(modules)}
    body |= {"base_model_name_or_path": base_name, "use_dora": is_dora}
    raw = (json.dumps(body, indent=2, sort_keys=True) + "\n").encode()
    try:
        _parse_config(raw)
    except VerificationError as error:
        raise UsageError(error.message, "choose another rank, alpha, module list or base name") from error
    return raw


def export_adapter(directory: Path, destination: Path, card: str = "") -> dict[str, FileFacts]:
    """Copy a checked adapter to a new folder that PEFT opens; returns the facts of its files by name.

    A base model of a hub is named as PEFT finds it there, by repository and revision; `card` becomes the README.
    The folder is there whole or not at all, and nothing that was there before is touched.
    Raises: VerificationError (not an adapter), RefusedError (the destination exists), StorageError.
    """
    facts = check_adapter(directory)
    if os.path.lexists(destination):
        raise already_there(destination, "export to a folder that does not exist yet")
    made: Path | None = None
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{destination.name[:100]}.", dir=destination.parent))
        (made / CONFIG_NAME).write_bytes(_exported_config(facts))
        shutil.copyfile(directory / WEIGHTS_NAME, made / WEIGHTS_NAME)
        if card:
            (made / "README.md").write_text(card, encoding="utf-8")
        made.chmod(0o755)
        made.rename(destination)
        made = None
    except OSError as error:
        raise StorageError(f"cannot export to {destination}: {error.strerror}", "choose another folder") from error
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)
    return describe_files(destination)


def _exported_config(facts: AdapterFacts) -> bytes:
    raw = config_bytes(facts.rank, facts.alpha, facts.modules, facts.base_name, facts.is_dora)
    try:
        model = parse_hub_model(facts.base_name)
    except UsageError:
        # A name of no hub, or a stranger's that is none.
        return raw
    body = json.loads(raw) | {"base_model_name_or_path": model.repository, "revision": model.commit}
    return (json.dumps(body, indent=2, sort_keys=True) + "\n").encode()


def describe_files(directory: Path) -> dict[str, FileFacts]:
    """Size and SHA-256 of the two files of an adapter."""
    described = {}
    for name in (CONFIG_NAME, WEIGHTS_NAME):
        with (directory / name).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        described[name] = FileFacts((directory / name).stat().st_size, digest)
    return described


def adapter_digest(directory: Path) -> str:
    """SHA-256 over names and digests of both files."""
    lines = [f"{name} {facts.digest}\n" for name, facts in sorted(describe_files(directory).items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def is_adaptable(path: str) -> bool:
    """Whether an adapter's file can name the layer at this module path."""
    return _TENSOR_NAME.fullmatch(tensor_name(path, "A")) is not None


def picks(names: Collection[str], path: str) -> bool:
    """Whether one of the names is the end of this module path, as PEFT reads `target_modules`."""
    parts = path.split(".")
    return any(".".join(parts[start:]) in names for start in range(len(parts)))


def tensor_name(module_path: str, side: str) -> str:
    """The name in the weights file of side `A`, `B` or `magnitude` of a module path of the base model."""
    return f"base_model.model.{module_path}.lora_{_PLACES[side]}"


def _check_folder(directory: Path) -> None:
    try:
        if not stat.S_ISDIR(directory.lstat().st_mode):
            raise VerificationError(f"{directory} is not an adapter folder")
        kinds: dict[str, bool] = {}
        for entry in os.scandir(directory):
            if len(kinds) > 2:
                break
            kinds[entry.name] = entry.is_file(follow_symlinks=False)
        if set(kinds) != {CONFIG_NAME, WEIGHTS_NAME} or not all(kinds.values()):
            raise VerificationError(f"an adapter folder holds exactly {CONFIG_NAME} and {WEIGHTS_NAME}, as plain files")
        config_size = (directory / CONFIG_NAME).stat().st_size
        weights_size = (directory / WEIGHTS_NAME).stat().st_size
    except OSError as error:
        raise VerificationError(f"the adapter folder cannot be read: {error}") from error
    if config_size > MAX_CONFIG_BYTES or weights_size > MAX_WEIGHTS_BYTES:
        raise VerificationError("an adapter file is larger than allowed")


def parse_strict_json(raw: bytes) -> Any:
    """JSON in UTF-8 without repeated keys or NaN. Raises: VerificationError."""
    try:
        return parse_json(raw, MAX_JSON_DEPTH)
    except ValueError as error:
        raise VerificationError(f"malformed JSON: {error}") from error


def _parse_config(raw: bytes) -> AdapterFacts:
    """All facts but the number of parameters, which is 0."""
    body = parse_strict_json(raw)
    if not isinstance(body, dict) or set(body) != set(_FIXED_CONFIG) | _FREE_CONFIG:
        raise VerificationError(f"{CONFIG_NAME} does not have exactly the keys of our schema")
    for key, value in _FIXED_CONFIG.items():
        if type(body[key]) is not type(value) or body[key] != value:
            raise VerificationError(f"{CONFIG_NAME}: {key} must be {value!r}")
    rank, alpha, modules, base_name, is_dora = (
        body[key] for key in ("r", "lora_alpha", "target_modules", "base_model_name_or_path", "use_dora")
    )
    if type(is_dora) is not bool:
        raise VerificationError(f"{CONFIG_NAME}: use_dora must be true or false")
    if type(rank) is not int or not 1 <= rank <= MAX_RANK:
        raise VerificationError(f"{CONFIG_NAME}: r must be an integer from 1 to {MAX_RANK}")
    if type(alpha) is not int or not 1 <= alpha <= MAX_ALPHA:
        raise VerificationError(f"{CONFIG_NAME}: lora_alpha must be an integer from 1 to {MAX_ALPHA}")
    _check_targets(modules)
    if (
        not isinstance(base_name, str)
        or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._/@:+-]{0,199}", base_name)
        or ".." in base_name
    ):
        raise VerificationError(f"{CONFIG_NAME}: base_model_name_or_path is not a plain name")
    return AdapterFacts(rank, alpha, tuple(modules), 0, base_name, is_dora)


def _check_targets(modules: object) -> None:
    if not isinstance(modules, list) or not 1 <= len(modules) <= _MOST_TARGETS:
        raise VerificationError(f"{CONFIG_NAME}: target_modules must be a list of names")
    if not all(isinstance(name, str) and _TARGET_NAME.fullmatch(name) for name in modules):
        raise VerificationError(f"{CONFIG_NAME}: target_modules holds something else than names of layers")
    if modules != sorted(set(modules)):
        raise VerificationError(f"{CONFIG_NAME}: target_modules must be sorted, different names")


def _read_tensors(path: Path) -> tuple[list[_Tensor], int]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise VerificationError(f"{WEIGHTS_NAME}: the header's length is out of range")
        header = parse_strict_json(file.read(length))
    if not isinstance(header, dict):
        raise VerificationError(f"{WEIGHTS_NAME}: the header is not an object")
    if header.pop("__metadata__", {"format": "pt"}) != {"format": "pt"}:
        raise VerificationError(f"{WEIGHTS_NAME}: unexpected metadata")
    if len(header) > _MOST_TENSORS:
        raise VerificationError(f"{WEIGHTS_NAME}: too many tensors")
    tensors = sorted((_parse_tensor(name, entry) for name, entry in header.items()), key=lambda tensor: tensor.start)
    position = 0
    for tensor in tensors:
        if tensor.start != position:
            raise VerificationError(f"{WEIGHTS_NAME}: the tensors overlap or leave gaps")
        position = tensor.end
    if 8 + length + position != size:
        raise VerificationError(f"{WEIGHTS_NAME}: the file's size is not what its header says")
    return tensors, 8 + length


def _parse_tensor(name: str, entry: Any) -> _Tensor:
    if _TENSOR_NAME.fullmatch(name) is None:
        raise VerificationError(f"{WEIGHTS_NAME}: unexpected tensor {name[:100]!r}")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise VerificationError(f"{WEIGHTS_NAME}: malformed entry of {name}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _ITEM_BYTES:
        raise VerificationError(f"{WEIGHTS_NAME}: {name} is neither F32, F16 nor BF16")
    for numbers, count in ((shape, 1 if name.endswith("_vector") else 2), (offsets, 2)):
        is_list = isinstance(numbers, list) and len(numbers) == count
        if not is_list or not all(type(number) is int and 0 <= number < 2**40 for number in numbers):
            raise VerificationError(f"{WEIGHTS_NAME}: malformed numbers of {name}")
    shape = [*shape, 1][:2]
    if min(shape) < 1 or offsets[1] - offsets[0] != shape[0] * shape[1] * _ITEM_BYTES[dtype]:
        raise VerificationError(f"{WEIGHTS_NAME}: {name} does not have the size of its shape")
    return _Tensor(name, dtype, (shape[0], shape[1]), offsets[0], offsets[1])


def _check_layout(tensors: list[_Tensor], facts: AdapterFacts) -> None:
    sides: dict[str, set[str]] = {}
    rank, modules = facts.rank, facts.modules
    wanted = {"A.weight", "B.weight"} | ({"magnitude_vector"} if facts.is_dora else set())
    for tensor in tensors:
        match = _TENSOR_NAME.fullmatch(tensor.name)
        assert match is not None
        path, side = match.groups()
        sides.setdefault(path, set()).add(side)
        if side != "magnitude_vector" and tensor.shape[0 if side.startswith("A") else 1] != rank:
            raise VerificationError(f"{WEIGHTS_NAME}: {tensor.name} does not have rank {rank}")
    if any(present != wanted for present in sides.values()):
        raise VerificationError(f"{WEIGHTS_NAME}: a module has other parts than {', '.join(sorted(wanted))}")
    if not all(picks(set(modules), path) for path in sides):
        raise VerificationError(f"{WEIGHTS_NAME}: a tensor is of none of target_modules")
    ends = {".".join(parts[start:]) for path in sides for parts in [path.split(".")] for start in range(len(parts))}
    if not set(modules) <= ends:
        raise VerificationError(f"{WEIGHTS_NAME}: one of target_modules has no tensor")


def _check_fit(tensors: list[_Tensor], facts: AdapterFacts, base_shapes: Mapping[str, Shape]) -> None:
    expected, names = {}, set(facts.modules)
    for path, (outputs, inputs) in base_shapes.items():
        if picks(names, path):
            expected[tensor_name(path, "A")] = (facts.rank, inputs)
            expected[tensor_name(path, "B")] = (outputs, facts.rank)
            if facts.is_dora:
                expected[tensor_name(path, "magnitude")] = (outputs, 1)
    found = {tensor.name: tensor.shape for tensor in tensors}
    if found != expected:
        names_at_odds = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        raise VerificationError(f"{WEIGHTS_NAME}: the adapter does not fit the base model at {names_at_odds[0]}")


def _check_finite(path: Path, tensors: list[_Tensor], data_start: int) -> None:
    # 10 MB that a node without adapters need not hold
    import numpy as np

    with path.open("rb") as file:
        file.seek(data_start)
        for tensor in tensors:
            remaining = tensor.end - tensor.start
            mask = _EXPONENT_BITS[tensor.dtype]
            kind = np.dtype("<u4" if tensor.dtype == "F32" else "<u2")
            while remaining > 0:
                block = file.read(min(remaining, 1 << 20))
                if not block:
                    raise VerificationError(f"{WEIGHTS_NAME}: the file ended early")
                remaining -= len(block)
                if bool(np.any((np.frombuffer(block, kind) & mask) == mask)):
                    raise VerificationError(f"{WEIGHTS_NAME}: {tensor.name} holds NaN or infinity")
