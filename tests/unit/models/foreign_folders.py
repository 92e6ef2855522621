"""Folders as PEFT writes them, made without torch, and a seeded generator of hostile ones."""

import json
import os
import random
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

LAYERS = [f"model.layers.{number}.self_attn.{name}" for number in range(2) for name in ("q_proj", "v_proj")]
CONFIG: dict[str, Any] = {
    "alpha_pattern": {},
    "auto_mapping": None,
    "base_model_name_or_path": "someone/small-llama",
    "bias": "none",
    "fan_in_fan_out": False,
    "inference_mode": True,
    "init_lora_weights": True,
    "layers_to_transform": None,
    "lora_alpha": 16,
    "lora_dropout": 0.05,
    "modules_to_save": None,
    "peft_type": "LORA",
    "peft_version": "0.21.2",
    "r": 8,
    "rank_pattern": {},
    "revision": None,
    "target_modules": ["v_proj", "q_proj"],
    "task_type": "CAUSAL_LM",
    "use_dora": False,
    "use_rslora": False,
}


def matrices(rank: int = 8, prefix: str = "base_model.model.", infix: str = "", seed: int = 0) -> dict[str, Any]:
    """Random matrices of four layers of 64 inputs and 32 outputs, by the names of their tensors."""
    draw = np.random.default_rng(seed)
    made = {}
    for path in LAYERS:
        made[f"{prefix}{path}.lora_A{infix}.weight"] = draw.normal(0, 0.05, (rank, 64)).astype(np.float32)
        made[f"{prefix}{path}.lora_B{infix}.weight"] = draw.normal(0, 0.05, (32, rank)).astype(np.float32)
    return made


