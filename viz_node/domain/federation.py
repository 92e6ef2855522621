"""What the nodes of a federation agree on, what each of them keeps of it, and the strict form of their messages.

JSON becomes one of these records once, where it arrives; the records give the same bytes again.
"""

import base64
import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from viz_node.domain.ids import WHOLE, Account, BasisPoints, PeerId, WorkId, is_hex_digest, parse_account
from viz_node.domain.limits import MEMBERS, ROUNDS
from viz_node.domain.manifest import canonical_bytes
from viz_node.domain.recipe import Recipe
from viz_node.domain.royalty import split_from_shares
from viz_node.domain.strict_json import parse_json
from viz_node.errors import RefusedError, UsageError, VerificationError

EQUAL: Literal["equal"] = "equal"
MAX_MESSAGE_BYTES = 64 * 1024
MAX_INVITED_ADDRESSES = 8

ProposedSplit: TypeAlias = Literal["equal"] | dict[str, int]
"""`equal`, or basis points by account as the proposer wrote it."""


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly these keys, of exactly these types."""


Record = TypeVar("Record", bound=_Record)


class AgreedBase(_Record, frozen=True):
    """The base model that all members train on."""

    name: str
    digest: str


class AgreedRecipe(_Record, frozen=True, kw_only=True):
    """The values of a recipe that the terms name; the digest covers which ones do, so none is filled in."""

    rank: int | UnsetType = UNSET
    alpha: int | UnsetType = UNSET
    learning_rate: float | UnsetType = UNSET
    epochs: int | UnsetType = UNSET
    batch_documents: int | UnsetType = UNSET
    max_tokens: int | UnsetType = UNSET
    seed: int
    goldfish: int | UnsetType = UNSET

    def to_recipe(self) -> Recipe:
        """The recipe with the defaults of everything that is not named. Raises: UsageError (out of range)."""
        return Recipe(**msgspec.to_builtins(self))


class FederationTerms(_Record, frozen=True):
    """What every member agrees to; `run_seed` gives the part of the adapter that nobody trains."""

    name: str
    base: AgreedBase
    rounds: int
    members: int
    split: ProposedSplit
    recipe: AgreedRecipe
    run_seed: str

    def digest(self) -> str:
        """SHA-256 of the canonical terms; members agree to it, and every message of the rounds repeats it."""
        return hashlib.sha256(write_message(self)).hexdigest()


class Role(StrEnum):
    """The node that proposed a federation coordinates it."""

    COORDINATOR = "coordinator"
    MEMBER = "member"


class Federation(_Record, frozen=True):
    """What a node keeps of one federation.

    A member knows its coordinator by `peer_id` and `addresses`; the coordinator fixes `shares` when all have joined.
    """

    federation_id: str
    name: str
    role: Role
    terms: FederationTerms
    works: tuple[WorkId, ...]
    joined: dict[PeerId, Account]
    job: str | None = None
    peer_id: PeerId | UnsetType = UNSET
    addresses: tuple[str, ...] | UnsetType = UNSET
    shares: dict[Account, BasisPoints] | UnsetType = UNSET

    @property
    def missing(self) -> int:
        """How many members have not joined yet, as far as the coordinator knows."""
        return self.terms.members - len(self.joined)

    def at(self, peer_id: PeerId, addresses: tuple[str, ...]) -> "Federation":
        """With the coordinator that the invitation names."""
        return msgspec.structs.replace(self, peer_id=peer_id, addresses=addresses)

    def under(self, job_id: str) -> "Federation":
        """With the job that takes this node's part."""
        return msgspec.structs.replace(self, job=job_id)

    def describe(self, job_state: str | None, invite: str) -> "FederationStatus":
        """As people and machines see it; `job_state` is that of its job, if there is one."""
        is_here = self.role is Role.COORDINATOR
        waiting = "ready" if not is_here or self.missing <= 0 else "gathering"
        split = {str(account): int(share) for account, share in self.shares.items()} if self.shares else None
        return FederationStatus(
            federation_id=self.federation_id,
            name=self.name,
            role=self.role,
            state=job_state or waiting,
            members=self.terms.members,
            rounds=self.terms.rounds,
            split=split or self.terms.split,
            base=self.terms.base.name,
            job_id=self.job,
            joined=tuple(sorted(self.joined.values())) if is_here else UNSET,
            invite=invite if is_here else UNSET,
        )

    def coordinator(self) -> tuple[PeerId, tuple[str, ...]]:
        """Whom a member asks, and where. Raises: UsageError (this node coordinates)."""
        if self.peer_id is UNSET or self.addresses is UNSET:
            raise UsageError("this node coordinates that federation")
        return self.peer_id, self.addresses

    def agreed_shares(self) -> dict[Account, BasisPoints]:
        """The split that publishing must keep to. Raises: UsageError (not fixed yet)."""
        if self.shares is UNSET:
            raise UsageError(f"the members of {self.name} have not all joined", "see `viz-node federation status`")
        return self.shares

    def admit(self, peer_id: PeerId, account: Account) -> "Federation":
        """With this member; unchanged for one that is in already. Raises: RefusedError (taken, or full)."""
        if self.joined.get(peer_id) == account:
            return self
        if peer_id in self.joined or account in self.joined.values():
            raise RefusedError("this peer or account is already a member")
        if self.missing <= 0:
            raise RefusedError("the federation is full", "ask for a new one")
        joined = {**self.joined, peer_id: account}
        full = len(joined) == self.terms.members
        shares = agreed_shares(self.terms.split, list(joined.values())) if full else self.shares
        return msgspec.structs.replace(self, joined=joined, shares=shares)


