"""The chain package against a real Anvil: the life of a sale, the audit, lying endpoints, and what goes wrong."""

import copy
import json
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lying_endpoint import LyingEndpoint
from viz_node.chain.anvil import (
    DevChain,
    adopt_or_start,
    deploy_for_development,
    fund,
    give_gas,
    start_anvil,
    stop_anvil,
)
from viz_node.chain.audit import audit
from viz_node.chain.deployment import Deployment, parse_deployment
from viz_node.chain.ledger import ENTRY_TOPIC, PERPETUAL
from viz_node.chain.market import MarketGateway
from viz_node.chain.rpc import JsonRpc
from viz_node.chain.signing import account_of_key
from viz_node.chain.transactions import Call, Receipt, TransactionSender
from viz_node.domain.ids import Account, BasisPoints, TokenAmount
from viz_node.domain.royalty import RoyaltySplit, split_from_shares
from viz_node.errors import (
    ChainUnavailableError,
    DeadlineError,
    InsufficientFundsError,
    NotFoundError,
    TransactionRevertedError,
    VerificationError,
)

ROOT = Path(__file__).resolve().parents[2]
ANVIL = ROOT / "contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed: run `npm ci` in contracts/")

PRICE = TokenAmount(5_000_001)
DIGESTS = (b"\1" * 32, b"\2" * 32, b"\3" * 32)
OTHERS = [Account(f"0x{number:040x}") for number in range(1, 5)]


class Market:
    """A deployed market with one published adapter, a buyer with money and an owner."""

    def __init__(self, rpc_url: str) -> None:
        self.rpc_url = rpc_url
        self.deployment = deploy_for_development(rpc_url)
        self.gateway = MarketGateway(rpc_url, self.deployment)
        self.owner = self.sender()
        self.buyer = self.sender()
        self.split = self.split_with(self.owner.account)

    def sender(self, tokens: int = 10**9) -> TransactionSender:
        key = secrets.token_bytes(32)
        fund(self.rpc_url, self.deployment, account_of_key(key), tokens)
        return TransactionSender(self.rpc_url, self.deployment, key)

    @staticmethod
    def split_with(owner: Account) -> RoyaltySplit:
        return split_from_shares({owner: BasisPoints(6000), **{other: BasisPoints(1000) for other in OTHERS}})

    def do(self, sender: TransactionSender, call: Call) -> Receipt:
        signed = sender.sign(call, sender.next_nonce())
        sender.broadcast(signed.raw)
        receipt = sender.wait(signed.tx_hash, 20)
        assert receipt.status == 1
        return receipt

    def publish(self, digests: tuple[bytes, bytes, bytes] = DIGESTS, duration: int = 0) -> int:
        receipt = self.do(self.owner, self.gateway.prepare_publish(digests, self.split, PRICE, duration))
        return receipt.logs[2].key

    def buy(self, offer_id: int) -> Receipt:
        self.do(self.buyer, self.gateway.prepare_approve(PRICE))
        return self.do(self.buyer, self.gateway.prepare_buy(offer_id, self.buyer.account, PRICE, b"\4" * 32))


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevChain]:
    directory = tmp_path_factory.mktemp("anvil")
    yield start_anvil(directory, ANVIL)
    stop_anvil(directory)


@pytest.fixture
def market(chain: DevChain) -> Market:
    return Market(chain.rpc_url)


@pytest.fixture
def traded(market: Market) -> Market:
    """Two adapters, one perpetual and one timed; three sales, two claims."""
    perpetual = market.publish()
    timed = market.publish((b"\5" * 32, b"\2" * 32, b"\3" * 32), 3600)
    market.buy(perpetual)
    market.buy(timed)
    market.buy(timed)
    market.do(market.buyer, market.gateway.prepare_claim(1, market.owner.account))
    market.do(market.buyer, market.gateway.prepare_claim(2, OTHERS[2]))
    return market


def about_entries(change: Callable[[list[dict[str, Any]]], None]) -> Callable[[str, Any], Any]:
    def lie(method: str, result: Any) -> Any:
        is_ledger = method == "eth_getLogs" and result and result[0]["topics"][0] == "0x" + ENTRY_TOPIC.hex()
        if is_ledger:
            result = copy.deepcopy(result)
            change(result)
        return result

    return lie


