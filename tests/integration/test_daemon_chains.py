"""The chain of a development node on a real Anvil: stopped and started it holds what its blocks hold, and no more."""

import os
import secrets
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.anvil_market import ANVIL, PRICE, AnvilMarket
from tests.waiting import until_blocking
from viz_node.audit import audit
from viz_node.chain.account.signing import account_of_key
from viz_node.chain.account.transactions import TransactionSender
from viz_node.chain.contract.artifact import load_artifact
from viz_node.chain.development import anvil
from viz_node.chain.gateway.market import MarketGateway
from viz_node.chain.node.rpc import JsonRpc
from viz_node.daemon import anvil_package, chain_keeper
from viz_node.daemon.chain_keeper import ChainKeeper
from viz_node.daemon.chains import TEST_MONEY, Chain, join_chain
from viz_node.daemon.config import Config
from viz_node.domain.health import Health
from viz_node.domain.ids import Account
from viz_node.domain.purposes import Purpose
from viz_node.domain.transaction import Call
from viz_node.errors import ChainUnavailableError, NotFoundError
from viz_node.services.money.transact import Treasury
from viz_node.storage.store import Store
from viz_node.tcp import is_free

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed: run `npm ci` in contracts/")

OTHER = Account("0x" + "01" * 20)
SPENT = 10**6
COIN = 10**18


class DevHome:
    """The home of a development node with one account; the node itself does not run."""

    def __init__(self, home: Path, join: Path | None = None) -> None:
        home.mkdir()
        self.config, self.key = Config(home, dev=True, join=join), secrets.token_bytes(32)
        self.account = account_of_key(self.key)

    def start(self) -> Chain:
        self.chain = join_chain(self.config, self.account)
        self.keeper = ChainKeeper(self.config, self.chain, self.account)
        return self.chain

    def stop(self) -> None:
        self.keeper.end()

    @property
    def gateway(self) -> MarketGateway:
        return MarketGateway(self.chain.rpc_urls[0], self.chain.deployment)

    def ask(self, method: str, *params: Any) -> None:
        JsonRpc(self.chain.rpc_urls[0]).call(method, *params)

    @property
    def state(self) -> Path:
        return self.config.home / "chain" / anvil.STATE

    def until_written(self) -> None:
        """Wait until Anvil writes its state the next time."""
        now = time.time()
        until_blocking(lambda: self.state.exists() and self.state.stat().st_mtime > now, bool, 10, "the state")

    def kill_anvil(self, is_written: bool = True) -> None:
        """Kill it, once what it did so far is on the disk unless told otherwise."""
        directory = self.config.home / "chain"
        if is_written:
            self.until_written()
        running = anvil.find_anvil(directory)
        assert running is not None
        os.kill(running.pid, signal.SIGKILL)
        port = int(running.rpc_url.rpartition(":")[2])
        until_blocking(lambda: not anvil.is_running(directory) and is_free(port), bool, 10)

    @property
    def money(self) -> tuple[int, int]:
        """Tokens, and gas in wei."""
        balances = self.gateway.balances(self.account)
        return balances.token, balances.gas_wei

    def spend(self) -> None:
        """Spend tokens, and gas."""
        sender = TransactionSender(self.chain.rpc_urls[0], self.chain.deployment, self.key)
        data = load_artifact("TestToken").call_data("transfer", OTHER, SPENT)
        signed = sender.sign(Call(self.chain.deployment.token, data, "spend"), sender.next_nonce())
        sender.broadcast(signed.raw)
        assert sender.wait(signed.tx_hash, 20).status == 1

    def findings(self) -> list[str]:
        report, _ = audit(self.chain.rpc_urls, self.chain.deployment)
        assert report.proof.proven
        return [str(finding) for finding in report.findings]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[DevHome]:
    first = DevHome(tmp_path / "first")
    yield first
    first.stop()


def test_join_chain__stopped_and_started__what_was_spent_stays_spent_and_the_audit_holds(home: DevHome) -> None:
    home.start()
    assert home.money == (TEST_MONEY, COIN)
    assert home.findings() == []
    home.spend()
    left = home.money
    assert left[0] == TEST_MONEY - SPENT and left[1] < COIN
    home.stop()
    home.start()
    assert home.findings() == []
    assert home.money == left


def test_join_chain__second_node_joins__is_funded_once_too(home: DevHome, tmp_path: Path) -> None:
    home.start()
    second = DevHome(tmp_path / "second", join=home.config.home)
    second.start()
    assert (second.money, home.money) == ((TEST_MONEY, COIN), (TEST_MONEY, COIN))
    second.spend()
    left = second.money
    second.stop()
    second.start()
    assert second.money == left
    assert second.findings() == []


