"""Parts of payments add up to what the contract owes, whatever is claimed in between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.domain.ids import WHOLE, BasisPoints, TokenAmount
from viz_node.domain.statement import SplitMovement, parse_period, statement
from viz_node.errors import UsageError


def movement(sequence: int, amount: int, is_claim: bool = False) -> SplitMovement:
    return SplitMovement(sequence, 0, "sold", 1, TokenAmount(amount), is_claim, "0x")


@given(st.lists(st.integers(1, 10**9), max_size=30), st.integers(1, WHOLE))
def test_statement__any_payments__parts_add_up_to_the_entitlement(amounts: list[int], share: int) -> None:
    payments = [movement(number, amount) for number, amount in enumerate(amounts)]
    lines = statement(reversed(payments), {1: BasisPoints(share)})
    assert sum(line.earned for line in lines) == sum(amounts) * share // WHOLE
    assert [line.movement for line in lines] == payments


def test_statement__claim__is_taken_and_earns_nothing() -> None:
    lines = statement([movement(2, 3, is_claim=True), movement(1, 10), movement(3, 1)], {1: BasisPoints(3333)})
    assert [(line.earned, line.taken) for line in lines] == [(3, 0), (0, 3), (0, 0)]


def test_parse_period__month_and_year__in_utc() -> None:
    assert parse_period("1970-01") == (0, 31 * 86_400)
    assert parse_period("1970-12")[1] == parse_period("1970")[1] == 365 * 86_400
    for text in ("", "70", "2026-13", "2026-1", "2026-11-02", "9999", "٢٠٢٦"):
        with pytest.raises(UsageError):
            parse_period(text)
