"""`base train` from a list of sources to an adapter on the new base, as an owner does it; and what is refused."""

import hashlib
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_cli_node import LoneNode
from tests.tiny_model import write_tiny_model
from viz_node.daemon.config import ANVIL
from viz_node.models.base_text import write_paragraphs

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="contracts/node_modules is not installed")

RECIPE = """
vocabulary = 600
hidden_size = 64
intermediate_size = 96
layers = 2
heads = 2
key_value_heads = 1
context = 64
batch = 4
sequence = 32
steps = 40
"""
SOURCE = """
[[sources]]
title = "Tales {number}"
authors = ["A grammar"]
license = "{license}"
sha256 = "{digest}"
path = "{number}.txt"
held_out = {held_out}
"""


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoneNode]:
    lone = LoneNode(tmp_path)
    # Without a compiler on the way: a compilation takes longer than this training.
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    try:
        lone.start()
        yield lone
    finally:
        lone.end()


def write_texts(folder: Path) -> dict[int, str]:
    """Two texts and their digests: one to train on, one that is held out."""
    folder.mkdir()
    digests = {}
    for number, paragraphs in ((1, 900), (2, 60)):
        rows = write_paragraphs(number)
        raw = "\n\n".join(f"{count}. {next(rows)}" for count in range(paragraphs)).encode()
        (folder / f"{number}.txt").write_bytes(raw)
        digests[number] = hashlib.sha256(raw).hexdigest()
    return digests


def write_list(folder: Path, name: str, digests: dict[int, str], license_name: str = "CC0-1.0") -> str:
    rows = [
        SOURCE.format(number=number, license=license_name, digest=digest, held_out=str(number == 2).lower())
        for number, digest in digests.items()
    ]
    path = folder / f"{name}.toml"
    path.write_text(f'format = "viz-node/sources/1"\nname = "{name}"\nlicense = "CC0-1.0"\n' + "".join(rows))
    return str(path)


def row_of(node: LoneNode, name: str) -> dict[str, Any]:
    (row,) = [row for row in node.call("base", "list") if row["name"] == name]
    return dict(row)


def test_base_train__list_of_sources__becomes_a_documented_base_that_trains_an_adapter(
    node: LoneNode, tmp_path: Path
) -> None:
    texts, recipe = tmp_path / "texts", tmp_path / "recipe.toml"
    digests = write_texts(texts)
    recipe.write_text(RECIPE)
    job = node.call("base", "train", write_list(texts, "tales", digests), "--recipe", str(recipe))
    assert job["result"]["base"]["name"] == "tales"
    row = row_of(node, "tales")
    assert (row["verdict"], row["state"], row["license"]) == ("documented", "installed", "CC0-1.0")
    done = node.run("base", "show", "tales", "--output", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    provenance = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert [source["sha256"] for source in provenance["sources"]] == list(digests.values())
    assert len(provenance["samples"]) == 10
    assert (tmp_path / "out" / "loss.svg").read_text().count("<polyline") == 2
    curve = provenance["held_out_curve"]
    assert float(curve[-1][1]) < float(curve[0][1])

    letters, short = tmp_path / "letters.txt", tmp_path / "short.toml"
    letters.write_text("\n\n".join(f"In year {year} the tide mill turned {year} times." for year in range(60)))
    short.write_text("rank = 2\nepochs = 1\nmax_tokens = 64\n")
    node.call("content", "add", str(letters), "--rights", "owned", "--author", "Elsin")
    trained = node.call("train", "mill", "--content", "all", "--base", "tales", "--recipe", str(short))["result"]
    assert (trained["base"], trained["training"]["base_verdict"]) == ("tales", "documented")
    assert "base_accepted" not in trained["training"]


def test_base_train__rights_unknown_or_another_file__makes_no_base(node: LoneNode, tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    digests = write_texts(texts)
    unknown = node.fails(2, "base", "train", write_list(texts, "found", digests, "found on the web"))
    assert "its rights are unknown" in unknown["message"]
    changed = digests | {1: "0" * 64}
    assert (
        "another file than the list pins"
        in node.fails(4, "base", "train", write_list(texts, "other", changed))["message"]
    )
    (texts / "1.txt").unlink()
    assert "has no file 1.txt" in node.fails(7, "base", "train", write_list(texts, "gone", digests))["message"]
    assert not {"found", "other", "gone"} & {row["name"] for row in node.call("base", "list")}


def test_base_add__folder_that_nobody_vouches_for__trains_once_its_owner_says_why(
    node: LoneNode, tmp_path: Path
) -> None:
    write_tiny_model(tmp_path / "strange")
    # Another model than the one that is installed already, whose sources are known.
    config = tmp_path / "strange" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_bytes()) | {"initializer_range": 0.03}))
    node.call("base", "add", str(tmp_path / "strange"), "--license", "MIT")
    assert row_of(node, "strange")["verdict"] == "unknown"
    (tmp_path / "work.txt").write_text(" ".join(random.Random(1).choices(["tide", "mill", "lamp"], k=300)))
    node.call("content", "add", str(tmp_path / "work.txt"), "--rights", "owned", "--author", "Elsin")
    order = "train", "lamps", "--content", "all", "--base", "strange"
    refused = node.fails(4, *order)
    assert (refused["error"], "its verdict is unknown" in refused["message"]) == ("RefusedError", True)
    assert "base accept" in refused["hint"]
    node.call("base", "accept", "strange", "Random weights, made by this very test")
    assert row_of(node, "strange")["accepted"] == "Random weights, made by this very test"
    assert node.call(*order, "--detach")["job_id"]
    node.call("base", "accept", "strange", "--withdraw")
    assert node.fails(4, *order[:1], "other", *order[2:])["error"] == "RefusedError"
