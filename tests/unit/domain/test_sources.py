"""A list of sources: what it must say of each text, and what is refused before anything is fetched."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from viz_node.domain.sources import FORMAT, parse_sources
from viz_node.errors import UsageError

ROOT = Path(__file__).parents[3]
SOURCE: dict[str, Any] = {
    "title": "Persuasion",
    "authors": ["Jane Austen"],
    "license": "public-domain",
    "sha256": "a" * 64,
    "path": "base/persuasion.txt",
    "reasons": {"EU": "author died in 1817"},
}


def listed(*sources: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"format": FORMAT, "name": "english", "license": "CC0-1.0", "sources": list(sources), **changes}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in SOURCE.items() if key != name}


def test_parse__whole_list__every_fact_is_there() -> None:
    other = {**SOURCE, "sha256": "b" * 64, "path": "", "url": "https://example.org/a.epub?x=1", "held_out": True}
    found = parse_sources(listed(SOURCE, other, leave_out=["word"]))
    assert [source.title for source in found.sources] == ["Persuasion", "Persuasion"]
    assert [source.file_name() for source in found.sources] == ["a" * 64 + ".txt", "b" * 64 + ".epub"]
    assert found.leave_out == ("word",)


def test_parse__list_of_the_base_that_comes_with_the_package__is_whole_and_cleared() -> None:
    found = parse_sources(tomllib.loads((ROOT / "configs/bases/viz-base-english-1.toml").read_text()))
    assert len(found.sources) == 60
    assert all(set(source.reasons) == {"US", "EU"} and "@" in source.revision for source in found.sources)
    assert sum(source.held_out for source in found.sources) == 3


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"license": "unknown"}, "its rights are unknown: 'unknown'"),
        ({"license": ""}, "its rights are unknown"),
        ({"license": "CC-BY-NC-4.0"}, "its rights are unknown: 'CC-BY-NC-4.0'"),
        ({"license": "cc0-1.0"}, "its rights are unknown"),
        ({"reasons": {}}, "needs a reason for at least one jurisdiction"),
        ({"reasons": {"US": " "}}, "needs a reason"),
        ({"license": "owned", "reasons": {}}, "owned needs a reason"),
        ({"authors": []}, "title and authors are needed"),
        ({"authors": [" "]}, "title and authors are needed"),
        ({"title": ""}, "title and authors are needed"),
        ({"title": "x" * 3000}, "too long"),
        ({"title": "a\x1b[2J"}, "nobody can read"),
        ({"sha256": "A" * 64}, "64 hexadecimal digits"),
        ({"path": "/etc/passwd"}, "must stay below the folder"),
        ({"path": "a/../../b"}, "must stay below the folder"),
        ({"path": ""}, "either a path or a url"),
        ({"url": "https://example.org/a.txt"}, "either a path or a url"),
        ({"path": "", "url": "http://example.org/a.txt"}, "must begin with https://"),
        ({"path": "", "url": "https://u:p@example.org/a.txt"}, "must begin with https://"),
        ({"path": "", "url": "https://[::1/a.txt"}, "must begin with https://"),
        ({"path": "", "url": "file:///etc/passwd"}, "must begin with https://"),
    ],
)
def test_parse__source_that_is_not_cleared_or_leads_astray__names_it(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=r"source 1 \(") as raised:
        parse_sources(listed({**SOURCE, **change}))
    assert problem in raised.value.message
    assert "\x1b" not in raised.value.message


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        listed(),
        listed({**SOURCE, "held_out": True}),
        listed(SOURCE, SOURCE),
        listed(without("sha256")),
        listed({**SOURCE, "more": 1}),
        listed({**SOURCE, "authors": "Jane Austen"}),
        listed(SOURCE, format="viz-node/sources/9"),
        listed(SOURCE, name="../x"),
        listed(SOURCE, name=""),
    ],
)
def test_parse__malformed__is_a_usage_error(body: object) -> None:
    with pytest.raises(UsageError):
        parse_sources(body)


@pytest.mark.parametrize("license_name", ["CC0-1.0", "CC-BY-SA-4.0", "MIT"])
def test_parse__open_license__needs_no_reason(license_name: str) -> None:
    assert parse_sources(listed({**without("reasons"), "license": license_name})).sources[0].license == license_name
