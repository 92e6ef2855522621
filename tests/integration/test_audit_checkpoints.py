"""An audit that goes on from a checkpoint: lies after it are found, and a checkpoint that is none is refused."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.anvil_market import ANVIL, PRICE, AnvilMarket, lively_market
from tests.integration.test_audit_lies import LIES, about_entries, about_payments, in_answer
from tests.lying_endpoint import LyingEndpoint
from viz_node.audit import Checkpoint, Examination, examine, headers
from viz_node.audit.ancestry import HISTORY
from viz_node.audit.checkpoint import FORMAT
from viz_node.chain.development.faucet import deploy_for_development
from viz_node.cli.main import run
from viz_node.daemon import checkpoints
from viz_node.daemon.checkpoints import check_target, read_checkpoint, write_checkpoint
from viz_node.domain.manifest import canonical_bytes
from viz_node.errors import RefusedError, StorageError, UsageError, VerificationError, VizNodeError

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed: run `npm ci` in contracts/")

NEW_LIES: dict[str, Callable[[str, Any], Any]] = {
    "all that is new hidden": about_entries(lambda logs: []),
    "a new payment hidden": about_payments(lambda logs: logs[1:]),
    "the checkpoint's block with another time": in_answer("eth_getBlockByNumber", "timestamp", value="0x1"),
} | {
    name: LIES[name]
    for name in (
        "first entry left out",
        "last entry left out",
        "an entry in the middle left out",
        "an entry twice",
        "two entries swapped",
        "an entry forged at the end",
        "another key",
        "another sequence",
        "companions withheld",
        "an altered share table",
        "another block",
        "payments left out",
        "a larger payment",
        "a payment by another",
        "a forged storage proof",
        "another balance",
        "views that contradict",
        "a header with another time",
        "answers of null",
    )
}


class Scene:
    """A market that was audited, and went on since."""

    def __init__(self, market: AnvilMarket, folder: Path) -> None:
        self.market, self.key, self.path = market, folder / "auditor.key", folder / "checkpoint"
        self.deployment = folder / "deployment.json"
        self.deployment.write_bytes(market.deployment.to_bytes())
        self.first = self.examine()
        write_checkpoint(self.first, self.path, self.key)
        self.start = read_checkpoint(self.path, self.key, [])
        offer_id = market.publish(digests=(b"\x09" * 32, b"\2" * 32, b"\3" * 32))
        market.buy(offer_id)
        market.do(market.owner, market.gateway.prepare_claim(3, market.owner.account))

    def examine(self, rpc_url: str = "", start: Checkpoint | None = None, block: str = "latest") -> Examination:
        return examine([rpc_url or self.market.rpc_url], self.market.deployment, block=block, start=start)

    def command(self, *options: str) -> int:
        where = ["--rpc-url", self.market.rpc_url, "--deployment", str(self.deployment), "--block", "latest"]
        return run(["audit", *where, *options])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("auditor")
    for market in lively_market(tmp_path_factory.mktemp("anvil")):
        yield Scene(market, folder)


def test_since__honest__reads_only_what_is_new_and_says_the_same(scene: Scene) -> None:
    whole, late = scene.examine(), scene.examine(start=scene.start)
    assert late.report.findings == ()
    assert min(log.block_number for log in late.evidence.logs) > scene.start.statement.block
    assert (late.report.counts, late.report.sums, late.report.totals) == (
        whole.report.counts,
        whole.report.sums,
        whole.report.totals,
    )
    assert whole.report.sales == scene.first.report.sales + late.report.sales
    assert late.report.sales and scene.first.report.sales


def test_since__nothing_new__holds(scene: Scene) -> None:
    late = scene.examine(start=scene.start, block=str(scene.start.statement.block))
    assert (late.report.findings, late.report.sales, late.evidence.logs) == ((), (), ())


@pytest.mark.parametrize("name", NEW_LIES)
def test_since__endpoint_lies_about_what_is_new__is_not_accepted(scene: Scene, name: str) -> None:
    with LyingEndpoint(scene.market.rpc_url, NEW_LIES[name]) as liar:
        try:
            report = scene.examine(liar.rpc_url, scene.start).report
        except VizNodeError:
            return
        assert not report.ok


def test_since__block_of_the_checkpoint_is_not_linked__is_noted(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "LONGEST_CHAIN", 1)
    monkeypatch.setattr(headers, "SMALL_GAP", 1)
    lie = lambda method, result: (  # noqa: E731
        None if method == "eth_getProof" and result["address"].lower() == HISTORY else result
    )
    with LyingEndpoint(scene.market.rpc_url, lie) as endpoint:
        report = scene.examine(endpoint.rpc_url, scene.start).report
    assert report.ok
    assert report.counts["unlinked_blocks"] > 0
    assert any("not linked" in note for note in report.notes)


def test_since__chain_was_reorganised__is_refused(scene: Scene) -> None:
    before = scene.market.ask("evm_snapshot")
    scene.market.ask("evm_mine")
    there = read_again(scene, scene.examine())
    scene.market.ask("evm_revert", before)
    scene.market.ask("evm_increaseTime", 77)
    scene.market.ask("anvil_mine", "0x3")
    with pytest.raises(VerificationError, match="reorganised"):
        scene.examine(start=there)


def read_again(scene: Scene, found: Examination) -> Checkpoint:
    path = scene.path.with_name("another")
    write_checkpoint(found, path, scene.key)
    return read_checkpoint(path, scene.key, [])


def test_checkpoint__audit_does_not_hold__is_not_written(scene: Scene, tmp_path: Path) -> None:
    with LyingEndpoint(scene.market.rpc_url, LIES["last entry left out"]) as liar:
        found = scene.examine(liar.rpc_url)
    with pytest.raises(RefusedError, match="does not hold"):
        write_checkpoint(found, tmp_path / "none", scene.key)
    assert list(tmp_path.iterdir()) == []


def test_checkpoint__of_another_auditor__needs_that_account(scene: Scene, tmp_path: Path) -> None:
    other, path = tmp_path / "other.key", tmp_path / "checkpoint"
    told = write_checkpoint(scene.first, path, other)
    with pytest.raises(VerificationError, match="is the word of"):
        read_checkpoint(path, scene.key, [])
    with pytest.raises(UsageError):
        read_checkpoint(path, scene.key, ["nobody"])
    start = read_checkpoint(path, scene.key, [str(told["signer"])])
    # What is built on it is still that auditor's word, too.
    write_checkpoint(scene.examine(start=start), path, scene.key)
    with pytest.raises(VerificationError, match="is the word of"):
        read_checkpoint(path, scene.key, [])
    assert str(told["signer"]) in read_checkpoint(path, scene.key, [str(told["signer"])]).trusted


def changed_line(raw: bytes, **changes: Any) -> bytes:
    line, _, state = raw.partition(b"\n")
    body = json.loads(line)
    return canonical_bytes(body | {"statement": body["statement"] | changes}) + b"\n" + state


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda raw: b"",
    "no line": lambda raw: raw.replace(b"\n", b" ")[:9000],
    "no JSON": lambda raw: b"x" + raw,
    "nested": lambda raw: b"[" * 5000 + b"\n",
    "a line without end": lambda raw: b"{" * 100_000,
    "cut off": lambda raw: raw[:-1],
    "cut in the line": lambda raw: raw[:200],
    "no state": lambda raw: raw.partition(b"\n")[0] + b"\n",
    "bytes at the end": lambda raw: raw + b"x",
    "another state": lambda raw: raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:],
    "another number of entries": lambda raw: changed_line(raw, entries=1),
    "another head": lambda raw: changed_line(raw, head="0x" + "1" * 64),
    "another block": lambda raw: changed_line(raw, block=1),
    "a negative block": lambda raw: changed_line(raw, block=-1),
    "other figures": lambda raw: changed_line(raw, money={"strays": 7}),
    "a foreign shape": lambda raw: changed_line(raw, shape="0" * 64),
    "another format": lambda raw: changed_line(raw, format="viz-node/checkpoint/2"),
    "a field too many": lambda raw: changed_line(raw, more=1),
    "a text as number": lambda raw: changed_line(raw, block="9"),
    "no signature": lambda raw: raw.replace(b'"signature":"0x', b'"signature":"0y', 1),
    "another signer": lambda raw: raw.replace(b'"signer":"0x', b'"signer":"0x0', 1),
}


@pytest.mark.parametrize("name", CHANGES)
def test_checkpoint__changed__is_refused_in_one_line(
    scene: Scene, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "forged"
    path.write_bytes(CHANGES[name](scene.path.read_bytes()))
    assert scene.command("--since", str(path), "--key", str(scene.key)) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n") <= 2, told.err.startswith("error: ")) == ("", True, True)


def sealed(scene: Scene, path: Path, **changes: Any) -> Checkpoint:
    """A checkpoint that the trusted key signs and that is not true."""
    statement = replace_statement(scene.start, **changes)
    key = checkpoints.read_key(scene.key)
    text = checkpoints.sign_as_account(key, statement.signed_text())
    path.write_bytes(checkpoints.encode_checkpoint(statement, scene.start.state, scene.start.signer, text))
    return read_checkpoint(path, scene.key, [])


def replace_statement(start: Checkpoint, **changes: Any) -> Any:
    told = {name: getattr(start.statement, name) for name in start.statement.__struct_fields__}
    return type(start.statement)(**told | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"chain_id": 1},
        {"market": "0x" + "0b" * 20},
        {"token": "0x" + "0b" * 20},
        {"code_digest": "0" * 64},
        {"block": 1 << 50},
        {"block": 1},
        {"block_hash": "0x" + "0b" * 32},
        {"head": "0x" + "0b" * 32},
        {"entries": 1},
        {"money": {"strays": 7}},
    ],
)
def test_checkpoint__signed_and_of_another_place__is_refused(
    scene: Scene, tmp_path: Path, changes: dict[str, Any]
) -> None:
    start = sealed(scene, tmp_path / "sealed", **changes)
    with pytest.raises(VerificationError):
        scene.examine(start=start)


def test_checkpoint__of_another_market_of_the_chain__is_refused(scene: Scene) -> None:
    other = deploy_for_development(scene.market.rpc_url)
    with pytest.raises(VerificationError, match="of market"):
        examine([scene.market.rpc_url], other, block="latest", start=scene.start)


def test_checkpoint__oversized_or_no_file__is_refused(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "MOST_CHECKPOINT_BYTES", 100)
    for path in (scene.path, Path("/dev/zero"), tmp_path):
        with pytest.raises((UsageError, StorageError)):
            read_checkpoint(path, scene.key, [])
    with pytest.raises(StorageError, match="takes more than"):
        write_checkpoint(scene.first, tmp_path / "large", scene.key)
    with pytest.raises(StorageError, match="cannot read"):
        read_checkpoint(tmp_path / "absent", scene.key, [])


def test_command__checkpoint_and_since__with_a_key_of_its_own(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path, key = tmp_path / "checkpoint", tmp_path / "config" / "viz-node" / "auditor.key"
    assert scene.command("--since", str(scene.path)) == 2
    assert "--signer" in capsys.readouterr().err
    assert scene.command("--checkpoint", str(path)) == 0
    assert key.stat().st_mode & 0o777 == path.stat().st_mode & 0o777 == 0o600
    buyer = scene.market.sender()
    scene.market.approve(buyer)
    scene.market.do(buyer, scene.market.gateway.prepare_buy(scene.market.item(3), buyer.account, PRICE, b"\4" * 32))
    assert scene.command("--since", str(path), "--checkpoint", str(path), "--json") == 0
    body = json.loads(capsys.readouterr().out.rpartition("claim holds\n")[2])
    assert (body["since"]["block_number"] < body["checkpoint"]["block"], len(body["sales"])) == (True, 1)
    assert body["sales"][0]["price"] == PRICE
    assert sorted(item.name for item in tmp_path.iterdir()) == ["checkpoint", "config"]
    key.chmod(0o644)
    assert scene.command("--since", str(path)) == 2
    assert "chmod 600" in capsys.readouterr().err
    assert scene.command("--since", str(path), "--report", str(tmp_path / "report")) == 2


@pytest.mark.parametrize("kind", ["text", "folder", "pipe"])
def test_check_target__something_that_is_no_checkpoint__stays_as_it_is(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "mine"
    if kind == "text":
        path.write_text("a novel")
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    with pytest.raises(RefusedError, match="is no checkpoint"):
        check_target(path)
    check_target(tmp_path / "new")
    assert kind != "text" or path.read_text() == "a novel"


def test_check_target__older_checkpoint__may_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    path.write_bytes(b'{"statement":{"format":"' + FORMAT.encode() + b'","shape":"older"}}\nstate')
    check_target(path)
