"""The page of the architecture names what is there: files, and on the three walks what is defined in them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text()
FLOORED = ("chain", "services")
WALKS = PAGE.partition("## Three walks")[2].partition("## Why so")[0]
SOURCES = [path.read_text() for kind in ("viz_node/**/*.py", "contracts/src/**/*.sol") for path in ROOT.glob(kind)]
DEFINITION = re.compile(r"^ *(?:async def|def|class|event) (\w+)|^(\w+) = NewType", re.MULTILINE)
DEFINED = {name for text in SOURCES for found in DEFINITION.findall(text) for name in found if name}


def spelled(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_page__every_path__is_there() -> None:
    paths = [word for word in spelled(PAGE) if re.fullmatch(r"(viz_node|tests|contracts)/[\w/.]+", word)]

    assert len(paths) > 50
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_page__every_room_and_floor__is_described() -> None:
    rooms = [f"{path.parent.relative_to(ROOT)}/" for path in (ROOT / "viz_node").glob("*/__init__.py")]
    floors = [path.parent.name for name in FLOORED for path in (ROOT / "viz_node" / name).glob("*/__init__.py")]

    assert len(floors) > 10
    assert [name for name in (*rooms, *floors) if f"`{name}`" not in PAGE] == []


@pytest.mark.parametrize(
    "row", [line for line in WALKS.splitlines() if line.startswith("| `")], ids=lambda row: row[:60]
)
def test_walks__every_name_of_a_step__is_defined(row: str) -> None:
    words = spelled(row.partition("| ")[2].partition(" | ")[2])
    names = [name for word in words for name in word.split(".")[:1] if re.fullmatch(r"[A-Za-z_]+", name)]

    assert [name for name in names if name not in DEFINED | {"str", "int", "train", "viz_node"}] == []
