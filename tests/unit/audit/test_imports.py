"""An audit is light: a program that only checks payouts loads nothing of what a node trades or trains with."""

import subprocess
import sys

HEAVY = ["aiohttp", "eth_abi", "eth_account", "flwr", "libp2p", "numpy", "torch", "transformers", "trio", "web3"]


def loaded_by(*modules: str) -> set[str]:
    program = f"import sys, {', '.join(modules)}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_audit__fresh_process__loads_nothing_heavy() -> None:
    assert loaded_by("viz_node.audit", "viz_node.daemon.audit", "viz_node.cli.commands.audit") & {*HEAVY} == set()


def test_audit__package_alone__needs_no_ciphers() -> None:
    assert "cryptography" not in loaded_by("viz_node.audit")
