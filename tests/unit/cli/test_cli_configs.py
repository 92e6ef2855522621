"""The shipped examples are valid, and say what they promise."""

import tomllib
from pathlib import Path

import pytest

from viz_node.cli.commands.training import read_recipe
from viz_node.errors import UsageError
from viz_node.models.recipes import parse_recipe

CONFIGS = Path(__file__).parents[3] / "configs"
RECIPES = sorted((CONFIGS / "training").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_read_recipe__shipped__is_accepted_by_training(path: Path) -> None:
    body = read_recipe(path)
    assert body is not None
    assert parse_recipe(body).rank == body["rank"]
    assert path.read_text().splitlines()[1].startswith("# Run:   viz-node train ")


def test_node_example__comments_removed__is_valid_and_names_every_option() -> None:
    lines = (CONFIGS / "node.example.toml").read_text().splitlines()
    options = [line.removeprefix("# ") for line in lines if line.startswith("# ") and " = " in line]
    assert set(tomllib.loads("\n".join(options))) == {
        "listen",
        "bootstrap",
        "api_port",
        "rpc_url",
        "deployment",
        "base",
        "log_level",
    }


@pytest.mark.parametrize("text", ["rank = ", "recipe = 3", "\x00"], ids=["cut", "no table", "binary"])
def test_read_recipe__damaged__usage_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match="is not a recipe"):
        read_recipe(path)
