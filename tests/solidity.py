"""Contracts that only tests deploy, compiled from contracts/test."""

import json
import subprocess
from functools import cache
from pathlib import Path

from viz_node.daemon.config import program_in

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
