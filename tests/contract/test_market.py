"""One suite for chain and market: in memory for tests, the contract on Anvil for nodes."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.chain import MemoryChain, MemoryMarket, MemorySender
from tests.fakes.channels import VOUCHERS
from tests.waiting import until_blocking
from viz_node.chain.account.signing import account_of_key
from viz_node.chain.account.transactions import TransactionSender
from viz_node.chain.contract.ledger import PERPETUAL
from viz_node.chain.contract.vouchers import Vouchers
from viz_node.chain.development.anvil import start_anvil, stop_anvil
from viz_node.chain.development.faucet import deploy_for_development, fund
from viz_node.chain.gateway.market import MarketGateway
from viz_node.chain.node.rpc import JsonRpc
from viz_node.daemon.config import ANVIL
from viz_node.domain.ids import Account, BasisPoints, TokenAmount
from viz_node.domain.offer import OfferTerms
from viz_node.domain.purchase import NewChannel, NewOrder
from viz_node.domain.royalty import Claim, claims_for, split_from_shares, split_recipient, with_lineage, with_platform
from viz_node.domain.usage import Voucher
from viz_node.errors import InsufficientFundsError, TransactionRevertedError
from viz_node.identity import delivery

PRICE = TokenAmount(5_000_001)
DIGESTS = (b"\1" * 32, b"\2" * 32, b"\3" * 32)
OTHERS = (b"\7" * 32, *DIGESTS[1:])
FRIEND = Account("0x" + "22" * 20)
MONEY = 3 * PRICE
DAY = 86_400
KEY = b"\5" * 32


class InMemory:
    """The fake, as the tests below see it."""

    def __init__(self) -> None:
        self._chain = MemoryChain()
        self.market = MemoryMarket(self._chain)
        self.vouchers = VOUCHERS
        self.owners: list[Account] = []

    def block(self) -> int:
        return self._chain.block

    def sender(self, tokens: int) -> MemorySender:
        account = Account("0x" + secrets.token_hex(20))
        self._chain.state.tokens[account] = tokens
        return MemorySender(self._chain, account)

    def stop_mining(self) -> None:
        self._chain.mines = False

    def mine(self) -> None:
        self._chain.mine()

    def reorganise(self, blocks: int) -> None:
        self._chain.undo(blocks)

    def pass_time(self, seconds: int) -> None:
        self._chain.time += seconds


class OnAnvil:
    """A market of its own on the module's Anvil."""

    def __init__(self, rpc_url: str) -> None:
        self._rpc_url = rpc_url
        self._deployment = deploy_for_development(rpc_url)
        self.market = MarketGateway(rpc_url, self._deployment)
        self.vouchers = Vouchers(self._deployment)
        self.owners: list[Account] = []

    def block(self) -> int:
        return self.market.block_number()

    def sender(self, tokens: int) -> TransactionSender:
        key = secrets.token_bytes(32)
        fund(self._rpc_url, self._deployment, account_of_key(key), tokens)
        return TransactionSender(self._rpc_url, self._deployment, key)

    def stop_mining(self) -> None:
        self._ask("evm_setAutomine", False)

    def mine(self) -> None:
        self._ask("evm_mine")

    def reorganise(self, blocks: int) -> None:
        self._ask("anvil_reorg", blocks, [])

    def pass_time(self, seconds: int) -> None:
        self._ask("evm_increaseTime", seconds)
        self._ask("evm_mine")

    def _ask(self, method: str, *params: Any) -> None:
        JsonRpc(self._rpc_url).call(method, *params)


@pytest.fixture(scope="module")
def rpc_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("anvil")
    yield start_anvil(directory, ANVIL).rpc_url
    stop_anvil(directory)


