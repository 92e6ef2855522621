"""Speed of an audit, end to end, on a chain that this program fills; next to web3.py reading the same logs.

Run: python benchmarks/audit.py [--entries 20000] [--new 10000] [--runs 3]. A local Anvil gets a market with twenty
adapters, a quarter of the offers with a moving price, whose income 5 or 100 recipients share; then sales to two
thousand holders (70 % of the entries), uses redeemed from channels (20 %) and claims (10 %), four hundred entries to a
block. The audit reads every log, replays the ledger, links the blocks and verifies the proofs; web3.py only reads and
decodes the entries (`contract.events.Entry.get_logs`), or only reads the logs (its provider's `make_request`), and
verifies nothing. The second table times the parts of an audit one by one. The third is of an audit that goes on from a
checkpoint, after ten thousand entries more: it reads the checkpoint, checks its signature, and audits what is new.
"""

import gc
import json
import random
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from report import ROOT, Row, describe_machine, parser, publish

from viz_node.audit import Evidence, audit, examine
from viz_node.audit.ancestry import misplaced_logs, read_headers
from viz_node.audit.collect import collect
from viz_node.audit.conclude import conclude
from viz_node.audit.evidence import decode_history
from viz_node.audit.money import compare_transfers
from viz_node.audit.report import make_report
from viz_node.audit.state import compare_state
from viz_node.chain.account.signing import account_of_key
from viz_node.chain.contract.artifact import load_artifact
from viz_node.chain.contract.items import NO_KEY
from viz_node.chain.contract.vouchers import Voucher, domain_separator, sign_voucher
from viz_node.chain.development import anvil, faucet
from viz_node.chain.encoding.hashing import keccak, split_proof
from viz_node.chain.gateway.market import MarketGateway
from viz_node.chain.node.rpc import JsonRpc, to_hex
from viz_node.chain.replay import LedgerReplay
from viz_node.chain.replay.divisions import NOTHING_PUBLISHED
from viz_node.daemon.checkpoints import read_checkpoint, write_checkpoint
from viz_node.daemon.config import ANVIL
from viz_node.domain.deployment import Deployment
from viz_node.domain.ids import Account, BasisPoints, TokenAmount
from viz_node.domain.offer import OfferTerms
from viz_node.domain.purchase import NewChannel
from viz_node.domain.royalty import RoyaltySplit, split_from_shares, with_platform

BLOCK, GAS, DAY = 400, 2_000_000, 86_400
OFFERS, HOLDERS, PRICE = 20, 2_000, TokenAmount(5_000_000)
Order = tuple[Account, Account, bytes]
WEB3 = """
import json, sys, time
from web3 import Web3
url, market, first, abi = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.load(open(sys.argv[4]))["abi"]
contract = Web3(Web3.HTTPProvider(url)).eth.contract(Web3.to_checksum_address(market), abi=abi)
last, topic, rows = contract.w3.eth.block_number, "0x" + contract.events.Entry().topic.removeprefix("0x"), []
def decoded(start, end):
    return contract.events.Entry.get_logs(from_block=start, to_block=end)
def raw(start, end):
    place = {"address": market, "topics": [topic], "fromBlock": hex(start), "toBlock": hex(end)}
    return contract.w3.provider.make_request("eth_getLogs", [place])["result"]
for read in (decoded, raw):
    seen, began, cpu = 0, time.perf_counter(), time.process_time()
    for start in range(first, last + 1, 10):
        seen += len(read(start, min(start + 9, last)))
    rows.append([seen, time.perf_counter() - began, time.process_time() - cpu])
print(json.dumps(rows))
"""


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--entries", type=int, default=20_000)
    arguments.add_argument("--new", type=int, default=10_000, help="entries after the checkpoint")
    arguments.add_argument("--runs", type=int, default=3, help="audits, of which the fastest counts")
    arguments.add_argument("--without-web3", action="store_true")
    arguments.add_argument("--since-only", action="store_true", help="the third table alone, for a large ledger")
    options = arguments.parse_args()
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as folder:
        chain = anvil.start_anvil(Path(folder), ANVIL, save_seconds=DAY)
        try:
            filler = Filler(chain.rpc_url)
            filler.fill(options.entries)
            rows, stages = ([], []) if options.since_only else measure_full(filler, options)
            since = measure_since(filler, Path(folder), options)
        finally:
            anvil.stop_anvil(Path(folder))
    for row in rows:
        row["viz-node is"] = f"{rows[0]['entries/s'] / row['entries/s']:.1f}x"
    if options.as_json:
        publish("audit", [*rows, *stages, *since], True, machine)
        return
    titles = ("audit", "stages of the audit", "audit after a checkpoint")
    for title, table in zip(titles, (rows, stages, since), strict=True):
        if table:
            publish(title, table, False, machine)


