"""Audit a market without trusting the endpoints that describe it; needs no key.

The audit first collects everything (`Evidence`), then judges it without asking anybody (`conclude`), so that you can
repeat the judgement offline years later. It replays the ledger entry by entry. The replay must arrive at the `head` in
the contract's storage, which a storage proof shows under the state root of a block whose hash the audit recomputes.
That reveals any entry that is missing, altered, added or moved. `tests/integration/test_audit_lies.py` has an endpoint
that does each of these.
"""

import gc
import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

from viz_node import __version__
from viz_node.audit.checkpoint import FORMAT as CHECKPOINT_FORMAT
from viz_node.audit.checkpoint import SHAPE, Checkpoint, Statement, check_market
from viz_node.audit.collect import FINALIZED, TIMEOUT_SECONDS, collect, translated
from viz_node.audit.conclude import Conclusion, conclude, with_state
from viz_node.audit.evidence import DIVISION_ENCODING, Evidence, from_document, to_document
from viz_node.audit.receipts import with_receipts
from viz_node.audit.report import AuditReport, make_report
from viz_node.audit.state import compare_state
from viz_node.chain.contract.companions import POOL_DATA_TOPIC, pool_data_of
from viz_node.chain.node.rpc import JsonRpc, RpcRefusedError, to_hex
from viz_node.chain.replay.divisions import NOTHING_PUBLISHED, Published
from viz_node.chain.replay.snapshot import capture
from viz_node.domain.deployment import Deployment
from viz_node.domain.division import Recover
from viz_node.domain.ids import Account
from viz_node.errors import ChainUnavailableError, NotFoundError, RefusedError, UsageError, VerificationError

__all__ = [
    "FINALIZED",
    "AuditReport",
    "Checkpoint",
    "Evidence",
    "Examination",
    "Published",
    "Statement",
    "audit",
    "checkpoint_of",
    "examine",
    "from_document",
    "judge",
    "to_document",
    "with_receipts",
]

_DIGITS = re.compile(r"[0-9a-f]{8,64}")


class Examination(NamedTuple):
    """A report with what it rests on."""

    report: AuditReport
    evidence: Evidence
    conclusion: Conclusion


def audit(
    rpc_urls: Sequence[str],
    deployment: Deployment,
    adapter_id: str | None = None,
    block: str = FINALIZED,
    published: Published = NOTHING_PUBLISHED,
) -> tuple[AuditReport, Evidence]:
    """The report and the evidence of `examine`."""
    report, evidence, _ = examine(rpc_urls, deployment, adapter_id, block, published)
    return report, evidence


def examine(
    rpc_urls: Sequence[str],
    deployment: Deployment,
    adapter_id: str | None = None,
    block: str = FINALIZED,
    published: Published = NOTHING_PUBLISHED,
    start: Checkpoint | None = None,
) -> Examination:
    """Audit the market up to `block` (`latest`, `safe`, `finalized` or a number), which all endpoints must name.

    `adapter_id` may be its first digits, if they name one adapter of the market. With `start` only what is new since
    that checkpoint is read and replayed. Whatever is wrong with the ledger is a finding. Raises: ChainUnavailableError;
    VerificationError when an endpoint gives a block that cannot be the chain's, so that there is nothing to compare
    with, and for a checkpoint that is not of this ledger; NotFoundError, UsageError.
    """
    adapter_id = None if adapter_id is None else adapter_id.lower()
    if adapter_id is not None and not _DIGITS.fullmatch(adapter_id):
        raise UsageError(f"{adapter_id!r:.80} is not an adapter id", "give the id that `viz-node search` prints")
    if start is not None:
        check_market(start, deployment)
    rpcs = [JsonRpc(url, TIMEOUT_SECONDS) for url in rpc_urls]
    try:
        with _without_collections():
            tag, after = hex(int(block)) if block.isdecimal() else block, start.statement.block if start else None
            evidence = collect(rpcs, deployment, tag, after)
            evidence = replace(evidence, divisions=_named(evidence, published, start))
            conclusion = conclude(evidence, published.recover, start, rpcs[0])
            evidence = replace(evidence, wallets=conclusion.wallets)
            state = compare_state(rpcs[0], deployment.market, conclusion.block.number, conclusion.replay)
            evidence, conclusion = replace(evidence, state=state), with_state(conclusion, state)
            named = None if adapter_id is None else _resolve(conclusion, adapter_id)
            return Examination(make_report(evidence, conclusion, named), evidence, conclusion)
    except RpcRefusedError as error:
        raise translated(error) from error
    finally:
        for rpc in rpcs:
            rpc.close()


