"""Paying in one transaction on a real Anvil: permits that a token takes or refuses, payments that others relay."""

import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from tests.anvil_market import ANVIL, DIGESTS, OTHERS, PRICE, AnvilMarket
from tests.fakes.store import MemoryStore
from tests.solidity import account_made_of, creation_code
from tests.third_party import assert_rederived
from viz_node.audit import audit
from viz_node.chain.account.deploy import Setup, complete_creation, deploy, sign_creation
from viz_node.chain.account.payments import signature_parts
from viz_node.chain.account.remote_signer import RemoteSigner
from viz_node.chain.account.signing import KeySigner, account_of_key
from viz_node.chain.account.transactions import TransactionSender
from viz_node.chain.contract.artifact import load_artifact
from viz_node.chain.contract.ledger import PERPETUAL
from viz_node.chain.development.anvil import DevChain, start_anvil, stop_anvil
from viz_node.chain.development.faucet import fund, give_gas
from viz_node.chain.encoding.abi import encode
from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.node.rpc import JsonRpc, to_bytes, to_hex
from viz_node.domain.deployment import Deployment
from viz_node.domain.ids import Account, TokenAmount
from viz_node.domain.offer import OfferTerms
from viz_node.domain.purchase import NewChannel, NewOrder, Purchase
from viz_node.domain.purposes import Purpose
from viz_node.domain.signing import text_digest
from viz_node.domain.transaction import Call, TypedData
from viz_node.errors import TransactionRevertedError, VerificationError
from viz_node.identity import delivery
from viz_node.services.money.pay_price import Payments
from viz_node.services.money.quote_gas import GasQuotes
from viz_node.services.money.quote_payment import PaymentQuotes
from viz_node.services.money.sign_permit import Permits
from viz_node.services.money.transact import Treasury

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed: run `npm ci` in contracts/")

REF = b"\4" * 32
DAY = 86_400
LATER = 1 << 40


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
    report, _ = audit([chain.rpc_url], market.deployment, block="latest")
    assert report.findings == ()
    assert report.proof.proven
    assert_rederived(chain.rpc_url, market.deployment, report)


def market_with(token: str, rpc_url: str) -> Deployment:
    """A market whose money is a token of contracts/test/LikeTokens.sol."""
    key, rpc = secrets.token_bytes(32), JsonRpc(rpc_url)
    give_gas(rpc_url, account_of_key(key))
    raw = sign_creation(rpc, KeySigner(key), creation_code("LikeTokens.sol", token)).raw
    return deploy(rpc_url, key, Setup(complete_creation(rpc, raw, 30)[0]))


class Payer:
    """An account that pays as a node does."""

    def __init__(self, market: AnvilMarket, sender: TransactionSender | None = None) -> None:
        self.market, self.sender = market, sender or market.buyer
        treasury = Treasury(MemoryStore().outbox, self.sender, lambda: 1)
        permits = Permits(market.gateway, self.sender, self.sender.account)
        self.payments = Payments(MemoryStore().outbox, market.gateway, treasury, permits, self.sender.account)
        self.quotes = PaymentQuotes(market.gateway, GasQuotes(self.sender), permits, self.sender.account)

    async def buy(self, offer_id: int) -> int:
        """Pay, and how many transactions that took."""
        before = self.sender.next_nonce()
        await self.payments.execute(f"buy {offer_id}", PRICE, lambda: self.purchase(offer_id), Purpose("buy"))
        assert self.market.gateway.license_expiry(offer_id, self.sender.account) == PERPETUAL
        return self.sender.next_nonce() - before

    def purchase(self, offer_id: int) -> Call:
        return self.market.gateway.prepare_buy(self.market.item(offer_id), self.sender.account, PRICE, REF)

    def permit(self, amount: TokenAmount = PRICE, deadline: int = LATER) -> tuple[TypedData, bytes]:
        permit = self.market.gateway.permit_to_sign(self.sender.account, amount, deadline)
        assert permit is not None
        return permit, self.sender.sign_typed_data(permit)


