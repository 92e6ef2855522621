# SPDX-License-Identifier: Apache-2.0
"""Builds the contracts and writes what the node needs of them to viz_node/chain/abi.

Run `python contracts/script/export_abi.py` after every change of contracts/src and commit the result.
"""

import hashlib
import json
import platform
import subprocess
import sys
from pathlib import Path

CONTRACTS = Path(__file__).resolve().parent.parent
SOURCES = CONTRACTS / "src"
ABI_DIRECTORY = CONTRACTS.parent / "viz_node" / "chain" / "abi"
# Own folders: forge lint and forge test leave artifacts of other settings, some without code, in the default ones.
BUILD = CONTRACTS / "out" / "export"
CACHE = CONTRACTS / "cache" / "export"
HEAD_VARIABLE = "head"
# A market answers everything in its interface, a part of it with the code of its annex.
INTERFACES = {"Market": "IMarket", "Annex": None, "TestToken": "TestToken"}


def source_digest(sources: Path = SOURCES) -> str:
    """Returns the hex SHA-256 over path, length and bytes of every Solidity source, in path order."""
    digest = hashlib.sha256()
    for path in sorted(sources.rglob("*.sol"), key=lambda file: file.relative_to(sources).as_posix()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(sources).as_posix()}\n{len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def forge_binary() -> Path:
    """Returns the forge that npm installed for this machine.

    Raises:
        FileNotFoundError: `npm ci` has not run in contracts/, or forge has no build for this machine.
    """
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    package = f"forge-{sys.platform}-{machine}"
    binary = CONTRACTS / "node_modules" / "@foundry-rs" / package / "bin" / "forge"
    if not binary.is_file():
        raise FileNotFoundError(f"{package} is not installed; run: npm ci --prefix contracts")
    return binary


def read_abi(contract: str) -> list[dict[str, object]]:
    """Returns the ABI of the contract's interface with the contract's own constructor and errors, none of them twice."""
    own = json.loads((BUILD / f"{contract}.sol" / f"{contract}.json").read_bytes())["abi"]
    interface = INTERFACES[contract]
    if interface is None:
        return []
    abi = json.loads((BUILD / f"{interface}.sol" / f"{interface}.json").read_bytes())["abi"]
    rest = [item for item in own if item["type"] in ("constructor", "error") and item not in abi]
    return [*abi, *rest]


def read_artifact(contract: str) -> dict[str, object]:
    """Returns the exported form of one built contract.

    `immutable_references` lists (start, length) of the bytes of `deployed_bytecode` that the constructor fills in;
    they are zero here and differ on chain.
    """
    artifact = json.loads((BUILD / f"{contract}.sol" / f"{contract}.json").read_bytes())
    deployed = artifact["deployedBytecode"]
    places = [place for group in deployed.get("immutableReferences", {}).values() for place in group]
    exported: dict[str, object] = {
        "contract": contract,
        "source_digest": source_digest(),
        "abi": read_abi(contract),
        "bytecode": artifact["bytecode"]["object"],
        "deployed_bytecode": deployed["object"],
        "immutable_references": sorted([place["start"], place["length"]] for place in places),
    }
    for variable in artifact["storageLayout"]["storage"]:
        if variable["label"] == HEAD_VARIABLE:
            exported["head_slot"] = int(variable["slot"])
    return exported


def export() -> None:
    """Builds the contracts and writes the JSON files.

    Raises:
        FileNotFoundError: forge is not installed.
        subprocess.CalledProcessError: the contracts do not compile.
    """
    command: list[str | Path] = [
        forge_binary(),
        "build",
        "--force",
        "--skip",
        "test",
        "--out",
        BUILD,
        "--cache-path",
        CACHE,
    ]
    subprocess.run(command, cwd=CONTRACTS, check=True)
    ABI_DIRECTORY.mkdir(parents=True, exist_ok=True)
    for contract in INTERFACES:
        target = ABI_DIRECTORY / f"{contract}.json"
        target.write_text(json.dumps(read_artifact(contract), indent=1, sort_keys=True) + "\n")
        sys.stdout.write(f"wrote {target.relative_to(CONTRACTS.parent)}\n")


if __name__ == "__main__":
    export()
