"""Every table and figure of the page on economics is what its command writes."""

import re
from pathlib import Path

import pytest

from viz_node.cli.main import run

FOLDER = Path(__file__).parents[2] / "docs" / "explanation"
TABLE = re.compile(r"<!-- table: (\S+) -->\n((?:\|.*\n)+)")


@pytest.mark.slow
def test_page__command_that_it_names__writes_its_tables_and_figures(tmp_path: Path) -> None:
    page = (FOLDER / "economics.md").read_text(encoding="utf-8")
    command = re.search(r"^viz-node (simulate .*) --out simulation$", page, re.MULTILINE)
    assert command

    assert run([*command[1].split(), "--out", str(tmp_path)]) == 0

    shown = dict(TABLE.findall(page))
    written = {path.stem: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.md")}
    assert shown == written
    figures = set(re.findall(r"\]\((\S+\.svg)\)", page))
    assert figures == {path.name for path in tmp_path.glob("*.svg")}
    # The drawing library decides about bytes; that the figures are of these results is what their texts show.
    for name in figures:
        assert texts_of(tmp_path / name) == texts_of(FOLDER / name), name


def texts_of(path: Path) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text(encoding="utf-8"))
