"""`viz-node audit`: needs an endpoint and a deployment file, no node and no key."""

from pathlib import Path

from viz_node.chain.audit import AuditReport, audit
from viz_node.daemon.chains import read_deployment


def run_audit(rpc_url: str, deployment_path: Path, adapter: str | None) -> AuditReport:
    """Re-derive everything from the chain's log. Raises: NotFoundError, VerificationError, ChainUnavailableError."""
    return audit(rpc_url, read_deployment(deployment_path), adapter)
