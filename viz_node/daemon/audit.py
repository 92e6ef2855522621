"""`viz-node audit`: needs an endpoint and a deployment file, no node and no key."""

from pathlib import Path

from viz_node.chain.audit import AuditReport, audit
from viz_node.chain.deployment import parse_deployment
from viz_node.errors import NotFoundError


def run_audit(rpc_url: str, deployment_path: Path, adapter: str | None) -> AuditReport:
    """Re-derive everything from the chain's log. Raises: NotFoundError, VerificationError, ChainUnavailableError."""
    try:
        raw = deployment_path.read_bytes()
    except OSError as error:
        raise NotFoundError(f"cannot read {deployment_path}: {error.strerror}", "--deployment FILE") from error
    return audit(rpc_url, parse_deployment(raw), adapter)
