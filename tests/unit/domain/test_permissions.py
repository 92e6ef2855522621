"""The terms that travel with a manifest: complete, canonical, and refused when anything is odd."""

import tomllib
from pathlib import Path

import pytest

from viz_node.domain.permissions import Permissions, parse_permissions
from viz_node.errors import UsageError

EXAMPLES = sorted((Path(__file__).parents[3] / "configs" / "terms").glob("*.toml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example__is_read_and_survives_the_way_through_json(path: Path) -> None:
    permissions = parse_permissions(tomllib.loads(path.read_text()))
    assert parse_permissions(permissions.body(), is_whole=True) == permissions
    assert path.stem in path.read_text().splitlines()[1]


def test_examples__there_are_three_that_differ() -> None:
    assert len({parse_permissions(tomllib.loads(path.read_text())) for path in EXAMPLES}) == 3


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"comercial_use": True},
        {"commercial_use": 1},
        {"derivatives": True, "derivative_share": 10_000},
        {"derivatives": True, "derivative_share": True},
        {"derivative_share": 100},
        {"territories": ["DE", "AT"]},
        {"territories": ["de"]},
        {"territories": "AT"},
        {"territories": [["AT"]]},
        {"uri": "http://terms.example"},
        {"uri": "https://" + "x" * 500},
        {"text": "a\x1b[2J"},
        {"text": "x" * 4001},
        {"text": 7},
    ],
)
def test_parse__odd_terms__are_refused(body: object) -> None:
    with pytest.raises(UsageError):
        parse_permissions(body)


def test_parse__incomplete_terms_of_a_manifest__are_refused() -> None:
    body = Permissions().body()
    del body["uri"]
    with pytest.raises(UsageError, match="do not say uri"):
        parse_permissions(body, is_whole=True)


def test_sentences__every_field__is_told_and_the_summary_names_what_is_not_usual() -> None:
    plain, strict = Permissions(), Permissions(
        commercial_use=False, attribution=True, derivatives=True, derivative_share=250, training_use=True,
        territories=("AT", "CH", "DE", "FR"), uri="https://terms.example", text="Be kind.",
    )  # fmt: skip
    assert plain.summary() == "commercial, no derivatives, no training"
    assert strict.summary() == "no commercial, derivatives for 2.5 %, training, attribution, only in AT CH DE …"
    differing = [name for name in plain.sentences() if plain.sentences()[name] == strict.sentences()[name]]
    assert differing == []
    # Each field but the share, which is told with derivatives, has a sentence.
    assert len(strict.sentences()) == len(strict.body()) - 1
    assert strict.sentences()["derived adapters"] == "allowed, for 2.5 % of what they earn"
