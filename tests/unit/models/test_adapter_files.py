"""The strict parser against adapters as we write them and against hostile folders."""

import errno
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from viz_node.errors import RefusedError, StorageError, UsageError, VerificationError
from viz_node.models.adapter_files import (
    CONFIG_NAME,
    WEIGHTS_NAME,
    adapter_digest,
    check_adapter,
    config_bytes,
    export_adapter,
)
from viz_node.models.importing.peft_config import parse_peft_config

SHAPES = {
    f"model.layers.{layer}.{block}.{name}": (16, 8)
    for layer in range(2)
    for block, name in (("self_attn", "q_proj"), ("mlp", "up_proj"))
}
Tensors = dict[str, "np.ndarray[Any, Any]"]


def good_tensors() -> Tensors:
    tensors: Tensors = {}
    for path, (outputs, inputs) in SHAPES.items():
        tensors[f"base_model.model.{path}.lora_A.weight"] = np.ones((4, inputs), np.float32)
        tensors[f"base_model.model.{path}.lora_B.weight"] = np.ones((outputs, 4), np.float32)
    return tensors


def pack(tensors: Tensors, edit: Callable[[dict[str, Any]], None] = lambda header: None, tail: bytes = b"") -> bytes:
    names = {"float32": "F32", "float16": "F16", "int64": "I64", "float64": "F64"}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, array in tensors.items():
        raw = array.tobytes()
        entry = {"dtype": names[str(array.dtype)], "shape": list(array.shape)}
        header[name] = {**entry, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    edit(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data + tail


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / CONFIG_NAME).write_bytes(config_bytes(4, 8, ["up_proj", "q_proj"], "viz-base-small"))
    (folder / WEIGHTS_NAME).write_bytes(pack(good_tensors()))
    return folder


def test_check_adapter__our_own__facts(adapter: Path) -> None:
    facts = check_adapter(adapter, SHAPES)
    assert (facts.rank, facts.alpha, facts.modules) == (4, 8, ("q_proj", "up_proj"))
    assert facts.parameters == 4 * (4 * 8 + 16 * 4)


def with_magnitudes(shape: tuple[int, ...] = (16,), value: float = 1.0) -> Tensors:
    vectors = {f"base_model.model.{path}.lora_magnitude_vector": np.full(shape, value, np.float32) for path in SHAPES}
    return good_tensors() | vectors


def test_check_adapter__dora__vectors_of_its_layers_outputs_and_no_others(adapter: Path) -> None:
    (adapter / WEIGHTS_NAME).write_bytes(pack(with_magnitudes()))
    with pytest.raises(VerificationError, match=r"other parts than A\.weight, B\.weight$"):
        check_adapter(adapter)
    (adapter / CONFIG_NAME).write_bytes(config_bytes(4, 8, ["up_proj", "q_proj"], "base", is_dora=True))
    facts = check_adapter(adapter, SHAPES)
    assert (facts.is_dora, facts.parameters) == (True, 4 * (4 * 8 + 16 * 4 + 16))
    one = min(with_magnitudes().keys() - good_tensors().keys())
    fewer = {name: value for name, value in with_magnitudes().items() if name != one}
    for hostile in (with_magnitudes((8,)), with_magnitudes((16, 1)), with_magnitudes((0,)), fewer):
        (adapter / WEIGHTS_NAME).write_bytes(pack(hostile))
        with pytest.raises(VerificationError):
            check_adapter(adapter, SHAPES)
    (adapter / WEIGHTS_NAME).write_bytes(pack(with_magnitudes(value=float("inf"))))
    with pytest.raises(VerificationError, match="NaN or infinity"):
        check_adapter(adapter, SHAPES)


OTHER_FAMILIES = {
    "gpt2": (["attn.c_attn"], "transformer.h.11.attn.c_attn"),
    "gpt_neox": (["query_key_value"], "gpt_neox.layers.0.attention.query_key_value"),
    "gemma3 with pictures": (["language_model.layers.0.mlp.up_proj"], "model.language_model.layers.0.mlp.up_proj"),
    "experts one by one": (["w1"], "model.layers.3.mlp.experts.127.w1"),
    "layers without names": (["ffn.0"], "transformer.h.0.ffn.0"),
}


@pytest.mark.parametrize("family", OTHER_FAMILIES)
def test_check_adapter__layers_of_other_families__accepted(adapter: Path, family: str) -> None:
    names, path = OTHER_FAMILIES[family]
    (adapter / CONFIG_NAME).write_bytes(config_bytes(4, 8, names, "base"))
    sides = {"A": np.ones((4, 8), np.float32), "B": np.ones((16, 4), np.float32)}
    (adapter / WEIGHTS_NAME).write_bytes(
        pack({f"base_model.model.{path}.lora_{s}.weight": m for s, m in sides.items()})
    )
    assert check_adapter(adapter, {path: (16, 8), "model.layers.0.other": (3, 3)}).modules == tuple(names)
    with pytest.raises(VerificationError, match="does not fit the base model"):
        check_adapter(
            adapter, {path: (16, 8), path.replace(".0.", ".1.").replace("11", "1") + "0." + names[0]: (16, 8)}
        )


def test_check_adapter__blocks_that_differ__as_the_base_model_has_them(adapter: Path) -> None:
    fewer = {name: array for name, array in good_tensors().items() if "layers.1.mlp" not in name}
    (adapter / WEIGHTS_NAME).write_bytes(pack(fewer))
    shapes = {path: shape for path, shape in SHAPES.items() if path != "model.layers.1.mlp.up_proj"}
    check_adapter(adapter, shapes)
    with pytest.raises(VerificationError, match=r"does not fit the base model at .*layers\.1\.mlp\.up_proj"):
        check_adapter(adapter, SHAPES)


CONFIG_ATTACKS: dict[str, Any] = {
    "regex_target_modules": {"target_modules": "(a+)+$"},
    "unknown_module": {"target_modules": ["lm_head", "q_proj"]},
    "regex_in_list": {"target_modules": [".*"]},
    "regex_beside_names": {"target_modules": ["(a+)+$", "q_proj", "up_proj"]},
    "number_alone": {"target_modules": ["0", "q_proj", "up_proj"]},
    "dots": {"target_modules": ["mlp..up_proj", "q_proj", "up_proj"]},
    "name_with_newline": {"target_modules": ["q_proj", "up_proj", "up_proj\n"]},
    "name_without_tensors": {"target_modules": ["k_proj", "q_proj", "up_proj"]},
    "tensors_without_name": {"target_modules": ["q_proj"]},
    "thousands_of_names": {"target_modules": sorted(f"n{number}" for number in range(5000))},
    "no_modules": {"target_modules": []},
    "repeated_modules": {"target_modules": ["q_proj", "q_proj"]},
    "modules_not_text": {"target_modules": [1, 2]},
    "huge_rank": {"r": 200_000},
    "rank_zero": {"r": 0},
    "rank_true": {"r": True},
    "rank_float": {"r": 4.0},
    "rank_text": {"r": "4"},
    "other_rank_than_weights": {"r": 8},
    "huge_alpha": {"lora_alpha": 10**9},
    "negative_alpha": {"lora_alpha": -1},
    "modules_to_save": {"modules_to_save": ["lm_head"]},
    "auto_mapping": {"auto_mapping": {"parent_library": "os"}},
    "rank_pattern": {"rank_pattern": {"(a+)+$": 4}},
    "dora without its vectors": {"use_dora": True},
    "dora_text": {"use_dora": "true"},
    "bias": {"bias": "all"},
    "peft_type": {"peft_type": "PROMPT_TUNING"},
    "dropout_integer": {"lora_dropout": 0},
    "base_path": {"base_model_name_or_path": "/etc/passwd"},
    "base_parent": {"base_model_name_or_path": "a/../../b"},
    "base_control": {"base_model_name_or_path": "a\u202eb"},
    "base_none": {"base_model_name_or_path": None},
    "init_weights": {"init_lora_weights": "pissa"},
}


@pytest.mark.parametrize("change", CONFIG_ATTACKS.values(), ids=CONFIG_ATTACKS.keys())
def test_check_adapter__hostile_config__refused(adapter: Path, change: dict[str, Any]) -> None:
    body = json.loads((adapter / CONFIG_NAME).read_bytes())
    (adapter / CONFIG_NAME).write_text(json.dumps({**body, **change}))
    with pytest.raises(VerificationError):
        check_adapter(adapter)


RAW_CONFIGS = {
    "not_json": b"\x80\x04pickle",
    "nan": b'{"r": NaN}',
    "repeated_key": b'{"r": 4, "r": 8}',
    "deep": b"[" * 8000,
    "list": b"[]",
    "large": b" " * 20_000,
    "utf16": "{}".encode("utf-16"),
}


@pytest.mark.parametrize("raw", RAW_CONFIGS.values(), ids=RAW_CONFIGS.keys())
def test_check_adapter__malformed_config__refused(adapter: Path, raw: bytes) -> None:
    (adapter / CONFIG_NAME).write_bytes(raw)
    with pytest.raises(VerificationError):
        check_adapter(adapter)


FIRST = next(iter(good_tensors()))


def renamed(name: str) -> bytes:
    tensors = good_tensors()
    return pack({(name if key == FIRST else key): value for key, value in tensors.items()})


def changed(value: "np.ndarray[Any, Any]") -> bytes:
    return pack({**good_tensors(), FIRST: value})


def edited(**entry: Any) -> bytes:
    return pack(good_tensors(), lambda header: header[FIRST].update(entry))


def with_number(number: float) -> bytes:
    array = np.ones((4, 8), np.float32)
    array[3, 7] = number
    return changed(array)


HOSTILE_WEIGHTS: dict[str, bytes] = {
    "empty": b"",
    "pickle": b"\x80\x04\x95" + b"cposix\nsystem\n" * 10,
    "zip": b"PK\x03\x04" + bytes(100),
    "header_longer_than_file": struct.pack("<Q", 10**6) + b"{}",
    "header_of_exabytes": struct.pack("<Q", 2**63) + b"{}",
    "header_above_cap": struct.pack("<Q", 2**20 + 1) + b" " * (2**20 + 1),
    "header_deep": struct.pack("<Q", 100_000) + b"[" * 100_000,
    "header_list": struct.pack("<Q", 2) + b"[]",
    "no_tensors": struct.pack("<Q", 2) + b"{}",
    "tail": pack(good_tensors(), tail=b"MZ"),
    "short": pack(good_tensors())[:-4],
    "nan": with_number(float("nan")),
    "infinity": with_number(float("-inf")),
    "half_infinity": changed(np.full((4, 8), np.inf, np.float16)),
    "float64": changed(np.ones((4, 8), np.float64)),
    "integers": changed(np.ones((4, 8), np.int64)),
    "three_dimensions": changed(np.ones((4, 8, 1), np.float32)),
    "other_rank": changed(np.ones((5, 8), np.float32)),
    "empty_shape": changed(np.ones((4, 0), np.float32)),
    "lm_head": renamed("base_model.model.lm_head.weight"),
    "embedding": renamed("base_model.model.model.embed_tokens.lora_embedding_A"),
    "path_in_name": renamed("../../base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"),
    "name_with_newline": renamed(FIRST + "\n"),
    "leading_zero_layer": renamed(FIRST.replace("layers.0", "layers.00")),
    "far_layer": renamed(FIRST.replace("layers.0", "layers.999")),
    "unicode_digit": renamed(FIRST.replace("layers.0", "layers.\u0660")),
    "extra_module": pack({**good_tensors(), FIRST.replace("q_proj", "k_proj"): np.ones((4, 8), np.float32)}),
    "missing_side": pack({key: value for key, value in good_tensors().items() if key != FIRST}),
    "overlap": edited(data_offsets=[64, 192]),
    "negative_offset": edited(data_offsets=[-128, 0]),
    "shape_lie": edited(shape=[4, 9]),
    "shape_huge": edited(shape=[2**39, 2**39]),
    "shape_true": edited(shape=[True, 32]),
    "shape_text": edited(shape=["4", 8]),
    "dtype_list": edited(dtype=["F32"]),
    "extra_key": edited(callback="os.system"),
    "metadata": pack(good_tensors(), lambda header: header["__metadata__"].update(chat_template="{{ x }}")),
    "metadata_number": pack(good_tensors(), lambda header: header.update(__metadata__=1)),
}


@pytest.mark.parametrize("raw", HOSTILE_WEIGHTS.values(), ids=HOSTILE_WEIGHTS.keys())
def test_check_adapter__hostile_weights__refused(adapter: Path, raw: bytes) -> None:
    (adapter / WEIGHTS_NAME).write_bytes(raw)
    with pytest.raises(VerificationError):
        check_adapter(adapter, SHAPES)


def test_check_adapter__header_with_many_names__refused(adapter: Path) -> None:
    entry = '{"dtype":"F32","shape":[4,8],"data_offsets":[0,128]}'
    name = "base_model.model.model.layers.{}.mlp.up_proj.lora_A.weight"
    header = ("{" + ",".join(f'"{name.format(i)}":{entry}' for i in range(7000)) + "}").encode()
    (adapter / WEIGHTS_NAME).write_bytes(struct.pack("<Q", len(header)) + header + bytes(128))
    with pytest.raises(VerificationError):
        check_adapter(adapter)


@pytest.mark.parametrize("name", ["adapter_model.bin", "tokenizer.json", "chat_template.jinja", "__init__.py"])
def test_check_adapter__additional_file__refused(adapter: Path, name: str) -> None:
    (adapter / name).write_bytes(b"x")
    with pytest.raises(VerificationError):
        check_adapter(adapter)


@pytest.mark.parametrize("name", [CONFIG_NAME, WEIGHTS_NAME])
def test_check_adapter__link_out_of_the_folder__refused(adapter: Path, tmp_path: Path, name: str) -> None:
    (adapter / name).rename(tmp_path / name)
    (adapter / name).symlink_to(tmp_path / name)
    with pytest.raises(VerificationError):
        check_adapter(adapter)


def test_check_adapter__pickle_instead_of_safetensors__refused(adapter: Path) -> None:
    (adapter / WEIGHTS_NAME).rename(adapter / "adapter_model.bin")
    with pytest.raises(VerificationError):
        check_adapter(adapter)


def test_check_adapter__no_folder__refused(tmp_path: Path) -> None:
    with pytest.raises(VerificationError):
        check_adapter(tmp_path / "absent")


def test_check_adapter__other_base__refused(adapter: Path) -> None:
    with pytest.raises(VerificationError):
        check_adapter(adapter, dict.fromkeys(SHAPES, (32, 8)))


def test_config_bytes__rank_out_of_range__usage_error() -> None:
    with pytest.raises(UsageError):
        config_bytes(257, 8, ["q_proj"], "base")


def test_export_adapter__checked_folder__same_digest(adapter: Path, tmp_path: Path) -> None:
    files = export_adapter(adapter, tmp_path / "exported")
    assert set(files) == {CONFIG_NAME, WEIGHTS_NAME}
    assert adapter_digest(tmp_path / "exported") == adapter_digest(adapter)


def test_export_adapter__base_of_a_hub__named_by_repository_and_revision(adapter: Path, tmp_path: Path) -> None:
    name = f"hf:owner/model@{'c' * 40}"
    (adapter / CONFIG_NAME).write_bytes(config_bytes(4, 8, ["up_proj", "q_proj"], name))
    export_adapter(adapter, tmp_path / "exported")
    body = json.loads((tmp_path / "exported" / CONFIG_NAME).read_bytes())
    assert (body["base_model_name_or_path"], body["revision"]) == ("owner/model", "c" * 40)
    read = parse_peft_config((tmp_path / "exported" / CONFIG_NAME).read_bytes())
    assert (read.base_name, read.revision) == ("owner/model", "c" * 40)


def test_export_adapter__existing_destination__refused(adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedError):
        export_adapter(adapter, tmp_path)


def test_export_adapter__folders_and_links_of_others__are_left_alone(adapter: Path, tmp_path: Path) -> None:
    beside = tmp_path / ".exported.partial"
    beside.mkdir()
    (beside / "mine.txt").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    export_adapter(adapter, tmp_path / "exported")
    assert (beside / "mine.txt").read_text() == "mine"
    for taken in ("exported", "link"):
        before = adapter_digest(tmp_path / "exported")
        with pytest.raises(RefusedError, match="exists"):
            export_adapter(adapter, tmp_path / taken)
        assert adapter_digest(tmp_path / "exported") == before
    assert (tmp_path / "link").is_symlink()


def test_export_adapter__disk_fails_midway__nothing_is_left(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", fails)
    with pytest.raises(StorageError, match="No space left on device"):
        export_adapter(adapter, tmp_path / "new" / "exported")
    assert list((tmp_path / "new").iterdir()) == []
