"""The transaction pipeline and the endpoints against a real Anvil: reorganisations, stuck fees, endpoints that fail."""

import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.anvil_market import ANVIL, PRICE, AnvilMarket
from viz_node.chain.account.transactions import Confirmations, TransactionSender
from viz_node.chain.development.anvil import DevChain, start_anvil, stop_anvil
from viz_node.chain.gateway.market import MarketGateway
from viz_node.chain.node.endpoints import Endpoints
from viz_node.domain.ids import TokenAmount
from viz_node.domain.purposes import Purpose
from viz_node.domain.records import OutboxEntry
from viz_node.errors import ChainUnavailableError, DeadlineError, InsufficientFundsError, WrongChainError
from viz_node.services.money.transact import Patience, Treasury
from viz_node.storage.store import Store

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed: run `npm ci` in contracts/")

DEEP = Confirmations(2, 5)


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[DevChain]:
    yield start_anvil(tmp_path / "anvil", ANVIL)
    stop_anvil(tmp_path / "anvil")


class Desk:
    """A treasury with its outbox on the disk; `allow` is an order that can be told by the allowance it leaves."""

    def __init__(self, chain: DevChain, directory: Path, confirmations: Confirmations = DEEP) -> None:
        self.market = AnvilMarket(chain.rpc_url)
        self.path = directory / "node.db"
        signer = self.market.buyer.signer
        self.sender = TransactionSender(chain.rpc_url, self.market.deployment, signer, confirmations)
        self.undone: list[OutboxEntry] = []
        self.start()

    def start(self) -> None:
        self.store = Store(self.path)
        patience = Patience(mined_seconds=3, shown_seconds=0.5)
        self.treasury = Treasury(self.store.outbox, self.sender, lambda: 1, patience, self.undone.append)

    async def allow(self, order_id: str, amount: int) -> str:
        call = self.market.gateway.prepare_approve(TokenAmount(amount))
        return await self.treasury.execute(order_id, lambda: call, Purpose("approve"))

    async def allow_in_vain(self, order_id: str, amount: int) -> None:
        with pytest.raises(DeadlineError):
            await self.allow(order_id, amount)

    def mine(self, blocks: int) -> None:
        self.market.ask("anvil_mine", hex(blocks))

    def states(self) -> list[str]:
        return [entry.state for entry in self.store.outbox.outbox_of("a")]

    @property
    def allowed(self) -> int:
        return self.market.gateway.allowance(self.market.buyer.account)


@pytest.fixture
def desk(chain: DevChain, tmp_path: Path) -> Desk:
    return Desk(chain, tmp_path)


async def test_treasury__anvil_reorganises_a_shown_payment_away__is_sent_again_and_booked(desk: Desk) -> None:
    await desk.allow_in_vain("a", 7)
    assert (desk.states(), desk.allowed) == (["mined"], 7)
    desk.mine(2)
    tx_hash = await desk.allow("a", 7)
    (before,) = desk.store.outbox.outbox_of("a")
    assert before.state == "confirmed"

    desk.market.ask("evm_setAutomine", False)
    desk.market.ask("anvil_reorg", 3, [])
    assert desk.allowed == 0
    await desk.treasury.recover()
    assert desk.states() == ["sent"]
    desk.store.close()
    desk.start()
    desk.mine(1)
    await desk.treasury.recover()
    (after,) = desk.store.outbox.outbox_of("a")
    assert (after.tx_hash, after.state, desk.allowed) == (tx_hash, "mined", 7)
    assert after.block_hash != before.block_hash
    desk.mine(5)
    await desk.treasury.recover()
    assert (desk.states(), desk.undone) == (["final"], [])


async def test_treasury__reorganised_away_and_replaced_from_elsewhere__is_undone_and_told(desk: Desk) -> None:
    await desk.allow_in_vain("a", 7)
    desk.mine(2)
    await desk.allow("a", 7)
    desk.market.ask("evm_setAutomine", False)
    desk.market.ask("anvil_reorg", 3, [])
    other = desk.sender.sign(desk.market.gateway.prepare_approve(TokenAmount(9)), desk.sender.mined_nonce())
    desk.sender.broadcast(other.raw)
    desk.mine(1)
    await desk.treasury.recover()
    assert (desk.undone, desk.allowed) == ([], 9)
    desk.mine(5)
    await desk.treasury.recover()
    assert ([entry.order_id for entry in desk.undone], desk.states()) == (["a"], ["failed"])
    await desk.allow_in_vain("a", 7)
    assert desk.states() == ["failed", "sent"] or desk.states() == ["failed", "unknown"]


