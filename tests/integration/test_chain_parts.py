"""Every other entry point of the market through the gateway, against a real Anvil, with its typed reads."""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from coincurve import PrivateKey, PublicKey

from tests.anvil_market import ANVIL, DIGESTS, OTHERS, PRICE, AnvilMarket
from tests.audits import assert_cut_anywhere
from tests.third_party import assert_rederived
from viz_node.audit import AuditReport, audit, examine
from viz_node.chain.account.signing import account_of_key
from viz_node.chain.contract.ledger import PERPETUAL
from viz_node.chain.contract.vouchers import Voucher, domain_separator, sign_voucher
from viz_node.chain.development.anvil import DevChain, start_anvil, stop_anvil
from viz_node.chain.encoding.hashing import keccak, pool_root
from viz_node.chain.gateway.escrow import _ALL
from viz_node.chain.node.logs import Log
from viz_node.domain.ids import Account, BasisPoints, TokenAmount
from viz_node.domain.offer import OfferTerms
from viz_node.domain.order import Order, OrderState
from viz_node.domain.pool import CREDIT_SECONDS, LAPSE_SECONDS, PoolClaim
from viz_node.domain.purchase import NewChannel, NewOrder
from viz_node.domain.royalty import split_from_shares
from viz_node.domain.transaction import Call
from viz_node.errors import NotFoundError, TransactionRevertedError, UsageError, VerificationError

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed: run `npm ci` in contracts/")

KEY = b"\5" * 32
REF = b"\4" * 32
WINDOW = 600
DAY = 86_400


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevChain]:
    directory = tmp_path_factory.mktemp("anvil")
    yield start_anvil(directory, ANVIL)
    stop_anvil(directory)


@pytest.fixture
def market(chain: DevChain) -> Iterator[AnvilMarket]:
    """A market of its own; whatever a test did with it, an audit re-derives it."""
    market = AnvilMarket(chain.rpc_url)
    yield market
    assert_holds(market)


def assert_holds(market: AnvilMarket) -> AuditReport:
    """Nothing is wrong, the figures are those of the rows, and an audit in two parts says the same."""
    found = examine([market.rpc_url], market.deployment, block="latest")
    report = found.report
    assert report.findings == ()
    assert report.proof.proven
    assert_cut_anywhere(found)
    assert_rederived(market.rpc_url, market.deployment, report)
    counts, sums = report.counts, report.sums
    kinds = ("direct_sales", "escrow_settlements", "metered_redemptions", "pool_credits")
    for tally in (counts, sums):
        assert tally["sales"] == sum(tally[kind] for kind in kinds)
    for name, units in (("sales", "price"), ("passed_on", "amount"), ("claims", "amount")):
        rows = getattr(report, name)
        assert (counts[name], sums[name]) == (len(rows), sum(getattr(row, units) for row in rows))
    splits = report.splits
    assert sums["sales"] == sum(row.sold for row in splits)
    assert sums["passed_on"] == sum(row.passed_in for row in splits) == sum(row.passed_on for row in splits)
    assert sums["claims"] == sum(row.claimed for row in splits) == sum(row.claimed for row in report.totals)
    assert sums["unclaimed"] == sums["sales"] - sums["claims"] == sum(row.accrued - row.paid for row in splits)
    balance = market.gateway.balances(market.deployment.market).token
    assert sums["owed"] + sums["unbooked"] == balance
    return report


def point_of(key: PrivateKey | PublicKey) -> bytes:
    public = key.public_key if isinstance(key, PrivateKey) else key
    return public.format(compressed=False)[1:]


