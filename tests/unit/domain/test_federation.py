"""Terms, invitations and agreed shares of a federation."""

from typing import Any

import pytest

from viz_node.domain.federation import agreed_shares, parse_invite, parse_terms, terms_digest
from viz_node.domain.ids import WHOLE
from viz_node.errors import UsageError, VerificationError

A, B, C = ("0x" + digit * 40 for digit in "abc")
TERMS: dict[str, Any] = {
    "name": "duo",
    "base": {"name": "small", "digest": "0" * 64},
    "rounds": 2,
    "members": 2,
    "split": "equal",
    "recipe": {"rank": 16, "seed": 1},
    "run_seed": "11",
}


def test_agreed_shares__equal_among_three__add_up_to_the_whole_in_any_order() -> None:
    shares = agreed_shares("equal", [C, A, B])
    assert shares == {A: 3334, B: 3333, C: 3333}
    assert sum(shares.values()) == WHOLE
    assert agreed_shares("equal", [B, C, A]) == shares


def test_agreed_shares__explicit__stay_as_agreed() -> None:
    assert agreed_shares({A: 7000, B: 3000}, [A, C]) == {A: 7000, B: 3000}


def test_terms_digest__another_split__differs() -> None:
    assert terms_digest(TERMS) != terms_digest(TERMS | {"split": {A: 10_000}})


def test_parse_terms__well_formed__returns_them() -> None:
    assert parse_terms(TERMS) == TERMS


@pytest.mark.parametrize(
    "change",
    [
        {"rounds": 0},
        {"members": 1},
        {"members": True},
        {"split": {A: 9_999}},
        {"split": "most"},
        {"base": {"name": "small", "digest": "x"}},
        {"extra": 1},
        {"run_seed": ""},
        {"recipe": None},
    ],
)
def test_parse_terms__malformed__is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(VerificationError):
        parse_terms(TERMS | change)


@pytest.mark.parametrize("invite", ["", "!", "e30", "bm90IGpzb24"])
def test_parse_invite__not_an_invitation__is_a_usage_error(invite: str) -> None:
    with pytest.raises(UsageError):
        parse_invite(invite)