def alter_token(market: AnvilMarket, **changed: str) -> None:
    """Rename functions of the token in its code, as if it had others."""
    token = load_artifact("TestToken")
    code = to_bytes(market.ask("eth_getCode", market.deployment.token, "latest"))
    for name, signature in changed.items():
        old, new = token.functions[name].selector, keccak(signature.encode())[:4]
        assert old in code
        code = code.replace(old, new)
    market.ask("anvil_setCode", market.deployment.token, to_hex(code))


async def test_execute__token_with_permits__one_transaction_at_the_price_that_was_quoted(market: AnvilMarket) -> None:
    payer, offer_id = Payer(market), market.publish()
    before = market.gateway.balances(payer.sender.account)
    quote = await payer.quotes.quote(PRICE, lambda: payer.purchase(offer_id))
    assert market.gateway.balances(payer.sender.account) == before
    assert await payer.buy(offer_id) == 1
    after = market.gateway.balances(payer.sender.account)
    assert quote.approval_wei == 0
    assert 0 < before.gas_wei - after.gas_wei <= quote.call_wei
    assert (before.token - after.token, market.gateway.allowance(payer.sender.account)) == (PRICE, 0)


@pytest.mark.parametrize(
    ("changed", "transactions"),
    [
        ({"eip712Domain": "noDomain()"}, 1),
        ({"permit": "noPermit()"}, 2),
        ({"nonces": "noNonces()", "permit": "noPermit()", "DOMAIN_SEPARATOR": "noSeparator()"}, 2),
        ({"DOMAIN_SEPARATOR": "noSeparator()"}, 2),
        ({"decimals": "PERMIT_TYPEHASH()"}, 2),
    ],
    ids=["older token", "no permit", "plain token", "no separator", "another kind of permit"],
)
async def test_execute__token_of_another_kind__is_paid_in_as_many_transactions_as_it_takes(
    market: AnvilMarket, changed: dict[str, str], transactions: int
) -> None:
    payer, offer_id = Payer(market), market.publish()
    alter_token(market, **changed)
    assert await payer.buy(offer_id) == transactions


async def test_execute__token_like_usdt__purchase_that_failed_half_way_locks_no_larger_one_out(chain: DevChain) -> None:
    market = AnvilMarket(chain.rpc_url, market_with("UsdtLike", chain.rpc_url))
    payer, allowance = Payer(market), lambda: market.gateway.allowance(payer.sender.account)
    closed, dearer = market.publish(), market.publish(OfferTerms(TokenAmount(2 * PRICE)), (b"\7" * 32, *DIGESTS[1:]))
    market.do(market.owner, market.gateway.prepare_withdraw(1, [closed]))
    with pytest.raises(TransactionRevertedError):
        await payer.payments.execute("first", PRICE, lambda: payer.purchase(closed), Purpose("buy"))
    assert allowance() == PRICE
    before = market.gateway.balances(payer.sender.account)
    amount = TokenAmount(2 * PRICE)
    order = Purchase(market.item(dearer), payer.sender.account, amount, REF)

    def call() -> Call:
        return market.gateway.prepare_buy(order.item, order.holder, order.max_price, order.order_ref)

    quote = await payer.quotes.quote(amount, call)
    await payer.payments.execute("second", amount, call, Purpose("buy"))
    after = market.gateway.balances(payer.sender.account)
    assert (before.token - after.token, allowance()) == (amount, 0)
    assert 0 < before.gas_wei - after.gas_wei <= quote.approval_wei + quote.call_wei
    assert market.gateway.license_expiry(dearer, payer.sender.account) == PERPETUAL
    report, _ = audit([chain.rpc_url], market.deployment, block="latest")
    assert report.findings == ()


async def test_execute__token_claims_another_domain__nothing_is_signed_for_it(market: AnvilMarket) -> None:
    payer, offer_id = Payer(market), market.publish()
    token = market.deployment.token
    separator = to_bytes(market.ask("eth_call", {"to": token, "data": "0x3644e515"}, "latest"))
    code = to_bytes(market.ask("eth_getCode", token, "latest"))
    assert separator in code
    market.ask("anvil_setCode", token, to_hex(code.replace(separator, keccak(separator))))
    assert market.gateway.permit_to_sign(payer.sender.account, PRICE, LATER) is None
    with pytest.raises(VerificationError, match="domain"):
        market.gateway.payment_to_sign(
            Purchase(market.item(offer_id), payer.sender.account, PRICE, REF), OTHERS[0], LATER
        )
    assert await payer.buy(offer_id) == 2


