"""A node in a process of its own: stopped, killed, without its chain, and told to go on; nothing is lost."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_model import install_tiny_base
from tests.unit.models.foreign_folders import matrices, write_folder
from tests.waiting import until_blocking
from viz_node.chain.development import anvil, faucet
from viz_node.cli.client import NodeClient
from viz_node.daemon.config import ANVIL

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="contracts/node_modules is not installed")


class LoneNode:
    """A node on a chain that somebody else runs."""

    def __init__(self, folder: Path) -> None:
        self.home, self.chain = folder / "home", folder / "chain"
        self.home.mkdir(mode=0o700)
        rpc_url = anvil.start_anvil(self.chain, ANVIL).rpc_url
        (self.home / "market.json").write_bytes(faucet.deploy_for_development(rpc_url).to_bytes())
        (self.home / "config.toml").write_text(f'rpc_urls = ["{rpc_url}"]\ndeployment = "market.json"\n')
        install_tiny_base(self.home)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        self.process = subprocess.Popen(
            [*self._command(), "start"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
        self.call("wait", "--timeout", "60")
        return self.process

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._command(), *arguments, "--json"], capture_output=True, text=True, check=False, timeout=120
        )

    def call(self, *arguments: str) -> Any:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return json.loads(done.stdout)

    def fails(self, status: int, *arguments: str) -> dict[str, str]:
        done = self.run(*arguments)
        assert (done.returncode, done.stdout) == (status, ""), done
        error: dict[str, str] = json.loads(done.stderr)
        assert error["message"] and error["hint"]
        return error

    def ready(self) -> tuple[int, Any]:
        """What `/readyz` answers to anybody."""
        url = json.loads((self.home / "api.json").read_text())["url"]
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def metrics(self) -> bytes:
        """What a scraper gets, which has only its own token."""
        url = json.loads((self.home / "api.json").read_text())["url"]
        headers = {"Authorization": f"Bearer {(self.home / 'metrics.token').read_text()}"}
        with urllib.request.urlopen(urllib.request.Request(f"{url}/metrics", headers=headers), timeout=5) as answer:
            return bytes(answer.read())

    def step_of(self, job_id: str) -> int:
        """Asked without a process of its own, so that the first steps after a resume are seen."""
        job = NodeClient(self.home).call("jobs_show", job=job_id)
        assert job["state"] not in {"failed", "done"}, job
        progress = job["progress"]
        return int(progress["step"]) if progress.get("phase") == "train" else 0

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        anvil.stop_anvil(self.chain)

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "viz_node.cli", "--home", str(self.home)]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[LoneNode]:
    lone = LoneNode(tmp_path)
    try:
        yield lone
    finally:
        lone.end()


def order_long_training(node: LoneNode, folder: Path) -> str:
    for number in range(4):
        lines = [f"in year {number * 40 + line} the keeper of the light counted {line} lamps." for line in range(40)]
        (folder / f"work{number}.txt").write_text("\n\n".join(lines))
    recipe = folder / "long.toml"
    recipe.write_text("rank = 2\nepochs = 1000\nmax_tokens = 64\n")
    node.call("content", "add", str(folder), "--rights", "owned", "--author", "Elsin")
    order = node.call("train", "long", "--content", "all", "--recipe", str(recipe), "--detach")
    return str(order["job_id"])


def test_jobs__cancelled_in_training_and_resumed__goes_on_from_the_checkpoint(node: LoneNode, tmp_path: Path) -> None:
    node.start()
    (tmp_path / "works").mkdir()
    job_id = order_long_training(node, tmp_path / "works")
    until_blocking(lambda: node.step_of(job_id), lambda step: step > 100, 120)
    assert node.call("jobs", "cancel", job_id)["state"] == "cancelled"
    stopped_at = node.step_of(job_id)
    until_blocking(lambda: node.run("jobs", "resume", job_id, "--detach").returncode, lambda status: status == 0, 20)
    # Until the new worker tells its first step, the last one of the old worker is shown.
    first = until_blocking(lambda: node.step_of(job_id), lambda step: step not in {0, stopped_at}, 120)
    assert first > stopped_at


def test_start__signals_during_training__ends_within_five_seconds_and_goes_on_later(
    node: LoneNode, tmp_path: Path
) -> None:
    process = node.start()
    (tmp_path / "works").mkdir()
    job_id = order_long_training(node, tmp_path / "works")
    until_blocking(lambda: node.step_of(job_id), lambda step: step > 30, 120)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert time.monotonic() - begun < 5
    assert process.stderr is not None and process.stderr.read() == b""
    assert node.fails(3, "id")["error"] == "NodeNotRunningError"
    node.start()
    assert node.call("jobs", "show", job_id)["state"] in {"queued", "running"}


def test_node__killed__command_says_so_and_the_next_start_is_well(node: LoneNode) -> None:
    process = node.start()
    identity = node.call("id")["peer_id"]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (node.home / "api.json").exists()
    assert "start one" in node.fails(3, "status")["hint"]
    node.start()
    assert node.call("id")["peer_id"] == identity


def test_node__chain_goes_and_comes_back__named_meanwhile_and_nothing_lost(node: LoneNode) -> None:
    node.start()
    assert node.call("royalties")["due"] == "0.00"
    anvil.stop_anvil(node.chain)
    assert node.fails(5, "royalties")["error"] == "ChainUnavailableError"
    assert node.call("status")["chain"]["ok"] is False
    problems = until_blocking(lambda: node.call("status")["problems"], bool, 40)
    assert problems[0].startswith("chain answers: not for ")
    assert node.ready() == (503, {"ready": False, "problems": ["chain answers"]})
    assert b"viz_node_ready 0.0\n" in node.metrics()
    done = node.run("doctor")
    failed = [row for row in json.loads(done.stdout) if row["state"] == "fail"]
    assert (done.returncode, [row["check"] for row in failed]) == (1, ["chain answers", "chain"])
    assert all(row["fix"] for row in failed)
    assert node.call("content", "list") == []
    assert node.fails(5, "royalties", "claim")["error"] == "ChainUnavailableError"
    claim = node.call("royalties", "claim", "--detach", "--yes")["job_id"]
    failed = until_blocking(lambda: node.call("jobs", "show", claim), lambda job: job["state"] == "failed", 30)
    assert failed["error"].startswith("ChainUnavailableError")
    anvil.adopt_or_start(node.chain, ANVIL)
    assert node.call("jobs", "resume", claim)["state"] == "done"
    assert node.call("status")["chain"]["ok"] is True
    assert until_blocking(node.ready, lambda answer: answer[0] == 200, 20)[1]["problems"] == []
    assert node.run("doctor").returncode == 0


def test_an_adapter_of_another_program_is_imported_used_and_exported(node: LoneNode, tmp_path: Path) -> None:
    tensors = {name: value for name, value in matrices().items() if "v_proj" in name}
    folder = write_folder(tmp_path / "poems", tensors, target_modules=["v_proj"], base_model_name_or_path="tiny")
    (folder / "training_args.bin").write_bytes(b"\x80\x02.")
    node.start()
    plan = node.call("adapters", "import", str(folder), "--dry-run")
    assert (plan["name"], plan["base"], plan["ignored"]) == ("poems", "tiny", ["training_args.bin"])
    assert node.call("adapters") == []
    result = node.call("adapters", "import", str(folder))["result"]
    assert result["training"]["origin"] == "imported, training not witnessed"
    assert [(row["name"], row["origin"]) for row in node.call("adapters")] == [("poems", "imported")]
    assert "text" in node.call("generate", "poems", "the", "--max-new-tokens", "2")["result"]
    node.call("export", "poems", str(tmp_path / "out"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("README.md", "adapter_config.json", "adapter_model.safetensors")
    ]
    body = json.loads((folder / "adapter_config.json").read_bytes())
    (folder / "adapter_config.json").write_text(json.dumps(body | {"use_dora": True}))
    assert "DoRA" in node.fails(4, "adapters", "import", str(folder), "--name", "other")["message"]
