"""The result of an audit, for people and machines."""

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

from viz_node.audit.checkpoint import Checkpoint
from viz_node.audit.conclude import Conclusion
from viz_node.audit.evidence import Evidence, TokenUnit
from viz_node.audit.rows import (
    AccountTotal,
    AuditAdapter,
    AuditClaim,
    AuditPassedOn,
    AuditSale,
    AuditSplit,
    counts_of,
    rows_of,
    sums_of,
)
from viz_node.chain.node.rpc import to_hex
from viz_node.chain.replay import CHECKS, Finding
from viz_node.chain.replay.snapshot import entries_in
from viz_node.domain.counting import counted
from viz_node.domain.ids import Account


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
class SincePoint:
    """Where an audit began that is no full one; `trusted` are the accounts whose word all before it is."""

    block_number: int
    block_hash: str
    entries: int
    program: str
    trusted: tuple[str, ...]


@dataclass(frozen=True)
class CheckResult:
    """One kind of check: what must hold, how often it was looked at, and the entries that do not follow it."""

    check: str
    holds: bool
    rule: str
    looked_at: int
    offending: tuple[int, ...]


@dataclass(frozen=True)
class AuditReport:
    """Rows about `adapter`, None for all; checks, findings, counts and sums of the whole market.

    `since` names the checkpoint that the audit went on from: rows are those after it, all the rest is of the whole
    market. `unit` is how the token calls itself and how many decimals it has, as an endpoint told.
    """

    adapter_id: str | None
    chain_id: int
    market: Account
    token: Account
    unit: TokenUnit
    proof: HeadProof
    checks: tuple[CheckResult, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    counts: dict[str, int]
    sums: dict[str, int]
    adapters: tuple[AuditAdapter, ...]
    sales: tuple[AuditSale, ...]
    passed_on: tuple[AuditPassedOn, ...]
    splits: tuple[AuditSplit, ...]
    claims: tuple[AuditClaim, ...]
    totals: tuple[AccountTotal, ...]
    adapter: str | None = None
    since: SincePoint | None = None

    @property
    def ok(self) -> bool:
        """Whether everything is as it must be."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, for JSON."""
        body = {"ok": self.ok} | vars(self) | {"proof": asdict(self.proof), "checks": list(map(asdict, self.checks))}
        body["unit"] = self.unit._asdict()
        body["since"] = None if self.since is None else asdict(self.since)
        for name in ("findings", "adapters", "sales", "passed_on", "splits", "claims", "totals"):
            body[name] = [row._asdict() for row in body[name]]
        return body


def make_report(evidence: Evidence, conclusion: Conclusion, adapter_id: str | None) -> AuditReport:
    """The report on one adapter, or on all."""
    replay, block = conclusion.replay, conclusion.block
    notes = conclusion.notes
    if conclusion.money.strays:
        notes += (f"{conclusion.money.strays} units came to the market without an entry; nobody can claim them",)
    if conclusion.money.token_fees:
        notes += (f"the token kept {conclusion.money.token_fees} units of payments as its fee",)
    known = {adapter.manifest.hex() for adapter in replay.catalogue.adapters.values()}
    if adapter_id is not None and adapter_id not in known:
        notes += (f"the market has no adapter {adapter_id}",)
    if conclusion.told:
        blocks, verb = counted(len(conclusion.told), "block"), "is" if len(conclusion.told) == 1 else "are"
        notes += (f"{blocks} from {conclusion.told[0]} on {verb} not linked: endpoints told their times",)
    if conclusion.start is not None:
        place, trusted = conclusion.start.statement.block, ", ".join(conclusion.start.trusted)
        notes += (f"all up to block {place} is the word of {trusted}; sales, passed_on and claims are those after it",)
    proof = HeadProof(
        block.number,
        block.block_hash,
        to_hex(block.state_root),
        block.timestamp,
        f"0x{replay.head:064x}",
        entries_in(replay),
        conclusion.is_proven,
        evidence.witnesses,
    )
    deployment = evidence.deployment
    return AuditReport(
        adapter_id,
        deployment.chain_id,
        deployment.market,
        deployment.token,
        evidence.unit,
        proof,
        _check_results(conclusion),
        conclusion.findings,
        notes,
        _counts(conclusion),
        sums_of(replay, conclusion.money),
        *rows_of(replay, adapter_id),
        adapter_id,
        _since(conclusion.start),
    )


def _since(start: Checkpoint | None) -> SincePoint | None:
    if start is None:
        return None
    told = start.statement
    return SincePoint(told.block, told.block_hash, told.entries, told.program, start.trusted)


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
        "entries": entries_in(replay),
        "adapters": len(replay.catalogue.adapters),
        "splits": len(replay.splits.by_id),
        "offers": len(replay.catalogue.offers),
        **counts_of(replay),
        "orders": len(replay.escrow.orders),
        "channels": len(replay.channels.by_number),
        "pools": len(replay.pools.by_number),
        "transfers": conclusion.transfers,
        "views": conclusion.checked["C13"],
        "unlinked_blocks": conclusion.unlinked,
    }