async def test_execute__signer_elsewhere__signs_permit_and_transaction_and_is_not_asked_for_the_plan(
    market: AnvilMarket,
) -> None:
    account, offer_id = Account(str(market.ask("eth_accounts")[0]).lower()), market.publish()
    fund(market.rpc_url, market.deployment, account, PRICE)
    remote = RemoteSigner(market.rpc_url, account)
    payer = Payer(market, TransactionSender(market.rpc_url, market.deployment, remote))
    remote.sign_typed_data = lambda data: pytest.fail("a plan asked for a signature")  # type: ignore[method-assign]
    quote = await payer.quotes.quote(PRICE, lambda: payer.purchase(offer_id))
    del remote.sign_typed_data
    before = market.gateway.balances(account)
    assert await payer.buy(offer_id) == 1
    after = market.gateway.balances(account)
    assert (quote.approval_wei, after.token) == (0, before.token - PRICE)
    assert before.gas_wei - after.gas_wei <= quote.call_wei


def test_permit__used_up_by_a_stranger_first__purchase_goes_through(market: AnvilMarket) -> None:
    payer, offer_id = Payer(market), market.publish()
    permit, signature = payer.permit()
    signed = payer.sender.sign(market.gateway.prepare_with_permit(payer.purchase(offer_id), permit, signature), 0)
    parties = payer.sender.account, market.deployment.market
    parts = PRICE, LATER, *signature_parts(signature)
    data = load_artifact("TestToken").call_data("permit", *parties, *parts)
    market.do(market.owner, Call(market.deployment.token, data, "use up the permit"))
    assert not market.gateway.takes_permit(permit, signature)
    payer.sender.broadcast(signed.raw)
    assert payer.sender.wait(signed.tx_hash, 20).status == 1
    assert market.gateway.license_expiry(offer_id, payer.sender.account) == PERPETUAL
    assert market.gateway.allowance(payer.sender.account) == 0


def test_permit__late_or_smaller_or_of_another__is_not_taken_and_buys_nothing(market: AnvilMarket) -> None:
    payer, offer_id, gateway = Payer(market), market.publish(), market.gateway
    late = payer.permit(deadline=gateway.block_time() - 1)
    forged = payer.permit()[0], market.owner.sign_typed_data(payer.permit()[0])
    small = payer.permit(TokenAmount(PRICE - 1))
    assert [gateway.takes_permit(*permit) for permit in (late, forged, small)] == [False, False, True]
    for permit in (late, forged, small):
        with pytest.raises(TransactionRevertedError):
            payer.sender.sign(gateway.prepare_with_permit(payer.purchase(offer_id), *permit), 0)


def test_with_permit__order_channel_and_purchase__are_paid_in_one_transaction(market: AnvilMarket) -> None:
    payer, gateway, account = Payer(market), market.gateway, market.buyer.account
    direct = market.publish()
    escrowed = market.publish(OfferTerms(PRICE, is_escrowed=True), (b"\7" * 32, *DIGESTS[1:]))
    metered = market.publish(OfferTerms(TokenAmount(5), is_metered=True), (b"\x08" * 32, *DIGESTS[1:]))
    point = delivery.point_of(delivery.new_order_secret())
    calls = [
        gateway.prepare_buy(market.item(direct), account, PRICE, REF),
        gateway.prepare_order(NewOrder(market.item(escrowed), account, PRICE, point, REF)),
        gateway.prepare_open_channel(NewChannel(market.item(metered), OTHERS[0], PRICE, DAY, TokenAmount(5))),
        gateway.prepare_top_up(1, OTHERS[0], PRICE),
    ]
    for call in calls:
        market.do(payer.sender, gateway.prepare_with_permit(call, *payer.permit()))
    assert gateway.license_expiry(direct, account) == PERPETUAL
    assert [order.terms.price for order in gateway.orders_paid_by(account)] == [PRICE]
    assert [channel.deposit for channel in gateway.channels_of(account)] == [2 * PRICE]
    assert (payer.sender.next_nonce(), gateway.allowance(account)) == (len(calls), 0)