@pytest.fixture(params=["memory", "anvil"])
def place(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return InMemory()
    if not ANVIL.exists():
        pytest.skip("anvil is not installed: make setup")
    url = request.getfixturevalue("rpc_url")
    JsonRpc(url).call("evm_setAutomine", True)
    return OnAnvil(url)


def do(sender: Any, call: Any) -> Any:
    signed = sender.sign(call, sender.next_nonce())
    sender.broadcast(signed.raw)
    receipt = mined(sender, signed)
    assert (receipt.status, receipt.tx_hash) == (1, signed.tx_hash)
    return receipt


def mined(sender: Any, signed: Any) -> Any:
    return until_blocking(lambda: sender.find_receipt(signed.tx_hash), bool, 10)


def publish(place: Any, duration: int = 0, is_escrowed: bool = False, is_metered: bool = False) -> Any:
    owner = place.sender(0)
    facts = place.market.facts()
    split = split_from_shares({owner.account: BasisPoints(7000), FRIEND: BasisPoints(3000)})
    split = with_platform(split, facts.platform, facts.platform_fee)
    terms = OfferTerms(PRICE, duration, is_metered=is_metered, is_escrowed=is_escrowed)
    do(owner, place.market.prepare_publish(DIGESTS, split, terms, delivery.key_hash(KEY)))
    place.owners.append(owner.account)
    return owner


def item(place: Any, offer_id: int = 1) -> int:
    """What purchases of the offer name, made from what its buyer knows."""
    market = place.market
    offers = [offer for number in range(1, len(place.owners) + 1) for offer in market.offers_of(number)]
    offer = next(offer for offer in offers if offer.offer_id == offer_id)
    owner = place.owners[offer.adapter_number - 1]
    return int(market.item_of(offer, owner, DIGESTS[0], delivery.key_hash(KEY)))


def buy(place: Any, buyer: Any, offer_id: int = 1) -> None:
    do(buyer, place.market.prepare_approve(PRICE))
    assert place.market.allowance(buyer.account) == PRICE
    do(buyer, place.market.prepare_buy(item(place, offer_id), buyer.account, PRICE, b"\4" * 32))


def test_sale__perpetual__license_for_ever_and_royalties_floored(place: Any) -> None:
    owner, buyer = publish(place), place.sender(MONEY)
    adapter = place.market.find_adapter(DIGESTS[0], owner.account)
    (offer,) = place.market.offers_of(adapter.number)
    assert (adapter.base_model, adapter.terms) == DIGESTS[1:]
    assert (offer.price, offer.duration_seconds, dict(offer.shares)[FRIEND]) == (PRICE, 0, 2910)
    assert (offer.is_open, offer.is_metered, offer.is_escrowed) == (True, False, False)
    assert place.market.find_adapter(DIGESTS[0], buyer.account) is None
    assert place.market.license_expiry(offer.offer_id, buyer.account) == 0

    buy(place, buyer, offer.offer_id)

    assert place.market.allowance(buyer.account) == 0
    assert place.market.license_expiry(offer.offer_id, buyer.account) == PERPETUAL
    assert place.market.granted_in(offer.offer_id, buyer.account) == place.block()
    assert place.market.granted_in(offer.offer_id, owner.account) is None
    (row,) = place.market.royalties_of(owner.account)
    assert (row.accrued, row.claimed, row.due) == (PRICE, 0, 3_395_000)
    paid_in = {row.split_id: [adapter.number], row.split_id + 1: []}
    assert place.market.adapters_paid_into(list(paid_in)) == paid_in
    (sale,) = place.market.sales()
    assert (sale.holder, sale.price, sale.split_id, sale.order_ref) == (buyer.account, PRICE, row.split_id, b"\4" * 32)
    do(buyer, place.market.prepare_claim(row.split_id, owner.account))
    assert place.market.royalties_of(owner.account)[0].due == 0
    assert place.market.royalties_of(FRIEND)[0].due == 1_455_000
    platform = place.market.facts().platform
    assert place.market.royalties_of(platform)[0].due == 150_000


def test_claims_for__adapter_derived_from_a_derived_one__bring_the_first_owner_all_of_it(place: Any) -> None:
    facts, owners = place.market.facts(), [place.sender(0) for _ in range(3)]
    first, second, third = (split_recipient(number) for number in (1, 2, 3))
    for owner, passed_on in zip(owners, ({}, {1: 2000}, {2: 5000, 1: 1000}), strict=True):
        parents = {number: BasisPoints(share) for number, share in passed_on.items()}
        split = with_lineage(split_from_shares({owner.account: BasisPoints(10_000)}), parents)
        split = with_platform(split, facts.platform, facts.platform_fee)
        do(owner, place.market.prepare_publish(DIGESTS, split, OfferTerms(PRICE)))
        place.owners.append(owner.account)
    buyer = place.sender(PRICE)
    buy(place, buyer, 3)

    owner = owners[0].account
    assert [(row.split_id, row.recipient) for row in place.market.lineage_of(owner)] == [
        (1, owner), (2, first), (3, first), (3, second)]  # fmt: skip
    assert [row.due for row in place.market.royalties_of(owner)] == [0]
    (steps,) = claims_for(owner, place.market.lineage_of(owner)).values()
    to_first, to_second = PRICE * 970 // 10_000, PRICE * 4850 // 10_000
    passed_again = to_second * 1940 // 10_000
    brought = (to_first + passed_again) * 9700 // 10_000
    assert sorted(steps[:2], key=lambda claim: claim.amount) == [Claim(3, first, to_first), Claim(3, second, to_second)]
    assert steps[2:] == [Claim(2, first, passed_again), Claim(1, owner, brought)]

    do(buyer, place.market.prepare_claim_many([(claim.split_id, claim.recipient) for claim in steps]))
    assert [(row.claimed, row.due) for row in place.market.royalties_of(owner)] == [(brought, 0)]
    assert claims_for(owner, place.market.lineage_of(owner)) == {}
    assert claims_for(third, place.market.lineage_of(third)) == {}


def test_buy__again__perpetual_refused_and_timed_extended(place: Any) -> None:
    publish(place)
    buyer = place.sender(MONEY)
    buy(place, buyer)
    with pytest.raises(TransactionRevertedError, match="AlreadyLicensed"):
        buy(place, buyer)
    publish(place, duration=3600)
    buy(place, buyer, 2)
    first = place.market.license_expiry(2, buyer.account)
    assert 0 < first - place.market.block_time() <= 3600
    buy(place, buyer, 2)
    assert place.market.license_expiry(2, buyer.account) == first + 3600


def test_permit__travels_with_a_purchase__is_used_once_and_by_its_signer_alone(place: Any) -> None:
    publish(place)
    buyer, other = place.sender(MONEY), place.sender(MONEY)
    permit = place.market.permit_to_sign(buyer.account, PRICE, place.market.block_time() + 3600)
    signature = buyer.sign_typed_data(permit)
    assert place.market.takes_permit(permit, signature)
    assert not place.market.takes_permit(permit, other.sign_typed_data(permit))
    stolen = place.market.prepare_buy(item(place, 1), other.account, PRICE, b"\4" * 32)
    with pytest.raises(TransactionRevertedError):
        other.sign(place.market.prepare_with_permit(stolen, permit, signature), other.next_nonce())
    call = place.market.prepare_buy(item(place, 1), buyer.account, PRICE, b"\4" * 32)
    do(buyer, place.market.prepare_with_permit(call, permit, signature))
    assert place.market.license_expiry(1, buyer.account) == PERPETUAL
    assert (place.market.allowance(buyer.account), buyer.next_nonce()) == (0, 1)
    assert not place.market.takes_permit(permit, signature)


def escrowed(place: Any, duration: int = 0) -> tuple[Any, Any, NewOrder, bytes]:
    """Owner, buyer, a paid order and its secret."""
    owner, buyer, secret = publish(place, duration, is_escrowed=True), place.sender(MONEY), delivery.new_order_secret()
    do(buyer, place.market.prepare_approve(PRICE))
    keyed = delivery.point_of(secret), b"\4" * 32
    new = NewOrder(item(place), buyer.account, PRICE, *keyed)
    do(buyer, place.market.prepare_order(new))
    return owner, buyer, new, secret


def deliver(place: Any, owner: Any, key: bytes) -> Any:
    (order,) = place.market.orders_for([1])
    given = delivery.wrap_for_order(key, order.terms.point)
    do(owner, place.market.prepare_deliver(order, given.point, given.wrapped))
    (delivered,) = place.market.orders_for([1])
    return delivered


def test_order__delivered__grants_the_license_and_is_settled_after_the_window(place: Any) -> None:
    owner, buyer, new, secret = escrowed(place)
    (order,) = place.market.orders_paid_by(buyer.account)
    assert (order.number, order.state, order.delivery) == (1, "ordered", None)
    terms = order.terms
    assert (terms.key_hash, terms.point, terms.order_ref, terms.price) == (
        delivery.key_hash(KEY),
        new.point,
        new.order_ref,
        PRICE,
    )
    with pytest.raises(TransactionRevertedError):
        buyer.sign(place.market.prepare_refund(order), buyer.next_nonce())
    delivered = deliver(place, owner, KEY)
    assert delivery.open_delivery(secret, delivered.delivery, terms.key_hash) == KEY
    assert place.market.license_expiry(1, buyer.account) == PERPETUAL
    assert place.market.granted_in(1, buyer.account) == place.block()
    shared = delivery.prove_wrong_key(secret, delivered.delivery).shared
    refused = [
        place.market.prepare_settle([delivered]),
        place.market.prepare_dispute(delivered, int.from_bytes(secret, "big"), shared),
    ]
    for call in refused:
        with pytest.raises(TransactionRevertedError):
            buyer.sign(call, buyer.next_nonce())
    place.pass_time(601)
    do(buyer, place.market.prepare_settle([delivered]))
    (sale,) = place.market.sales()
    assert (sale.offer_id, sale.adapter_number, sale.split_id, sale.holder) == (1, 1, 1, buyer.account)
    assert (sale.price, sale.expiry, sale.order_ref) == (PRICE, PERPETUAL, bytes(32))
    assert (place.market.orders_for([1]), place.market.order(1).state) == ([], "settled")
    assert place.market.royalties_of(owner.account)[0].accrued == PRICE


def test_order__wrong_key_or_none__pays_back(place: Any) -> None:
    owner, buyer, new, secret = escrowed(place)
    delivered = deliver(place, owner, b"\6" * 32)
    shared = delivery.prove_wrong_key(secret, delivered.delivery).shared
    do(buyer, place.market.prepare_dispute(delivered, int.from_bytes(secret, "big"), shared))
    assert place.market.license_expiry(1, buyer.account) == 0
    do(buyer, place.market.prepare_approve(PRICE))
    do(buyer, place.market.prepare_order(new))
    place.pass_time(601)
    (late,) = place.market.orders_for([1])
    with pytest.raises(TransactionRevertedError):
        owner.sign(place.market.prepare_deliver(late, new.point, b"\1" * 32), owner.next_nonce())
    do(owner, place.market.prepare_refund(late))
    assert [order.state for order in place.market.orders_paid_by(buyer.account)] == ["disputed", "refunded"]


def test_dispute__license_that_the_holder_extended__keeps_what_was_paid_for_it(place: Any) -> None:
    owner, buyer, _, secret = escrowed(place, duration=DAY)
    delivered = deliver(place, owner, b"\6" * 32)
    buy(place, buyer)
    place.pass_time(300)
    shared = delivery.prove_wrong_key(secret, delivered.delivery).shared
    do(buyer, place.market.prepare_dispute(delivered, int.from_bytes(secret, "big"), shared))
    left = place.market.license_expiry(1, buyer.account) - place.market.block_time()
    assert DAY - 5 <= left <= DAY


def test_grants__bought_ordered_disputed_and_bought_again__are_told_with_what_was_kept(place: Any) -> None:
    owner, buyer, new, secret = escrowed(place)
    assert place.market.grants_to(buyer.account) == []
    shared = delivery.prove_wrong_key(secret, deliver(place, owner, b"\6" * 32).delivery).shared
    assert [grant.expiry for grant in place.market.grants_to(buyer.account)] == [PERPETUAL]
    (order,) = place.market.orders_for([1])
    do(buyer, place.market.prepare_dispute(order, int.from_bytes(secret, "big"), shared))
    assert [(grant.expiry, grant.paid) for grant in place.market.grants_to(buyer.account)] == [(0, 0)]
    do(buyer, place.market.prepare_approve(PRICE))
    do(buyer, place.market.prepare_order(new))
    (order,) = place.market.orders_for([1])
    given = delivery.wrap_for_order(KEY, order.terms.point)
    do(owner, place.market.prepare_deliver(order, given.point, given.wrapped))
    other = publish(place, duration=3600)
    buy(place, buyer, 2)
    grants = sorted(place.market.grants_to(buyer.account), key=lambda grant: grant.offer_id)
    assert [(grant.offer_id, grant.holder, grant.paid) for grant in grants] == [
        (1, buyer.account, PRICE),
        (2, buyer.account, PRICE),
    ]
    assert (grants[0].expiry, 0 < grants[1].expiry - place.market.block_time() <= 3600) == (PERPETUAL, True)
    assert place.market.grants_by([2]) == grants[1:]
    assert place.market.grants_by([]) == place.market.grants_to(owner.account) == []
    assert (place.market.offers_by(owner.account), place.market.offers_by(other.account)) == ([1], [2])
    sold = place.market.sold_by([1, 2])
    assert [(sold[number].adapter_id, sold[number].duration_seconds) for number in (1, 2)] == [
        (DIGESTS[0].hex(), 0),
        (DIGESTS[0].hex(), 3600),
    ]


def test_price_history__direct_and_in_escrow__each_with_the_price_of_its_rule(place: Any) -> None:
    _, buyer, *_ = escrowed(place)
    publish(place)
    buy(place, buyer, 2)
    sales, paths = place.market.price_history([1, 2])
    told = {(sale.offer_id, sale.paid, sale.derived, sale.order, sale.outcome) for sale in sales}
    assert told == {(1, PRICE, PRICE, 1, "open"), (2, PRICE, PRICE, 0, "sold")}
    assert {sale.holder for sale in sales} == {buyer.account}
    assert [(path.offer_id, path.at(place.market.block_time())) for path in paths] == [(1, PRICE), (2, PRICE)]
    assert [sale.offer_id for sale in place.market.price_history([2])[0]] == [2]


def refuse(sender: Any, *calls: Any) -> None:
    for call in calls:
        with pytest.raises(TransactionRevertedError):
            sender.sign(call, sender.next_nonce())


def test_channel__topped_up_redeemed_and_closed__pays_by_use_and_returns_the_rest(place: Any) -> None:
    owner, payer, market = publish(place, is_metered=True), place.sender(MONEY), place.market
    session, other = secrets.token_bytes(32), secrets.token_bytes(32)
    account = place.vouchers.session_account(session)
    do(payer, market.prepare_approve(MONEY))
    new = NewChannel(item(place), account, TokenAmount(PRICE), DAY, PRICE)
    refuse(payer, market.prepare_open_channel(replace(new, max_price=PRICE - 1)))
    refuse(payer, market.prepare_open_channel(replace(new, deposit=PRICE - 1)))
    refuse(payer, market.prepare_open_channel(replace(new, lifetime_seconds=60)))
    refuse(payer, market.prepare_open_channel(replace(new, item=new.item ^ 1 << 64)))
    do(payer, market.prepare_open_channel(new))
    opened_in = place.block()
    refuse(payer, market.prepare_top_up(1, payer.account, PRICE))
    do(payer, market.prepare_top_up(1, account, PRICE))
    (channel,) = market.channels_of(payer.account)
    assert (channel, [channel]) == (market.channel(1), market.open_channels([1, 2]))
    assert (channel.deposit, channel.price, channel.uses, channel.session_account) == (2 * PRICE, PRICE, 0, account)
    assert [market.deposit_through(1, opened_in + more) for more in (-1, 0, 1)] == [0, PRICE, 2 * PRICE]

    def voucher(uses: int, key: bytes = session) -> Any:
        told = Voucher(1, uses * PRICE, uses, b"\1" * 32)
        return market.prepare_redeem([(told, place.vouchers.sign(key, told))])

    refuse(owner, voucher(1, other), voucher(3), market.prepare_close_channel(1), market.prepare_ask_close(1))
    do(owner, voucher(1))
    refuse(owner, voucher(1))
    assert market.open_channels([1]) == [market.channel(1)]
    assert market.channel(1).uses == 1
    assert market.royalties_of(owner.account)[0].accrued == PRICE
    do(payer, market.prepare_ask_close(1))
    refuse(payer, market.prepare_ask_close(1))
    assert market.open_channels([1]) == market.channels_of(payer.account) == [market.channel(1)]
    place.pass_time(601)
    do(owner, market.prepare_close_channel(1))
    refuse(owner, voucher(2), market.prepare_close_channel(1), market.prepare_top_up(1, account, PRICE))
    assert market.channels_of(payer.account) == market.open_channels([1]) == []
    assert market.deposit_through(1, 10**9) == 0
    do(payer, market.prepare_approve(2 * PRICE))
    do(payer, market.prepare_open_channel(replace(new, deposit=TokenAmount(2 * PRICE))))  # what came back is enough


def test_offer__new_price__older_one_is_withdrawn_and_not_sold(place: Any) -> None:
    owner, buyer = publish(place), place.sender(MONEY)
    number = place.market.find_adapter(DIGESTS[0], owner.account).number
    (first,) = place.market.offers_of(number)
    terms = OfferTerms(TokenAmount(7_000_000), max_rise=1000, target=20)
    do(owner, place.market.prepare_offer(number, first.split_id, terms))
    do(owner, place.market.prepare_withdraw(number, [first.offer_id]))
    offers = place.market.offers_of(number)
    assert [(offer.price, offer.ceiling, offer.is_open) for offer in offers] == [
        (PRICE, PRICE, False),
        (7_000_000, 7_700_000, True),
    ]
    manifests = [DIGESTS[0], b"\x09" * 32]
    assert place.market.are_offered([], owner.account) == []
    assert place.market.are_offered(manifests, owner.account) == [True, None]
    do(buyer, place.market.prepare_approve(PRICE))
    with pytest.raises(TransactionRevertedError):
        buyer.sign(place.market.prepare_buy(item(place, 1), buyer.account, PRICE, b"\4" * 32), buyer.next_nonce())
    with pytest.raises(TransactionRevertedError):
        buyer.sign(place.market.prepare_withdraw(number, [2]), buyer.next_nonce())
    do(owner, place.market.prepare_withdraw(number, [2]))
    assert place.market.are_offered(manifests, owner.account) == [False, None]
    assert place.market.are_offered(manifests, buyer.account) == [None, None]


def test_call__that_the_contract_refuses__is_refused_at_signing(place: Any) -> None:
    owner, poor = publish(place), place.sender(PRICE - 1)
    split = split_from_shares({owner.account: BasisPoints(10_000)})
    refused = {
        "AlreadyRegistered": (owner, place.market.prepare_publish(DIGESTS, split, OfferTerms(PRICE))),
        "PlatformShare": (owner, place.market.prepare_publish(OTHERS, split, OfferTerms(PRICE))),
        "OtherOffer": (poor, place.market.prepare_buy(item(place) ^ 1 << 64, poor.account, PRICE, b"\4" * 32)),
        "PriceAboveMax": (
            poor,
            place.market.prepare_buy(item(place, 1), poor.account, TokenAmount(PRICE - 1), b"\4" * 32),
        ),
        "ERC20InsufficientAllowance": (poor, place.market.prepare_buy(item(place, 1), poor.account, PRICE, b"\4" * 32)),
        "NothingDue": (poor, place.market.prepare_claim(1, owner.account)),
    }
    for name, (sender, call) in refused.items():
        with pytest.raises(TransactionRevertedError, match=name):
            sender.sign(call, sender.next_nonce())
    do(poor, place.market.prepare_approve(PRICE))
    with pytest.raises(InsufficientFundsError):
        poor.sign(place.market.prepare_buy(item(place, 1), poor.account, PRICE, b"\4" * 32), poor.next_nonce())
    assert place.market.sales() == []


def test_transaction__broadcast_again__is_mined_once(place: Any) -> None:
    sender = place.sender(0)
    signed = sender.sign(place.market.prepare_approve(PRICE), 0)
    assert (sender.next_nonce(), sender.mined_nonce(), sender.find_receipt(signed.tx_hash)) == (0, 0, None)
    for _ in range(2):
        sender.broadcast(signed.raw)
    assert mined(sender, signed).status == 1
    assert (sender.next_nonce(), sender.mined_nonce()) == (1, 1)


def test_transaction__nonce_is_spent__is_never_mined(place: Any) -> None:
    sender = place.sender(0)
    late = sender.sign(place.market.prepare_approve(TokenAmount(1)), 0)
    do(sender, place.market.prepare_approve(TokenAmount(2)))
    sender.broadcast(late.raw)
    assert (sender.find_receipt(late.tx_hash), sender.mined_nonce()) == (None, 1)


def test_transaction__nonce_ahead__waits_for_those_before(place: Any) -> None:
    sender = place.sender(0)
    second = sender.sign(place.market.prepare_approve(TokenAmount(2)), 1)
    sender.broadcast(second.raw)
    assert (sender.find_receipt(second.tx_hash), sender.next_nonce()) == (None, 0)
    do(sender, place.market.prepare_approve(TokenAmount(1)))
    assert mined(sender, second).status == 1
    assert sender.mined_nonce() == 2


def test_transaction__with_higher_fees__takes_the_place_of_the_first(place: Any) -> None:
    sender = place.sender(0)
    place.stop_mining()
    first = sender.sign(place.market.prepare_approve(TokenAmount(1)), 0)
    sender.broadcast(first.raw)
    second = sender.sign_again(first.raw)
    sender.broadcast(second.raw)
    sender.broadcast(first.raw)
    assert (second.nonce, second.tx_hash != first.tx_hash, sender.next_nonce()) == (0, True, 1)
    place.mine()
    assert sender.find_receipt(first.tx_hash) is None
    receipt = sender.find_receipt(second.tx_hash)
    assert (receipt.status, sender.mined_nonce(), sender.booked_nonce()) == (1, 1, 1)
    heads = sender.heads()
    assert heads.latest == heads.shown == heads.booked == receipt.block_number


def test_transaction__block_is_reorganised_away__has_no_receipt_and_can_be_sent_again(place: Any) -> None:
    sender = place.sender(0)
    before = do(sender, place.market.prepare_approve(TokenAmount(1)))
    signed = sender.sign(place.market.prepare_approve(TokenAmount(2)), 1)
    sender.broadcast(signed.raw)
    lost = mined(sender, signed)
    place.stop_mining()
    place.reorganise(1)
    assert (sender.find_receipt(signed.tx_hash), sender.mined_nonce()) == (None, 1)
    assert sender.find_receipt(before.tx_hash) == before
    sender.broadcast(signed.raw)
    place.mine()
    found = sender.find_receipt(signed.tx_hash)
    assert (found.status, found.block_hash != lost.block_hash) == (1, True)
