"""Audit a market without trusting the endpoints that tell about it; needs no key.

First everything is collected (`Evidence`), then it is judged without asking anybody (`conclude`), so that the judgement
can be repeated offline years later. The ledger is replayed entry by entry. The `head` at which the replay arrives must
be the one in the contract's storage, shown by a storage proof under the state root of a block whose hash is recomputed:
an entry that is missing, altered, added or moved shows. `tests/integration/test_audit_lies.py` has an endpoint that
does each of these.
"""

from collections.abc import Sequence
from dataclasses import replace

from viz_node.chain.audit.collect import FINALIZED, TIMEOUT_SECONDS, collect, translated
from viz_node.chain.audit.conclude import conclude, with_state
from viz_node.chain.audit.evidence import Evidence, from_document, to_document
from viz_node.chain.audit.receipts import with_receipts
from viz_node.chain.audit.report import AuditReport, make_report
from viz_node.chain.audit.state import compare_state
from viz_node.chain.deployment import Deployment
from viz_node.chain.rpc import JsonRpc, RpcRefusedError
from viz_node.domain.ids import is_hex_digest
from viz_node.errors import UsageError

__all__ = ["FINALIZED", "AuditReport", "Evidence", "audit", "from_document", "judge", "to_document", "with_receipts"]


def audit(
    rpc_urls: Sequence[str], deployment: Deployment, adapter_id: str | None = None, block: str = FINALIZED
) -> tuple[AuditReport, Evidence]:
    """Audit the market up to `block` (`latest`, `safe`, `finalized` or a number), which all endpoints must name.

    Whatever is wrong with the ledger is a finding. Raises: ChainUnavailableError; VerificationError when an endpoint
    gives a block that cannot be the chain's, so that there is nothing to compare with; UsageError.
    """
    if adapter_id is not None and not is_hex_digest(adapter_id):
        raise UsageError(f"{adapter_id!r} is not an adapter id", "give the 64 hex digits of `viz-node adapters list`")
    rpcs = [JsonRpc(url, TIMEOUT_SECONDS) for url in rpc_urls]
    try:
        evidence = collect(rpcs, deployment, hex(int(block)) if block.isdecimal() else block)
        conclusion = conclude(evidence)
        state = compare_state(rpcs[0], deployment.market, conclusion.block.number, conclusion.replay)
        evidence = replace(evidence, state=state)
        return make_report(evidence, with_state(conclusion, state), adapter_id), evidence
    except RpcRefusedError as error:
        raise translated(error) from error
    finally:
        for rpc in rpcs:
            rpc.close()


def judge(evidence: Evidence, adapter_id: str | None = None) -> AuditReport:
    """The report that follows from the evidence alone. Raises: VerificationError, ChainUnavailableError."""
    return make_report(evidence, with_state(conclude(evidence), evidence.state), adapter_id)
