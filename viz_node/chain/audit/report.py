"""The result of an audit, for people and machines."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from viz_node.chain.audit.conclude import Conclusion
from viz_node.chain.audit.evidence import Evidence
from viz_node.chain.ledger import PERPETUAL, EntryKind, LedgerEntry
from viz_node.chain.replay import CHECKS, Finding, LedgerReplay
from viz_node.chain.replay.splits import SplitState
from viz_node.chain.rpc import to_hex
from viz_node.domain.ids import Account

_INCOME: dict[int, str] = {
    EntryKind.SOLD: "license",
    EntryKind.SETTLED: "license by escrow",
    EntryKind.REDEEMED: "metered use",
    EntryKind.POOL_CLAIMED: "catalogue",
    EntryKind.PASSED_ON: "from another split",
}


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
    witnesses: tuple[str, ...]


@dataclass(frozen=True)
class CheckResult:
    """One kind of check: what must hold, how often it was looked at, and the entries that do not follow it."""

    check: str
    holds: bool
    rule: str
    looked_at: int
    offending: tuple[int, ...]


class AuditSale(NamedTuple):
    """One payment into a split; `offer_id` and `expiry` are 0 where there is none, `expiry` also for ever."""

    sequence: int
    kind: str
    offer_id: int
    adapter_number: int
    account: Account
    price: int
    split_id: int
    expiry: int
    block: int
    tx_hash: str


class AuditSplit(NamedTuple):
    """One split: units paid in and out, and its recipients with shares in basis points."""

    split_id: int
    accrued: int
    paid: int
    shares: tuple[tuple[Account, int], ...]


class AuditClaim(NamedTuple):
    """One payout, to an account or to another split."""

    sequence: int
    split_id: int
    account: Account
    amount: int
    tx_hash: str


class AccountTotal(NamedTuple):
    """What one account earned in all, was paid, and may still claim."""

    account: Account
    earned: int
    claimed: int
    due: int


@dataclass(frozen=True)
class AuditReport:
    """Sales, splits, claims and totals of `adapter`, None for all; checks and findings of the whole market."""

    adapter_id: str | None
    chain_id: int
    market: Account
    token: Account
    proof: HeadProof
    checks: tuple[CheckResult, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    counts: dict[str, int]
    sales: tuple[AuditSale, ...]
    splits: tuple[AuditSplit, ...]
    claims: tuple[AuditClaim, ...]
    totals: tuple[AccountTotal, ...]
    adapter: str | None = None

    @property
    def ok(self) -> bool:
        """Whether everything is as it must be."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, for JSON."""
        body = {"ok": self.ok} | vars(self) | {"proof": asdict(self.proof), "checks": list(map(asdict, self.checks))}
        for name in ("findings", "sales", "splits", "claims", "totals"):
            body[name] = [row._asdict() for row in body[name]]
        return body


def make_report(evidence: Evidence, conclusion: Conclusion, adapter_id: str | None) -> AuditReport:
    """The report on one adapter, or on all."""
    replay, block = conclusion.replay, conclusion.block
    notes = conclusion.notes
    if conclusion.money.strays:
        notes += (f"{conclusion.money.strays} units came to the market without an entry; nobody can claim them",)
    known = {adapter.manifest.hex() for adapter in replay.catalogue.adapters.values()}
    if adapter_id is not None and adapter_id not in known:
        notes += (f"the market has no adapter {adapter_id}",)
    if conclusion.told:
        notes += (
            f"{len(conclusion.told)} blocks from {conclusion.told[0]} on are not linked: endpoints told their times",
        )
    proof = HeadProof(
        block.number,
        block.block_hash,
        to_hex(block.state_root),
        block.timestamp,
        f"0x{replay.head:064x}",
        len(conclusion.history.entries),
        conclusion.is_proven,
        evidence.witnesses,
    )
    deployment = evidence.deployment
    return AuditReport(
        adapter_id,
        deployment.chain_id,
        deployment.market,
        deployment.token,
        proof,
        _check_results(conclusion),
        conclusion.findings,
        notes,
        _counts(conclusion),
        *_parts_of(replay, adapter_id),
        adapter_id,
    )


def _check_results(conclusion: Conclusion) -> tuple[CheckResult, ...]:
    offending: dict[str, list[int]] = defaultdict(list)
    for finding in conclusion.findings:
        offending[finding.check].append(finding.sequence)
    return tuple(
        CheckResult(check, check not in offending, rule, conclusion.checked[check], tuple(offending[check]))
        for check, rule in CHECKS.items()
    )


def _counts(conclusion: Conclusion) -> dict[str, int]:
    replay = conclusion.replay
    return {
        "entries": len(conclusion.history.entries),
        "adapters": len(replay.catalogue.adapters),
        "splits": len(replay.splits.by_id),
        "offers": len(replay.catalogue.offers),
        "sales": len(replay.licenses.sales),
        "orders": len(replay.escrow.orders),
        "channels": len(replay.channels.by_number),
        "pools": len(replay.pools.by_number),
        "claims": len(replay.splits.claims),
        "transfers": len(conclusion.history.transfers),
        "views": conclusion.checked["C13"],
        "unlinked_blocks": len(conclusion.told),
    }


def _parts_of(
    replay: LedgerReplay, adapter_id: str | None
) -> tuple[tuple[AuditSale, ...], tuple[AuditSplit, ...], tuple[AuditClaim, ...], tuple[AccountTotal, ...]]:
    used = _splits_of(replay, adapter_id)
    splits = [split for number, split in replay.splits.by_id.items() if number in used]
    sales = tuple(_sale(replay, *credit) for credit in replay.splits.credits if credit[0] in used)
    claims = tuple(
        AuditClaim(entry.sequence, entry.key, entry.who, entry.a, entry.tx_hash)
        for entry in replay.splits.claims
        if entry.key in used
    )
    rows = tuple(AuditSplit(s.split_id, s.accrued, s.paid, tuple(sorted(s.shares.items()))) for s in splits)
    return sales, rows, claims, _totals(splits)


def _splits_of(replay: LedgerReplay, adapter_id: str | None) -> set[int]:
    if adapter_id is None:
        return set(replay.splits.by_id)
    adapters = {n for n, adapter in replay.catalogue.adapters.items() if adapter.manifest.hex() == adapter_id}
    return {offer.split_id for offer in replay.catalogue.offers.values() if offer.adapter_number in adapters}


def _sale(replay: LedgerReplay, split_id: int, amount: int, entry: LedgerEntry) -> AuditSale:
    offer_id = entry.key if entry.kind == EntryKind.SOLD else entry.c if entry.kind == EntryKind.SETTLED else 0
    if entry.kind == EntryKind.REDEEMED and entry.key in replay.channels.by_number:
        offer_id = replay.channels.by_number[entry.key].offer_id
    offer = replay.catalogue.offers.get(offer_id)
    # JSON readers lose integers above 2^53, so a license without an end is written as 0.
    expiry = entry.c if entry.kind == EntryKind.SOLD and entry.c != PERPETUAL else 0
    return AuditSale(
        entry.sequence,
        _INCOME[entry.kind],
        offer_id,
        offer.adapter_number if offer is not None else 0,
        entry.who,
        amount,
        split_id,
        expiry,
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
