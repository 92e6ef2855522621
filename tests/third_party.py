"""An audit's report against a derivation that shares no code with it."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tests.rederive import rederive
from viz_node.audit import AuditReport
from viz_node.cli.commands.audit import report_body
from viz_node.domain.deployment import Deployment

# How often an audit compared answers of the contract, and how many blocks nothing links, are affairs of the audit.
_OF_THE_AUDIT = {"views", "unlinked_blocks"}


def assert_rederived(rpc_url: str, deployment: Deployment, report: AuditReport, data: Sequence[bytes] = ()) -> None:
    """Every payment, share, due and sum of the report follows from the protocol page, and so does the head.

    So does every root of a pool whose division is in `data`: where the audit finds fault, the derivation does.
    """
    derived: dict[str, Any] = rederive(rpc_url, asdict(deployment), report.proof.block_number, [*data])
    faults = derived.pop("faults")
    assert {int(fault.split()[0]) for fault in faults} == {finding.sequence for finding in report.findings}, faults
    missing = derived.pop("roots_without_data")
    told_missing = [note for note in report.notes if note.startswith(f"the data of {missing} root")]
    assert bool(told_missing) == bool(missing)
    told = report_body(report)
    assert derived.pop("head") == told["proof"]["head"]
    told["counts"] = {name: count for name, count in told["counts"].items() if name not in _OF_THE_AUDIT}
    for name, rows in derived.items():
        assert rows == told[name], name
