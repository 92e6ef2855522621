"""What another price, or the end of all sales, does to an adapter's offers: every branch."""

from dataclasses import replace

import pytest

from viz_node.domain.decide_price import NewOffer, Withdrawal, decide_price, decide_withdrawal, repriced
from viz_node.domain.decision import NothingToDo, Refusal
from viz_node.domain.ids import TokenAmount
from viz_node.domain.offer import Offer
from viz_node.errors import NotFoundError

FIRST = Offer(1, 7, TokenAmount(5_000_000), 4, 0, (), TokenAmount(5_000_000), is_withdrawn=True)
OPEN = replace(FIRST, offer_id=2, is_withdrawn=False)
SUSPENDED = replace(OPEN, offer_id=3, is_suspended=True)
NEWEST = replace(OPEN, offer_id=4, is_escrowed=True)


@pytest.mark.parametrize(
    ("offers", "withdrawn"),
    [([FIRST], ()), ([OPEN], (2,)), ([FIRST, OPEN, SUSPENDED, NEWEST], (2, 4)), ([SUSPENDED], ())],
)
def test_decide_price__offered_before__same_split_and_the_open_ones_end(
    offers: list[Offer], withdrawn: tuple[int, ...]
) -> None:
    assert decide_price(offers) == NewOffer(4, withdrawn)
    assert decide_withdrawal(offers) == (Withdrawal(withdrawn) if withdrawn else NothingToDo("withdrawn"))


def test_decide_price__never_offered__refused() -> None:
    decided = decide_price([])
    assert isinstance(decided, Refusal)
    assert (decided.kind, decided.hint) == (NotFoundError, "viz-node publish ADAPTER --price 5.00")
    assert decide_withdrawal([]) == NothingToDo("withdrawn")


@pytest.mark.parametrize(("offers", "is_escrowed"), [([], False), ([NEWEST, OPEN], False), ([OPEN, NEWEST], True)])
def test_repriced__license_and_days_stay__delivery_is_that_of_the_newest(
    offers: list[Offer], is_escrowed: bool
) -> None:
    asked = repriced("subscription", 30 * 86_400, offers, ("7.00", "8.00", 20))
    assert (asked.license_kind, asked.duration_days, asked.is_escrowed) == ("subscription", 30, is_escrowed)
    assert asked.offer().price == 7_000_000
    assert asked.offer().target == 20