def relayed(market: AnvilMarket, purchase: Purchase, payment: TypedData, signature: bytes) -> Call:
    return market.gateway.prepare_buy_with_authorization(purchase, payment, signature)


def test_signed_payment__payer_without_gas_money__another_account_sends_it_once(market: AnvilMarket) -> None:
    gateway, payer, offer_id = market.gateway, market.sender(), market.publish()
    market.ask("anvil_setBalance", payer.account, "0x0")
    purchase = Purchase(market.item(offer_id), payer.account, TokenAmount(PRICE + 5), secrets.token_bytes(32))
    payment = gateway.payment_to_sign(purchase, payer.account, LATER)
    signature = payer.sign_typed_data(payment)
    before = gateway.balances(payer.account)
    market.do(market.owner, relayed(market, purchase, payment, signature))
    assert gateway.balances(payer.account) == replace(before, token=before.token - PRICE)  # what was too much is back
    assert gateway.license_expiry(offer_id, payer.account) == PERPETUAL
    with pytest.raises(TransactionRevertedError):
        sign_at(market.owner, relayed(market, purchase, payment, signature))
    with pytest.raises(VerificationError):
        relayed(market, purchase, payment, signature[:64])


@pytest.mark.parametrize("change", ["offer", "holder", "limit", "reference", "payer"])
def test_signed_payment__relayer_changes_what_is_bought__is_refused(market: AnvilMarket, change: str) -> None:
    gateway, payer = market.gateway, market.sender()
    offer_id, other_offer = market.publish(), market.publish(digests=(b"\7" * 32, *DIGESTS[1:]))
    purchase = Purchase(market.item(offer_id), payer.account, PRICE, REF)
    payment = gateway.payment_to_sign(purchase, payer.account, LATER)
    signature = payer.sign_typed_data(payment)
    bent = {
        "offer": replace(purchase, item=market.item(other_offer)),
        "holder": replace(purchase, holder=market.owner.account),
        "limit": replace(purchase, max_price=TokenAmount(PRICE + 1)),
        "reference": replace(purchase, order_ref=b"\5" * 32),
    }.get(change, purchase)
    if change == "payer":
        payment = replace(payment, message={**payment.message, "from": market.buyer.account})
    before = gateway.balances(payer.account)
    with pytest.raises(TransactionRevertedError):
        sign_at(market.owner, relayed(market, bent, payment, signature))
    assert gateway.balances(payer.account) == before


def sign_at(sender: TransactionSender, call: Call) -> None:
    sender.sign(call, sender.next_nonce())


def test_accepts_signature__contract_of_two_owners__takes_both_and_nothing_else(market: AnvilMarket) -> None:
    owners = [KeySigner(secrets.token_bytes(32)) for _ in range(2)]
    wallet = account_made_of(market, creation_code("Wallets.sol", "TwoOwnerWallet"), owners)
    text = "a request"
    first, second = (bytes.fromhex(owner.sign_text(text)[2:]) for owner in owners)
    accepts = partial(market.gateway.accepts_signature, wallet)
    assert accepts(text_digest(text), first + second)
    assert accepts(text_digest(text), first + second, market.gateway.block_number())
    assert not accepts(text_digest(text), first + second, 0)  # there was no such contract yet
    for digest, signature in ((text_digest("another"), first + second), (text_digest(text), second + first),
                              (text_digest(text), first), (text_digest(text), b"")):  # fmt: skip
        assert not accepts(digest, signature)
    assert not market.gateway.accepts_signature(owners[0].account, text_digest(text), first)


@pytest.mark.parametrize("answer", [b"\1", bytes(32), b"\x16\x26\xba\x7e", b"\x16\x26\xba\x7e" + bytes(29), b""])
def test_accepts_signature__contract_that_answers_oddly__is_a_no_in_bounded_time(
    market: AnvilMarket, answer: bytes
) -> None:
    wallet = account_made_of(market, creation_code("Wallets.sol", "OddWallet") + encode(("bytes",), (answer,)), ())
    begun = time.process_time()
    assert not market.gateway.accepts_signature(wallet, bytes(32), bytes(65))
    assert time.process_time() - begun < 2
