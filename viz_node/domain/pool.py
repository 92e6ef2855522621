"""What the parties of a catalogue subscription sign or fix: the pool's rules, its adapters, its subscribers' uses.

A pool's money is divided by what its subscribers say that they used. Nobody has to be believed about anybody else: a
statement is signed by its subscriber's account, and under the rules that a pool may have (`distribution.py`) it directs
no more than their own fee. Adapters are named by their numbers on the chain, which have one owner each: anybody could
register the digest of another's manifest. How totals follow from these documents stands in `division.py`.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from viz_node.domain.distribution import PoolRule
from viz_node.domain.ids import WHOLE, Account, BasisPoints, PeerId, TokenAmount, parse_account
from viz_node.domain.limits import GRACE_HOURS, PERIODS
from viz_node.domain.manifest import canonical_bytes
from viz_node.domain.strict_json import MalformedError, parse_json, why_malformed
from viz_node.errors import UsageError, VerificationError

RULES_FORMAT = "viz-node/pool-rules/1"
MEMBER_CONTEXT = "viz-node/pool-member/1"
USES_CONTEXT = "viz-node/pool-uses/1"
MAX_RULES_BYTES = 4096
MAX_ROW_BYTES = 32 * 1024
MAX_ADAPTERS_USED = 512
# Of the contract: when a period can only be refunded, when a posted root lapses, how long splits are credited, how many
# periods can be paid ahead, how many one root covers.
SILENCE_SECONDS = 180 * 86_400
LAPSE_SECONDS = 30 * 86_400
CREDIT_SECONDS = 180 * 86_400
MAX_AHEAD = int(PERIODS.most)
MAX_RANGE = 64
MAX_GRACE_SECONDS = int(GRACE_HOURS.most) * 3600
RULES_OF_POOLS = (PoolRule.USER_CENTRIC, PoolRule.SCALED_USER_PROP)
"""Pro-rata pays owners of bots; it is here for comparison only."""

PENDING, VETOED, ADOPTED, LAPSED = "pending", "vetoed", "adopted", "lapsed"
"""Where a posted root stands."""
_LARGEST = 2**53
# A contract with many owners, such as a Safe, has 65 bytes for each of them.
_SIGNATURE = re.compile(r"(0x)?([0-9a-f]{2}){1,1024}")
_T = TypeVar("_T")


@dataclass(frozen=True)
class PoolRules:
    """How a pool divides; fixed permanently by its digest on the chain.

    `reserve_split` gets what is not for adapters and what nobody directs. Both peers take statements and memberships,
    for `grace_seconds` after a period.
    """

    name: str
    rule: PoolRule
    adapters_share: BasisPoints
    reserve_split: int
    operator_peer: PeerId
    challenger_peer: PeerId
    grace_seconds: int
    created: int

    def payload(self) -> bytes:
        """The canonical bytes that are hashed."""
        return canonical_bytes(asdict(self) | {"format": RULES_FORMAT})

    def digest(self) -> bytes:
        """SHA-256; the chain keeps it."""
        return hashlib.sha256(self.payload()).digest()


@dataclass(frozen=True)
class MemberRow:
    """The wire form of a membership, without the place, which both sides know."""

    adapter: int
    account: Account
    split_id: int
    signature: str

    def member(self, place: str) -> "PoolMember":
        """The membership that was written so."""
        return PoolMember(place, self.adapter, self.account, self.split_id, self.signature)


@dataclass(frozen=True)
class StatementRow:
    """The wire form of a statement, without the place; JSON has the adapters' numbers as text."""

    period: int
    holder: Account
    uses: Mapping[str, int]
    signature: str

    def statement(self, place: str) -> "UseStatement":
        """The statement that was written so."""
        uses = {int(adapter): count for adapter, count in self.uses.items()}
        return UseStatement(place, self.period, self.holder, uses, self.signature)


