"""What an owner states of a base's training data: refused unless each source has rights that somebody can read."""

from typing import Any

import pytest

from tests.bases import listed_sources
from viz_node.domain.base_sources import FORMAT, check_base_name, check_license, parse_stated
from viz_node.errors import UsageError

SOURCE = {"title": "Common Corpus", "license": "CC-BY-4.0", "place": "https://example.org/corpus"}
BODY: dict[str, Any] = {"format": FORMAT, "sources": [SOURCE], "opt_outs": "none", "synthetic": "no"}


def test_parse_stated__whole__is_read() -> None:
    found = parse_stated(BODY)
    assert (found.sources[0].title, found.opt_outs, found.jurisdiction) == ("Common Corpus", "none", "")


def test_parse_stated__list_of_a_pre_training__is_read_as_well() -> None:
    found = parse_stated(listed_sources())
    assert (found.format, found.sources[0].title, found.sources[0].place) == (FORMAT, "Sentences of this test", "a.txt")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": "viz-node/sources/2"}, "have the format"),
        ({"format": "viz-node/sources/1"}, "the list of sources is malformed"),
        ({"sources": []}, "from 1 to 1000"),
        ({"sources": [SOURCE] * 1001}, "from 1 to 1000"),
        ({"sources": "x"}, "malformed"),
        ({"more": 1}, "malformed"),
        ({"opt_outs": "\x1b[2J"}, "nobody can read"),
        ({"jurisdiction": "x" * 2001}, "too long"),
        ({"sources": [SOURCE | {"license": "unknown"}]}, "source 1: its rights are unknown"),
        ({"sources": [SOURCE | {"license": "owned"}]}, "needs a reason"),
        ({"sources": [SOURCE | {"license": "owned", "reasons": {"EU": " "}}]}, "needs a reason"),
        ({"sources": [SOURCE | {"title": " "}]}, "a title is needed"),
        ({"sources": [SOURCE | {"title": "a\u202eb"}]}, "nobody can read"),
        ({"sources": [SOURCE | {"sha256": "12"}]}, "64 hexadecimal digits"),
    ],
)
def test_parse_stated__anything_amiss__is_refused_by_name(change: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        parse_stated(BODY | change)


@pytest.mark.parametrize("name", ["Apache-2.0", "CC-BY-SA-4.0", "LicenseRef-own", "MIT"])
def test_check_license__one_that_allows_sales__is_taken(name: str) -> None:
    assert check_license(name) == name


@pytest.mark.parametrize("name", ["", "all rights reserved", "CC-BY-NC-4.0", "cc-by-nd-4.0", "x" * 65, "MIT\n"])
def test_check_license__none_or_one_that_forbids_sales__is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        check_license(name)


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "a b", "x" * 65, "hf:a/b@c", "a\n"])
def test_check_base_name__not_fit_for_a_folder__is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is no name"):
        check_base_name(name)
