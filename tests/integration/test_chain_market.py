"""The chain package against a real Anvil: the life of a sale, every refusal, and what goes wrong."""

import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.anvil_market import ANVIL, DIGESTS, OTHERS, PRICE, AnvilMarket
from viz_node.chain.account.transactions import TransactionSender
from viz_node.chain.contract.ledger import PERPETUAL
from viz_node.chain.development.anvil import DevChain, adopt_or_start, start_anvil, stop_anvil
from viz_node.chain.development.faucet import give_gas
from viz_node.chain.gateway.market import MarketGateway
from viz_node.chain.node.rpc import JsonRpc
from viz_node.domain.deployment import Deployment, parse_deployment
from viz_node.domain.ids import Account, BasisPoints, TokenAmount
from viz_node.domain.offer import OfferTerms
from viz_node.domain.royalty import split_from_shares
from viz_node.errors import (
    ChainUnavailableError,
    DeadlineError,
    InsufficientFundsError,
    NotFoundError,
    TransactionRevertedError,
)

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed: run `npm ci` in contracts/")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevChain]:
    directory = tmp_path_factory.mktemp("anvil")
    yield start_anvil(directory, ANVIL)
    stop_anvil(directory)


@pytest.fixture
def market(chain: DevChain) -> AnvilMarket:
    return AnvilMarket(chain.rpc_url)


def test_market__life_of_a_sale__pays_every_recipient_exactly(market: AnvilMarket) -> None:
    offer_id = market.publish()
    adapter = market.gateway.find_adapter(DIGESTS[0], market.owner.account)
    assert adapter is not None
    assert (adapter.base_model, adapter.terms) == DIGESTS[1:]
    (offer,) = market.gateway.offers_of(adapter.number)
    assert (offer.offer_id, offer.price, offer.shares) == (offer_id, PRICE, market.split.shares)
    assert market.gateway.license_expiry(offer_id, market.buyer.account) == 0

    market.buy(offer_id)

    assert market.gateway.license_expiry(offer_id, market.buyer.account) == PERPETUAL
    (sale,) = market.gateway.sales()
    assert (sale.holder, sale.price, sale.adapter_number) == (market.buyer.account, PRICE, adapter.number)
    assert sale.order_ref == b"\4" * 32
    for account, _ in market.split.shares:
        before = market.gateway.balances(account).token
        (royalty,) = market.gateway.royalties_of(account)
        assert royalty.due == market.split.entitlement(account, PRICE)
        receipt = market.do(market.buyer, market.gateway.prepare_claim(royalty.split_id, account))
        assert [entry.a for entry in receipt.logs] == [royalty.due]
        assert market.gateway.balances(account).token == before + royalty.due
        assert market.gateway.royalties_of(account)[0].due == 0


@pytest.mark.parametrize("recipients", [1, 2, 3, 6, 7])
def test_prepare_claim__any_size_of_table__every_proof_is_accepted(market: AnvilMarket, recipients: int) -> None:
    accounts = [Account("0x" + secrets.token_hex(20)) for _ in range(recipients)]
    shares = {account: BasisPoints(100) for account in accounts}
    shares[accounts[0]] = BasisPoints(10_000 - 100 * (recipients - 1))
    market.split = market.with_platform(split_from_shares(shares))
    market.buy(market.publish())
    for account in accounts:
        market.do(market.buyer, market.gateway.prepare_claim(1, account))
        assert market.gateway.balances(account).token == market.split.entitlement(account, PRICE)


def test_sign__license_held_already__is_refused_by_name(market: AnvilMarket) -> None:
    offer_id = market.publish()
    market.buy(offer_id)
    market.do(market.buyer, market.gateway.prepare_approve(PRICE))
    again = market.gateway.prepare_buy(market.item(offer_id), market.buyer.account, PRICE, b"\4" * 32)
    with pytest.raises(TransactionRevertedError, match="AlreadyLicensed"):
        market.buyer.sign(again, market.buyer.next_nonce())


def test_sign__price_above_max__is_refused_by_name(market: AnvilMarket) -> None:
    offer_id = market.publish()
    call = market.gateway.prepare_buy(market.item(offer_id), market.buyer.account, TokenAmount(PRICE - 1), b"\4" * 32)
    with pytest.raises(TransactionRevertedError, match="PriceAboveMax"):
        market.buyer.sign(call, 0)


def test_sign__no_tokens__tells_how_much_is_missing(market: AnvilMarket) -> None:
    offer_id = market.publish()
    poor = market.sender(tokens=1)
    market.do(poor, market.gateway.prepare_approve(PRICE))
    with pytest.raises(InsufficientFundsError, match=r"5\.000001"):
        poor.sign(market.gateway.prepare_buy(market.item(offer_id), poor.account, PRICE, b"\0" * 32), 1)


def test_sign__no_gas_money__raises_insufficient_funds(market: AnvilMarket) -> None:
    broke = TransactionSender(market.rpc_url, market.deployment, secrets.token_bytes(32))
    with pytest.raises(InsufficientFundsError, match="gas"):
        broke.sign(market.gateway.prepare_approve(PRICE), 0)


