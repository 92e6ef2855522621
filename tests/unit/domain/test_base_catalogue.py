"""The catalogue: every entry complete, pinned or said not to be, and true of the base that comes along."""

import json

import pytest

from viz_node.domain.assess_base import SHIPPED_DIGEST
from viz_node.domain.base_card import CatalogueBase
from viz_node.domain.base_catalogue import CATALOGUE, entry_of, find_entry
from viz_node.domain.base_needs import Machine, needs_of
from viz_node.domain.base_sources import check_base_name, check_license
from viz_node.domain.hub import parse_hub_model
from viz_node.domain.training import SHIPPED_BASE
from viz_node.models.packed import SHIPPED

LAPTOP = Machine(memory_bytes=8 << 30, cores=4)
NEEDED = {"training data", "jurisdiction", "opt-outs"}


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_entry__each__says_what_it_was_trained_on_where_and_who_says_so(entry: CatalogueBase) -> None:
    assert {one.about for one in entry.statements} >= NEEDED
    for one in entry.statements:
        assert one.text.strip() and one.source.strip()
        assert one.text.isprintable()
    assert check_license(entry.license) == entry.license
    assert check_base_name(entry.name) == entry.name == entry.name.lower()
    assert entry.reason.endswith(".")
    assert 0 < entry.embedded < entry.parameters


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_entry__revision__is_a_commit_with_its_source_or_absent(entry: CatalogueBase) -> None:
    assert bool(entry.commit) == bool(entry.commit_source)
    if entry.commit:
        assert parse_hub_model(entry.full_name()).commit == entry.commit
    elif entry.repository:
        assert entry.full_name() == entry.name
        assert parse_hub_model(entry.full_name("a" * 40)).repository == entry.repository


def test_catalogue__names_and_repositories__are_unique_and_found() -> None:
    assert len({entry.name for entry in CATALOGUE}) == len({entry.repository for entry in CATALOGUE}) == len(CATALOGUE)
    for entry in CATALOGUE:
        assert find_entry(entry.name.upper()) == entry
        if entry.repository:
            assert entry_of(entry.repository) == entry
    assert find_entry("llama") is entry_of("") is None


def test_catalogue__base_of_this_package__is_the_one_that_ships() -> None:
    entry, facts = find_entry(SHIPPED_BASE), json.loads((SHIPPED / "provenance.json").read_bytes())
    assert entry is not None
    assert (SHIPPED_DIGEST, entry.license, entry.parameters) == (facts["digest"], facts["license"], facts["parameters"])
    assert entry.embedded == facts["recipe"]["vocabulary"] * facts["recipe"]["hidden_size"]
    trained_on = [source for source in facts["sources"] if not source.get("held_out")]
    assert f"{len(trained_on)} books" in entry.reason


def test_catalogue__a_laptop_without_a_gpu__trains_two_of_others_at_a_usable_speed() -> None:
    needs = {entry.name: needs_of(entry.parameters, entry.embedded, LAPTOP) for entry in CATALOGUE}
    quick = {name for name, one in needs.items() if not one.is_too_large and (one.tokens_per_second or 0) >= 100}
    assert {"kl3m-170m", "pleias-350m"} <= quick
    assert "apertus-8b" not in quick
    assert needs["apertus-70b"].is_too_large


def test_catalogue__only_what_was_certified__is_certified() -> None:
    certified = [entry for entry in CATALOGUE if entry.verdict == "certified"]
    assert [entry.name for entry in certified] == ["kl3m-170m"]
    assert any(one.about == "certificate" for one in certified[0].statements)
    assert all(entry.verdict != "unknown" for entry in CATALOGUE)
