"""The shipped examples are valid, and say what they promise."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from viz_node.cli.commands.training import read_recipe
from viz_node.daemon.config import ENVIRONMENT_OPTIONS, Config, load_config
from viz_node.domain.recipe import Recipe, parse_recipe
from viz_node.errors import UsageError

ROOT = Path(__file__).parents[3]
CONFIGS = ROOT / "configs"
NOT_IN_THE_FILE = {"home", "dev", "join", "origins"}
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
    assert {line.split(" = ")[0] for line in options} == {field.name for field in fields(Config)} - NOT_IN_THE_FILE


def test_node_example__environment__names_what_the_program_reads_and_nothing_else() -> None:
    code = (ROOT / "viz_node" / "daemon" / "config.py").read_text() + (
        ROOT / "viz_node" / "cli" / "main.py"
    ).read_text()
    read = set(re.findall(r'"((?:VIZ_NODE|HF|HTTPS|NO|SSL|REQUESTS)_[A-Z_]+)"(?!:)', code))
    read |= {f"VIZ_NODE_{name.upper()}" for name in ENVIRONMENT_OPTIONS}
    header = (CONFIGS / "node.example.toml").read_text()
    assert set(re.findall(r"\b(?:VIZ_NODE|HF|HTTPS|NO|SSL|REQUESTS)_[A-Z_]+", header)) == read


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_example__every_value_of_a_recipe__is_in_it(path: Path) -> None:
    assert set(tomllib.loads(path.read_text())["recipe"]) == {field.name for field in fields(Recipe)}


@pytest.mark.parametrize("text", ["rank = ", "recipe = 3", "\x00"], ids=["cut", "no table", "binary"])
def test_read_recipe__damaged__usage_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"r\.toml"):
        read_recipe(path)


def test_read_recipe__what_it_leaves_out__is_what_training_has_of_itself(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    # A square rank is needed, which the default is.
    path.write_text("[recipe]\nrslora = true\n")
    assert read_recipe(path) == {"rslora": True}
