"""An audit follows what disputes, refunds and pauses do, and the contract's own state agrees with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.anvil_market import ANVIL, PRICE, AnvilMarket
from tests.third_party import assert_rederived
from viz_node.audit import audit
from viz_node.chain.development.anvil import start_anvil, stop_anvil
from viz_node.domain.ids import Account, TokenAmount
from viz_node.domain.offer import OfferTerms
from viz_node.domain.purchase import NewOrder
from viz_node.identity import delivery

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed: run `npm ci` in contracts/")
KEY, WINDOW, HOUR, DAY = b"\5" * 32, 600, 3600, 86_400


@pytest.fixture
def market(tmp_path: Path) -> Iterator[AnvilMarket]:
    yield AnvilMarket(start_anvil(tmp_path, ANVIL).rpc_url)
    stop_anvil(tmp_path)


class Shop:
    """An escrowed offer at a moving price, and orders for it."""

    def __init__(self, market: AnvilMarket) -> None:
        self.market, self.gateway, self.secret = market, market.gateway, delivery.new_order_secret()
        terms = OfferTerms(PRICE, HOUR, is_escrowed=True, max_rise=5000, target=1)
        self.offer_id = market.publish(terms, key_hash=delivery.key_hash(KEY))
        market.approve(market.buyer)

    def order(self, holder: Account) -> TokenAmount:
        price = self.gateway.quote(self.offer_id)
        point = delivery.point_of(self.secret)
        new = NewOrder(self.market.item(self.offer_id), holder, price, point, b"\4" * 32)
        self.market.do(self.market.buyer, self.gateway.prepare_order(new))
        return price

    def deliver(self, key: bytes) -> None:
        order = self.gateway.orders_for([self.offer_id])[-1]
        given = delivery.wrap_for_order(key, order.terms.point)
        self.market.do(self.market.owner, self.gateway.prepare_deliver(order, given.point, given.wrapped))

    def dispute(self) -> None:
        order = self.gateway.orders_for([self.offer_id])[-1]
        shared = delivery.prove_wrong_key(self.secret, order.delivery).shared
        call = self.gateway.prepare_dispute(order, int.from_bytes(self.secret), shared)
        self.market.do(self.market.buyer, call)

    def assert_audited(self) -> None:
        report, _ = audit([self.market.rpc_url], self.market.deployment, block="latest")
        assert [(finding.check, finding.message) for finding in report.findings] == []
        assert report.ok
        assert_rederived(self.market.rpc_url, self.market.deployment, report)


def test_audit__orders_at_a_moving_price__disputed_refunded_and_settled(market: AnvilMarket) -> None:
    shop, gateway = Shop(market), market.gateway
    holders = [market.sender().account for _ in range(5)]
    for holder in holders[:2]:
        shop.order(holder)
        shop.deliver(KEY)
    market.pass_time(WINDOW + 1)
    market.do(market.owner, gateway.prepare_settle(gateway.orders_for([shop.offer_id])))
    raised = shop.order(holders[2])
    assert raised > PRICE
    shop.assert_audited()
    assert shop.order(holders[3]) == PRICE  # the premium is reserved
    shop.deliver(b"\6" * 32)
    item = market.item(shop.offer_id)
    market.do(market.buyer, gateway.prepare_buy(item, holders[3], raised, b"\7" * 32))  # a renewal
    shop.dispute()
    left = gateway.license_expiry(shop.offer_id, holders[3]) - gateway.block_time()
    assert left == HOUR  # what was paid is there, what was given with the wrong key is not
    shop.assert_audited()
    market.pass_time(WINDOW + 1)
    market.do(market.owner, gateway.prepare_refund(gateway.orders_for([shop.offer_id])[0]))
    assert gateway.quote(shop.offer_id) == raised  # back with the money
    shop.assert_audited()


def test_audit__pause_that_nobody_ends__sales_after_thirty_days_follow_the_rules(market: AnvilMarket) -> None:
    shop, gateway, stranger = Shop(market), market.gateway, market.sender()
    market.act(gateway.steward(), gateway.prepare_pause())
    assert gateway.is_paused()
    shop.assert_audited()
    market.pass_time(30 * DAY)
    assert not gateway.is_paused()
    shop.order(stranger.account)
    shop.assert_audited()
    market.do(stranger, gateway.prepare_unpause())
    shop.order(market.sender().account)
    shop.assert_audited()