async def test_treasury__fees_rose_above_what_was_signed__is_replaced_until_it_is_mined(desk: Desk) -> None:
    desk.market.ask("evm_setAutomine", False)
    await desk.allow_in_vain("a", 7)
    head = desk.market.ask("eth_getBlockByNumber", "latest", False)
    for _ in range(4):
        desk.market.ask("anvil_setNextBlockBaseFeePerGas", hex(int(head["baseFeePerGas"], 16) * 5))
        desk.mine(1)
    assert desk.allowed == 0
    await desk.treasury.recover()
    assert len(desk.states()) == 2
    desk.mine(1)
    await desk.treasury.recover()
    assert (desk.allowed, sorted(desk.states())) == (7, ["mined", "unknown"])
    desk.mine(5)
    await desk.treasury.recover()
    assert sorted(desk.states()) == ["final", "replaced"]
    assert await desk.allow("a", 7) == next(e.tx_hash for e in desk.store.outbox.outbox_of("a") if e.state == "final")


async def test_treasury__tags_of_the_chain__safe_is_shown_and_finalized_is_booked(
    chain: DevChain, tmp_path: Path
) -> None:
    desk = Desk(chain, tmp_path, Confirmations())
    await desk.allow_in_vain("a", 7)
    assert desk.states() == ["mined"]
    desk.mine(33)
    await desk.allow("a", 7)
    assert desk.states() == ["confirmed"]
    desk.mine(33)
    await desk.treasury.recover()
    assert desk.states() == ["final"]


async def test_sign__too_little_gas_money__tells_how_much_is_missing(desk: Desk) -> None:
    desk.market.ask("anvil_setBalance", desk.market.buyer.account, hex(10**12))
    with pytest.raises(InsufficientFundsError, match=r"has 0\.000001 coins") as raised:
        await desk.allow("a", 7)
    assert "send the account 0.000" in raised.value.hint
    assert desk.states() == []


class Relay:
    """An endpoint before the real one that can fail, or answer for another chain."""

    def __init__(self, rpc_url: str) -> None:
        relay, host = self, rpc_url.removeprefix("http://")
        self.status, self.answers, self.asked = 200, dict[str, Any](), 0

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                relay.asked += 1
                connection = http.client.HTTPConnection(host, timeout=10)
                connection.request("POST", "/", body, {"content-type": "application/json"})
                raw = relay.changed(json.loads(body), json.loads(connection.getresponse().read()))
                connection.close()
                self.send_response(relay.status)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def changed(self, requests: Any, answers: Any) -> bytes:
        pairs = zip(requests, answers, strict=True) if isinstance(requests, list) else [(requests, answers)]
        for request, answer in pairs:
            if request["method"] in self.answers:
                answer["result"] = self.answers[request["method"]]
        return json.dumps(answers).encode()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def relays(chain: DevChain) -> Iterator[list[Relay]]:
    both = [Relay(chain.rpc_url), Relay(chain.rpc_url)]
    yield both
    for relay in both:
        relay.close()


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


def endpoints_of(market: AnvilMarket, relays: list[Relay], clock: list[float]) -> Endpoints:
    return Endpoints([relay.url for relay in relays], market.deployment, clock=lambda: clock[0])


@pytest.mark.parametrize("status", [429, 500, 503])
def test_endpoints__the_first_fails__the_second_answers_and_the_first_rests(
    chain: DevChain, relays: list[Relay], clock: list[float], status: int
) -> None:
    market = AnvilMarket(chain.rpc_url)
    gateway = MarketGateway(endpoints_of(market, relays, clock), market.deployment)
    block = gateway.block_number()
    checked = relays[0].asked
    assert (checked > 1, relays[1].asked) == (True, 0)
    relays[0].status = status
    assert gateway.block_number() == block
    asked = relays[0].asked
    relays[0].status = 200
    assert gateway.block_number() == block
    assert relays[0].asked == asked  # it rests
    clock[0] += 6
    assert gateway.block_number() == block
    assert relays[0].asked == asked + checked  # it is checked again before it answers