def checkpoint_of(found: Examination, own: Account) -> tuple[Statement, bytes]:
    """The checkpoint that `own` may sign, and its state. Raises: RefusedError (the audit does not hold)."""
    if not found.report.ok or not found.report.proof.proven:
        raise RefusedError("no checkpoint was written: the audit does not hold")
    deployment, conclusion, proof = found.evidence.deployment, found.conclusion, found.report.proof
    state = capture(conclusion.replay)
    trusted = set(conclusion.start.trusted) if conclusion.start else set()
    statement = Statement(
        CHECKPOINT_FORMAT,
        __version__,
        SHAPE,
        deployment.chain_id,
        deployment.market,
        deployment.token,
        deployment.code_digest,
        proof.block_number,
        proof.block_hash,
        proof.timestamp,
        proof.head,
        proof.entries,
        conclusion.money.figures(),
        conclusion.transfers,
        conclusion.unlinked,
        hashlib.sha256(state).hexdigest(),
        tuple(sorted(trusted - {own})),
    )
    return statement, state


def judge(evidence: Evidence, recover: Recover, adapter_id: str | None = None) -> AuditReport:
    """The report that follows from the evidence alone. Raises: VerificationError."""
    try:
        with _without_collections():
            conclusion = conclude(evidence, recover)
            if conclusion.wallets != evidence.wallets:
                raise VerificationError("the report's evidence names signatures of contracts that nothing rests on")
            return make_report(evidence, with_state(conclusion, evidence.state), adapter_id)
    except ChainUnavailableError as error:
        raise VerificationError(f"the report's evidence is malformed: {error.message}") from error


def _resolve(conclusion: Conclusion, digits: str) -> str:
    """The id of the adapter that is meant. Findings are told even if there is no such adapter."""
    known = {adapter.manifest.hex() for adapter in conclusion.replay.catalogue.adapters.values()}
    found = [adapter_id for adapter_id in known if adapter_id.startswith(digits)]
    if len(found) > 1:
        raise UsageError(f"{len(found)} adapters of the market begin with {digits}", "give the whole id")
    if not found and not conclusion.findings:
        raise NotFoundError(f"the market has no adapter {digits}", "viz-node search prints the ids")
    return found[0] if found else digits


def _named(evidence: Evidence, published: Published, start: Checkpoint | None) -> tuple[str, ...]:
    """The divisions that a posted root names; what else is at hand is none of this market's.

    After a checkpoint all that is at hand: roots in its state may name it.
    """
    if start is not None:
        return tuple(raw.decode(DIVISION_ENCODING) for raw in published.divisions.values())
    data = [pool_data_of(log) for log in evidence.logs if log.topics[:1] == (to_hex(POOL_DATA_TOPIC),)]
    digests = sorted({item.digest for item in data} & set(published.divisions))
    return tuple(published.divisions[digest].decode(DIVISION_ENCODING) for digest in digests)


@contextmanager
def _without_collections() -> Iterator[None]:
    """Pauses the search for cyclic garbage: an audit keeps all that it reads, and the searches took half its time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            # All that is alive now counts as old: else the search that begins here would look through the whole audit.
            gc.freeze()
            gc.unfreeze()
            gc.enable()
