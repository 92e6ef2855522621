"""What keeps a node from starting: each cause is one line with the next command and a documented exit status."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from viz_node.chain.development import anvil, faucet
from viz_node.cli.main import run
from viz_node.daemon import anvil_package, doctor
from viz_node.daemon.config import ANVIL
from viz_node.daemon.secrets import unlock
from viz_node.domain.answer import as_json
from viz_node.domain.deployment import Deployment
from viz_node.errors import NotFoundError
from viz_node.storage.home import open_home

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="contracts/node_modules is not installed")

ELSEWHERE = "0x" + "1" * 40


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Deployment]]:
    """An Anvil with the contracts."""
    directory = tmp_path_factory.mktemp("chain")
    living = anvil.start_anvil(directory, ANVIL)
    yield living.rpc_url, faucet.deploy_for_development(living.rpc_url)
    anvil.stop_anvil(directory)


class Start:
    """A home whose configuration names a chain, and what a start on it printed."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.home, self._capsys = home, capsys
        home.mkdir(mode=0o700)

    def use(self, rpc_url: str, deployment: Deployment) -> None:
        (self.home / "market.json").write_bytes(deployment.to_bytes())
        self.configure(rpc_urls=[rpc_url], deployment="market.json")

    def configure(self, **options: object) -> None:
        lines = [f"{name} = {json.dumps(value)}" for name, value in options.items()]
        (self.home / "config.toml").write_text("\n".join(lines))

    def fails(self, status: int, cause: str, *options: str) -> str:
        """Start, and check exit status and cause; the whole of stderr is one line with the cause, one with the hint."""
        # A node that starts after all would never end.
        before = sorted(self.home.iterdir())
        stop = threading.Timer(30, os.kill, (os.getpid(), signal.SIGTERM))
        stop.start()
        try:
            assert run(["--home", str(self.home), "start", *options]) == status
        finally:
            stop.cancel()
        printed = self._capsys.readouterr()
        first, _, rest = printed.err.partition("\n")
        assert first.startswith("error: ") and cause in first, printed.err
        assert rest.startswith("next: ") and rest.count("\n") == 1, printed.err
        assert printed.out == ""
        if self.home / "keys" not in before:
            assert sorted(self.home.iterdir()) == before
        assert not (self.home / "api.json").exists()
        return rest


@pytest.fixture
def start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Start:
    return Start(tmp_path / "home", capsys)


def test_start__no_chain_configured__usage_error(start: Start) -> None:
    assert "--dev" in start.fails(2, "no chain is configured")


def test_start__fails_on_a_home_that_is_not_there__nothing_is_made(tmp_path: Path) -> None:
    assert run(["--home", str(tmp_path / "a" / "b"), "start"]) == 2
    assert run(["--home", str(tmp_path / "a" / "b"), "start", "--listen", "nonsense"]) == 2
    assert list(tmp_path.iterdir()) == []


def test_start__fails_on_a_home_with_keys__they_stay(start: Start) -> None:
    (start.home / "keys").mkdir(mode=0o700)
    account = unlock(start.home).account
    start.fails(2, "no chain is configured")
    assert unlock(start.home).account == account


def test_start__chain_down__says_where(start: Start, chain: tuple[str, Deployment]) -> None:
    start.use("http://127.0.0.1:1", chain[1])
    start.fails(5, "the chain at http://127.0.0.1:1 does not answer")


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"chain_id": 1}, "is chain 31337, and the market is on chain 1"),
        ({"market": ELSEWHERE}, f"there is no contract at {ELSEWHERE}"),
        ({"code_digest": "0" * 64}, "another contract is at"),
    ],
    ids=["another chain", "no contract", "other code"],
)
def test_start__chain_is_not_the_deployments__refused(
    start: Start, chain: tuple[str, Deployment], change: dict[str, object], cause: str
) -> None:
    start.use(chain[0], replace(chain[1], **change))  # type: ignore[arg-type]
    start.fails(5, cause)


@pytest.mark.parametrize(
    ("change", "state", "detail"),
    [
        ({}, "ok", "is chain 31337, the market's code is there"),
        ({"chain_id": 1}, "fail", "is chain 31337, and the market is on chain 1"),
        ({"market": ELSEWHERE}, "fail", f"there is no contract at {ELSEWHERE}"),
        ({"code_digest": "0" * 64}, "fail", "another contract is at"),
    ],
    ids=["right", "another chain", "no contract", "other code"],
)
def test_doctor__node_is_down__checks_the_chain_from_outside(
    start: Start, chain: tuple[str, Deployment], change: dict[str, object], state: str, detail: str
) -> None:
    start.use(chain[0], replace(chain[1], **change))  # type: ignore[arg-type]
    rows = {row["check"]: row for row in as_json(doctor.check(start.home))}
    assert (rows["chain"]["state"], detail in rows["chain"]["detail"]) == (state, True)
    assert ("head of the chain" in rows) == (state == "ok")


