"""`viz-node market` on chains of other ids and ages, with tokens as they stand in production, killed at every call."""

import json
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.anvil_market import ANVIL, OTHERS, PRICE, AnvilMarket
from tests.solidity import creation_code
from tests.waiting import until_blocking
from viz_node.audit import audit
from viz_node.chain.account.deploy import Setup, complete_creation, sign_creation
from viz_node.chain.account.signing import KeySigner
from viz_node.chain.contract.artifact import load_artifact
from viz_node.chain.contract.ledger import PERPETUAL
from viz_node.chain.contract.market_check import check_deployment
from viz_node.chain.development.faucet import give_gas
from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.node.endpoints import verify_endpoint
from viz_node.chain.node.rpc import JsonRpc, RpcRefusedError, to_int
from viz_node.cli.main import run
from viz_node.daemon.market_care import Deployer
from viz_node.daemon.secrets import unlock
from viz_node.domain.deployment import Deployment, parse_deployment
from viz_node.domain.ids import Account
from viz_node.domain.purchase import Purchase
from viz_node.domain.transaction import Call
from viz_node.errors import RefusedError, TransactionRevertedError, VizNodeError, WrongChainError
from viz_node.tcp import choose_port

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed: run `npm ci` in contracts/")

CHAIN_ID = 84_532
PLATFORM = "0x" + "a1" * 20
REF = b"\4" * 32
LATER = 1 << 40
L1_ORACLE = "0x420000000000000000000000000000000000000f"
# Answers every question with the length of its data times 1000000000.
L1_ORACLE_CODE = "0x36633b9aca00025f5260205ff3"


