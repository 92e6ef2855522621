"""Contracts that only tests deploy, compiled from contracts/test."""

import json
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tests.anvil_market import AnvilMarket
from viz_node.chain.account.deploy import complete_creation, sign_creation
from viz_node.chain.account.signing import KeySigner
from viz_node.chain.encoding.abi import encode
from viz_node.chain.node.rpc import JsonRpc
from viz_node.daemon.config import program_in
from viz_node.domain.ids import Account

CONTRACTS = Path(__file__).resolve().parents[1] / "contracts"
FORGE = program_in(CONTRACTS, "forge")


@cache
def creation_code(file: str, contract: str) -> bytes:
    """What creates `contract` of contracts/test/`file`; compiles that file alone unless a build has it already."""
    source, built = CONTRACTS / "test" / file, CONTRACTS / "out" / file / f"{contract}.json"
    if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
        out = CONTRACTS / "out" / "single"
        command = [
            str(FORGE),
            "build",
            f"test/{file}",
            "--out",
            str(out),
            "--cache-path",
            str(CONTRACTS / "cache/single"),
        ]
        subprocess.run(command, cwd=CONTRACTS, check=True, capture_output=True, timeout=120)
        built = out / file / f"{contract}.json"
    return bytes.fromhex(json.loads(built.read_bytes())["bytecode"]["object"].removeprefix("0x"))


def account_made_of(market: AnvilMarket, code: bytes, owners: Sequence[KeySigner]) -> Account:
    """The account of a contract whose constructor takes these owners."""
    data = code + encode(["address"] * len(owners), [owner.account for owner in owners])
    rpc = JsonRpc(market.rpc_url)
    try:
        return complete_creation(rpc, sign_creation(rpc, market.owner.signer, data).raw, 20)[0]
    finally:
        rpc.close()
