"""Where a purchase in escrow stands, and what may be done about it."""

import pytest

from viz_node.domain.ids import Account
from viz_node.domain.order import Delivery, Order, OrderState, OrderTerms, WrappedKey, is_awaited

PAYER, HOLDER = Account("0x" + "11" * 20), Account("0x" + "22" * 20)
KEY_HASH = b"\7" * 32
TERMS = OrderTerms(1, 2, 1_000, PAYER, HOLDER, 5_000_000, KEY_HASH, b"\3" * 32, b"\4" * 64, b"terms")
DELIVERY = Delivery(b"\5" * 64, b"\6" * 32, 2_000, b"delivery")


def order(state: OrderState, delivery: Delivery | None = DELIVERY) -> Order:
    return Order(1, state, TERMS, delivery)


def test_disputable_until__delivered__is_the_deadline_of_the_delivery() -> None:
    assert order(OrderState.DELIVERED).disputable_until == 2_000


@pytest.mark.parametrize("state", sorted(set(OrderState) - {OrderState.DELIVERED}))
def test_disputable_until__any_other_state__is_never(state: OrderState) -> None:
    assert order(state).disputable_until is None
    assert not order(state).may_be_settled(10_000)


@pytest.mark.parametrize(("now", "may"), [(1_999, False), (2_000, False), (2_001, True)])
def test_may_be_settled__delivered__only_after_the_last_second_of_a_dispute(now: int, may: bool) -> None:
    assert order(OrderState.DELIVERED).may_be_settled(now) is may


def test_key__of_a_delivery__is_what_the_buyer_opens() -> None:
    assert DELIVERY.key == WrappedKey(b"\5" * 64, b"\6" * 32)


@pytest.mark.parametrize(
    ("state", "key_hash", "awaited"),
    [
        (OrderState.ORDERED, KEY_HASH.hex(), True),
        (OrderState.ORDERED, "00" * 32, False),
        (OrderState.DELIVERED, KEY_HASH.hex(), False),
        (OrderState.REFUNDED, KEY_HASH.hex(), False),
    ],
)
def test_is_awaited__paid_and_not_delivered__for_this_key_alone(
    state: OrderState, key_hash: str, awaited: bool
) -> None:
    assert is_awaited([order(state, None)], key_hash) is awaited
    assert not is_awaited([], key_hash)
