"""Audit a market without trusting the endpoint that tells about it; imports no web3 and needs no key.

The ledger is replayed entry by entry. The `head` at which the replay arrives must be the one in the contract's storage,
shown by a storage proof under the state root of a block whose hash is recomputed. An entry that is missing, altered,
added or moved therefore shows. `tests/integration/test_chain_market.py` has an endpoint that does each of these.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from viz_node.chain.contract import load_artifact, words
from viz_node.chain.deployment import Deployment
from viz_node.chain.ledger import PERPETUAL, LedgerEntry, read_entries, read_split_tables, read_transfers
from viz_node.chain.proofs import BlockRef, prove_slot, read_block
from viz_node.chain.replay import Finding, LedgerReplay, SplitState, compare_transfers
from viz_node.chain.rpc import JsonRpc, RpcRefusedError, to_bytes, to_hex, to_int
from viz_node.domain.ids import Account, is_hex_digest
from viz_node.errors import ChainUnavailableError, UsageError, VerificationError


@dataclass(frozen=True)
class HeadProof:
    """What the report rests on: the head in the state of this block; `proven` tells whether its proof was valid."""

    block_number: int
    block_hash: str
    state_root: str
    timestamp: int
    head: str
    entries: int
    proven: bool


@dataclass(frozen=True)
class AuditSale:
    """One sale."""

    sequence: int
    offer_id: int
    adapter_number: int
    holder: Account
    price: int
    split_id: int
    expiry: int
    order_ref: str
    block: int
    tx_hash: str


@dataclass(frozen=True)
class AuditSplit:
    """One split: units paid in and out, and its recipients with shares in basis points."""

    split_id: int
    accrued: int
    paid: int
    shares: tuple[tuple[Account, int], ...]


@dataclass(frozen=True)
class AuditClaim:
    """One payout."""

    sequence: int
    split_id: int
    account: Account
    amount: int
    tx_hash: str


@dataclass(frozen=True)
class AccountTotal:
    """What one account earned in all, was paid, and may still claim."""

    account: Account
    earned: int
    claimed: int
    due: int


@dataclass(frozen=True)
class AuditReport:
    """The result: sales, splits, claims and totals of the adapter asked for, findings of the whole market."""

    chain_id: int
    market: Account
    token: Account
    proof: HeadProof
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    counts: dict[str, int]
    sales: tuple[AuditSale, ...]
    splits: tuple[AuditSplit, ...]
    claims: tuple[AuditClaim, ...]
    totals: tuple[AccountTotal, ...]

    @property
    def ok(self) -> bool:
        """Whether everything is as it must be."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, for JSON."""
        return {"ok": self.ok, **asdict(self)}


def audit(rpc_url: str, deployment: Deployment, adapter_id: str | None = None, block: str = "latest") -> AuditReport:
    """Audit the market up to `block` (`latest`, `safe`, `finalized` or a number).

    Whatever is wrong with the ledger is a finding. Raises: ChainUnavailableError; VerificationError when the endpoint
    gives a block whose header does not have its hash, so that there is nothing to compare with; UsageError.
    """
    if adapter_id is not None and not is_hex_digest(adapter_id):
        raise UsageError(f"{adapter_id!r} is not an adapter id", "give the 64 hex digits of `viz-node adapters list`")
    rpc = JsonRpc(rpc_url, timeout_seconds=60)
    try:
        return _audit(rpc, deployment, adapter_id, hex(int(block)) if block.isdecimal() else block)
    except RpcRefusedError as error:
        raise ChainUnavailableError(f"the chain refused a request: {error.message}", "use another RPC") from error
    finally:
        rpc.close()


def _audit(rpc: JsonRpc, deployment: Deployment, adapter_id: str | None, block: str) -> AuditReport:
    chain_id = to_int(rpc.call("eth_chainId"))
    if chain_id != deployment.chain_id:
        raise ChainUnavailableError(f"{rpc.url} is chain {chain_id}, and the market is on chain {deployment.chain_id}")
    findings: list[Finding] = []
    at = read_block(rpc, block)
    first, market = deployment.block, deployment.market
    entries = read_entries(rpc, market, first, at.number)
    tables = read_split_tables(rpc, market, first, at.number)
    transfers = read_transfers(rpc, deployment.token, market, first, at.number)
    replay = LedgerReplay(tables, _block_times(rpc, entries))
    for entry in entries:
        replay.apply(entry)
    findings += replay.findings
    transfer_findings, strays = compare_transfers(replay, transfers, market)
    findings += transfer_findings
    is_proven = _check_head(rpc, deployment, at, replay, findings)
    checked = _check_views(rpc, market, at, replay, findings)
    _check_balance(rpc, deployment, at, replay, strays, findings)
    proof = HeadProof(
        at.number, at.block_hash, to_hex(at.state_root), at.timestamp, f"0x{replay.head:064x}", len(entries), is_proven
    )
    counts = {
        "entries": len(entries),
        "adapters": len(replay.adapters),
        "splits": len(replay.splits),
        "offers": len(replay.offers),
        "sales": len(replay.sales),
        "claims": len(replay.claims),
        "transfers": len(transfers),
        "views": checked,
    }
    notes: tuple[str, ...] = ()
    if strays:
        notes += (f"{strays} units were sent to the market without a sale; nobody can claim them",)
    parts = _parts_of(replay, adapter_id)
    if adapter_id is not None and all(item.manifest.hex() != adapter_id for item in replay.adapters.values()):
        notes += (f"the market has no adapter {adapter_id}",)
    return AuditReport(chain_id, market, deployment.token, proof, tuple(findings), notes, counts, *parts)


