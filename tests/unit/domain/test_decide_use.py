"""Whether a paid use is served, and a channel redeemed: every branch, each refusal with its next step."""

from dataclasses import replace

import pytest

from viz_node.domain.channel import Channel, EarnedRecord
from viz_node.domain.decide_use import (
    NextUse,
    ServingFacts,
    decide_next_use,
    is_worth_redeeming,
    refuse_deposit,
    refuse_serving,
)
from viz_node.domain.decision import Refusal
from viz_node.domain.ids import Account, PeerId, TokenAmount
from viz_node.domain.usage import UsageTree
from viz_node.errors import RefusedError, VerificationError

SESSION, OTHER = Account("0x" + "11" * 20), Account("0x" + "22" * 20)
CHANNEL = Channel(7, SESSION, 10_000, 4, TokenAmount(500), TokenAmount(100), 2, OTHER, 3)
KEPT = EarnedRecord("ab", PeerId("p"), 4, 400, "00" * 32, "", (), SESSION)
FACTS = ServingFacts([3], 1000, 600, 500)


def test_next_use__nothing_kept__is_the_one_after_those_redeemed() -> None:
    decided = decide_next_use(CHANNEL, None, 3)
    assert isinstance(decided, NextUse)
    assert (decided.voucher.channel, decided.voucher.uses, decided.voucher.cumulative) == (7, 3, 300)
    assert decided.voucher.usage_root == UsageTree(()).root()


@pytest.mark.parametrize(
    ("kept", "uses", "is_next"),
    [
        (None, 2, False),
        (None, 4, False),
        (KEPT, 5, True),
        (KEPT, 4, False),
        (KEPT, 6, False),
        (replace(KEPT, session=""), 5, True),
        (replace(KEPT, session=OTHER), 5, False),
        (replace(KEPT, session=OTHER), 3, True),
        (replace(KEPT, uses=1), 2, False),
    ],
)
def test_next_use__kept_uses_of_this_channel__decide_which_is_next(
    kept: EarnedRecord | None, uses: int, is_next: bool
) -> None:
    decided = decide_next_use(CHANNEL, kept, uses)
    assert isinstance(decided, NextUse) is is_next
    if isinstance(decided, Refusal):
        assert decided.kind is VerificationError
        assert decided.hint == "viz-node channel close 7, and open another"


@pytest.mark.parametrize(("cumulative", "is_paid"), [(0, True), (500, True), (501, False)])
def test_deposit__all_uses_so_far__must_fit(cumulative: int, is_paid: bool) -> None:
    refusal = refuse_deposit(CHANNEL, cumulative)
    assert (refusal is None) is is_paid
    if refusal is not None:
        assert (refusal.kind, refusal.hint) == (RefusedError, "viz-node channel top-up 7 1.00")


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (FACTS, ""),
        (replace(FACTS, safe_deposit=400), ""),
        (replace(FACTS, offers=[]), "pays for another adapter"),
        (replace(FACTS, offers=[4]), "pays for another adapter"),
        (replace(FACTS, now=9399), ""),
        (replace(FACTS, now=9400), "is about to close"),
        (replace(FACTS, safe_deposit=399), "is not safe yet"),
    ],
)
def test_serving__adapter_time_and_money__each_must_fit(facts: ServingFacts, says: str) -> None:
    refusal = refuse_serving(CHANNEL, facts, "ab", 400)
    assert (refusal is None) is (says == "")
    if refusal is not None:
        assert says in refusal.message
        assert refusal.hint


@pytest.mark.parametrize(
    ("price", "uses", "ends_from", "is_worth"),
    [
        (1_000_000, 3, 0, True),
        (999_999, 3, 0, False),
        (10_000, 3, 9_999, False),
        (10_000, 3, 10_000, True),
        (9_999, 3, 10_000, False),
        (1_000_000, 2, 10_000, False),
    ],
)
def test_redeeming__a_token_or_a_hundredth_at_the_end(price: int, uses: int, ends_from: int, is_worth: bool) -> None:
    assert is_worth_redeeming(replace(CHANNEL, price=TokenAmount(price)), uses, ends_from) is is_worth
