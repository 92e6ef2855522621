"""The auditor's command against a real chain: the three exit statuses and what is printed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from viz_node.chain import anvil
from viz_node.cli.main import run
from viz_node.daemon.config import ANVIL

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="contracts/node_modules is not installed")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """An Anvil with the contracts, and the deployment's file."""
    directory = tmp_path_factory.mktemp("chain")
    living = anvil.start_anvil(directory, ANVIL)
    path = directory / "deployment.json"
    path.write_bytes(anvil.deploy_for_development(living.rpc_url).to_bytes())
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


def test_audit__chain_down__could_not_run(chain: tuple[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "--rpc-url", "http://127.0.0.1:1", "--deployment", str(chain[1])]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("content", [None, b"", b"{}"], ids=["absent", "empty", "incomplete"])
def test_audit__no_valid_deployment__could_not_run(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "deployment.json"
    if content is not None:
        path.write_bytes(content)
    assert run(["audit", "--rpc-url", "http://127.0.0.1:1", "--deployment", str(path)]) == 2