def drop_one(logs: list[dict[str, Any]]) -> None:
    del logs[3]


def drop_last(logs: list[dict[str, Any]]) -> None:
    del logs[-1]


def alter_reference(logs: list[dict[str, Any]]) -> None:
    sale = next(log for log in logs if int(log["topics"][1], 16) == 4)
    sale["data"] = sale["data"][:-2] + "ff"


def alter_price(logs: list[dict[str, Any]]) -> None:
    sale = next(log for log in logs if int(log["topics"][1], 16) == 4)
    sale["data"] = "0x" + sale["data"][2:66] + f"{PRICE - 1:064x}" + sale["data"][130:]


def swap(logs: list[dict[str, Any]]) -> None:
    logs[0], logs[1] = logs[1], logs[0]


def swap_and_renumber(logs: list[dict[str, Any]]) -> None:
    first, second = logs[-2], logs[-1]
    first["data"], second["data"] = (
        "0x" + second["data"][2:66] + first["data"][66:],
        "0x" + first["data"][2:66] + second["data"][66:],
    )
    for name in ("blockNumber", "logIndex"):
        first[name], second[name] = second[name], first[name]
    logs[-2], logs[-1] = second, first


def repeat_last(logs: list[dict[str, Any]]) -> None:
    logs.append(logs[-1])


def test_market__life_of_a_sale__pays_every_recipient_exactly(market: Market) -> None:
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
def test_prepare_claim__any_size_of_table__every_proof_is_accepted(market: Market, recipients: int) -> None:
    accounts = [Account("0x" + secrets.token_hex(20)) for _ in range(recipients)]
    shares = {account: BasisPoints(100) for account in accounts}
    shares[accounts[0]] = BasisPoints(10_000 - 100 * (recipients - 1))
    market.split = split_from_shares(shares)
    market.buy(market.publish())
    for account in accounts:
        market.do(market.buyer, market.gateway.prepare_claim(1, account))
        assert market.gateway.balances(account).token == market.split.entitlement(account, PRICE)


def test_sign__license_held_already__is_refused_by_name(market: Market) -> None:
    offer_id = market.publish()
    market.buy(offer_id)
    market.do(market.buyer, market.gateway.prepare_approve(PRICE))
    again = market.gateway.prepare_buy(offer_id, market.buyer.account, PRICE, b"\4" * 32)
    with pytest.raises(TransactionRevertedError, match="AlreadyLicensed"):
        market.buyer.sign(again, market.buyer.next_nonce())


def test_sign__price_above_max__is_refused_by_name(market: Market) -> None:
    offer_id = market.publish()
    call = market.gateway.prepare_buy(offer_id, market.buyer.account, TokenAmount(PRICE - 1), b"\4" * 32)
    with pytest.raises(TransactionRevertedError, match="PriceAboveMax"):
        market.buyer.sign(call, 0)


def test_sign__no_tokens__tells_how_much_is_missing(market: Market) -> None:
    offer_id = market.publish()
    poor = market.sender(tokens=1)
    market.do(poor, market.gateway.prepare_approve(PRICE))
    with pytest.raises(InsufficientFundsError, match=r"5\.000001"):
        poor.sign(market.gateway.prepare_buy(offer_id, poor.account, PRICE, b"\0" * 32), 1)


def test_sign__no_gas_money__raises_insufficient_funds(market: Market) -> None:
    broke = TransactionSender(market.rpc_url, market.deployment, secrets.token_bytes(32))
    with pytest.raises(InsufficientFundsError, match="gas"):
        broke.sign(market.gateway.prepare_approve(PRICE), 0)


def test_broadcast__same_bytes_twice__does_no_harm(market: Market) -> None:
    signed = market.buyer.sign(market.gateway.prepare_approve(PRICE), market.buyer.next_nonce())
    assert market.buyer.find_receipt(signed.tx_hash) is None
    with pytest.raises(DeadlineError):
        market.buyer.wait(signed.tx_hash, 0.01)
    market.buyer.broadcast(signed.raw)
    market.buyer.broadcast(signed.raw)
    receipt = market.buyer.wait(signed.tx_hash, 20)
    market.buyer.broadcast(signed.raw)
    assert market.buyer.find_receipt(signed.tx_hash) == receipt