class Trade:
    """An escrowed offer with one paid order."""

    def __init__(self, market: AnvilMarket) -> None:
        self.market, self.gateway = market, market.gateway
        self.offer_id = market.publish(OfferTerms(PRICE, is_escrowed=True), key_hash=keccak(KEY))
        self.b, self.r = PrivateKey(), PrivateKey()
        market.approve(market.buyer)
        self.number = self.order()

    def order(self) -> int:
        buyer = self.market.buyer
        new = NewOrder(self.market.item(self.offer_id), buyer.account, PRICE, point_of(self.b), REF)
        return self.market.do(buyer, self.gateway.prepare_order(new)).logs[0].key

    @property
    def shared(self) -> bytes:
        return point_of(self.b.public_key.multiply(self.r.secret))

    def now(self) -> Order:
        return self.gateway.order(self.number)

    def deliver(self, key: bytes = KEY) -> None:
        wrapped = bytes(a ^ b for a, b in zip(key, keccak(self.shared), strict=True))
        self.market.do(self.market.owner, self.gateway.prepare_deliver(self.now(), point_of(self.r), wrapped))

    def opened(self) -> bytes:
        order = self.now()
        assert order.delivery is not None
        shared = PublicKey(b"\4" + order.delivery.point).multiply(self.b.secret)
        return bytes(a ^ b for a, b in zip(order.delivery.wrapped, keccak(point_of(shared)), strict=True))


def test_escrow__right_key__is_opened_by_the_buyer_and_settled(market: AnvilMarket) -> None:
    trade = Trade(market)
    order = trade.now()
    assert (order.state, order.terms.price, order.terms.payer) == (OrderState.ORDERED, PRICE, market.buyer.account)
    assert (order.terms.point, order.terms.key_hash, order.terms.order_ref) == (point_of(trade.b), keccak(KEY), REF)
    assert [item.number for item in market.gateway.orders_for([trade.offer_id])] == [trade.number]
    assert market.gateway.license_expiry(trade.offer_id, market.buyer.account) == 0

    trade.deliver()
    assert (trade.now().state, trade.opened()) == (OrderState.DELIVERED, KEY)
    assert market.gateway.license_expiry(trade.offer_id, market.buyer.account) == PERPETUAL
    with pytest.raises(TransactionRevertedError, match="TooEarly"):
        market.buyer.sign(market.gateway.prepare_settle([trade.now()]), market.buyer.next_nonce())
    market.pass_time(WINDOW + 1)
    market.do(market.buyer, market.gateway.prepare_settle([trade.now()]))
    assert trade.now().state is OrderState.SETTLED
    assert market.gateway.royalties_of(market.owner.account)[0].accrued == PRICE
    (sale,) = assert_holds(market).sales
    assert (sale.kind, sale.account, sale.term, sale.expiry) == (
        "license by escrow",
        market.buyer.account,
        "perpetual",
        None,
    )
    assert (sale.adapter_number, sale.adapter_id) == (1, DIGESTS[0].hex())


def test_escrow__wrong_key__is_disputed_and_paid_back(market: AnvilMarket) -> None:
    trade = Trade(market)
    trade.deliver(b"\6" * 32)
    before = market.gateway.balances(market.buyer.account).token
    secret = int.from_bytes(trade.b.secret, "big")
    market.do(market.buyer, market.gateway.prepare_dispute(trade.now(), secret, trade.shared))
    assert trade.now().state is OrderState.DISPUTED
    assert market.gateway.balances(market.buyer.account).token == before + PRICE
    assert market.gateway.license_expiry(trade.offer_id, market.buyer.account) == 0


def test_escrow__no_delivery__is_refunded_and_ordered_again(market: AnvilMarket) -> None:
    trade = Trade(market)
    market.pass_time(WINDOW + 1)
    market.do(market.owner, market.gateway.prepare_refund(trade.now()))
    assert trade.now().state is OrderState.REFUNDED
    trade.order()
    states = [order.state for order in market.gateway.orders_paid_by(market.buyer.account)]
    assert states == [OrderState.REFUNDED, OrderState.ORDERED]
    with pytest.raises(NotFoundError):
        market.gateway.order(99)


def test_escrow__operator_delivers_and_many_are_settled_at_once(market: AnvilMarket) -> None:
    trade = Trade(market)
    operator = market.sender()
    adapter_number = market.gateway.offer(trade.offer_id).adapter_number
    assert market.gateway.operator_of(adapter_number) is None
    market.do(market.owner, market.gateway.prepare_set_operator(adapter_number, operator.account))
    assert market.gateway.operator_of(adapter_number) == operator.account
    other = market.sender()
    market.approve(other)
    new = NewOrder(market.item(trade.offer_id), other.account, PRICE, point_of(trade.b), REF)
    market.do(other, market.gateway.prepare_order(new))
    for order in market.gateway.orders_for([trade.offer_id]):
        market.do(operator, market.gateway.prepare_deliver(order, point_of(trade.r), b"\7" * 32))
    market.pass_time(WINDOW + 1)
    orders = market.gateway.orders_for([trade.offer_id])
    market.do(operator, market.gateway.prepare_settle(orders))
    assert market.gateway.orders_for([trade.offer_id]) == []
    assert {market.gateway.order(order.number).state for order in orders} == {OrderState.SETTLED}
    assert market.gateway.royalties_of(market.owner.account)[0].accrued == 2 * PRICE


