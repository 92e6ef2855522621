"""What a node keeps of pools, by keys that begin with the names below."""

from dataclasses import dataclass
from typing import TypeVar

import msgspec

from viz_node.domain.ids import PeerId
from viz_node.domain.pool import MemberRow, StatementRow
from viz_node.errors import VerificationError

RULES, MEMBER, USES = "rules/", "member/", "uses/"
"""`rules/DIGEST`, `member/POOL/ADAPTER`, `uses/POOL/PERIOD/HOLDER`."""
JOINED, WATCHED, CHECKED, STATED = "joined/", "watched/", "checked/", "stated/"
"""`joined/POOL/ADAPTER`, `watched/POOL`, `checked/POOL/COUNT/ROOT`, `stated/POOL/PERIOD`."""
Record = TypeVar("Record")


@dataclass(frozen=True)
class RulesRecord:
    """The rules of a pool as they were hashed."""

    text: str


@dataclass(frozen=True)
class MemberRecord:
    """A membership that was verified."""

    row: MemberRow


@dataclass(frozen=True)
class UsesRecord:
    """A subscriber's statement that was verified."""

    row: StatementRow


@dataclass(frozen=True)
class JoinedRecord:
    """An adapter of this node in a pool: the membership, the peers that have it, and whether it was ended."""

    row: MemberRow
    told: tuple[PeerId, ...]
    adapter_id: str = ""
    left: bool = False


@dataclass(frozen=True)
class StatedRecord:
    """This account's own statement of a period, None if it used nothing, and the peers that have it."""

    row: StatementRow | None
    told: tuple[PeerId, ...]


@dataclass(frozen=True)
class WatchedRecord:
    """This node is the pool's challenger, and has said that it wants to be."""


@dataclass(frozen=True)
class CheckedRecord:
    """What was wrong with a posted root, at most the first ten faults; the root is not looked at again."""

    faults: tuple[str, ...]


def parse_record(text: str, kind: type[Record]) -> Record:
    """A row of the database. Raises: VerificationError (it was changed by another hand)."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        raise VerificationError(f"the record of a pool is malformed: {error}", "restore a backup") from error