@dataclass(frozen=True)
class PoolMember:
    """An owner's promise that subscribers get the adapter's key, and the split to credit; `place` as `pool_place`."""

    place: str
    adapter: int
    account: Account
    split_id: int
    signature: str = ""

    def text(self) -> str:
        """What the account signs."""
        return "\n".join((MEMBER_CONTEXT, self.place, str(self.adapter), self.account, str(self.split_id)))

    def row(self) -> MemberRow:
        """The wire form."""
        return MemberRow(self.adapter, self.account, self.split_id, self.signature)

    def signed(self, sign: Callable[[str], str]) -> "PoolMember":
        """The same with its signature."""
        return replace(self, signature=sign(self.text()))


@dataclass(frozen=True)
class UseStatement:
    """How often a subscriber used which adapters in a period; at least one, or there is nothing to state."""

    place: str
    period: int
    holder: Account
    uses: Mapping[int, int]
    signature: str = ""

    def text(self) -> str:
        """What the account signs."""
        rows = [f"{adapter} {count}" for adapter, count in sorted(self.uses.items())]
        return "\n".join((USES_CONTEXT, self.place, str(self.period), self.holder, *rows))

    def row(self) -> StatementRow:
        """The wire form."""
        uses = {str(adapter): count for adapter, count in self.uses.items()}
        return StatementRow(self.period, self.holder, uses, self.signature)

    def signed(self, sign: Callable[[str], str]) -> "UseStatement":
        """The same with its signature."""
        return replace(self, signature=sign(self.text()))


@dataclass(frozen=True)
class PoolClaim:
    """What an adopted root gives a split: the root by the last of its periods, and all units by split behind it."""

    pool: int
    through: int
    split_id: int
    totals: Mapping[int, int]

    @property
    def units(self) -> int:
        """Units that the split gets."""
        return self.totals[self.split_id]


