"""A moving price on a real Anvil, derived again from the ledger: every payment, the path, and the price to come."""

from collections.abc import Iterable, Iterator

import pytest

from tests.anvil_market import ANVIL, PRICE, AnvilMarket
from viz_node.chain.contract.ledger import EntryKind, LedgerEntry
from viz_node.chain.development.anvil import DevChain, start_anvil, stop_anvil
from viz_node.domain.ids import TokenAmount
from viz_node.domain.offer import OfferTerms
from viz_node.domain.pricing import EPOCH_SECONDS
from viz_node.domain.purchase import NewOrder
from viz_node.errors import VerificationError
from viz_node.identity import delivery

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed: run `npm ci` in contracts/")

KEY = b"\5" * 32
WINDOW = 600


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevChain]:
    directory = tmp_path_factory.mktemp("anvil")
    yield start_anvil(directory, ANVIL)
    stop_anvil(directory)


@pytest.fixture
def market(chain: DevChain) -> AnvilMarket:
    return AnvilMarket(chain.rpc_url)


def sell(market: AnvilMarket, offer_id: int) -> TokenAmount:
    """One purchase by somebody new, at what the contract asks."""
    buyer, price = market.sender(), market.gateway.quote(offer_id)
    market.approve(buyer)
    market.do(buyer, market.gateway.prepare_buy(market.item(offer_id), buyer.account, price, b"\4" * 32))
    return price


def test_price_history__rising_and_falling_price__is_what_the_contract_asked(market: AnvilMarket) -> None:
    gateway = market.gateway
    offer_id = market.publish(OfferTerms(PRICE, max_rise=5000, target=2))
    asked = [sell(market, offer_id) for _ in range(5)]
    market.pass_time(EPOCH_SECONDS)
    between, asked_between = gateway.block_time(), gateway.quote(offer_id)
    market.pass_time(1)  # the next sale is of a later second
    asked += [sell(market, offer_id) for _ in range(2)]
    sales, (path,) = gateway.price_history([offer_id])
    assert len(set(asked)) > 2
    assert [sale.paid for sale in sales] == [sale.derived for sale in sales] == asked
    assert path.at(between) == asked_between
    assert path.at(gateway.block_time()) == gateway.quote(offer_id)
    market.pass_time(3 * EPOCH_SECONDS)
    assert path.at(gateway.block_time()) == gateway.quote(offer_id)
    assert path.at(gateway.block_time() + 60 * EPOCH_SECONDS) == PRICE


def test_price_history__orders_in_escrow__move_the_price_once_they_are_final(market: AnvilMarket) -> None:
    gateway, buyer = market.gateway, market.buyer
    offer_id = market.publish(
        OfferTerms(PRICE, is_escrowed=True, max_rise=5000, target=1), key_hash=delivery.key_hash(KEY)
    )
    market.approve(buyer)
    secrets, holders = [delivery.new_order_secret() for _ in range(4)], [market.sender().account for _ in range(4)]
    for secret, holder in zip(secrets, holders, strict=True):
        new = NewOrder(market.item(offer_id), holder, TokenAmount(2 * PRICE), delivery.point_of(secret), b"\4" * 32)
        market.do(buyer, gateway.prepare_order(new))
    for order in gateway.orders_for([offer_id])[:3]:
        given = delivery.wrap_for_order(KEY if order.number < 3 else b"\6" * 32, order.terms.point)
        market.do(market.owner, gateway.prepare_deliver(order, given.point, given.wrapped))
    orders = gateway.orders_for([offer_id])
    shared = delivery.prove_wrong_key(secrets[2], orders[2].delivery).shared
    market.do(buyer, gateway.prepare_dispute(orders[2], int.from_bytes(secrets[2], "big"), shared))
    market.pass_time(WINDOW + 1)
    market.do(buyer, gateway.prepare_settle(orders[:2]))
    market.do(buyer, gateway.prepare_refund(orders[3]))
    new = NewOrder(market.item(offer_id), holders[3], TokenAmount(2 * PRICE), orders[0].terms.point, b"\4" * 32)
    market.do(buyer, gateway.prepare_order(new))
    sales, (path,) = gateway.price_history([offer_id])
    assert [sale.outcome for sale in sales] == ["settled", "settled", "disputed", "refunded", "open"]
    assert [sale.holder for sale in sales] == [*holders, holders[3]]
    assert [sale.paid for sale in sales] == [sale.derived for sale in sales]
    assert [sale.paid > PRICE for sale in sales] == [False, False, False, False, True]
    assert path.at(gateway.block_time()) == gateway.quote(offer_id)


def test_price_history__endpoint_lies_about_a_payment__does_not_match(
    market: AnvilMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer_id = market.publish(OfferTerms(PRICE, max_rise=5000, target=1))
    for _ in range(2):
        sell(market, offer_id)
    entries = market.gateway._entries

    def lie(kinds: Iterable[EntryKind]) -> list[LedgerEntry]:
        return [entry._replace(a=PRICE - 1) if entry.kind == EntryKind.SOLD else entry for entry in entries(kinds)]

    def hide(kinds: Iterable[EntryKind]) -> list[LedgerEntry]:
        return [entry for entry in entries(kinds) if entry.kind == EntryKind.SOLD]

    monkeypatch.setattr(market.gateway, "_entries", lie)
    sales, _ = market.gateway.price_history([offer_id])
    assert [(sale.paid, sale.derived) for sale in sales] == [(PRICE - 1, PRICE)] * 2
    monkeypatch.setattr(market.gateway, "_entries", hide)
    with pytest.raises(VerificationError, match="hides how offer"):
        market.gateway.price_history([offer_id])