class FederationStatus(_Record, frozen=True):
    """A federation as people and machines see it; only the coordinator names members and the invitation."""

    federation_id: str
    name: str
    role: Role
    state: str
    members: int
    rounds: int
    split: dict[str, int] | Literal["equal"]
    base: str
    job_id: str | None
    joined: tuple[Account, ...] | UnsetType = UNSET
    invite: str | UnsetType = UNSET


class Invitation(_Record, frozen=True):
    """Where others find the federation; it holds no secret."""

    federation_id: str
    peer_id: PeerId
    addresses: tuple[str, ...]
    name: str

    def write(self) -> str:
        """One word of text."""
        short = msgspec.structs.replace(self, addresses=self.addresses[:MAX_INVITED_ADDRESSES])
        return base64.urlsafe_b64encode(write_message(short)).decode().rstrip("=")


class TermsQuestion(_Record, frozen=True):
    """A peer asks for the terms of a federation."""

    federation_id: str


class TermsAnswer(_Record, frozen=True):
    """The terms, and whether the rounds have ended."""

    terms: FederationTerms
    ended: bool


class JoinRequest(_Record, frozen=True):
    """A peer, known by its connection, agrees to the terms with this digest."""

    federation_id: str
    account: str
    terms_digest: str


class JoinAnswer(_Record, frozen=True):
    """How many members there are now."""

    joined: int


def agreed_shares(split: str | Mapping[str, int], accounts: list[Account] | list[str]) -> dict[Account, BasisPoints]:
    """The shares that the terms mean for these members; what `equal` leaves over goes to the first accounts.

    Raises: InvalidSplitError, UsageError.
    """
    if isinstance(split, str):
        if split != EQUAL:
            raise UsageError(f"{split!r} is no split", f"{EQUAL} or ACCOUNT=70,ACCOUNT=30")
        each, left = divmod(WHOLE, len(accounts))
        ordered = sorted(parse_account(account) for account in accounts)
        return {account: BasisPoints(each + (i < left)) for i, account in enumerate(ordered)}
    return dict(split_from_shares({parse_account(k): BasisPoints(v) for k, v in split.items()}).shares)


def write_message(record: _Record) -> bytes:
    """The record's canonical JSON."""
    return canonical_bytes(msgspec.to_builtins(record))


def parse_message(payload: bytes, kind: type[Record]) -> Record:
    """A peer's JSON of this kind, in canonical form. Raises: VerificationError."""
    try:
        if len(payload) > MAX_MESSAGE_BYTES:
            raise ValueError("too large")
        record = msgspec.convert(parse_json(payload), kind)
        if write_message(record) != payload:
            raise ValueError("not in canonical form")
    except (ValueError, TypeError, RecursionError, msgspec.ValidationError) as error:
        raise VerificationError("the federation message is malformed") from error
    return record


def parse_terms_answer(payload: bytes) -> TermsAnswer:
    """A coordinator's terms, if they are well-formed. Raises: VerificationError."""
    answer = parse_message(payload, TermsAnswer)
    check_terms(answer.terms)
    return answer


def check_terms(terms: FederationTerms) -> None:
    """Whether a federation may have a stranger's terms. Raises: VerificationError."""
    try:
        if not is_hex_digest(terms.base.digest):
            raise ValueError("the base model has no digest")
        ROUNDS.check(terms.rounds)
        MEMBERS.check(terms.members)
        agreed_shares(terms.split, ["0x" + "0" * 40])
        terms.recipe.to_recipe()
        if not all(map(_is_name, (terms.name, terms.run_seed, terms.base.name))):
            raise ValueError("a name is malformed")
    except (ValueError, UsageError) as error:
        raise VerificationError(f"the terms are malformed: {error}") from error


def parse_invite(invite: str) -> Invitation:
    """Read what `Invitation.write` wrote. Raises: UsageError."""
    try:
        raw = base64.urlsafe_b64decode(invite.strip() + "=" * (-len(invite.strip()) % 4))
        asked = parse_message(raw, Invitation)
        if not all(map(_is_name, (asked.federation_id, asked.peer_id, asked.name, *asked.addresses))):
            raise ValueError("a field is malformed")
    except (ValueError, VerificationError) as error:
        raise UsageError("this is not an invitation", "paste all that the node of its creator printed") from error
    return asked


def parse_federation(text: str) -> Federation:
    """A row of the database. Raises: VerificationError (it was changed by another hand)."""
    try:
        return msgspec.json.decode(text, type=Federation)
    except msgspec.MsgspecError as error:
        raise VerificationError(f"the record of a federation is malformed: {error}", "restore a backup") from error


def _is_name(text: str) -> bool:
    return 0 < len(text) <= 200 and text.isprintable()
