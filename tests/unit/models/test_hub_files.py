"""Which files of a repository make a base model; repositories hold much else."""

import json
from pathlib import Path

import pytest

from viz_node.errors import VerificationError
from viz_node.models.hub_files import INDEX_NAME, check_index, choose_files

FIT = {"config.json": 1, "tokenizer.json": 2, "tokenizer_config.json": 1, "model.safetensors": 100}
BESIDES = dict.fromkeys(
    ("README.md", "pytorch_model.bin", "consolidated.safetensors", "original/consolidated.00.pth", "onnx/model.onnx",
     "model.fp16.safetensors", "bf16/model.safetensors", "gguf/q4.gguf", "modeling.py", "params.json"), 9,
)  # fmt: skip
SHARDS = {f"model-0000{number}-of-00002.safetensors": 50 for number in (1, 2)}


def test_choose_files__weights_many_times__one_whole_set_at_the_top() -> None:
    files = choose_files(FIT | BESIDES | SHARDS | {INDEX_NAME: 3, "chat_template.jinja": 4}, "m")
    assert files.weights == ("model.safetensors",)
    assert files.small == ("chat_template.jinja", "config.json", "tokenizer.json", "tokenizer_config.json")
    assert files.size_bytes == 108


def test_choose_files__shards__with_their_index() -> None:
    sizes = (
        {name: size for name, size in FIT.items() if name != "model.safetensors"} | BESIDES | SHARDS | {INDEX_NAME: 3}
    )
    files = choose_files(sizes, "m")
    assert files.weights == tuple(SHARDS)
    assert INDEX_NAME in files.small


@pytest.mark.parametrize(
    ("absent", "besides", "cause", "hint"),
    [
        ("config.json", {}, "has no config.json", "use another model"),
        ("tokenizer.json", {}, "has no tokenizer", "use another model"),
        ("model.safetensors", {"bf16/model.safetensors": 1}, "no weights", "safetensors in bf16/"),
        ("model.safetensors", {"a-Q4.gguf": 1, "x.onnx": 1}, "no weights", "it holds GGUF, ONNX"),
        ("model.safetensors", {"pytorch_model.bin": 1}, "no weights", "pickles"),
        ("model.safetensors", {"consolidated.safetensors": 1}, "no weights", "consolidated"),
        ("model.safetensors", SHARDS, "no weights", "another"),
        ("config.json", {"adapter_config.json": 1}, "is an adapter", "trained on"),
        ("README.md", {"tokenizer.json": 1 << 40}, "more than 64 MiB", "another"),
    ],
)
def test_choose_files__unfit__refused_with_what_is_there(
    absent: str, besides: dict[str, int], cause: str, hint: str
) -> None:
    sizes = {name: size for name, size in FIT.items() if name != absent} | besides
    with pytest.raises(VerificationError, match=cause) as caught:
        choose_files(sizes, "m")
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"weight_map": []}', b'{"weight_map": {"a": ["x"]}}', b'{"weight_map": {"a": "../x"}}']
)
def test_check_index__not_the_shards__refused(tmp_path: Path, body: bytes) -> None:
    sizes = {**FIT, **SHARDS, INDEX_NAME: 3}
    del sizes["model.safetensors"]
    files = choose_files(sizes, "m")
    (tmp_path / INDEX_NAME).write_text(json.dumps({"weight_map": {str(n): name for n, name in enumerate(SHARDS)}}))
    check_index(tmp_path, files, "m")
    (tmp_path / INDEX_NAME).write_bytes(body)
    with pytest.raises(VerificationError, match="index"):
        check_index(tmp_path, files, "m")