def test_doctor__one_endpoint_of_two_is_dead__is_a_limit_and_no_failure(
    start: Start, chain: tuple[str, Deployment]
) -> None:
    start.use(chain[0], chain[1])
    start.configure(rpc_urls=["http://127.0.0.1:1", chain[0]], deployment="market.json")
    (start.home / "keys").mkdir(mode=0o700)
    unlock(start.home)
    rows = [row for row in as_json(doctor.check(start.home)) if row["check"] in ("chain", "gas and tokens")]
    assert [row["state"] for row in rows] == ["warn", "ok", "warn"]
    assert "1 of 2 endpoints are not" in rows[1]["detail"]
    assert "a purchase needs gas" in rows[2]["fix"]


def test_start__deployment_absent_or_malformed__named(start: Start) -> None:
    start.configure(rpc_urls=["http://127.0.0.1:1"], deployment="none.json")
    start.fails(7, "none.json: No such file")
    (start.home / "none.json").write_text("{}")
    start.fails(4, "the deployment file is malformed")


def test_start__api_port_taken__locked(start: Start, chain: tuple[str, Deployment]) -> None:
    start.use(*chain)
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        assert "--port" in start.fails(9, f"port {port} is taken", "--port", str(port))


def test_start__peer_port_taken__locked(start: Start, chain: tuple[str, Deployment]) -> None:
    start.use(*chain)
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        start.fails(9, str(port), "--listen", f"/ip4/127.0.0.1/tcp/{port}")


def test_start__development_fails_late__a_file_put_there_meanwhile_is_all_that_stays(tmp_path: Path) -> None:
    home, note = tmp_path / "home", tmp_path / "home" / "chain" / "note.txt"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        put = threading.Thread(target=_put_once_there_is_a_chain, args=(note,))
        put.start()
        assert run(["--home", str(home), "start", "--dev", "--listen", f"/ip4/127.0.0.1/tcp/{port}"]) == 9
        put.join()
    assert [path for path in home.rglob("*") if path.is_file()] == [note]


def _put_once_there_is_a_chain(note: Path) -> None:
    deadline = time.monotonic() + 30
    while not (note.parent / anvil.RECORD).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    note.write_text("mine")


def test_start__listen_address_malformed__usage_error(start: Start, chain: tuple[str, Deployment]) -> None:
    start.use(*chain)
    start.fails(2, "'nonsense' is not a listen address", "--listen", "nonsense")
    start.fails(2, "not on a name", "--listen", "/dns4/localhost/tcp/0")


def test_start__announces_loopback_outside_development__usage_error(
    start: Start, chain: tuple[str, Deployment], monkeypatch: pytest.MonkeyPatch
) -> None:
    start.use(*chain)
    monkeypatch.setenv("VIZ_NODE_ANNOUNCE", "/ip4/127.0.0.1/tcp/4001")
    start.fails(2, "'/ip4/127.0.0.1/tcp/4001' cannot be announced: 127.0.0.1 is each machine's own")


def test_start__home_in_use__locked_and_names_the_process(start: Start) -> None:
    with open_home(start.home):
        start.fails(9, "is in use by process")


def test_start__home_is_a_file__usage_error(start: Start, tmp_path: Path) -> None:
    start.home.rmdir()
    start.home.write_text("")
    assert run(["--home", str(start.home), "start"]) == 2


@pytest.mark.parametrize("trace", [None, "[]", "addresses of a node that is gone"], ids=["nothing", "empty", "stale"])
def test_start__join_home_without_node__not_running(start: Start, tmp_path: Path, trace: str | None) -> None:
    other = tmp_path / "other"
    (other / "chain").mkdir(parents=True)
    if trace is not None:
        (other / "addresses.json").write_text(trace)
    start.fails(3, f"no development chain runs on {other}", "--dev", "--join", str(other))


def test_start__wrong_passphrase__refused_and_keystore_untouched(
    start: Start, chain: tuple[str, Deployment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start.use("http://127.0.0.1:1", chain[1])
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("the right one\n")
    wrong.write_text("another one\n")
    monkeypatch.setenv("VIZ_NODE_PASSPHRASE_FILE", str(right))
    (start.home / "keys").mkdir(mode=0o700)
    unlock(start.home)
    kept = (start.home / "keys" / "keystore.json").read_bytes()
    monkeypatch.setenv("VIZ_NODE_PASSPHRASE_FILE", str(wrong))
    start.fails(4, "the passphrase is wrong")
    monkeypatch.delenv("VIZ_NODE_PASSPHRASE_FILE")
    start.fails(2, "passphrase: No such file")
    monkeypatch.setenv("VIZ_NODE_PASSPHRASE_FILE", str(right))
    start.fails(5, "does not answer")
    assert (start.home / "keys" / "keystore.json").read_bytes() == kept


def test_start__anvil_is_nowhere_and_nobody_says_yes__fails_and_fetches_nothing(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(anvil_package, "ANVIL", tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "--fetch-anvil" in start.fails(7, "the development chain needs Anvil", "--dev")
    assert not (start.home / "tools").exists()
    assert "npm is not installed" in fails_to_fetch(start)


def fails_to_fetch(start: Start) -> str:
    with pytest.raises(NotFoundError) as caught:
        anvil_package.fetch_anvil(start.home)
    return caught.value.message
