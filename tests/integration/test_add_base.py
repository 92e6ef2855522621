"""A base model from a folder, by the real worker: checked, copied, with its statements; trained on afterwards."""

import json
import os
from pathlib import Path

import pytest

from tests.tiny_model import write_tiny_model
from viz_node.domain.assess_base import assess
from viz_node.domain.base_sources import FORMAT, StatedSources, parse_stated
from viz_node.domain.names import FilePath
from viz_node.domain.training import AddBase, BaseReady
from viz_node.errors import NotFoundError, UsageError, VerificationError
from viz_node.models.bases import base_digest, list_bases
from viz_node.models.folders import add_base

SOURCE = {"title": "My letters", "license": "owned", "reasons": {"EU": "written by me"}}
STATED = parse_stated({"format": FORMAT, "sources": [SOURCE], "opt_outs": "none"})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    write_tiny_model(folder)
    return folder


def add(source: Path, stated: StatedSources | None = STATED) -> BaseReady:
    out = FilePath(str(source.parent / "bases" / "mine"))
    order = AddBase(source=FilePath(str(source)), out_dir=out, name="mine", license="MIT", stated=stated)
    return add_base(order, lambda said: None)


def test_add_base__whole_model__is_copied_with_digest_and_statements(model: Path, tmp_path: Path) -> None:
    for name in ("README.md", "pytorch_model.bin", "modeling_evil.py"):
        (model / name).write_text("raise SystemExit")
    ready = add(model)
    (base,) = list_bases(tmp_path / "bases")
    assert (base.name, base.license, base.digest) == ("mine", "MIT", ready.digest)
    assert base.parameters > 10_000
    assert {path.name for path in Path(base.path).iterdir()} == {
        "config.json", "generation_config.json", "model.safetensors", "provenance.json", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip
    found = assess(base)
    assert (found.verdict, found.statements[0].text) == ("claimed", "My letters (owned)")
    (model / "model.safetensors").write_bytes(b"changed")
    assert base_digest(Path(base.path)) == ready.digest
    with pytest.raises(UsageError, match="already a base model mine"):
        add(model)


def test_add_base__links_into_a_cache__are_copied_as_files(model: Path, tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir()
    for path in model.iterdir():
        (links / path.name).symlink_to(path)
    add(links, None)
    (base,) = list_bases(tmp_path / "bases")
    assert not any(path.is_symlink() for path in Path(base.path).iterdir())
    assert assess(base).verdict == "unknown"


def test_add_base__weights_that_change_or_pipes__are_refused_and_leave_nothing(model: Path, tmp_path: Path) -> None:
    config = json.loads((model / "config.json").read_bytes())
    (model / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(VerificationError, match="other weights than its configuration says"):
        add(model)
    (model / "config.json").write_text(json.dumps(config | {"model_type": "klingon"}))
    with pytest.raises(VerificationError, match="'klingon'"):
        add(model)
    (model / "config.json").write_text(json.dumps(config))
    (model / "model.safetensors").unlink()
    os.mkfifo(model / "model.safetensors")
    with pytest.raises(VerificationError, match=r"no weights as model\.safetensors"):
        add(model)
    (model / "model.safetensors").unlink()
    (model / "model.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(VerificationError):
        add(model)
    assert list((tmp_path / "bases").iterdir()) == []


def test_add_base__no_model_or_no_folder__says_what_is_there_instead(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="cannot read"):
        add(tmp_path / "nothing")
    folder = tmp_path / "gguf"
    folder.mkdir()
    (folder / "model.gguf").write_bytes(b"x")
    with pytest.raises(VerificationError, match=r"has no config\.json") as refused:
        add(folder)
    assert "GGUF" in refused.value.hint