def test_endpoints__one_fails_again_and_again__rests_for_longer_each_time(
    chain: DevChain, relays: list[Relay], clock: list[float]
) -> None:
    market = AnvilMarket(chain.rpc_url)
    endpoints = endpoints_of(market, relays, clock)
    relays[0].status = 503
    rests = []
    for _ in range(9):
        endpoints.call("eth_blockNumber")
        asked = relays[0].asked
        began = clock[0]
        while relays[0].asked == asked:
            clock[0] += 1
            endpoints.call("eth_blockNumber")
        rests.append(clock[0] - began)
    assert rests[:3] == [5, 10, 20]
    assert rests[-1] == 300
    relays[0].status = 200
    clock[0] += 300
    endpoints.call("eth_blockNumber")
    relays[0].status = 503
    endpoints.call("eth_blockNumber")
    asked = relays[0].asked
    clock[0] += 6
    endpoints.call("eth_blockNumber")
    assert relays[0].asked == asked + 1  # it worked in between


def test_endpoints__all_fail__are_all_tried_and_the_best_is_named(
    chain: DevChain, relays: list[Relay], clock: list[float]
) -> None:
    market = AnvilMarket(chain.rpc_url)
    endpoints = endpoints_of(market, relays, clock)
    for relay in relays:
        relay.status = 503
    for _ in range(2):
        with pytest.raises(ChainUnavailableError, match=relays[0].url):
            endpoints.call("eth_blockNumber")
    assert relays[1].asked == 2
    with pytest.raises(ChainUnavailableError):
        endpoints.check()
    relays[1].status = 200
    endpoints.check()
    assert int(endpoints.call("eth_blockNumber"), 16) > 0


WRONG = {
    "chain": ({"eth_chainId": "0x1"}, "is chain 1"),
    "genesis": ({"eth_getBlockByNumber": {"hash": "0x" + "11" * 32}}, "another first block"),
    "code": ({"eth_getCode": "0x6001"}, "another contract"),
    "nothing": ({"eth_getCode": "0x"}, "no contract"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_endpoints__one_is_of_another_chain__is_refused_by_name_and_never_believed(
    chain: DevChain, relays: list[Relay], clock: list[float], kind: str
) -> None:
    market = AnvilMarket(chain.rpc_url)
    answers, cause = WRONG[kind]
    relays[1].answers = answers
    with pytest.raises(WrongChainError, match=cause) as raised:
        endpoints_of(market, relays, clock).check()
    assert relays[1].url in raised.value.message
    endpoints = endpoints_of(market, relays, clock)
    endpoints.call("eth_blockNumber")
    relays[0].status = 503
    with pytest.raises(ChainUnavailableError):
        endpoints.call("eth_blockNumber")


def test_endpoints__the_contract_refuses__is_an_answer_and_nothing_rests(
    chain: DevChain, relays: list[Relay], clock: list[float]
) -> None:
    market = AnvilMarket(chain.rpc_url)
    sender = TransactionSender(endpoints_of(market, relays, clock), market.deployment, market.buyer.signer)
    with pytest.raises(Exception, match="UnknownOffer"):
        sender.sign(market.gateway.prepare_buy(9, sender.account, PRICE, b"\4" * 32), 0)
    assert relays[1].asked == 0


async def test_treasury__endpoint_dies_between_signing_and_sending__the_other_takes_it(
    chain: DevChain, relays: list[Relay], tmp_path: Path
) -> None:
    market = AnvilMarket(chain.rpc_url)
    endpoints = Endpoints([relay.url for relay in relays], market.deployment)
    sender = TransactionSender(endpoints, market.deployment, market.buyer.signer)
    store = Store(tmp_path / "node.db")
    add = store.outbox.add_outbox

    def add_and_fail(entry: OutboxEntry) -> None:
        add(entry)
        relays[0].status = 503

    store.outbox.add_outbox = add_and_fail  # type: ignore[method-assign]
    treasury = Treasury(store.outbox, sender, lambda: 1)
    await treasury.execute("a", lambda: market.gateway.prepare_approve(TokenAmount(7)), Purpose("approve"))
    assert market.gateway.allowance(market.buyer.account) == 7
    assert relays[1].asked > 0
