"""Whether a channel is opened, topped up or closed: every branch, and that no unit of a deposit is lost."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.domain.channel import Channel, PaidChannel, PaidRecord
from viz_node.domain.decide_channel import (
    AskedChannel,
    ChannelFacts,
    Closing,
    Opening,
    TopUp,
    decide_channel,
    decide_close,
    decide_top_up,
)
from viz_node.domain.decision import NothingToDo, Refusal, granted
from viz_node.domain.ids import Account, BasisPoints, TokenAmount
from viz_node.domain.offer import Offer
from viz_node.errors import NotFoundError, RefusedError, UsageError, VizNodeError

DAY, PRICE = 86_400, TokenAmount(10_000)
SESSION = Account("0x" + "11" * 20)
SHARES = ((Account("0x" + "22" * 20), BasisPoints(10_000)),)
OFFER = Offer(3, 1, PRICE, 5, 0, SHARES, floor=PRICE, is_metered=True)
FACTS = ChannelFacts("elsin", OFFER, DAY)
CHANNEL = Channel(7, SESSION, 30 * DAY, 5, TokenAmount(50_000), PRICE, 1, SHARES[0][0], 3)
RECORD = PaidRecord(7, "ab", 3, PRICE, SESSION, "0a", uses=2)
PAID = PaidChannel("pay:one", RECORD, CHANNEL, 29 * DAY)
REOPEN = "viz-node channel open ADAPTER --deposit 2.00"
GONE = "channel 7 is closed or closing, or its key is lost"


def test_decide_channel__open_offer__tells_the_uses_and_the_days_that_it_is_served() -> None:
    assert decide_channel(FACTS, AskedChannel(TokenAmount(59_999), 30)) == Opening(
        TokenAmount(59_999), 30 * DAY, PRICE, 5, 29
    )


@pytest.mark.parametrize(
    ("facts", "deposit", "days", "refusal"),
    [
        (
            replace(FACTS, offer=replace(OFFER, is_metered=False)),
            0,
            1,
            Refusal(RefusedError, "elsin is not paid per use", "viz-node license elsin --max-price 0.01"),
        ),
        (
            replace(FACTS, offer=replace(OFFER, is_withdrawn=True)),
            0,
            1,
            Refusal(RefusedError, "elsin is no longer for sale", "viz-node search"),
        ),
        (
            FACTS,
            9_999,
            1,
            Refusal(UsageError, "one use of elsin costs 0.01 tokens", "viz-node channel open elsin --deposit 0.01"),
        ),
        (
            FACTS,
            10_000,
            1,
            Refusal(UsageError, "a channel is not served in its last 1 day", "--days 2, or more"),
        ),
    ],
)
def test_decide_channel__of_no_use__is_refused(facts: ChannelFacts, deposit: int, days: int, refusal: Refusal) -> None:
    assert decide_channel(facts, AskedChannel(TokenAmount(deposit), days)) == refusal


@given(price=st.integers(1, 2**63 - 1), deposit=st.integers(1, 2**127), days=st.integers(2, 366))
def test_decide_channel__any_deposit__pays_as_many_uses_as_fit(price: int, deposit: int, days: int) -> None:
    facts = replace(FACTS, offer=replace(OFFER, price=TokenAmount(price)))
    decision = decide_channel(facts, AskedChannel(TokenAmount(deposit), days))
    if deposit < price:
        assert isinstance(decision, Refusal)
        return
    opening = granted(decision)
    assert opening.uses >= 1 and 0 <= opening.deposit - opening.uses * opening.price < price
    assert opening.deposit == deposit and 1 <= opening.served_days == days - 1


def test_decide_top_up__open_channel__counts_what_is_left_and_what_is_added() -> None:
    assert decide_top_up(PAID, TokenAmount(25_000)) == TopUp(SESSION, TokenAmount(25_000), PRICE, 5)


@pytest.mark.parametrize(
    "paid", [replace(PAID, channel=None), replace(PAID, record=None), replace(PAID, seconds_left=0)]
)
def test_decide_top_up__channel_that_pays_for_nothing_more__is_refused(paid: PaidChannel) -> None:
    assert decide_top_up(paid, TokenAmount(1)) == Refusal(RefusedError, GONE, REOPEN)


@given(
    price=st.integers(1, 2**63),
    uses=st.integers(0, 1000),
    redeemed=st.integers(0, 1000),
    spare=st.integers(0, 2**64),
    amount=st.integers(1, 2**64),
)
def test_decide_top_up__any_channel__uses_and_rest_are_the_deposit_to_the_unit(
    price: int, uses: int, redeemed: int, spare: int, amount: int
) -> None:
    used = max(uses, redeemed)
    deposit = TokenAmount(used * price + spare)
    channel = replace(CHANNEL, deposit=deposit, price=TokenAmount(price), uses=redeemed)
    paid = replace(PAID, channel=channel, record=replace(RECORD, price=TokenAmount(price), uses=uses))
    assert paid.rest + used * price == deposit
    more = granted(decide_top_up(paid, TokenAmount(amount)))
    assert 0 <= paid.rest + amount - more.uses_left * price < price


def test_decide_close__open__the_rest_comes_back_else_there_is_nothing_to_ask() -> None:
    assert decide_close(PAID) == Closing(TokenAmount(30_000))
    assert decide_close(replace(PAID, record=None)) == Closing(TokenAmount(40_000))
    assert decide_close(replace(PAID, seconds_left=0)) == NothingToDo()
    assert decide_close(replace(PAID, channel=None)) == Refusal(
        NotFoundError, "channel 7 is not open", "viz-node channel list"
    )


def test_granted__refusal__is_raised_as_its_kind_with_message_and_hint() -> None:
    with pytest.raises(VizNodeError) as raised:
        granted(decide_top_up(replace(PAID, channel=None), TokenAmount(1)))
    assert (type(raised.value), raised.value.message, raised.value.hint) == (RefusedError, GONE, REOPEN)


@pytest.mark.parametrize(
    ("paid", "state"),
    [
        (PAID, "open"),
        (replace(PAID, seconds_left=0), "closing"),
        (replace(PAID, record=None), "key lost"),
        (replace(PAID, channel=None), "closed"),
        (replace(PAID, channel=None, record=replace(RECORD, number=None)), "not open"),
    ],
)
def test_paid_channel__state__in_words(paid: PaidChannel, state: str) -> None:
    assert paid.state == state