def _block_times(rpc: JsonRpc, entries: Sequence[LedgerEntry]) -> dict[int, int]:
    timed = {entry.key for entry in entries if entry.kind == 3 and entry.c >> 32}
    blocks = sorted({entry.block_number for entry in entries if entry.kind == 4 and entry.key in timed})
    answers = rpc.batch([("eth_getBlockByNumber", [hex(number), False]) for number in blocks])
    return {number: to_int((body or {}).get("timestamp")) for number, body in zip(blocks, answers, strict=True)}


def _check_head(
    rpc: JsonRpc, deployment: Deployment, at: BlockRef, replay: LedgerReplay, findings: list[Finding]
) -> bool:
    try:
        slot = prove_slot(rpc, at, deployment.market, load_artifact("Market").head_slot)
    except VerificationError as error:
        findings.append(Finding("proof", 0, error.message))
        return False
    if slot.code_digest != deployment.code_digest:
        findings.append(Finding("code", 0, "the code at the market's address is not that of the deployment"))
    if slot.value != replay.head:
        count = slot.value & (1 << 40) - 1
        text = f"the entries do not lead to the proven head of {count} entries: one is missing, altered or moved"
        findings.append(Finding("head", 0, text))
    return True


def _check_views(rpc: JsonRpc, market: str, at: BlockRef, replay: LedgerReplay, findings: list[Finding]) -> int:
    """Compare what the contract says now with what the ledger says."""
    expected: list[tuple[str, tuple[Any, ...], list[int]]] = []
    for split in replay.splits.values():
        expected.append(("splits", (split.split_id,), [split.accrued, split.paid, int.from_bytes(split.root, "big")]))
        expected += [("claimed", (split.split_id, name), [total]) for name, total in split.claimed.items()]
    for offer in replay.offers.values():
        row = [offer.price, offer.adapter_number, offer.split_id, offer.duration_seconds]
        expected.append(("offers", (offer.offer_id,), row))
    expected += [("licenses", key, [expiry]) for key, expiry in replay.licenses.items()]
    artifact = load_artifact("Market")
    try:
        calls = [
            ("eth_call", [{"to": market, "data": to_hex(artifact.call_data(name, *keys))}, hex(at.number)])
            for name, keys, _ in expected
        ]
    except ValueError as error:
        findings.append(Finding("state", 0, f"an entry has a number that the contract cannot hold: {error}"))
        return 0
    for (name, keys, values), answer in zip(expected, rpc.batch(calls), strict=True):
        if words(to_bytes(answer)) != values:
            shown = ", ".join(str(key) for key in keys)
            findings.append(Finding("state", 0, f"the contract's {name}({shown}) is not what the ledger leads to"))
    return len(expected)


def _check_balance(
    rpc: JsonRpc, deployment: Deployment, at: BlockRef, replay: LedgerReplay, strays: int, findings: list[Finding]
) -> None:
    data = load_artifact("TestToken").call_data("balanceOf", deployment.market)
    answer = words(to_bytes(rpc.call("eth_call", {"to": deployment.token, "data": to_hex(data)}, hex(at.number))))
    booked = sum(split.accrued - split.paid for split in replay.splits.values())
    if answer != [booked + strays]:
        findings.append(
            Finding("balance", 0, f"the market holds {answer[:1]} units, and the ledger leads to {booked + strays}")
        )


def _parts_of(
    replay: LedgerReplay, adapter_id: str | None
) -> tuple[tuple[AuditSale, ...], tuple[AuditSplit, ...], tuple[AuditClaim, ...], tuple[AccountTotal, ...]]:
    manifest = None if adapter_id is None else bytes.fromhex(adapter_id)
    numbers = {n for n, adapter in replay.adapters.items() if manifest is None or adapter.manifest == manifest}
    offers = {n: offer for n, offer in replay.offers.items() if offer.adapter_number in numbers}
    used = {offer.split_id for offer in offers.values()}
    splits = [split for n, split in replay.splits.items() if manifest is None or n in used]
    sales = tuple(_sale(entry, offers[entry.key].adapter_number) for entry in replay.sales if entry.key in offers)
    claims = tuple(
        AuditClaim(entry.sequence, entry.key, entry.who, entry.a, entry.tx_hash)
        for entry in replay.claims
        if manifest is None or entry.key in used
    )
    rows = tuple(AuditSplit(s.split_id, s.accrued, s.paid, tuple(sorted(s.shares.items()))) for s in splits)
    return sales, rows, claims, _totals(splits)


def _sale(entry: LedgerEntry, adapter_number: int) -> AuditSale:
    # JSON readers lose integers above 2^53, so a license without an end is written as 0.
    expiry = 0 if entry.c == PERPETUAL else entry.c
    return AuditSale(
        entry.sequence,
        entry.key,
        adapter_number,
        entry.who,
        entry.a,
        entry.b,
        expiry,
        entry.d.hex(),
        entry.block_number,
        entry.tx_hash,
    )


def _totals(splits: Sequence[SplitState]) -> tuple[AccountTotal, ...]:
    claimed: dict[Account, int] = defaultdict(int)
    due: dict[Account, int] = defaultdict(int)
    for split in splits:
        for account in split.shares:
            claimed[account] += split.claimed.get(account, 0)
            due[account] += split.due(account)
    return tuple(AccountTotal(a, claimed[a] + due[a], claimed[a], due[a]) for a in sorted(claimed))
