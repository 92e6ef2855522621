"""`viz-node audit`: needs endpoints and a deployment file, no node; and a report that anyone checks again offline.

A report file holds the evidence and its conclusions. Its digest covers both; its root is that of a Merkle
tree over the concluded rows, so that you can show one payout without the rest. The signature says "this is what I
saw": a check trusts the signer only for the contract's own answers (C13), which it cannot ask for again.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from viz_node.audit import (
    FINALIZED,
    AuditReport,
    Checkpoint,
    Evidence,
    Examination,
    Published,
    examine,
    from_document,
    judge,
    to_document,
    with_receipts,
)
from viz_node.chain.encoding.hashing import keccak, merkle_root
from viz_node.daemon.chains import read_deployment
from viz_node.daemon.checkpoints import read_key
from viz_node.domain.division import MAX_DIVISION_BYTES, parse_division
from viz_node.domain.ids import Account
from viz_node.domain.manifest import canonical_bytes
from viz_node.domain.strict_json import MalformedError, parse_json, why_malformed
from viz_node.domain.usage import MAX_RECEIPTS_BYTES, RECEIPT_CONTEXT, PublishedReceipts, parse_receipts
from viz_node.errors import NotFoundError, StorageError, VerificationError, already_there
from viz_node.files import kind_of, read_regular_file
from viz_node.identity.signatures import account_of, recover_account, sign_as_account, verify_bytes

FORMAT = "viz-node/audit/1"
MAX_REPORT_BYTES = 1024 * 1024 * 1024
_POOL_DATA = "write them: viz-node pool data POOL --out DIR"
_RECEIPTS = "write them: viz-node channel receipts CHANNEL --out FILE"
_REPORT = "write one: viz-node audit --rpc-url URL --deployment FILE --report FILE"
_ROWS = ("checks", "findings", "adapters", "sales", "passed_on", "splits", "claims", "totals")


def run_audit(rpc_url: str, deployment_path: Path, adapter: str | None) -> AuditReport:
    """Re-derive everything from the chain's log. Raises: NotFoundError, VerificationError, ChainUnavailableError."""
    report, _ = run_full_audit([rpc_url], deployment_path, adapter, FINALIZED)
    return report


def run_full_audit(
    rpc_urls: Sequence[str], deployment_path: Path, adapter: str | None, block: str, pool_data: Sequence[Path] = ()
) -> tuple[AuditReport, Evidence]:
    """The report with the evidence behind it; `pool_data` are files and folders of published divisions.

    Raises: NotFoundError, VerificationError, ChainUnavailableError, StorageError.
    """
    report, evidence, _ = run_examination(rpc_urls, deployment_path, adapter, block, pool_data)
    return report, evidence


def run_examination(
    rpc_urls: Sequence[str],
    deployment_path: Path,
    adapter: str | None,
    block: str,
    pool_data: Sequence[Path] = (),
    start: Checkpoint | None = None,
) -> Examination:
    """As `run_full_audit`, with what a checkpoint needs; from `start` on if there is one."""
    published = Published(_read_divisions(pool_data), recover_account)
    return examine(rpc_urls, read_deployment(deployment_path), adapter, block, published, start)


def _read_divisions(paths: Sequence[Path]) -> dict[bytes, bytes]:
    """The published divisions in these files and folders, by their SHA-256. Raises: StorageError."""
    found = {}
    try:
        files = [file for path in paths for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
        for file in files:
            raw = read_regular_file(file, MAX_DIVISION_BYTES)
            digest = hashlib.sha256(raw)
            # What bears its digest as its name is what was posted, and may be nonsense: that is the auditor's finding.
            found[digest.digest()] = raw if file.stem == digest.hexdigest() else _checked_division(file, raw)
    except OSError as error:
        raise StorageError(f"cannot read {error.filename}: {error.strerror}", "check --pool-data") from error
    if paths and not found:
        raise NotFoundError(f"there are no data of pools in {', '.join(map(str, paths))}", _POOL_DATA)
    return found


def _checked_division(file: Path, raw: bytes) -> bytes:
    """The bytes, unchanged. Raises: VerificationError unless they are data of some pool, even if the data is wrong."""
    try:
        parse_division(raw)
    except VerificationError as error:
        raise VerificationError(f"{file}: {error.message}{kind_of(raw)}", _POOL_DATA) from error
    return raw


def compare_receipts(report: AuditReport, evidence: Evidence, published: Sequence[PublishedReceipts]) -> AuditReport:
    """The report with what these receipts show."""
    return with_receipts(report, evidence, published) if published else report


def read_receipts(path: Path) -> PublishedReceipts:
    """The receipts in a file, each signed by the peer that it names. Raises: VerificationError, StorageError."""
    try:
        raw = read_regular_file(path, MAX_RECEIPTS_BYTES)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}", _RECEIPTS) from error
    try:
        published = parse_receipts(raw)
    except VerificationError as error:
        raise VerificationError(f"{path}: {error.message}{kind_of(raw)}", _RECEIPTS) from error
    for receipt, signature in zip(published.receipts, published.signatures, strict=True):
        verify_bytes(published.peer_id, RECEIPT_CONTEXT + receipt.payload(), signature)
    return published


