"""What a successful audit saves, so that the next one reads only new entries.

A file is one line of canonical JSON and the compressed state of the replay. The line names the market, the block, the
head of the ledger after it and the digest of the state, and is signed: nothing in the file can be derived again without
the ledger, so everything up to its block rests on the signer's word. What follows is proven: the new entries, hashed
from its head, must lead to the head that the chain's state holds now.
docs/adr/0019 says what is trusted; `tests/integration/test_audit_checkpoints.py` lies before and after a checkpoint.
"""

import hashlib
from dataclasses import dataclass

import msgspec

from viz_node.audit.money import Ledgers
from viz_node.chain.replay import snapshot
from viz_node.domain.deployment import Deployment
from viz_node.domain.ids import Account
from viz_node.domain.manifest import canonical_bytes
from viz_node.domain.strict_json import parse_json, why_malformed
from viz_node.errors import VerificationError

FORMAT = "viz-node/checkpoint/1"
MOST_LINE_BYTES = 8192
MOST_CHECKPOINT_BYTES = 256 * 1024 * 1024
MOST_SIGNERS = 16
SHAPE = hashlib.sha256(canonical_bytes([snapshot.SHAPE, sorted(Ledgers().figures())])).hexdigest()
_AGAIN = "run a full audit for a new one: viz-node audit --rpc-url URL --deployment FILE --checkpoint FILE"


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The signed statement; `money`, `transfers` and `unlinked` are figures of the audit so far that are no state.

    `shape` names the classes whose state it is; `rests_on` are accounts on whose checkpoints this one was built.
    """

    format: str
    program: str
    shape: str
    chain_id: int
    market: str
    token: str
    code_digest: str
    block: int
    block_hash: str
    timestamp: int
    head: str
    entries: int
    money: dict[str, int]
    transfers: int
    unlinked: int
    state_digest: str
    rests_on: tuple[str, ...]

    def signed_text(self) -> str:
        """The text that the auditor's account signs (EIP-191)."""
        return f"{FORMAT}\n{hashlib.sha256(canonical_bytes(msgspec.to_builtins(self))).hexdigest()}"


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    statement: Statement
    signer: str
    signature: str


@dataclass(frozen=True)
class Checkpoint:
    """A statement with its state; `signer` is who signed it, once that was checked."""

    statement: Statement
    state: bytes
    signer: Account

    @property
    def trusted(self) -> tuple[str, ...]:
        """All accounts whose word it is."""
        return tuple(sorted({self.signer, *self.statement.rests_on}))


def encode_checkpoint(statement: Statement, state: bytes, signer: str, signature: str) -> bytes:
    """The file that `parse_checkpoint` reads."""
    line = canonical_bytes(msgspec.to_builtins(_Line(statement, signer, signature)))
    return line + b"\n" + state


def parse_checkpoint(raw: bytes) -> tuple[Checkpoint, str]:
    """A checkpoint, whose state has the digest that its statement names, and the signature, which is not checked yet.

    Raises: VerificationError.
    """
    line, newline, state = raw[: MOST_LINE_BYTES + 1].partition(b"\n")
    if not newline:
        raise VerificationError("this is no checkpoint", _AGAIN)
    try:
        told = msgspec.convert(parse_json(line), _Line)
    except (ValueError, RecursionError) as error:
        raise VerificationError(f"this is no checkpoint: {why_malformed(error)}", _AGAIN) from error
    state, statement = raw[len(line) + 1 :], told.statement
    if statement.format != FORMAT or statement.shape != SHAPE:
        raise VerificationError(
            f"the checkpoint was written by viz-node {statement.program:.20}, which keeps other facts", _AGAIN
        )
    if hashlib.sha256(state).hexdigest() != statement.state_digest or len(statement.rests_on) > MOST_SIGNERS:
        raise VerificationError("the checkpoint was cut off or changed after it was written", _AGAIN)
    return Checkpoint(statement, state, Account(told.signer)), told.signature


def check_market(checkpoint: Checkpoint, deployment: Deployment) -> None:
    """Raises: VerificationError for a checkpoint of another market."""
    told = checkpoint.statement
    if (told.chain_id, told.market, told.token, told.code_digest) != (
        deployment.chain_id,
        deployment.market,
        deployment.token,
        deployment.code_digest,
    ):
        raise VerificationError(
            f"the checkpoint is of market {told.market:.42} on chain {told.chain_id}, not of the deployment file's",
            "give the deployment file and the checkpoint of one market",
        )
