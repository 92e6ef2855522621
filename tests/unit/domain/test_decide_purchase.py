"""Whether a license is bought: every branch, each refusal with its next step."""

from dataclasses import replace

import pytest

from viz_node.domain.decide_purchase import (
    ALREADY_LICENSED,
    ALREADY_ORDERED,
    AskedPurchase,
    Buying,
    Holding,
    PurchaseFacts,
    decide_purchase,
)
from viz_node.domain.decision import Refusal
from viz_node.domain.ids import TokenAmount
from viz_node.domain.offer import Offer
from viz_node.errors import LicenseRequiredError, PriceAboveLimitError, RefusedError, UsageError, VizNodeError

NOW = 1000
OFFER = Offer(1, 7, TokenAmount(5_000_000), 1, 0, (), TokenAmount(5_000_000))
ESCROWED = replace(OFFER, is_escrowed=True)
WITHDRAWN = replace(OFFER, is_withdrawn=True)
OTHER = replace(OFFER, offer_id=2, price=TokenAmount(6_000_000))
ASKED, RENEWAL = AskedPurchase(5_000_000), AskedPurchase(5_000_000, is_renewal=True)


def facts(
    offer: Offer = OFFER, kind: str = "subscription", *holdings: Holding, is_awaited: bool = False
) -> PurchaseFacts:
    return PurchaseFacts("elsin", kind, offer, holdings or (Holding(offer, 0),), is_awaited, NOW)


@pytest.mark.parametrize("kind", ["perpetual", "subscription"])
def test_decide__sold_and_not_held__is_bought_at_once(kind: str) -> None:
    decided = decide_purchase(facts(OFFER, kind), ASKED)
    assert decided == Buying(OFFER, is_order=False)
    assert isinstance(decided, Buying)
    assert decided.price == 5_000_000


def test_decide__escrowed__is_an_order_the_first_time_only() -> None:
    assert decide_purchase(facts(ESCROWED), ASKED) == Buying(ESCROWED, is_order=True)
    held = facts(ESCROWED, "subscription", Holding(ESCROWED, NOW - 1))
    assert decide_purchase(held, ASKED) == Buying(ESCROWED, is_order=False)
    other = facts(ESCROWED, "subscription", Holding(replace(ESCROWED, offer_id=9), NOW + 1), Holding(ESCROWED, 0))
    assert decide_purchase(other, ASKED) == Buying(ESCROWED, is_order=True)


@pytest.mark.parametrize("offer", [OFFER, WITHDRAWN])
def test_decide__perpetual_and_held_by_any_offer__is_nothing_even_if_withdrawn(offer: Offer) -> None:
    held = facts(offer, "perpetual", Holding(offer, 0), Holding(OTHER, NOW + 1))
    assert decide_purchase(held, ASKED) == ALREADY_LICENSED
    assert decide_purchase(facts(OFFER, "perpetual", Holding(OTHER, NOW)), ASKED) == Buying(OFFER, is_order=False)


def test_decide__order_waits_for_the_key__is_nothing() -> None:
    assert decide_purchase(facts(ESCROWED, is_awaited=True), ASKED) == ALREADY_ORDERED
    assert decide_purchase(facts(ESCROWED, is_awaited=True), RENEWAL) == ALREADY_ORDERED


def test_decide__renewal__takes_the_offer_that_is_sold_and_ends_last() -> None:
    held = (
        Holding(replace(WITHDRAWN, offer_id=4), NOW + 900),
        Holding(OFFER, NOW + 5),
        Holding(replace(OFFER, offer_id=3), NOW + 9),
        Holding(OTHER, 0),
    )
    assert decide_purchase(facts(OTHER, "subscription", *held), RENEWAL) == Buying(held[2].offer, is_order=False)


@pytest.mark.parametrize(
    ("found", "asked", "kind", "told", "hint"),
    [
        (facts(kind="metered"), ASKED, RefusedError, "elsin is paid by use", "viz-node channel open elsin"),
        (facts(), RENEWAL, LicenseRequiredError, "never had a license", "viz-node license elsin --max-price 5.00"),
        (facts(WITHDRAWN), RENEWAL, LicenseRequiredError, "never had a license", "is withdrawn from sale"),
        (
            facts(OFFER, "perpetual", Holding(OFFER, NOW + 1)),
            RENEWAL,
            UsageError,
            "never ends",
            "viz-node fetch elsin",
        ),
        (
            facts(OFFER, "subscription", Holding(WITHDRAWN, NOW + 1)),
            RENEWAL,
            RefusedError,
            "that this account holds is withdrawn",
            "viz-node license elsin --max-price 5.00",
        ),
        (
            facts(WITHDRAWN, "subscription", Holding(WITHDRAWN, NOW + 1)),
            ASKED,
            RefusedError,
            "stays until it ends",
            "viz-node fetch elsin",
        ),
        (facts(WITHDRAWN), ASKED, RefusedError, "elsin is withdrawn from sale", "viz-node search"),
        (
            facts(),
            AskedPurchase(4_999_999),
            PriceAboveLimitError,
            "costs 5.00 tokens, more than 4.999999 tokens",
            "viz-node license elsin --max-price 5.00",
        ),
        (
            facts(OFFER, "subscription", Holding(OFFER, NOW + 1)),
            AskedPurchase(1, is_renewal=True),
            PriceAboveLimitError,
            "costs 5.00",
            "viz-node license renew elsin --max-price 5.00",
        ),
    ],
)
def test_decide__refused__says_why_and_what_to_do(
    found: PurchaseFacts, asked: AskedPurchase, kind: type[VizNodeError], told: str, hint: str
) -> None:
    decided = decide_purchase(found, asked)
    assert isinstance(decided, Refusal)
    assert decided.kind is kind
    assert told in decided.message
    assert hint in decided.hint