def test_broadcast__same_bytes_twice__does_no_harm(market: AnvilMarket) -> None:
    signed = market.buyer.sign(market.gateway.prepare_approve(PRICE), market.buyer.next_nonce())
    assert market.buyer.find_receipt(signed.tx_hash) is None
    with pytest.raises(DeadlineError):
        market.buyer.wait(signed.tx_hash, 0.01)
    market.buyer.broadcast(signed.raw)
    market.buyer.broadcast(signed.raw)
    receipt = market.buyer.wait(signed.tx_hash, 20)
    market.buyer.broadcast(signed.raw)
    assert market.buyer.find_receipt(signed.tx_hash) == receipt


def test_license_expiry__timed_license_bought_twice__is_extended(market: AnvilMarket) -> None:
    offer_id = market.publish(OfferTerms(PRICE, 3600))
    first = market.buy(offer_id).logs[0].c
    second = market.buy(offer_id).logs[0].c
    assert second == first + 3600 == market.gateway.license_expiry(offer_id, market.buyer.account)
    assert first > market.gateway.block_time()


def test_gateway__things_that_do_not_exist__are_not_found(market: AnvilMarket) -> None:
    assert market.gateway.find_adapter(b"\7" * 32, market.owner.account) is None
    assert market.gateway.royalties_of(market.owner.account) == []
    with pytest.raises(NotFoundError):
        market.gateway.prepare_claim(99, market.owner.account)
    with pytest.raises(TransactionRevertedError, match="UnknownOffer"):
        market.gateway.quote(99)


def test_check__other_chain_id__names_both(market: AnvilMarket) -> None:
    body = json.loads(market.deployment.to_bytes())
    other = parse_deployment(json.dumps({**body, "chain_id": 1}).encode())
    with pytest.raises(ChainUnavailableError, match="is chain 31337, and the market is on chain 1"):
        MarketGateway(market.rpc_url, other).check()
    market.gateway.check()


def test_check__no_or_other_code__says_which(market: AnvilMarket) -> None:
    body = json.loads(market.deployment.to_bytes())
    nothing = parse_deployment(json.dumps({**body, "market": OTHERS[0]}).encode())
    with pytest.raises(ChainUnavailableError, match="no contract"):
        MarketGateway(market.rpc_url, nothing).check()
    other = parse_deployment(json.dumps({**body, "market": body["token"]}).encode())
    with pytest.raises(ChainUnavailableError, match="another contract"):
        MarketGateway(market.rpc_url, other).check()


def test_check__chain_down__raises_chain_unavailable(market: AnvilMarket) -> None:
    gateway = MarketGateway("http://127.0.0.1:1", market.deployment, timeout_seconds=2)
    with pytest.raises(ChainUnavailableError, match="does not answer"):
        gateway.check()


def test_adopt_or_start__living_chain__is_used_again_and_survives_a_stop(tmp_path: Path) -> None:
    first = adopt_or_start(tmp_path, ANVIL)
    try:
        market = AnvilMarket(first.rpc_url)
        market.buy(market.publish())
        assert adopt_or_start(tmp_path, ANVIL) == first
        assert stop_anvil(tmp_path)
        assert not stop_anvil(tmp_path)
        with pytest.raises(ChainUnavailableError):
            market.gateway.check()
        second = adopt_or_start(tmp_path, ANVIL)
        assert second.rpc_url == first.rpc_url
        assert second.pid != first.pid
        market.gateway.check()
        assert len(market.gateway.sales()) == 1
    finally:
        stop_anvil(tmp_path)


def test_start_anvil__no_such_binary__names_the_cause(tmp_path: Path) -> None:
    with pytest.raises(ChainUnavailableError, match="does not start"):
        start_anvil(tmp_path, tmp_path / "anvil")
    with pytest.raises(ChainUnavailableError, match="ended with status"):
        start_anvil(tmp_path, Path(shutil.which("false") or "/bin/false"))


def test_give_gas__twice__tops_up_to_one_coin(market: AnvilMarket) -> None:
    account = Account("0x" + secrets.token_hex(20))
    give_gas(market.rpc_url, account)
    give_gas(market.rpc_url, account)
    assert market.gateway.balances(account).gas_wei == 10**18


def test_deployment__bytes__round_trip(market: AnvilMarket) -> None:
    assert parse_deployment(market.deployment.to_bytes()) == market.deployment
    assert isinstance(market.deployment, Deployment)


def test_reads__same_head__scan_the_logs_once_and_a_new_block_again(
    market: AnvilMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    call = JsonRpc.call

    def count(self: JsonRpc, method: str, *params: Any, **shape: Any) -> Any:
        asked.append(method)
        return call(self, method, *params, **shape)

    monkeypatch.setattr(JsonRpc, "call", count)
    market.buy(market.publish())
    first = market.gateway.sales()
    scans = asked.count("eth_getLogs")
    assert scans > 0
    assert market.gateway.sales() == first
    assert asked.count("eth_getLogs") == scans
    market.buy(market.publish(digests=(b"\7" * 32, *DIGESTS[1:])))
    assert len(market.gateway.sales()) == len(first) + 1