@dataclass(frozen=True)
class Pool:
    """A pool; `start` is when period 0 began, `next_period` the one after the last that an adopted root covers.

    `rules` is the digest of the document with its rule of division, `place` what tells it from all other pools, `terms`
    the digest of all that a subscriber agrees to.
    """

    number: int
    operator: Account
    fee: TokenAmount
    period_seconds: int
    challenger: Account
    start: int
    next_period: int
    terms: bytes
    rules: bytes
    place: str

    def end_of(self, period: int) -> int:
        """When the period ends, seconds since 1970."""
        return self.start + (period + 1) * self.period_seconds

    def first_allocable(self, time: int) -> int:
        """The first period that was not adopted and whose time to be allocated is not over."""
        return max(self.next_period, (time - self.start - SILENCE_SECONDS) // self.period_seconds)

    def period_at(self, time: int) -> int:
        """The number of the period that runs at `time`."""
        return (time - self.start) // self.period_seconds


@dataclass(frozen=True)
class PostedRoot:
    """A root over periods `first` to `through`, which brought `amount`; its data is the blob that `uri` names.

    `state` is `pending` while it may be vetoed or adopted, then `vetoed`, `adopted` or `lapsed`. Splits are credited
    from an adopted one before `until`; then the rest goes back.
    """

    root: bytes
    data_digest: bytes
    uri: str
    amount: TokenAmount
    first: int
    through: int
    adoptable_at: int
    state: str = PENDING
    until: int = 0

    @property
    def lapses_at(self) -> int:
        """When nobody can adopt it any more."""
        return self.adoptable_at + LAPSE_SECONDS


def pool_place(chain_id: int, market: Account, pool: int) -> str:
    """The name of a pool among all pools; part of everything signed for it."""
    return f"{chain_id}:{market}:{pool}"


def check_rules(rules: PoolRules) -> PoolRules:
    """The rules, if a pool may have them. Raises: UsageError."""
    if rules.rule not in RULES_OF_POOLS:
        raise UsageError(f"a pool does not divide {rules.rule}", f"choose one of {', '.join(RULES_OF_POOLS)}")
    if not 0 < rules.adapters_share <= WHOLE:
        raise UsageError("the adapters' share is 0.01 to 100 percent", "--share 70")
    if rules.operator_peer == rules.challenger_peer:
        raise UsageError("a pool is watched by another node than its operator's", "--challenger ACCOUNT@PEER")
    if not 0 <= rules.grace_seconds <= MAX_GRACE_SECONDS:
        raise UsageError(GRACE_HOURS.message, GRACE_HOURS.hint)
    return rules


def parse_rules(raw: bytes) -> PoolRules:
    """A stranger's rules. Raises: VerificationError."""

    def parse() -> PoolRules:
        rules = rules_of(_object(raw, MAX_RULES_BYTES))
        if rules.payload() != raw:
            raise MalformedError("not in canonical form")
        return rules

    return translated(parse, "the pool's rules are malformed")


def parse_row(raw: bytes, limit: int = MAX_ROW_BYTES) -> dict[str, Any]:
    """The JSON object of a stranger's message, at most `limit` bytes. Raises: VerificationError."""
    return translated(lambda: _object(raw, limit), "the message is malformed")


def parse_member(body: Any, place: str) -> PoolMember:
    """A stranger's membership; its signature is not checked. Raises: VerificationError."""
    return translated(lambda: member_of(body, place), "the membership is malformed")


def parse_statement(body: Any, place: str) -> UseStatement:
    """A stranger's statement; its signature is not checked. Raises: VerificationError."""
    return translated(lambda: statement_of(body, place), "the statement of uses is malformed")


def rules_of(body: Any) -> PoolRules:
    """Rules from JSON. Raises: ValueError, TypeError, KeyError, UsageError."""
    if body["format"] != RULES_FORMAT:
        raise MalformedError("unknown format")
    fields = {name: value for name, value in body.items() if name != "format"}
    rules = PoolRules(**fields | {"rule": PoolRule(body["rule"])})
    for text in (rules.name, rules.operator_peer, rules.challenger_peer):
        text_of(text)
    for number in (rules.adapters_share, rules.reserve_split, rules.grace_seconds, rules.created):
        number_of(number, 0)
    return check_rules(rules)


def member_of(body: Any, place: str) -> PoolMember:
    """A membership from JSON. Raises: ValueError, TypeError, KeyError, UsageError."""
    member = PoolMember(place=place, **body)
    number_of(member.adapter, 1)
    number_of(member.split_id, 1)
    _check_signer(member.account, member.signature)
    return member


def statement_of(body: Any, place: str) -> UseStatement:
    """A statement from JSON. Raises: ValueError, TypeError, KeyError, UsageError."""
    statement = UseStatement(place=place, **body | {"uses": counts_of(body["uses"])})
    number_of(statement.period, 0)
    if not 1 <= len(statement.uses) <= MAX_ADAPTERS_USED:
        raise MalformedError(f"a statement names 1 to {MAX_ADAPTERS_USED} adapters")
    _check_signer(statement.holder, statement.signature)
    return statement


def counts_of(body: Any) -> dict[int, int]:
    """Counts above zero by number above zero, from JSON, ascending. Raises: ValueError, TypeError."""
    counts = {number_of(int(key), 1): number_of(count, 1, 2**128) for key, count in body.items()}
    if [str(key) for key in counts] != list(body):
        raise MalformedError("a key is not a number in its usual form")
    return dict(sorted(counts.items()))


def text_of(value: object) -> str:
    """A short printable text. Raises: ValueError."""
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= 200:
        raise MalformedError("a text is missing, too long or not printable")
    return value


def number_of(value: object, least: int, end: int = _LARGEST) -> int:
    """A whole number from `least` and below `end`. Raises: ValueError."""
    if type(value) is not int or not least <= value < end:
        raise MalformedError("a number is out of range")
    return value


def translated(parse: Callable[[], _T], message: str) -> _T:
    """The result of `parse`. Raises: VerificationError for whatever malformed data makes it raise."""
    try:
        return parse()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UsageError) as error:
        raise VerificationError(f"{message}: {why_malformed(error)}") from error


def _check_signer(account: Any, signature: Any) -> None:
    if not isinstance(signature, str) or _SIGNATURE.fullmatch(signature) is None:
        raise MalformedError("a signature is missing, too long or not hex")
    if parse_account(account) != account:
        raise MalformedError("an account is malformed")


def _object(raw: bytes, limit: int) -> dict[str, Any]:
    if len(raw) > limit:
        raise MalformedError("too large")
    return dict(parse_json(raw))
