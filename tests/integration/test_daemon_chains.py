"""The chain of a development node on a real Anvil: stopped and started it holds what its blocks hold, and no more."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.anvil_market import ANVIL
from viz_node.chain.audit import audit
from viz_node.chain.contract import load_artifact
from viz_node.chain.market import MarketGateway
from viz_node.chain.signing import account_of_key
from viz_node.chain.transactions import Call, TransactionSender
from viz_node.daemon.chains import TEST_MONEY, Chain, join_chain, leave_chain
from viz_node.daemon.config import Config
from viz_node.domain.ids import Account

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
        return self.chain

    def stop(self) -> None:
        leave_chain(self.config, self.chain)

    @property
    def money(self) -> tuple[int, int]:
        """Tokens, and gas in wei."""
        balances = MarketGateway(self.chain.rpc_urls[0], self.chain.deployment).balances(self.account)
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