@contextmanager
def anvil(*options: str) -> Iterator[JsonRpc]:
    port = choose_port()
    command = [str(ANVIL), "--port", str(port), "--silent", "--chain-id", str(CHAIN_ID), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    rpc = JsonRpc(f"http://127.0.0.1:{port}")
    try:
        until_blocking(lambda: _answers(rpc), bool, 20, "anvil answers")
        yield rpc
    finally:
        rpc.close()
        process.kill()
        process.wait()


def _answers(rpc: JsonRpc) -> bool:
    try:
        return to_int(rpc.call("eth_chainId")) == CHAIN_ID
    except VizNodeError:
        return False


@pytest.fixture(scope="module")
def chain() -> Iterator[JsonRpc]:
    with anvil() as rpc:
        yield rpc


def funded(rpc: JsonRpc) -> KeySigner:
    signer = KeySigner(secrets.token_bytes(32))
    give_gas(rpc.url, signer.account)
    return signer


def token(rpc: JsonRpc, name: str) -> Account:
    signer = funded(rpc)
    return complete_creation(rpc, sign_creation(rpc, signer, creation_code("LikeTokens.sol", name)).raw, 30)[0]


def deployed(rpc: JsonRpc, name: str, tmp_path: Path) -> Deployment:
    deployer = Deployer(rpc, funded(rpc), tmp_path / f"{name}.json")
    return deployer.run(Setup(token(rpc, name), Account(PLATFORM), 300))


def command(home: Path, *words: str) -> int:
    return run(["--home", str(home), "market", *words])


def test_deploy_and_check__another_chain__file_that_nodes_and_auditors_take(
    chain: JsonRpc, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, out = tmp_path / "home", tmp_path / "deployment.json"
    asked = ["--rpc-url", chain.url, "--token", token(chain, "UsdcLike"), "--out", str(out), "--json"]
    assert command(home, "deploy", *asked, "--yes") == 6
    refusal = json.loads(capsys.readouterr().err)
    assert "for gas" in refusal["hint"]
    give_gas(chain.url, Account(refusal["message"].split()[0]))
    platform = ["--platform", PLATFORM, "--platform-fee", "2.5", "--delivery-minutes", "60"]
    assert command(home, "deploy", *asked, *platform, "--dry-run") == 0
    plan = json.loads(capsys.readouterr().out)
    assert "USDCL, 6 decimals, takes permits and signed payments" in plan[1]["consequence"]
    assert not out.exists()
    assert command(home, "deploy", *asked, *platform, "--yes") == 0
    assert json.loads(capsys.readouterr().out)["chain_id"] == CHAIN_ID
    assert command(home, "check", str(out), "--rpc-url", chain.url, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert {row["check"]: row["state"] for row in answer["checks"]}["version"] == "ok"
    assert (answer["terms"]["platformFee"], answer["terms"]["deliveryWindow"]) == (250, 3600)
    verify_endpoint(chain, parse_deployment(out.read_bytes()))
    assert command(home, "deploy", *asked, "--yes") == 4
    assert "exists already" in capsys.readouterr().err


def test_deploy__dry_run_in_a_new_home__says_that_keys_would_be_made_and_writes_nothing(
    chain: JsonRpc, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, out = tmp_path / "home", tmp_path / "deployment.json"
    asked = ["--rpc-url", chain.url, "--token", token(chain, "UsdcLike"), "--out", str(out), "--json", "--dry-run"]
    assert command(home, "deploy", *asked) == 0
    assert "from an account whose keys are made then" in json.loads(capsys.readouterr().out)[0]["consequence"]
    assert list(tmp_path.iterdir()) == []
    (home / "keys").mkdir(parents=True)
    account = unlock(home).account
    held = sorted(home.rglob("*"))
    assert command(home, "deploy", *asked) == 0
    assert f"from {account};" in json.loads(capsys.readouterr().out)[0]["consequence"]
    assert sorted(home.rglob("*")) == held


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--token", "0x" + "ab" * 20), "no contract"),
        (("--token", "DaiLike"), "has 18 decimals"),
        (("--token", "UsdtLike", "--platform", PLATFORM), "go together"),
        (("--token", "UsdtLike", "--platform", PLATFORM, "--platform-fee", "11"), "above 10 percent"),
        (("--token", "UsdtLike", "--platform", "0x" + "00" * 18 + "a11c", "--platform-fee", "3"), "InvalidPlatformFee"),
    ],
)
def test_deploy__unfit__is_refused_before_anything_is_signed(
    chain: JsonRpc, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    words = [token(chain, word) if word.endswith("Like") else word for word in options]
    out = tmp_path / "deployment.json"
    assert command(tmp_path, "deploy", "--rpc-url", chain.url, "--out", str(out), "--yes", *words) != 0
    assert said in capsys.readouterr().err
    assert list(tmp_path.glob("deployment*")) == []


def test_plan__chain_before_cancun__names_the_opcodes_that_it_lacks(tmp_path: Path) -> None:
    with anvil("--hardfork", "shanghai") as rpc, pytest.raises(RefusedError, match="lacks TLOAD, TSTORE, MCOPY"):
        Deployer(rpc, funded(rpc), tmp_path / "d.json").plan(Setup(Account(PLATFORM)))


def test_plan__rollup__counts_the_data_fee(tmp_path: Path) -> None:
    with anvil() as rpc:
        deployer = Deployer(rpc, funded(rpc), tmp_path / "d.json")
        setup = Setup(token(rpc, "UsdcLike"))
        before = deployer.plan(setup).gas_wei
        rpc.call("anvil_setCode", L1_ORACLE, L1_ORACLE_CODE)
        # The code and more, at 10^9 wei for each byte, twice.
        code = len(load_artifact("Market").bytecode)
        assert 2 * code * 10**9 < deployer.plan(setup).gas_wei - before < 2 * 60_000 * 10**9


class Dying(JsonRpc):
    """An endpoint whose caller dies at one of its calls, before or after the chain has heard it."""

    def __init__(self, url: str, dies_at: int, is_heard: bool) -> None:
        super().__init__(url)
        self.left, self.is_heard = dies_at, is_heard

    def call(self, method: str, *params: Any, shape: Any = Any) -> Any:
        self.left -= 1
        if self.left == 0:
            if self.is_heard:
                with suppress(RpcRefusedError):
                    super().call(method, *params)
            raise KeyboardInterrupt
        return super().call(method, *params, shape=shape)


@pytest.mark.parametrize("is_heard", [False, True])
def test_run__killed_at_every_call__is_completed_and_paid_once(chain: JsonRpc, tmp_path: Path, is_heard: bool) -> None:
    setup = Setup(token(chain, "UsdtLike"))
    for dies_at in range(1, 99):
        out = tmp_path / f"{dies_at}.json"
        signer, dying = funded(chain), Dying(chain.url, dies_at, is_heard)
        try:
            Deployer(dying, signer, out).run(setup)
        except KeyboardInterrupt:
            deployment = Deployer(chain, signer, out).run(setup)
            assert deployment == parse_deployment(out.read_bytes())
            assert to_int(chain.call("eth_getTransactionCount", signer.account, "latest")) == 1
            assert list(tmp_path.glob(f"{dies_at}.json.*")) == []
        else:
            break
    assert dies_at > 15


def test_run__another_deployment_was_begun__is_named(chain: JsonRpc, tmp_path: Path) -> None:
    setup, out = Setup(token(chain, "UsdtLike")), tmp_path / "d.json"
    deployer = Deployer(chain, funded(chain), out)
    deployer.pending.write_text('{"signed_creation": "' + sign_creation(chain, deployer.signer, b"\0").raw.hex() + '"}')
    with pytest.raises(RefusedError, match="another deployment"):
        deployer.run(setup)
    deployer.pending.write_text("[]")
    with pytest.raises(RefusedError, match="another deployment"):
        deployer.run(setup)
    assert not out.exists()


def test_file_with_another_token__node_and_check_refuse_it(chain: JsonRpc, tmp_path: Path) -> None:
    true = deployed(chain, "UsdcLike", tmp_path)
    false = replace(true, token=token(chain, "UsdcLike"))
    with pytest.raises(WrongChainError, match="not paid in the file's token"):
        verify_endpoint(chain, false)
    (finding,) = check_deployment(chain, false)
    assert finding.state == "fail"
    assert all(finding.state != "fail" for finding in check_deployment(chain, true))


def test_token_like_usdc__permit_and_signed_payment_pay_and_a_blocked_member_harms_nobody(
    chain: JsonRpc, tmp_path: Path
) -> None:
    market = AnvilMarket(chain.url, deployed(chain, "UsdcLike", tmp_path))
    gateway, buyer, offer_id = market.gateway, market.buyer, market.publish()
    permit = gateway.permit_to_sign(buyer.account, PRICE, LATER)
    assert permit is not None
    call = gateway.prepare_with_permit(
        gateway.prepare_buy(market.item(offer_id), buyer.account, PRICE, REF), permit, buyer.sign_typed_data(permit)
    )
    market.do(buyer, call)
    other = market.sender()
    purchase = Purchase(market.item(offer_id), other.account, PRICE, REF)
    payment = gateway.payment_to_sign(purchase, other.account, LATER)
    paid = gateway.prepare_buy_with_authorization(purchase, payment, other.sign_typed_data(payment))
    market.do(buyer, paid)
    assert [gateway.license_expiry(offer_id, account) for account in (buyer.account, other.account)] == [PERPETUAL] * 2
    blocked, free = OTHERS[0], OTHERS[1]
    market.do(buyer, Call(market.deployment.token, selector("blacklist(address)") + word(blocked), "block a member"))
    with pytest.raises(TransactionRevertedError, match="blacklisted"):
        market.do(buyer, gateway.prepare_claim(1, blocked))
    market.do(buyer, gateway.prepare_claim(1, free))
    holds(market)


def test_token_like_usdt__pays_and_a_fee_that_is_switched_on_stops_sales_and_takes_nothing(
    chain: JsonRpc, tmp_path: Path
) -> None:
    market = AnvilMarket(chain.url, deployed(chain, "UsdtLike", tmp_path))
    gateway, buyer, offer_id = market.gateway, market.buyer, market.publish()
    assert gateway.permit_to_sign(buyer.account, PRICE, LATER) is None
    market.approve(buyer, PRICE)
    market.do(buyer, gateway.prepare_buy(market.item(offer_id), buyer.account, PRICE, REF))
    other = market.sender()
    market.approve(other, PRICE)
    before = gateway.balances(other.account).token
    market.do(buyer, Call(market.deployment.token, selector("setParams(uint256)") + word("0x64"), "take a fee"))
    with pytest.raises(TransactionRevertedError, match="AmountMismatch"):
        market.do(other, gateway.prepare_buy(market.item(offer_id), other.account, PRICE, REF))
    assert gateway.balances(other.account).token == before
    market.do(buyer, gateway.prepare_claim(1, OTHERS[0]))
    holds(market)


def selector(signature: str) -> bytes:
    return keccak(signature.encode())[:4]


def word(value: str) -> bytes:
    return int(value, 16).to_bytes(32, "big")


def holds(market: AnvilMarket) -> None:
    """An audit re-derives all that happened."""
    report, _ = audit([market.rpc_url], market.deployment, block="latest")
    assert report.findings == ()