def write_folder(folder: Path, tensors: Mapping[str, Any] | None = None, **changes: Any) -> Path:
    """A folder with these matrices and the configuration with these changes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG | changes))
    save_file(dict(matrices() if tensors is None else tensors), folder / "adapter_model.safetensors", {"format": "pt"})
    return folder


def write_header(folder: Path, header: bytes, data: bytes = b"", length: int | None = None) -> None:
    """A weights file with exactly this header; `length` is what it claims."""
    start = struct.pack("<Q", len(header) if length is None else length)
    (folder / "adapter_model.safetensors").write_bytes(start + header + data)


def hostile(seed: int, folder: Path) -> str:
    """Make `folder` a hostile one; what is wrong with it, in a word."""
    draw = random.Random(seed)
    kinds = sorted(_KINDS)
    kind = kinds[seed % len(kinds)]
    write_folder(folder, matrices(seed=seed))
    _KINDS[kind](folder, draw)
    return kind


def _config(folder: Path, **changes: Any) -> None:
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG | changes))


def _raw_config(folder: Path, raw: bytes) -> None:
    (folder / "adapter_config.json").write_bytes(raw)


def _value(folder: Path, value: float, draw: random.Random) -> None:
    tensors = matrices()
    name = draw.choice(sorted(tensors))
    tensors[name][draw.randrange(tensors[name].shape[0]), draw.randrange(tensors[name].shape[1])] = value
    save_file(tensors, folder / "adapter_model.safetensors")


def _zero(folder: Path, draw: random.Random) -> None:
    side = draw.choice(["lora_A", "lora_B", "lora_"])
    tensors = {name: value * (side not in name) for name, value in matrices().items()}
    save_file(tensors, folder / "adapter_model.safetensors")


def _cut(folder: Path, draw: random.Random) -> None:
    path = folder / "adapter_model.safetensors"
    raw = path.read_bytes()
    path.write_bytes(raw[: draw.randrange(len(raw))])


def _longer(folder: Path, draw: random.Random) -> None:
    with (folder / "adapter_model.safetensors").open("ab") as file:
        file.write(bytes(draw.randrange(1, 1000)))


def _lie(folder: Path, draw: random.Random) -> None:
    """A header whose shape, type, offsets or name are others."""
    raw = (folder / "adapter_model.safetensors").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    name = draw.choice(sorted(name for name in header if name != "__metadata__"))
    entry = header[name]
    match draw.randrange(8):
        case 0:
            entry["shape"] = [entry["shape"][1], entry["shape"][0] + 1]
        case 1:
            entry["shape"] = [2**40, 2**40]
        case 2:
            entry["dtype"] = draw.choice(["I64", "F16", "BOOL", "F8_E4M3", "PICKLE", 7])
        case 3:
            entry["data_offsets"] = [entry["data_offsets"][0] + 4, entry["data_offsets"][1] + 4]
        case 4:
            entry["data_offsets"] = [-8, 2**63]
        case 5:
            header["../../etc/passwd.lora_A.weight"] = header.pop(name)
        case 6:
            entry["code"] = "import os"
        case 7:
            header[name + "x"] = dict(entry)
    body = json.dumps(header).encode()
    write_header(folder, body, raw[8 + length :])


def _twice(folder: Path, draw: random.Random) -> None:
    if draw.random() < 0.5:
        _raw_config(folder, json.dumps(CONFIG).encode()[:-1] + b', "r": 4}')
        return
    raw = (folder / "adapter_model.safetensors").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    name = next(name for name in header if name != "__metadata__")
    body = raw[8 : 8 + length].rstrip()[:-1] + f", {json.dumps(name)}: {json.dumps(header[name])}}}".encode()
    write_header(folder, body, raw[8 + length :])


def _special(folder: Path, draw: random.Random) -> None:
    name = folder / draw.choice(["adapter_config.json", "adapter_model.safetensors"])
    name.unlink()
    match draw.randrange(4):
        case 0:
            os.mkfifo(name)
        case 1:
            name.symlink_to("/dev/zero")
        case 2:
            name.symlink_to("/etc/passwd")
        case 3:
            name.mkdir()


def _bomb(folder: Path, draw: random.Random) -> None:
    size = 120 * 1024
    bombs = [
        b"[" * size,
        b'{"a":' * (size // 5),
        b'{"r":[' + b"[]," * (size // 3) + b"[]]}",
        b'{"r":[' + b"{}," * (size // 3) + b"{}]}",
        b'{"r":"' + b"\\u0041" * (size // 6) + b'"}',
        b'{"r":' + b"9" * size + b"}",
        b"{" + b",".join(b'"%d":0' % number for number in range(size // 10)) + b"}",
        b'"' + b"x" * size + b'"',
        b'{"peft_type":"LORA","r":1e400}',
        b"\xff\xfe" + b"\0" * 1000,
    ]
    _raw_config(folder, bombs[draw.randrange(len(bombs))])


def _header_bomb(folder: Path, draw: random.Random) -> None:
    size = 1000 * 1024
    bombs = [
        b"[" * size,
        b'{"a":' * (size // 5),
        b'{"x.lora_A.weight":[' + b"[]," * (size // 3) + b"[]]}",
        b'{"x.lora_A.weight":{"dtype":"F32","shape":[' + b"1," * (size // 2) + b'1],"data_offsets":[0,4]}}',
        b'{"__metadata__":{' + b",".join(b'"%d":""' % number for number in range(size // 12)) + b"}}",
        b"{" + b",".join(b'"%d":{}' % number for number in range(size // 12)) + b"}",
        b'{"' + b"a." * (size // 2) + b'lora_A.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}',
        b'{"x":' + b"-" * size + b"}",
    ]
    write_header(folder, bombs[draw.randrange(len(bombs))], bytes(4))


def _huge_header(folder: Path, draw: random.Random) -> None:
    write_header(folder, b"{}", length=draw.choice([2**63, 2**32, 2**24, 100_000_000]))


def _slow(folder: Path, draw: random.Random) -> None:
    slow = draw.choice([r"(.*.*.*.*.*.*.*)*x", r"((([a-z_.0-9]+)+)+)+!", r"(\w*\W*)*\d{9}"])
    field = draw.choice(["target_modules", "exclude_modules", "rank_pattern", "alpha_pattern"])
    _config(folder, **{field: {slow: 8} if field.endswith("_pattern") else slow})


def _no_expression(folder: Path, draw: random.Random) -> None:
    _config(folder, target_modules=draw.choice(["(", "[a", "*", "(" * 4000, "(?P<a>", "\\"]))


def _number(folder: Path, draw: random.Random) -> None:
    field = draw.choice(["r", "lora_alpha"])
    values = [0, -1, 10**30, 1e308, "8", None, [8], True, 2**63, {"x": 1}]
    _config(folder, **{field: draw.choice(values)})


def _other_method(folder: Path, draw: random.Random) -> None:
    kinds = ["IA3", "LOHA", "LOKR", "ADALORA", "VERA", "PROMPT_TUNING", "lora", "../../x", 7, None]
    _config(folder, peft_type=draw.choice(kinds))


def _unknown(folder: Path, draw: random.Random) -> None:
    field, value = draw.choice([("use_new_lora", True), ("scale_by", 2.0), ("\x1b[2J", [1]), ("extra", {"a": 1})])
    _config(folder, **{field: value})


_KINDS: dict[str, Callable[[Path, random.Random], None]] = {
    "absurd value": lambda folder, draw: _value(folder, draw.choice([1e30, -1e6, 1001.0, 3e38]), draw),
    "not finite": lambda folder, draw: _value(folder, draw.choice([np.nan, np.inf, -np.inf]), draw),
    "all zero": _zero,
    "cut off": _cut,
    "longer": _longer,
    "lying header": _lie,
    "huge header": _huge_header,
    "twice": _twice,
    "no plain file": _special,
    "JSON bomb": _bomb,
    "bomb in the header": _header_bomb,
    "slow expression": _slow,
    "no expression": _no_expression,
    "number": _number,
    "other method": _other_method,
    "unknown field": _unknown,
}
