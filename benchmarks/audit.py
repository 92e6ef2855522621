"""Speed of an audit, end to end, on a chain that this program fills; next to web3.py reading the same logs.

Run: python benchmarks/audit.py [--entries 20000]. A local Anvil gets that many renewals of one license, four hundred to
a block. The audit then reads every log, replays the ledger and verifies the proofs; web3.py only reads and decodes
the entries (`contract.events.Entry.get_logs`), verifying nothing. web3.py is installed into an environment of its own.
"""

import json
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from report import CACHE, ROOT, Row, describe_machine, parser, publish

from viz_node.chain import anvil
from viz_node.chain.audit import audit
from viz_node.chain.contract import load_artifact
from viz_node.chain.deployment import Deployment
from viz_node.chain.market import MarketGateway
from viz_node.chain.rpc import JsonRpc, to_hex
from viz_node.chain.transactions import TransactionSender
from viz_node.domain.ids import Account, BasisPoints, TokenAmount
from viz_node.domain.offer import OfferTerms
from viz_node.domain.royalty import split_from_shares, with_platform

ANVIL = ROOT / "contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
BLOCK, GAS, DAY = 400, 150_000, 86_400
SELLER = b"\1" * 32
WEB3 = """
import json, sys, time
from web3 import Web3
url, market, first, abi = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.load(open(sys.argv[4]))["abi"]
contract = Web3(Web3.HTTPProvider(url)).eth.contract(Web3.to_checksum_address(market), abi=abi)
last, seen, began = contract.w3.eth.block_number, 0, time.perf_counter()
for start in range(first, last + 1, 10):
    seen += len(contract.events.Entry.get_logs(from_block=start, to_block=min(start + 9, last)))
print(json.dumps([seen, time.perf_counter() - began]))
"""


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--entries", type=int, default=20_000)
    arguments.add_argument("--without-web3", action="store_true")
    options = arguments.parse_args()
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as folder:
        chain = anvil.start_anvil(Path(folder), ANVIL)
        try:
            deployment = fill(chain.rpc_url, options.entries)
            rows = [measure(chain.rpc_url, deployment)]
            if not options.without_web3:
                rows.append(measure_web3(chain.rpc_url, deployment))
        finally:
            anvil.stop_anvil(Path(folder))
    for row in rows:
        row["viz-node is"] = f"{rows[0]['entries/s'] / row['entries/s']:.1f}x"
    publish("audit", rows, options.as_json, machine)


def fill(rpc_url: str, entries: int) -> Deployment:
    """A market with one timed license, renewed again and again by the accounts of the development chain."""
    deployment, rpc = anvil.deploy_for_development(rpc_url), JsonRpc(rpc_url, 120)
    seller = TransactionSender(rpc_url, deployment, SELLER)
    anvil.fund(rpc_url, deployment, seller.account, 0)
    gateway, market, token = MarketGateway(rpc_url, deployment), load_artifact("Market"), load_artifact("TestToken")
    facts = gateway.facts()
    split = with_platform(split_from_shares({seller.account: BasisPoints(10_000)}), facts.platform, facts.platform_fee)
    call = gateway.prepare_publish((b"\1" * 32, b"\2" * 32, b"\3" * 32), split, OfferTerms(TokenAmount(5), DAY))
    signed = seller.sign(call, seller.next_nonce())
    seller.broadcast(signed.raw)
    seller.wait(signed.tx_hash, 60)
    buyers = [Account(name) for name in rpc.call("eth_accounts")]
    for buyer in buyers:
        anvil.fund(rpc_url, deployment, buyer, 10**12)
    rpc.call("anvil_setBlockGasLimit", hex(BLOCK * GAS * 2))
    rpc.call("evm_setAutomine", False)
    _send(
        rpc, [(buyer, deployment.token, token.call_data("approve", deployment.market, 2**256 - 1)) for buyer in buyers]
    )
    calls = [
        (buyer, deployment.market, market.call_data("buy", 1, buyer, 5, number.to_bytes(32, "big")))
        for number, buyer in ((number, buyers[number % len(buyers)]) for number in range(entries))
    ]
    for start in range(0, entries, BLOCK):
        _send(rpc, calls[start : start + BLOCK])
    rpc.call("evm_setAutomine", True)
    return deployment


def _send(rpc: JsonRpc, calls: list[tuple[Account, Account, bytes]]) -> None:
    rpc.batch(
        [
            ("eth_sendTransaction", [{"from": sender, "to": to, "data": to_hex(data), "gas": hex(GAS)}])
            for sender, to, data in calls
        ]
    )
    rpc.call("evm_mine")


def measure(rpc_url: str, deployment: Deployment) -> Row:
    began, cpu = time.perf_counter(), time.process_time()
    report, _ = audit([rpc_url], deployment, block="latest")
    wall, busy = time.perf_counter() - began, time.process_time() - cpu
    if not report.ok:
        raise SystemExit(f"error: the audit does not hold: {report.findings[:3]}")
    seen = report.counts["entries"]
    return {"reader": "viz-node audit", "entries": seen, "seconds": wall, "CPU s": busy, "entries/s": seen / wall}


def measure_web3(rpc_url: str, deployment: Deployment) -> Row:
    folder = CACHE / "web3"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "web3==8.0.0"], check=True, stdout=sys.stderr)
    abi = ROOT / "viz_node/chain/abi/Market.json"
    command = [str(python), "-c", WEB3, rpc_url, deployment.market, str(deployment.block), str(abi)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seen, wall = json.loads(done.stdout)
    return {"reader": "web3.py get_logs", "entries": seen, "seconds": wall, "CPU s": None, "entries/s": seen / wall}


if __name__ == "__main__":
    main()