def measure_full(filler: "Filler", options: Namespace) -> tuple[list[Row], list[Row]]:
    """The fastest of some audits, beside web3.py, and its parts."""
    url, deployment = filler.rpc_url, filler.deployment
    row, evidence = min((measure(url, deployment) for _ in range(options.runs)), key=lambda found: found[0]["seconds"])
    rows, stages = [row], measure_stages(url, evidence)
    if not options.without_web3:
        rows += measure_web3(url, deployment)
    return rows, stages


class Filler:
    """Fills a new market from the unlocked accounts of the development chain; the same calls on every run."""

    def __init__(self, rpc_url: str) -> None:
        self.rpc_url, self.rpc = rpc_url, JsonRpc(rpc_url, 120)
        self.deployment = faucet.deploy_for_development(rpc_url)
        self.gateway = MarketGateway(rpc_url, self.deployment)
        self.random = random.Random(1)
        self.accounts = [Account(name) for name in self.rpc.call("eth_accounts")]
        self.seller, self.payers = self.accounts[0], self.accounts[3:]
        self.holders = [Account("0x" + keccak(b"holder %d" % number)[:20].hex()) for number in range(HOLDERS)]
        self.splits = [self._split(100 if number % 2 else 5) for number in range(OFFERS)]
        self.claims = [(number, account) for number, split in enumerate(self.splits, 1) for account, _ in split.shares]
        self.items: list[int] = []
        self.uses = dict.fromkeys(range(1, len(self.payers) + 1), 0)
        self.keys = {number: bytes([number]) * 32 for number in self.uses}

    def fill(self, entries: int) -> None:
        """Publish and fund, then write blocks."""
        for account in self.payers:
            faucet.fund(self.rpc_url, self.deployment, account, 10**15)
        self.rpc.call("anvil_setBlockGasLimit", hex(10**9))
        self.rpc.call("evm_setAutomine", False)
        self._mine([(self.seller, self.deployment.market, data) for data in self._publications()])
        self.items = self._items()
        approve = load_artifact("TestToken").call_data("approve", self.deployment.market, 2**256 - 1)
        self._mine([(payer, self.deployment.token, approve) for payer in self.payers])
        self._mine([self._opening(number) for number in self.uses])
        self.write(entries)

    def write(self, entries: int) -> None:
        """Blocks of sales, uses and claims."""
        self.rpc.call("evm_setAutomine", False)
        for _ in range(entries // BLOCK):
            sales = [self._sale() for _ in range(BLOCK * 7 // 10)]
            redemptions = [self._redemption() for _ in range(BLOCK * 2 // 10 // len(self.uses))]
            self._mine(sales + redemptions + [self._claim() for _ in range(BLOCK // 10)])
        self.rpc.call("evm_setAutomine", True)

    def _split(self, recipients: int) -> RoyaltySplit:
        part = 10_000 // recipients
        names = [Account("0x" + keccak(b"recipient %d" % number)[:20].hex()) for number in range(recipients)]
        facts = self.gateway.facts()
        split = split_from_shares({name: BasisPoints(part) for name in names})
        return with_platform(split, facts.platform, facts.platform_fee)

    def _publications(self) -> list[bytes]:
        metered = OfferTerms(TokenAmount(PRICE // 100), is_metered=True)
        moving = OfferTerms(PRICE, DAY, max_rise=2_000, target=200)
        terms = [moving if number % 4 == 1 else OfferTerms(PRICE, DAY) for number in range(OFFERS - 1)]
        digests = [(number.to_bytes(32, "big"), b"\2" * 32, b"\3" * 32) for number in range(1, OFFERS + 1)]
        rows = zip(digests, self.splits, [*terms, metered], strict=True)
        return [self.gateway.prepare_publish(*row).data for row in rows]

    def _items(self) -> list[int]:
        """What purchases name, by the number of the offer."""
        return [
            self.gateway.item_of(self.gateway.offer(number), self.seller, number.to_bytes(32, "big"), NO_KEY)
            for number in range(1, OFFERS + 1)
        ]

    def _opening(self, number: int) -> Order:
        session = account_of_key(self.keys[number])
        channel = NewChannel(self.items[-1], session, TokenAmount(10**13), DAY, PRICE)
        return self.payers[number - 1], self.deployment.market, self.gateway.prepare_open_channel(channel).data

    def _sale(self) -> Order:
        offer, holder = self.random.randint(1, OFFERS - 1), self.random.choice(self.holders)
        call = self.gateway.prepare_buy(
            self.items[offer - 1], holder, TokenAmount(2 * PRICE), self.random.randbytes(32)
        )
        return self.random.choice(self.payers), call.to, call.data

    def _redemption(self) -> Order:
        domain, signed = domain_separator(self.deployment.chain_id, self.deployment.market), []
        for number in self.uses:
            self.uses[number] += self.random.randint(1, 20)
            cumulative = self.uses[number] * PRICE // 100
            voucher = Voucher(number, cumulative, self.uses[number], self.random.randbytes(32))
            signed.append((voucher, sign_voucher(self.keys[number], domain, voucher)))
        return self.accounts[0], self.deployment.market, self.gateway.prepare_redeem(signed).data

    def _claim(self) -> Order:
        number, account = self.claims[0]
        self.claims = [*self.claims[1:], self.claims[0]]
        shares = self.splits[number - 1].shares
        values = number, account, dict(shares)[account], split_proof(shares, account)
        return self.accounts[0], self.deployment.market, load_artifact("Market").call_data("claim", *values)

    def _mine(self, orders: list[Order]) -> None:
        """One block of these calls."""
        self.rpc.batch(
            [
                ("eth_sendTransaction", [{"from": sender, "to": to, "data": to_hex(data), "gas": hex(GAS)}])
                for sender, to, data in orders
            ]
        )
        self.rpc.call("evm_mine")


def measure(rpc_url: str, deployment: Deployment) -> tuple[Row, Evidence]:
    began, cpu = time.perf_counter(), time.process_time()
    report, evidence = audit([rpc_url], deployment, block="latest")
    wall, busy = time.perf_counter() - began, time.process_time() - cpu
    if not report.ok:
        raise SystemExit(f"error: the audit does not hold: {report.findings[:3]}")
    return _row("viz-node audit", report.counts["entries"], wall, busy), evidence


def _row(reader: str, seen: int, wall: float, busy: float | None) -> Row:
    speeds = {"entries/s": seen / wall, "entries/CPU-s": None if busy is None else seen / busy}
    return {"reader": reader, "entries": seen, "seconds": wall, "CPU s": busy, **speeds}


def measure_stages(rpc_url: str, evidence: Evidence) -> list[Row]:
    """The parts of an audit one after the other, each without the others beside it."""
    deployment, rpc = evidence.deployment, JsonRpc(rpc_url, 120)
    history = decode_history(evidence.logs, evidence.transfer_logs)
    blocks = read_headers(evidence.headers)
    times = {number: block.timestamp for number, block in blocks.items()}
    replay = LedgerReplay(deployment.market, evidence.terms, history.companions, times)
    conclusion = conclude(evidence, NOTHING_PUBLISHED.recover)
    stages: dict[str, Callable[[], object]] = {
        "collect: fetch, parse, link blocks": lambda: collect([rpc], deployment, "latest"),
        "conclude: all of the next four": lambda: conclude(evidence, NOTHING_PUBLISHED.recover),
        "  decode": lambda: decode_history(evidence.logs, evidence.transfer_logs),
        "  replay": lambda: replay.run(history.entries),
        "  match payments": lambda: compare_transfers(history.entries, history.transfers, deployment.market),
        "  blooms": lambda: list(misplaced_logs(blocks, (*evidence.logs, *evidence.transfer_logs))),
        "ask the contract (samples)": lambda: compare_state(rpc, deployment.market, conclusion.block.number, replay),
        "report": lambda: make_report(evidence, conclusion, None),
    }
    rows = []
    for name, stage in stages.items():
        gc.collect()
        gc.disable()
        began, cpu = time.perf_counter(), time.process_time()
        stage()
        wall, busy = time.perf_counter() - began, time.process_time() - cpu
        gc.enable()
        rows.append({"stage": name, "seconds": wall, "CPU s": busy, "entries/CPU-s": len(history.entries) / busy})
    return rows


def measure_since(filler: Filler, folder: Path, options: Namespace) -> list[Row]:
    """The fastest of some audits that go on from a checkpoint, beside a full one at the same block."""
    url, deployment, path, key = filler.rpc_url, filler.deployment, folder / "checkpoint", folder / "key"
    write_checkpoint(examine([url], deployment, block="latest"), path, key)
    filler.write(options.new)
    rows = []
    for _ in range(options.runs):
        gc.collect()
        began, cpu = time.perf_counter(), time.process_time()
        start = read_checkpoint(path, key, [])
        found = examine([url], deployment, block="latest", start=start)
        wall, busy = time.perf_counter() - began, time.process_time() - cpu
        if not found.report.ok:
            raise SystemExit(f"error: the audit does not hold: {found.report.findings[:3]}")
        new = found.report.counts["entries"] - start.statement.entries
        rows.append(_row("viz-node audit --since", new, wall, busy) | {"checkpoint MB": path.stat().st_size / 1e6})
    whole, _ = measure(url, deployment)
    return [min(rows, key=lambda row: row["seconds"]), whole | {"checkpoint MB": None}]


def measure_web3(rpc_url: str, deployment: Deployment) -> list[Row]:
    """In a process of its own: what it loads and leaves is not ours."""
    abi = ROOT / "viz_node/chain/abi/Market.json"
    command = [sys.executable, "-c", WEB3, rpc_url, deployment.market, str(deployment.block), str(abi)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    names = "web3.py get_logs", "web3.py make_request, undecoded"
    return [_row(name, *told) for name, told in zip(names, json.loads(done.stdout), strict=True)]


if __name__ == "__main__":
    main()