def test_license_expiry__timed_license_bought_twice__is_extended(market: Market) -> None:
    offer_id = market.publish(duration=3600)
    first = market.buy(offer_id).logs[0].c
    second = market.buy(offer_id).logs[0].c
    assert second == first + 3600 == market.gateway.license_expiry(offer_id, market.buyer.account)
    assert first > market.gateway.block_time()


def test_gateway__things_that_do_not_exist__are_not_found(market: Market) -> None:
    assert market.gateway.find_adapter(b"\7" * 32, market.owner.account) is None
    assert market.gateway.royalties_of(market.owner.account) == []
    with pytest.raises(NotFoundError):
        market.gateway.prepare_claim(99, market.owner.account)
    with pytest.raises(TransactionRevertedError, match="UnknownOffer"):
        market.gateway.quote(99)


def test_check__other_chain_id__names_both(market: Market) -> None:
    body = json.loads(market.deployment.to_bytes())
    other = parse_deployment(json.dumps({**body, "chain_id": 1}).encode())
    with pytest.raises(ChainUnavailableError, match="is chain 31337, and the market is on chain 1"):
        MarketGateway(market.rpc_url, other).check()
    with pytest.raises(ChainUnavailableError, match="31337"):
        audit(market.rpc_url, other)
    market.gateway.check()


def test_check__no_or_other_code__says_which(market: Market) -> None:
    body = json.loads(market.deployment.to_bytes())
    nothing = parse_deployment(json.dumps({**body, "market": OTHERS[0]}).encode())
    with pytest.raises(ChainUnavailableError, match="no contract"):
        MarketGateway(market.rpc_url, nothing).check()
    other = parse_deployment(json.dumps({**body, "market": body["token"]}).encode())
    with pytest.raises(ChainUnavailableError, match="another contract"):
        MarketGateway(market.rpc_url, other).check()


def test_check__chain_down__raises_chain_unavailable(market: Market) -> None:
    gateway = MarketGateway("http://127.0.0.1:1", market.deployment, timeout_seconds=2)
    with pytest.raises(ChainUnavailableError, match="does not answer"):
        gateway.check()
    with pytest.raises(ChainUnavailableError, match="does not answer"):
        audit("http://127.0.0.1:1", market.deployment)


def test_audit__honest_endpoint__is_ok_and_adds_up(traded: Market) -> None:
    report = audit(traded.rpc_url, traded.deployment)
    assert report.ok, report.findings
    assert report.proof.proven
    assert report.proof.entries == 11
    assert (report.counts["sales"], report.counts["claims"]) == (3, 2)
    assert sum(split.accrued for split in report.splits) == 3 * PRICE
    owner = next(total for total in report.totals if total.account == traded.owner.account)
    assert owner.claimed == traded.split.entitlement(traded.owner.account, PRICE)
    assert owner.due == traded.split.entitlement(traded.owner.account, TokenAmount(2 * PRICE))
    json.dumps(report.to_dict())


def test_audit__one_adapter__shows_only_its_sales(traded: Market) -> None:
    report = audit(traded.rpc_url, traded.deployment, adapter_id=DIGESTS[0].hex())
    assert report.ok
    assert len(report.sales) == 1
    assert [split.split_id for split in report.splits] == [1]
    assert audit(traded.rpc_url, traded.deployment, adapter_id="ab" * 32).notes


def test_audit__earlier_block__is_ok_there(traded: Market) -> None:
    block = traded.gateway.sales()[0].block
    report = audit(traded.rpc_url, traded.deployment, block=str(block))
    assert report.ok
    assert report.counts["sales"] == 1
    assert report.proof.block_number == block


