"""Published receipts of metered use against the usage roots of redeemed vouchers: a part of check C8.

The market writes a usage root into the ledger without knowing its contents. An auditor with the receipts knows them: a
voucher for n uses commits to receipts 1 to n - 1. Receipts come from payers and holders, not from the chain, so they
are no part of the evidence: a report is written without them.
"""

from collections.abc import Sequence
from dataclasses import replace

from viz_node.audit.evidence import Evidence
from viz_node.audit.report import AuditReport, CheckResult
from viz_node.chain.contract.ledger import ENTRY_TOPIC, EntryKind, LedgerEntry, entry_of, topic_of
from viz_node.chain.contract.vouchers import domain_separator
from viz_node.chain.node.rpc import to_hex
from viz_node.chain.replay import Finding
from viz_node.domain.counting import counted
from viz_node.domain.usage import PublishedReceipts
from viz_node.errors import VerificationError


def with_receipts(report: AuditReport, evidence: Evidence, published: Sequence[PublishedReceipts]) -> AuditReport:
    """The report with what the receipts of these channels show. Raises: VerificationError (of another market)."""
    domain = domain_separator(evidence.deployment.chain_id, evidence.deployment.market).hex()
    findings: list[Finding] = []
    looked_at, notes = 0, list(report.notes)
    for receipts in published:
        if receipts.market != domain:
            raise VerificationError(f"the receipts of channel {receipts.channel} are of another market")
        redeemed = _redeemed(evidence, receipts.channel)
        faults = _faults(redeemed, receipts)
        findings += faults
        looked_at += len(redeemed)
        held = len(redeemed) - len(faults)
        notes.append(f"channel {receipts.channel}: {held} of {len(redeemed)} redeemed vouchers match its receipts")
    checks = tuple(_added(check, looked_at, findings) if check.check == "C8" else check for check in report.checks)
    return replace(report, findings=(*report.findings, *findings), checks=checks, notes=tuple(notes))


def _redeemed(evidence: Evidence, channel: int) -> list[LedgerEntry]:
    wanted = to_hex(ENTRY_TOPIC), topic_of(EntryKind.REDEEMED), topic_of(channel)
    return [entry_of(log) for log in evidence.logs if log.topics[:3] == wanted]


def _faults(redeemed: Sequence[LedgerEntry], published: PublishedReceipts) -> list[Finding]:
    roots = dict(enumerate(published.roots(), 1)) if redeemed else {}
    faults = []
    for entry in redeemed:
        if entry.c not in roots:
            behind = counted(entry.c - 1, "receipt")
            text = f"of the {behind} behind the voucher {len(published.receipts)} are published"
            faults.append(Finding("C8", entry.sequence, text))
        elif roots[entry.c] != entry.d:
            text = f"the published receipts of channel {entry.key} do not lead to the voucher's usage root"
            faults.append(Finding("C8", entry.sequence, text))
    return faults


def _added(check: CheckResult, looked_at: int, findings: Sequence[Finding]) -> CheckResult:
    offending = (*check.offending, *(finding.sequence for finding in findings))
    return replace(check, holds=not offending, looked_at=check.looked_at + looked_at, offending=offending)
