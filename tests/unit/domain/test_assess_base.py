"""Verdicts on installed bases: only what this program can check is believed, all else is unknown."""

import json
from typing import Any

import pytest

from tests.bases import listed_sources
from viz_node.domain.assess_base import assess
from viz_node.domain.base_catalogue import CATALOGUE, find_entry
from viz_node.domain.base_sources import FORMAT
from viz_node.domain.names import FilePath
from viz_node.domain.training import InstalledBase
from viz_node.models.packed import SHIPPED


def base(facts: dict[str, object], name: str = "own", digest: str = "ab" * 32) -> InstalledBase:
    return InstalledBase(name, digest, "Apache-2.0", 1, FilePath("/x"), facts)


def from_hub(repository: str, commit: str) -> InstalledBase:
    facts: dict[str, object] = {"sources": [{"kind": "model hub", "name": repository, "commit": commit}]}
    return base(facts, f"hf:{repository}@{commit}")


def added(stated: object = None) -> InstalledBase:
    source = {"kind": "local folder", "name": "/models/x", "license": "Apache-2.0"}
    return base({"sources": [source | ({"stated": stated} if stated is not None else {})]})


STATED: dict[str, Any] = {
    "format": FORMAT,
    "jurisdiction": "EU",
    "sources": [{"title": "My letters", "license": "owned", "reasons": {"EU": "written by me"}}],
}


def test_assess__base_of_this_package__is_documented_by_its_digest_alone() -> None:
    facts = json.loads((SHIPPED / "provenance.json").read_bytes())
    found = assess(base(facts, facts["name"], facts["digest"]))
    assert (found.verdict, found.entry) == ("documented", "viz-base-english-1")
    assert assess(base(facts, facts["name"])).entry == ""


@pytest.mark.parametrize("entry", [one for one in CATALOGUE if one.commit], ids=lambda entry: entry.name)
def test_assess__entry_at_its_revision__has_its_verdict(entry: Any) -> None:
    found = assess(from_hub(entry.repository, entry.commit))
    assert (found.verdict, found.reason, found.statements) == (entry.verdict, entry.reason, entry.statements)


@pytest.mark.parametrize("name", ["kl3m-170m", "pleias-3b"])
def test_assess__entry_at_a_revision_that_nobody_looked_up__is_claimed_at_most(name: str) -> None:
    entry = find_entry(name)
    assert entry is not None
    found = assess(from_hub(entry.repository, "c" * 40))
    assert (found.verdict, found.entry) == ("claimed", name)
    assert found.reason.startswith("unverified revision")


def test_assess__model_of_a_hub_that_is_in_no_catalogue__is_unknown_whatever_its_license() -> None:
    assert assess(from_hub("meta/llama", "c" * 40)).verdict == "unknown"


def test_assess__own_training__is_documented_and_names_its_sources() -> None:
    found = assess(base(listed_sources()))
    assert found.verdict == "documented"
    assert found.statements[0].text == "Sentences of this test"


def test_assess__built_from_the_grammar__is_documented() -> None:
    assert (
        assess(base({"sources": [{"name": "viz_node.models.base_text", "license": "CC0-1.0"}]})).verdict == "documented"
    )


def test_assess__folder__is_claimed_with_its_sources_and_unknown_without() -> None:
    assert assess(added()).verdict == "unknown"
    found = assess(added(STATED))
    assert found.verdict == "claimed"
    assert [(one.about, one.text) for one in found.statements] == [
        ("training data", "My letters (owned)"),
        ("jurisdiction", "EU"),
    ]


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"sources": "all of it"},
        {"sources": []},
        {"sources": [7]},
        {"sources": [{"title": "x", "license": "CC0-1.0"}]},
        {**listed_sources(), "sources": [{**listed_sources()["sources"][0], "license": "unknown"}]},  # type: ignore[index]
        {"sources": [{"kind": "model hub"}]},
        {"sources": [{"kind": "local folder", "stated": {"format": FORMAT, "sources": []}}]},
        {"sources": [{"kind": "local folder", "stated": "everything"}]},
    ],
)
def test_assess__provenance_of_no_known_form__is_unknown(facts: dict[str, object]) -> None:
    assert assess(base(facts)).verdict == "unknown"
