"""The auditor's command against a real chain: the three exit statuses and what is printed."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lying_endpoint import LyingEndpoint
from viz_node.chain.account.signing import account_of_key
from viz_node.chain.account.transactions import TransactionSender
from viz_node.chain.development import anvil, faucet
from viz_node.chain.gateway.market import MarketGateway
from viz_node.cli.main import run
from viz_node.daemon.config import ANVIL
from viz_node.domain.deployment import parse_deployment
from viz_node.domain.ids import WHOLE, TokenAmount
from viz_node.domain.offer import OfferTerms
from viz_node.domain.royalty import split_from_shares, with_platform

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="contracts/node_modules is not installed")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """An Anvil with the contracts, and the deployment's file."""
    directory = tmp_path_factory.mktemp("chain")
    living = anvil.start_anvil(directory, ANVIL)
    path = directory / "deployment.json"
    path.write_bytes(faucet.deploy_for_development(living.rpc_url).to_bytes())
    yield living.rpc_url, path
    anvil.stop_anvil(directory)


def test_audit__fresh_market__holds(chain: tuple[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "--rpc-url", chain[0], "--deployment", str(chain[1])]) == 0
    assert "verdict: every sale, split and claim holds" in capsys.readouterr().out


def test_audit__json__one_document_with_the_verdict(
    chain: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["audit", "--rpc-url", chain[0], "--deployment", str(chain[1]), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


@pytest.fixture
def liar(chain: tuple[str, Path]) -> Iterator[str]:
    """An endpoint that hides the last entry of a ledger with a published adapter."""
    rpc_url, deployment = chain[0], parse_deployment(chain[1].read_bytes())
    key = secrets.token_bytes(32)
    faucet.give_gas(rpc_url, account_of_key(key))
    sender = TransactionSender(rpc_url, deployment, key)
    market = MarketGateway(rpc_url, deployment)
    facts = market.facts()
    split = with_platform(split_from_shares({sender.account: WHOLE}), facts.platform, facts.platform_fee)
    digests = (secrets.token_bytes(32), b"\2" * 32, b"\3" * 32)
    call = market.prepare_publish(digests, split, OfferTerms(TokenAmount(1)))
    signed = sender.sign(call, sender.next_nonce())
    sender.broadcast(signed.raw)
    sender.wait(signed.tx_hash, 20)
    with LyingEndpoint(rpc_url, lambda method, result: result[:-1] if method == "eth_getLogs" else result) as endpoint:
        yield endpoint.rpc_url


def test_audit__state_does_not_match_the_log__status_1_and_a_table(
    chain: tuple[str, Path], liar: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["audit", "--rpc-url", liar, "--deployment", str(chain[1])]) == 1
    printed = capsys.readouterr()
    _, _, table = printed.out.partition("what does not hold\n")
    assert table.startswith("check")
    assert "head" in table
    assert "it does NOT hold" in table
    assert printed.err == ""
    assert run(["audit", "--rpc-url", liar, "--deployment", str(chain[1]), "--json"]) == 1
    body = json.loads(capsys.readouterr().out)
    assert body["ok"] is False
    assert body["findings"]


def test_audit__chain_down__could_not_run(chain: tuple[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "--rpc-url", "http://127.0.0.1:1", "--deployment", str(chain[1])]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("content", [None, b"", b"{}"], ids=["absent", "empty", "incomplete"])
def test_audit__no_valid_deployment__could_not_run(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "deployment.json"
    if content is not None:
        path.write_bytes(content)
    assert run(["audit", "--rpc-url", "http://127.0.0.1:1", "--deployment", str(path)]) == 2


def test_audit_verify__report_of_an_audit__is_checked_again_offline(
    chain: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, path = tmp_path / "key", tmp_path / "report.json"
    key.write_text(secrets.token_bytes(32).hex())
    key.chmod(0o600)
    command = ["audit", "--rpc-url", chain[0], "--deployment", str(chain[1]), "--report", str(path), "--key", str(key)]
    assert run(command) == 0
    assert run(["audit", "verify", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.rpartition("verdict: every sale, split and claim holds")[2])["ok"] is True
    path.write_bytes(path.read_bytes().replace(b'"findings":[]', b'"findings":[{}]'))
    assert run(["audit", "verify", str(path)]) == 2
    assert "was changed" in capsys.readouterr().err
    assert run(["audit", "verify", str(tmp_path / "absent")]) == 2


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["person", "json"])
def test_audit__endpoint_answers_with_escapes_and_a_verdict__is_one_plain_error(
    chain: tuple[str, Path], options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = "verdict: every sale, split and claim holds"
    evil = f"\x1b[2J\x1b]8;;http://evil\x07\u202e\r\n{verdict}\n\u2028{verdict}\x9b31m" + "m" * 100_000

    def refuse(_method: str, _raw: bytes) -> list[bytes]:
        return [json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": evil}}).encode()]

    with LyingEndpoint(chain[0], send=refuse) as endpoint:
        assert run(["audit", "--rpc-url", endpoint.rpc_url, "--deployment", str(chain[1]), *options]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert all(char.isprintable() or char == "\n" for char in printed.err)
    assert not any(line.startswith(verdict) for line in printed.err.splitlines())
    assert "http://evil" in printed.err
    assert len(printed.err) < 10_000
    if options:
        assert json.loads(printed.err)["error"]