def test_audit__tokens_sent_without_a_sale__is_a_note_and_no_finding(traded: Market) -> None:
    fund(traded.rpc_url, traded.deployment, traded.deployment.market, 3 * PRICE)
    report = audit(traded.rpc_url, traded.deployment)
    assert report.ok
    assert len(report.notes) == 1


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (drop_one, "sequence"),
        (drop_last, "head"),
        (alter_reference, "head"),
        (alter_price, "price"),
        (swap, "sequence"),
        (swap_and_renumber, "head"),
        (repeat_last, "sequence"),
    ],
)
def test_audit__endpoint_lies_about_an_entry__is_found(
    traded: Market, change: Callable[[list[dict[str, Any]]], None], check: str
) -> None:
    with LyingEndpoint(traded.rpc_url, about_entries(change)) as liar:
        report = audit(liar.rpc_url, traded.deployment)
    assert not report.ok
    assert {check, "head"} <= {finding.check for finding in report.findings}


def test_audit__endpoint_hides_the_last_sale_and_its_money__is_found_by_the_head(traded: Market) -> None:
    def lie(method: str, result: Any) -> Any:
        return [log for log in result if log is not result[-1]] if method == "eth_getLogs" and result else result

    with LyingEndpoint(traded.rpc_url, lie) as liar:
        report = audit(liar.rpc_url, traded.deployment)
    assert "head" in {finding.check for finding in report.findings}


def test_audit__endpoint_forges_the_proof__is_found(traded: Market) -> None:
    def lie(method: str, result: Any) -> Any:
        if method == "eth_getProof":
            node = result["storageProof"][0]["proof"][-1]
            result["storageProof"][0]["proof"][-1] = node[:-2] + ("00" if node[-2:] != "00" else "01")
        return result

    with LyingEndpoint(traded.rpc_url, lie) as liar:
        report = audit(liar.rpc_url, traded.deployment)
    assert not report.proof.proven
    assert "proof" in {finding.check for finding in report.findings}


def test_audit__endpoint_forges_the_state_root__raises_verification(traded: Market) -> None:
    def lie(method: str, result: Any) -> Any:
        return {**result, "stateRoot": "0x" + "11" * 32} if method == "eth_getBlockByNumber" else result

    with LyingEndpoint(traded.rpc_url, lie) as liar, pytest.raises(VerificationError, match="header"):
        audit(liar.rpc_url, traded.deployment)


def test_audit__command_line_imports__stay_light() -> None:
    code = "import sys, viz_node.chain.audit; print({'web3', 'eth_account', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "set()"


def test_adopt_or_start__living_chain__is_used_again_and_survives_a_stop(tmp_path: Path) -> None:
    first = adopt_or_start(tmp_path, ANVIL)
    try:
        market = Market(first.rpc_url)
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
        assert audit(second.rpc_url, market.deployment).ok
    finally:
        stop_anvil(tmp_path)


def test_start_anvil__no_such_binary__names_the_cause(tmp_path: Path) -> None:
    with pytest.raises(ChainUnavailableError, match="does not start"):
        start_anvil(tmp_path, tmp_path / "anvil")
    with pytest.raises(ChainUnavailableError, match="ended with status"):
        start_anvil(tmp_path, Path(shutil.which("false") or "/bin/false"))


def test_give_gas__twice__tops_up_to_one_coin(market: Market) -> None:
    account = Account("0x" + secrets.token_hex(20))
    give_gas(market.rpc_url, account)
    give_gas(market.rpc_url, account)
    assert market.gateway.balances(account).gas_wei == 10**18


def test_deployment__bytes__round_trip(market: Market) -> None:
    assert parse_deployment(market.deployment.to_bytes()) == market.deployment
    assert isinstance(market.deployment, Deployment)


def test_reads__same_head__scan_the_logs_once_and_a_new_block_again(
    traded: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    call = JsonRpc.call

    def count(self: JsonRpc, method: str, *params: Any) -> Any:
        asked.append(method)
        return call(self, method, *params)

    monkeypatch.setattr(JsonRpc, "call", count)
    first = traded.gateway.sales()
    scans = asked.count("eth_getLogs")
    assert scans > 0
    assert traded.gateway.sales() == first
    assert asked.count("eth_getLogs") == scans
    traded.buy(traded.publish((b"\7" * 32, b"\2" * 32, b"\3" * 32)))
    assert len(traded.gateway.sales()) == len(first) + 1