def test_step__chain_left_idle__its_time_goes_on_without_a_transaction(home: DevHome) -> None:
    home.start()
    before = home.gateway.block_time()
    home.ask("evm_increaseTime", 601)
    assert home.gateway.block_time() == before
    home.keeper.step()
    assert home.gateway.block_time() >= before + 601
    assert home.findings() == []


def test_step__anvil_killed__is_started_again_at_its_address_with_its_state(home: DevHome) -> None:
    home.start()
    home.spend()
    left = home.money
    home.kill_anvil()
    with pytest.raises(ChainUnavailableError):
        home.gateway.block_time()
    home.keeper.step()
    assert home.money == left
    assert home.findings() == []
    home.keeper.end()
    home.keeper.step()
    assert not anvil.is_running(home.config.home / "chain")


def test_step__anvil_killed_while_it_writes__goes_on_from_the_copy(home: DevHome) -> None:
    home.start()
    until_blocking(home.state.exists, bool, 10)
    home.keeper.step()
    copied, state = home.gateway.block_number(), home.state
    home.kill_anvil()
    whole = state.read_bytes()
    state.write_bytes(whole[: len(whole) // 2])
    home.keeper.step()
    assert home.gateway.block_number() <= copied
    assert home.money[0] == TEST_MONEY
    home.stop()
    state.write_bytes(whole[: len(whole) // 2])
    (state.parent / anvil.COPY).unlink(missing_ok=True)
    with pytest.raises(ChainUnavailableError, match="is torn") as failure:
        home.start()
    assert "rm -r" in failure.value.hint


async def test_step__anvil_killed_right_after_a_purchase__the_chain_has_it_afterwards_once(
    home: DevHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain_keeper, "_COPY_SECONDS", 0)
    chain = home.start()
    market = AnvilMarket(chain.rpc_urls[0])
    offer = market.publish()
    market.approve(market.buyer)
    sender = TransactionSender(market.rpc_url, market.deployment, market.buyer.signer, chain.confirmations)
    store = Store(home.config.home / "node.db")
    treasury = Treasury(store.outbox, sender, lambda: 1)
    buy = market.gateway.prepare_buy(market.item(offer), market.buyer.account, PRICE, b"\4" * 32)

    def held() -> int:
        return market.gateway.license_expiry(offer, market.buyer.account)

    home.until_written()
    await treasury.execute("buy:1", lambda: buy, Purpose("buy"))
    assert held() and [entry.state for entry in store.outbox.outbox_of("buy:1")] == ["confirmed"]
    home.kill_anvil(is_written=False)
    home.keeper.step()
    assert not held(), "the purchase was in a block that no file had"
    await treasury.recover()
    assert held()
    assert await treasury.execute("buy:1", lambda: buy, Purpose("buy"))
    assert market.gateway.balances(market.buyer.account).token == 10**9 - PRICE

    block = market.gateway.block_number()
    until_blocking(lambda: home.keeper.step() or anvil.saved_block(home.state.parent), lambda n: n >= block, 15)
    await treasury.recover()
    assert [entry.state for entry in store.outbox.outbox_of("buy:1")] == ["final"]
    store.close()


def test_join_chain__killed_before_anything_was_saved__market_and_money_are_there_again(home: DevHome) -> None:
    first = home.start()
    home.kill_anvil(is_written=False)
    home.state.unlink(missing_ok=True)
    again = home.start()
    assert again.deployment.market != first.deployment.market
    assert home.money == (TEST_MONEY, COIN)


def test_step__anvil_killed_before_the_money_was_saved__it_is_given_again(home: DevHome) -> None:
    home.start()
    home.until_written()
    home.keeper.step()
    home.account = account_of_key(secrets.token_bytes(32))
    home.keeper = ChainKeeper(home.config, home.chain, home.account)
    home.kill_anvil()
    home.keeper.step()
    assert home.money == (TEST_MONEY, COIN)


def test_step__anvil_killed_and_its_program_gone__is_a_failed_check_until_it_is_there_again(
    home: DevHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.start()
    assert home.keeper.check().state is Health.OK
    home.kill_anvil()
    with monkeypatch.context() as without:
        without.setattr(anvil_package, "ANVIL", home.config.home / "gone")
        without.setenv("PATH", "/nowhere")
        with pytest.raises(NotFoundError):
            home.keeper.step()
    found = home.keeper.check()
    assert (found.state, "cannot be started again: the development chain needs Anvil" in found.detail) == (
        Health.FAIL,
        True,
    )
    assert "--fetch-anvil" in found.fix
    home.keeper.step()
    assert home.keeper.check().state is Health.OK


def test_step__port_of_the_dead_anvil_is_taken__says_so(home: DevHome) -> None:
    chain = home.start()
    home.kill_anvil()
    port = int(chain.rpc_urls[0].rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)), pytest.raises(ChainUnavailableError, match="ended with status"):
        home.keeper.step()
    home.keeper.step()
    assert home.gateway.block_number() >= 0