def test_order__endpoint_alters_the_buyers_point__is_not_believed(
    market: AnvilMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    trade = Trade(market)
    logs = market.gateway._events

    def lie(*asked: Any) -> list[Log]:
        return [log._replace(data=log.data[:-2] + "77") for log in logs(*asked)]

    monkeypatch.setattr(market.gateway, "_events", lie)
    with pytest.raises(VerificationError, match="not what was paid"):
        trade.now()


def test_order__endpoint_hides_the_order_or_how_it_ended__is_not_told_as_running(
    market: AnvilMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    trade = Trade(market)
    with monkeypatch.context() as patch:
        patch.setattr(market.gateway, "_events", lambda *_: [])
        with pytest.raises(VerificationError, match="hides what order"):
            trade.now()
    placed = market.gateway._placed(_ALL, key=trade.number)
    market.pass_time(WINDOW + 1)
    market.do(market.owner, market.gateway.prepare_refund(trade.now()))
    assert market.gateway._orders(placed) == []


def test_channel__vouchers_are_redeemed_and_the_rest_goes_back(market: AnvilMarket) -> None:
    gateway, buyer, price = market.gateway, market.buyer, TokenAmount(10_000)
    offer_id = market.publish(OfferTerms(price, is_metered=True))
    assert gateway.offer(offer_id).is_metered
    market.approve(buyer)
    session = secrets.token_bytes(32)
    new = NewChannel(market.item(offer_id), account_of_key(session), TokenAmount(50_000), DAY, price)
    numbers = [market.do(buyer, gateway.prepare_open_channel(new)).logs[0].key for _ in range(2)]
    assert [row.number for row in gateway.channels_of(buyer.account)] == numbers
    assert gateway.open_channels([*numbers, 99]) == gateway.channels_of(buyer.account)
    opened_in = gateway.block_number() - 1
    assert [gateway.deposit_through(numbers[0], opened_in - back) for back in (0, 1)] == [50_000, 0]

    domain = domain_separator(market.deployment.chain_id, market.deployment.market)
    vouchers = [Voucher(number, 3 * price, 3, b"\1" * 32) for number in numbers]
    signed = [(voucher, sign_voucher(session, domain, voucher)) for voucher in vouchers]
    market.do(market.owner, gateway.prepare_redeem(signed[:1]))
    later = Voucher(numbers[0], 4 * price, 4, b"\2" * 32)
    market.do(market.owner, gateway.prepare_redeem([(later, sign_voucher(session, domain, later)), signed[1]]))
    channel = gateway.channel(numbers[0])
    assert (channel.uses, channel.redeemed, channel.deposit, channel.payer) == (4, 40_000, 50_000, buyer.account)
    market.do(buyer, gateway.prepare_top_up(numbers[0], account_of_key(session), TokenAmount(7)))
    assert gateway.channel(numbers[0]).deposit == gateway.deposit_through(numbers[0], gateway.block_number()) == 50_007

    market.do(buyer, gateway.prepare_ask_close(numbers[0]))
    market.pass_time(WINDOW + 1)
    before = gateway.balances(buyer.account).token
    market.do(market.owner, gateway.prepare_close_channel(numbers[0]))
    assert gateway.balances(buyer.account).token == before + 10_007
    assert [row.number for row in gateway.channels_of(buyer.account)] == numbers[1:]
    assert gateway.open_channels(numbers) == gateway.channels_of(buyer.account)
    assert gateway.deposit_through(numbers[0], gateway.block_number()) == 0
    with pytest.raises(NotFoundError):
        gateway.channel(numbers[0])
    assert gateway.royalties_of(market.owner.account)[0].accrued == 7 * price
    rows = assert_holds(market).sales
    assert [(row.kind, row.account, row.term, row.expiry) for row in rows] == [
        ("metered use", buyer.account, "none", None)
    ] * 3


def test_pool__fees_are_divided_by_the_adopted_root_and_refunded_when_nobody_posts(market: AnvilMarket) -> None:
    gateway, buyer, owner = market.gateway, market.buyer, market.owner
    market.publish()
    fee = TokenAmount(1_000_000)
    market.do(owner, gateway.prepare_create_pool(OTHERS[0], fee, DAY, b"\1" * 32))
    pool = gateway.pool(1)
    assert (pool.operator, pool.challenger, pool.fee, pool.period_seconds) == (owner.account, OTHERS[0], fee, DAY)
    market.approve(buyer)
    market.do(buyer, gateway.prepare_subscribe(1, pool.terms, buyer.account, [0, 1], REF))
    assert gateway.subscription_payer(1, 1, buyer.account) == buyer.account
    assert gateway.subscription_payer(1, 2, buyer.account) is None
    assert gateway.pool_income(1, 0) == fee

    market.pass_time(DAY)
    assert pool.period_at(gateway.block_time()) == 1
    totals = {1: 999_999}
    market.do(owner, gateway.prepare_post_root(1, 0, totals, b"\2" * 32, "bafy-data"))
    (pending,) = gateway.posted_roots(1)
    assert (pending.root, pending.amount, pending.first, pending.through) == (pool_root(totals), fee, 0, 0)
    assert (pending.uri, pending.data_digest, pending.state) == ("bafy-data", b"\2" * 32, "pending")
    assert gateway.subscribers_of(1, 0, 0) == {0: [buyer.account]}
    assert gateway.subscriptions_of(buyer.account) == {1: [0, 1]}
    market.pass_time(WINDOW + 1)
    market.do(buyer, gateway.prepare_adopt_root(1))
    (adopted,) = gateway.posted_roots(1)
    assert (adopted.state, adopted.until) == ("adopted", gateway.block_time() + CREDIT_SECONDS)
    claim = PoolClaim(1, 0, 1, totals)
    assert gateway.uncredited([claim]) == [claim]
    market.do(buyer, gateway.prepare_claim_pool([claim, claim]))
    assert gateway.uncredited([claim]) == []
    assert gateway.royalties_of(owner.account)[0].accrued == 999_999
    assert (gateway.pool(1).next_period, gateway.pool_rest(1, 0), gateway.divided()) == (1, (1, 1), {1: fee})

    market.pass_time(200 * DAY)
    before = gateway.balances(buyer.account).token
    market.do(owner, gateway.prepare_refund_period(1, 1, buyer.account))
    market.do(owner, gateway.prepare_refund_rest(1, 0, 0, buyer.account))
    assert gateway.balances(buyer.account).token == before + fee + 1
    assert gateway.subscribers_of(1, 0, 9) == {0: [buyer.account]}
    with pytest.raises(NotFoundError):
        gateway.pool(2)


def test_pool__challenger__vetoes_a_posted_root(market: AnvilMarket) -> None:
    gateway, challenger = market.gateway, market.sender()
    market.do(market.owner, gateway.prepare_create_pool(challenger.account, TokenAmount(5), DAY, b"\1" * 32))
    market.pass_time(DAY)
    market.do(market.owner, gateway.prepare_post_root(1, 0, {1: 5}, b"\2" * 32, "x"))
    market.do(challenger, gateway.prepare_veto(1))
    assert [root.state for root in gateway.posted_roots(1)] == ["vetoed"]
    for _ in range(2):
        market.do(market.owner, gateway.prepare_post_root(1, 0, {1: 5}, b"\2" * 32, "x"))
        assert gateway.posted_roots(1)[-1].state == "pending"
        market.pass_time(WINDOW + LAPSE_SECONDS)
        assert gateway.posted_roots(1)[-1].state == "lapsed"
    market.do(market.owner, gateway.prepare_post_root(1, 0, {1: 5}, b"\2" * 32, "x"))
    assert [root.state for root in gateway.posted_roots(1)] == ["vetoed", "lapsed", "lapsed", "pending"]


def test_notices__complaint_and_answer__stand_in_order_and_the_offer_closes(market: AnvilMarket) -> None:
    gateway = market.gateway
    offer_id = market.publish()
    market.do(market.buyer, gateway.prepare_notice(1, b"\1" * 32))
    (notice,) = gateway.notices_of(1)
    assert (notice.sender, notice.digest, notice.answers) == (market.buyer.account, b"\1" * 32, 0)
    market.do(market.owner, gateway.prepare_counter_notice(notice.number, b"\2" * 32))
    assert [(row.sender, row.answers) for row in gateway.notices_of(1)][1:] == [(market.owner.account, notice.number)]
    market.do(market.owner, gateway.prepare_withdraw(1, [offer_id]))
    assert (gateway.offer(offer_id).is_open, gateway.offer(offer_id).is_withdrawn) == (False, True)
    market.do(market.owner, gateway.prepare_retire(1))
    assert gateway.adapter(1).is_retired
    assert gateway.is_paused() is False
    assert gateway.steward() is not None


def test_steward__pauses_suspends_and_hands_over__an_audit_follows(market: AnvilMarket) -> None:
    gateway, offer_id = market.gateway, market.publish()
    steward, heir = gateway.steward(), market.sender()

    def act(call: Call) -> None:
        market.act(steward, call)

    act(gateway.prepare_pause())
    act(gateway.prepare_unpause())
    market.do(market.buyer, gateway.prepare_notice(1, b"\1" * 32))
    (notice,) = gateway.notices_of(1)
    act(gateway.prepare_suspend(offer_id, notice.number))
    act(gateway.prepare_reopen(offer_id, notice.number))
    act(gateway.prepare_name_steward(heir.account))
    market.do(heir, gateway.prepare_accept_stewardship())
    market.buy(offer_id)
    market.pass_time(30 * DAY)  # sales run that long between two pauses
    market.do(heir, gateway.prepare_pause())
    market.do(heir, gateway.prepare_unpause())
    market.do(heir, gateway.prepare_resign_stewardship())
    assert gateway.steward() is None


def test_offer__moving_price__tells_floor_and_ceiling(market: AnvilMarket) -> None:
    gateway = market.gateway
    market.do(market.owner, gateway.prepare_register(DIGESTS))
    market.do(market.owner, gateway.prepare_split(market.split))
    market.do(market.owner, gateway.prepare_offer(1, 1, OfferTerms(PRICE, max_rise=1_000, target=20)))
    (offer,) = gateway.offers_of(1)
    assert (offer.price, offer.floor, offer.ceiling, offer.target) == (PRICE, PRICE, 5_500_001, 20)


def test_split__of_a_derived_adapter__passes_on_to_its_parent(market: AnvilMarket) -> None:
    gateway = market.gateway
    market.publish()
    child, parent = market.sender(), Account(f"0x{1:040x}")
    market.split = market.with_platform(
        split_from_shares({child.account: BasisPoints(9_000), parent: BasisPoints(1_000)})
    )
    offer_id = market.publish(digests=(b"\7" * 32, *DIGESTS[1:]))
    market.buy(offer_id)
    share = dict(gateway.offer(offer_id).shares)[parent]
    market.do(child, gateway.prepare_claim_many([(2, parent), (2, child.account)]))
    assert gateway.royalties_of(market.owner.account)[0].accrued == PRICE * share // 10_000
    report = assert_holds(market)
    assert ([row.split_id for row in report.sales], report.sums["sales"]) == ([2], PRICE)
    (passed,) = report.passed_on
    assert (passed.split_id, passed.to_split_id, passed.amount) == (2, 1, PRICE * share // 10_000)
    assert parent not in {row.account for row in report.totals}
    of_parent, _ = audit([market.rpc_url], market.deployment, DIGESTS[0].hex()[:8], block="latest")
    assert (of_parent.adapter_id, of_parent.sales, of_parent.passed_on) == (DIGESTS[0].hex(), (), (passed,))
    with pytest.raises(NotFoundError, match="no adapter"):
        audit([market.rpc_url], market.deployment, "0" * 12, block="latest")
    with pytest.raises(UsageError, match="not an adapter id"):
        audit([market.rpc_url], market.deployment, "elsin", block="latest")
