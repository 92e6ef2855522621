"""The shipped examples are valid, and say what they promise."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from viz_node.cli.commands.training import read_recipe
from viz_node.daemon.config import Config, load_config
from viz_node.errors import UsageError
from viz_node.models.recipes import parse_recipe

CONFIGS = Path(__file__).parents[3] / "configs"
FLAGS_ONLY = {"home", "dev", "join"}
RECIPES = sorted((CONFIGS / "training").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_read_recipe__shipped__is_accepted_by_training(path: Path) -> None:
    body = read_recipe(path)
    assert body is not None
    assert parse_recipe(body).rank == body["rank"]
    assert path.read_text().splitlines()[1].startswith("# Run:   viz-node train ")


def test_node_example__comments_removed__every_option_with_its_default(tmp_path: Path) -> None:
    lines = (CONFIGS / "node.example.toml").read_text().splitlines()
    options = [line.removeprefix("# ") for line in lines if re.match(r"# [a-z_]+ = ", line)]
    (tmp_path / "config.toml").write_text("\n".join(options))
    assert load_config(tmp_path) == Config(tmp_path)
    assert {line.split(" = ")[0] for line in options} == {field.name for field in fields(Config)} - FLAGS_ONLY


@pytest.mark.parametrize("text", ["rank = ", "recipe = 3", "\x00"], ids=["cut", "no table", "binary"])
def test_read_recipe__damaged__usage_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match="is not a recipe"):
        read_recipe(path)
