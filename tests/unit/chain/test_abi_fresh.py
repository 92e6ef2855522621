"""The committed ABI files were made from the contract sources next to them."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
EXPORT = runpy.run_path(str(ROOT / "contracts" / "script" / "export_abi.py"))
ABI_DIRECTORY = ROOT / "viz_node" / "chain" / "abi"


def _exported(contract: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ABI_DIRECTORY / f"{contract}.json").read_bytes())
    return loaded


@pytest.mark.parametrize("contract", ["Market", "TestToken"])
def test_export_abi__committed_file__made_from_current_sources(contract: str) -> None:
    assert _exported(contract)["source_digest"] == EXPORT["source_digest"](), (
        "run: python contracts/script/export_abi.py"
    )


def test_source_digest__one_byte_more__changes(tmp_path: Path) -> None:
    (tmp_path / "interfaces").mkdir()
    source = tmp_path / "interfaces" / "A.sol"
    source.write_bytes(b"contract A {}")
    before = EXPORT["source_digest"](tmp_path)
    source.write_bytes(b"contract A {} ")
    assert EXPORT["source_digest"](tmp_path) != before


def test_source_digest__renamed_source__changes(tmp_path: Path) -> None:
    (tmp_path / "A.sol").write_bytes(b"contract A {}")
    before = EXPORT["source_digest"](tmp_path)
    (tmp_path / "A.sol").rename(tmp_path / "B.sol")
    assert EXPORT["source_digest"](tmp_path) != before


def test_export_abi__market__head_slot_and_code_within_limit() -> None:
    market = _exported("Market")
    assert market["head_slot"] == 0
    # EIP-170: a contract has at most 24576 bytes of code.
    assert 0 < len(bytes.fromhex(market["deployed_bytecode"].removeprefix("0x"))) <= 24576
    assert all(length == 32 for _start, length in market["immutable_references"])