def write_report(report: AuditReport, evidence: Evidence, path: Path, key_path: Path | None) -> dict[str, str]:
    """Write the report file, signed if there is a key; returns its digest, root and signer.

    Raises: RefusedError (the file exists), StorageError, UsageError (not a key).
    """
    body = json.loads(canonical_bytes({"evidence": to_document(evidence), "report": report.to_dict()}))
    seal = {"digest": _digest(body), "root": _root(body["report"]), "signer": "", "signature": ""}
    if key_path is not None:
        key = read_key(key_path)
        seal |= {"signer": account_of(key), "signature": sign_as_account(key, _statement(seal["digest"]))}
    try:
        with path.open("xb") as file:
            file.write(canonical_bytes({"format": FORMAT, **seal, **body}) + b"\n")
    except FileExistsError as error:
        raise already_there(path, "choose another --report FILE") from error
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", "choose another --report FILE") from error
    return seal


def verify_report(path: Path) -> tuple[AuditReport, Account | None]:
    """Check a report file again, without a network: digest, root, signature, and everything from the evidence.

    Returns the report as it follows now, and who signed the file. Raises: VerificationError (it was changed, or says
    what does not follow from its evidence), StorageError.
    """
    body = _read(path)
    signer = _checked_seal(body)
    told, adapter = body["report"], body["report"].get("adapter")
    if adapter is not None and not re.fullmatch("[0-9a-f]{8,64}", str(adapter)):
        raise VerificationError("the report is about something that is no adapter")
    report = judge(from_document(body["evidence"]), recover_account, adapter)
    if json.loads(canonical_bytes(report.to_dict())) != told:
        raise VerificationError("the report says what does not follow from its evidence", "ask for another audit")
    return report, signer


def _checked_seal(body: dict[str, Any]) -> Account | None:
    if body["digest"] != _digest(body) or body["root"] != _root(body["report"]):
        raise VerificationError("the report was changed after it was written", "ask its author for the original")
    if not body["signature"] and not body["signer"]:
        return None
    signer = recover_account(_statement(str(body["digest"])), str(body["signature"]))
    if signer != body["signer"]:
        raise VerificationError("the report is not signed by the account that it names")
    return signer


def _read(path: Path) -> dict[str, Any]:
    raw = b""
    try:
        raw = read_regular_file(path, MAX_REPORT_BYTES)
        body = parse_json(raw)
        if body["format"] != FORMAT or set(body) != {
            "format",
            "digest",
            "root",
            "signer",
            "signature",
            "evidence",
            "report",
        }:
            raise MalformedError("its format is unknown")
        if not isinstance(body["report"], dict) or not all(isinstance(body["report"][name], list) for name in _ROWS):
            raise MalformedError("it has no rows")
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}", _REPORT) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        told = kind_of(raw) or f": {why_malformed(error)}"
        raise VerificationError(f"{path} is not a report of an audit{told}", _REPORT) from error
    return dict(body)


def _digest(body: dict[str, Any]) -> str:
    covered = {"evidence": body["evidence"], "report": body["report"]}
    return hashlib.sha256(canonical_bytes(covered)).hexdigest()


def _root(report: dict[str, Any]) -> str:
    leaves = [keccak(keccak(canonical_bytes([name, row]))) for name in _ROWS for row in report[name]]
    return merkle_root(leaves).hex()


def _statement(digest: str) -> str:
    return f"{FORMAT}\n{digest}"
