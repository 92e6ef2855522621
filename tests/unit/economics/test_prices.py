import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viz_node.economics.prices import PRICE_RULES, CappedStep, Credit, NaiveStep, OfferTerms, PriceRule, Vrgda
from viz_node.economics.pump import (
    NO_ATTACK,
    UNREACTIVE,
    WARM_UP_EPOCHS,
    Attack,
    profits,
    seller_income,
    textbook_pump,
)

# Each epoch as honest purchases (True) and the seller's own (False), in any order.
Histories = list[list[bool]]
histories = st.lists(st.lists(st.booleans(), max_size=25), min_size=1, max_size=30)
all_terms = st.builds(
    OfferTerms,
    ceiling=st.floats(100, 1_000),
    target=st.integers(1, 8),
    fee=st.floats(0, 0.3),
)


def gain_of_the_seller(rule: type, terms: OfferTerms, history: Histories) -> float:
    """What the seller's own purchases bring beyond what they cost, if nobody reacts."""
    honest_only = [[who for who in epoch if who] for epoch in history]
    return income(rule(terms), terms, history) - income(rule(terms), terms, honest_only)


def income(rule: PriceRule, terms: OfferTerms, history: Histories) -> float:
    total = 0.0
    for epoch in history:
        for is_honest in epoch:
            total += (1 - terms.fee) * rule.price() if is_honest else -terms.fee * rule.price()
            rule.sell(is_first=True)
        rule.end_epoch()
    return total


@settings(max_examples=200, deadline=None)
@given(histories, all_terms)
def test_credit__any_self_purchases_in_any_history__gain_nothing(history: Histories, terms: OfferTerms) -> None:
    assert gain_of_the_seller(Credit, terms, history) <= 1e-6


@pytest.mark.parametrize("rule", [NaiveStep, CappedStep, Vrgda])
def test_other_moving_rules__a_pump_after_a_quiet_time__pays(rule: type) -> None:
    quiet, pumped = [True] * 5, [False] * 5 + [True] * 5

    assert gain_of_the_seller(rule, OfferTerms(), [quiet] * 50 + [pumped] + [quiet] * 40) > 0


@pytest.mark.parametrize(("fee", "cost", "extra"), [(0.02, 64, 393), (0.30, 962, 281)])
def test_textbook_pump__naive_rule__costs_and_brings_what_was_published(fee: float, cost: float, extra: float) -> None:
    figures = textbook_pump(fee)

    assert figures == pytest.approx((180.2, cost, extra), rel=0.003)


def test_profits__not_attacking__is_among_the_choices_and_brings_nothing() -> None:
    assert profits("naive 1559", 0.1, [[UNREACTIVE]] * 3)[0] == (0.0, NO_ATTACK)


def test_seller_income__own_purchases_at_a_fixed_price__cost_their_fees() -> None:
    terms = OfferTerms(fee=0.1)
    crowd = [[UNREACTIVE]] * (WARM_UP_EPOCHS + 2)

    pumped = seller_income(PRICE_RULES["fixed"](terms), terms, crowd, Attack(self_buys=3, epochs=2))

    assert seller_income(PRICE_RULES["fixed"](terms), terms, crowd, NO_ATTACK) - pumped == pytest.approx(3 * 2 * 10)


@pytest.mark.parametrize("rule", PRICE_RULES.values(), ids=PRICE_RULES)
@given(history=histories)
def test_rule__any_sales__price_within_floor_and_ceiling(rule: type, history: Histories) -> None:
    terms = OfferTerms(ceiling=130.0, fee=0.3)
    offer = rule(terms)
    for epoch in history:
        for is_first in epoch:
            assert 100 <= offer.price() <= 130 + 1e-9
            offer.sell(is_first)
        offer.end_epoch()


def test_credit__more_new_licensees_than_the_target__dearer_and_then_back_to_the_floor() -> None:
    offer = Credit(OfferTerms(fee=0.1))
    for _ in range(10):
        offer.sell(is_first=True)
    raised = offer.price()
    for _ in range(30):
        offer.end_epoch()

    assert 105 < raised <= 110
    assert offer.price() == pytest.approx(100)


def test_credit__new_licensees_up_to_the_target__price_stays_at_the_floor() -> None:
    offer = Credit(OfferTerms(fee=0.1))
    for _ in range(5):
        offer.sell(is_first=True)

    assert offer.price() == 100


def test_credit__renewals__never_raise_the_price() -> None:
    offer = Credit(OfferTerms(fee=0.1))
    for _ in range(50):
        offer.sell(is_first=False)

    assert offer.price() == 100
