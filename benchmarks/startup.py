"""How long `viz-node --help` and a start take, and how much memory the node holds.

Run: python benchmarks/startup.py [--runs 25] [--starts 3] [--base DIRECTORY]. The help is compared with
`python -c "import click"`, turn by turn. The node is started with --dev --no-sample on a home that was initialised
before, with its base model in place, so that no training runs beside the measurement; memory is read after the node
answered a status, and again after a transaction, which loads web3.py: it takes back an allowance that Anvil gave in its
account's name.
"""

import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from base_model import small_base
from report import Row, describe_machine, parser, publish

from viz_node.chain.contract.artifact import load_artifact
from viz_node.chain.node.rpc import JsonRpc
from viz_node.domain.deployment import parse_deployment

VIZ_NODE = str(Path(sys.executable).with_name("viz-node"))
READY_DEADLINE_SECONDS = "60"


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--runs", type=int, default=25, help="of the help")
    arguments.add_argument("--starts", type=int, default=3, help="of the node; 0 leaves it out")
    arguments.add_argument("--base", type=Path, help="a small base model that was built before")
    options = arguments.parse_args()
    machine = describe_machine()
    rows = measure_help(options.runs)
    if options.starts:
        rows += measure_node(options.base or small_base(), options.starts)
    publish("start and memory", rows, options.as_json, machine)


def measure_help(runs: int) -> list[Row]:
    """Median wall time of the help and of its yardstick, one after the other in each turn."""
    commands = {
        'python -c "import click"': [sys.executable, "-c", "import click"],
        "viz-node --help": [VIZ_NODE, "--help"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(runs + 1):
        for name, command in commands.items():
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - started)
    # the first turn reads files from the disk
    yardstick, own = (statistics.median(values[1:]) for values in seconds.values())
    return [
        {"figure": 'python -c "import click"', "value": yardstick * 1000, "unit": "ms", "runs": runs},
        {"figure": "viz-node --help", "value": own * 1000, "unit": "ms", "runs": runs},
        {"figure": "ratio", "value": own / yardstick, "unit": "x", "limit": 3.0, "runs": runs},
    ]


def measure_node(base: Path, starts: int) -> list[Row]:
    """Starts of one node after its first; medians of times, maxima of memory."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        shutil.copytree(base, home / "bases" / base.name)
        run_node(home)
        results = [run_node(home) for _ in range(starts)]
    figures = (
        ("start until ready", "ready", "s", statistics.median, 5.0),
        ("stop", "stopped", "s", statistics.median, 5.0),
        ("daemon, resident", "daemon", "MB", max, 150.0),
        ("daemon after a transaction", "transacted", "MB", max, 170.0),
        ("with its children (Anvil)", "tree", "MB", max, None),
    )
    return [
        {
            "figure": name,
            "value": merge(result[key] for result in results),
            "unit": unit,
            "limit": limit,
            "runs": starts,
        }
        for name, key, unit, merge, limit in figures
    ]


def run_node(home: Path) -> dict[str, float]:
    """Start a node, wait until it is ready, read its memory, stop it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VIZ_NODE_")}
    command = [VIZ_NODE, "--home", str(home)]
    started = time.perf_counter()
    node = subprocess.Popen([*command, "start", "--dev", "--no-sample"], stdout=subprocess.DEVNULL, env=environment)
    try:
        subprocess.run([*command, "wait", "--timeout", READY_DEADLINE_SECONDS], check=True, stdout=subprocess.DEVNULL)
        ready = time.perf_counter() - started
        status = subprocess.run([*command, "status", "--json"], check=True, capture_output=True, text=True).stdout
        memory = {pid: resident_bytes(pid) for pid in family(node.pid)}
        allow(home, json.loads(status))
        revoked = subprocess.run([*command, "allowance", "revoke", "--yes", "--json"], check=True, capture_output=True)
        assert json.loads(revoked.stdout)["result"]["tx_hash"]
        transacted = resident_bytes(node.pid)
    finally:
        stopping = time.perf_counter()
        node.send_signal(signal.SIGTERM)
        node.wait(30)
    return {
        "ready": ready,
        "stopped": time.perf_counter() - stopping,
        "daemon": memory[node.pid] / 1e6,
        "transacted": transacted / 1e6,
        "tree": sum(memory.values()) / 1e6,
    }


def allow(home: Path, status: dict[str, Any]) -> None:
    """Let the market take a token of the node's account, without the node."""
    deployment = parse_deployment((home / "chain" / "deployment.json").read_bytes())
    rpc, account = JsonRpc(status["chain"]["rpc_url"]), status["account"]
    data = load_artifact("TestToken").call_data("approve", deployment.market, 1)
    rpc.call("anvil_impersonateAccount", account)
    rpc.call("eth_sendTransaction", {"from": account, "to": deployment.token, "data": "0x" + data.hex()})
    rpc.close()


def family(pid: int) -> list[int]:
    """The process and all its descendants."""
    members = [pid]
    for member in members:
        for task in Path(f"/proc/{member}/task").glob("*/children"):
            # threads come and go
            with contextlib.suppress(FileNotFoundError):
                members += [int(child) for child in task.read_text().split()]
    return members


def resident_bytes(pid: int) -> int:
    """Resident memory as the kernel counts it, shared pages included."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
