"""How the totals of a pool follow from its documents, so that everybody arrives at the same root.

A division is published with each posted root: rules, periods, memberships, statements, and the totals by split that the
root is over. With what the chain says of the pool it is derived again, by the challenger before it counts and later by
auditors. Both call `faults_of`; `tests/integration/test_pools.py` and `tests/integration/test_audit_pools.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from viz_node.domain.distribution import PeriodIncome, Uses, accumulate, distribute
from viz_node.domain.ids import Account, TokenAmount
from viz_node.domain.manifest import canonical_bytes
from viz_node.domain.pool import (
    PoolMember,
    PoolRules,
    UseStatement,
    counts_of,
    member_of,
    number_of,
    rules_of,
    statement_of,
    text_of,
    translated,
)
from viz_node.domain.strict_json import MalformedError, parse_json
from viz_node.errors import VerificationError

DIVISION_FORMAT = "viz-node/pool-division/2"
MAX_DIVISION_BYTES = 64 * 1024 * 1024

Recover = Callable[[str, str], Account]
"""Text and signature: the account that signed (EIP-191). Raises VerificationError."""
Accepts = Callable[[Account, str, str, int], bool]
"""Account, text, signature and a block: whether the account is a contract that takes the signature then (ERC-1271)."""


def no_wallets(account: Account, text: str, signature: str, block: int) -> bool:
    """No contract takes anything."""
    return False


@dataclass(frozen=True)
class PoolFacts:
    """What the chain says of a pool at the time of a posted root.

    `periods` are the first and the last that the root covers, `subscribers` those of each of them.
    `has_offer` tells whether the account registered the adapter and ever offered it with that split.
    """

    place: str
    rules_digest: bytes
    fee: TokenAmount
    periods: tuple[int, int]
    subscribers: Mapping[int, Sequence[Account]]
    has_offer: Callable[[int, Account, int], bool]


@dataclass(frozen=True)
class Division:
    """All that a root follows from; `totals` are the units by split of its periods, the first to the last.

    Accounts that are contracts are asked for their signatures as of `wallets_block`, so that everybody gets the same
    answer, whatever such a contract says later; 0 if none of them signed anything.
    """

    place: str
    rules: PoolRules
    periods: tuple[int, int]
    members: tuple[PoolMember, ...]
    statements: tuple[UseStatement, ...]
    totals: Mapping[int, int]
    wallets_block: int = 0

    def payload(self) -> bytes:
        """The canonical bytes that are published; the chain keeps their SHA-256."""
        body = {
            "format": DIVISION_FORMAT,
            "place": self.place,
            "rules": parse_json(self.rules.payload()),
            "periods": list(self.periods),
            "members": [asdict(member.row()) for member in self.members],
            "statements": [asdict(statement.row()) for statement in self.statements],
            "totals": _keyed(self.totals),
            "wallets_block": self.wallets_block,
        }
        return canonical_bytes(body)


def divide(
    rules: PoolRules,
    facts: PoolFacts,
    members: Sequence[PoolMember],
    statements: Sequence[UseStatement],
    wallets_block: int = 0,
) -> Division:
    """The division that follows from members and statements, each valid for these facts."""
    split_by_adapter = {member.adapter: member.split_id for member in members}
    stated = {place_of(statement): statement.uses for statement in statements}
    totals: dict[int, int] = {}
    for period, holders in sorted(facts.subscribers.items()):
        uses = [_by_split(stated.get((period, holder), {}), split_by_adapter) for holder in sorted(holders)]
        income = PeriodIncome(facts.fee, rules.adapters_share, uses)
        totals = accumulate(totals, distribute(income, rules.rule), rules.reserve_split)
    by_adapter = tuple(sorted(members, key=lambda member: member.adapter))
    stated_uses = tuple(sorted(statements, key=place_of))
    return Division(facts.place, rules, facts.periods, by_adapter, stated_uses, totals, wallets_block)


def is_signed(document: PoolMember | UseStatement, recover: Recover, accepts: Accepts, block: int) -> bool:
    """Whether the account of a document signed it, by its key or, at a block that is not 0, as a contract."""
    account = document.account if isinstance(document, PoolMember) else document.holder
    text, signature = document.text(), document.signature
    with suppress(VerificationError):
        if recover(text, signature) == account:
            return True
    return block != 0 and accepts(account, text, signature, block)


def faults_of(division: Division, facts: PoolFacts, recover: Recover, accepts: Accepts = no_wallets) -> list[str]:
    """What in a published division does not follow from the chain and its signatures; empty if it is right."""
    faults = []
    if (division.place, division.rules.digest()) != (facts.place, facts.rules_digest):
        faults.append("the data is of another pool, or of other rules than the chain's")
    if division.periods != facts.periods:
        faults.append("the data is of other periods than the root")

    def signed(document: PoolMember | UseStatement) -> bool:
        return is_signed(document, recover, accepts, division.wallets_block)

    faults += [fault for member in division.members if (fault := member_fault(member, facts, signed))]
    faults += [fault for item in division.statements if (fault := statement_fault(item, facts, signed))]
    parts = division.members, division.statements, division.wallets_block
    if not faults and divide(division.rules, facts, *parts) != division:
        faults.append("the totals are not what the rule gives for these uses")
    return faults


def member_fault(member: PoolMember, facts: PoolFacts, signed: Callable[[PoolMember], bool]) -> str:
    """Why a membership does not count; empty if it does. Who has no such offer is not asked for a signature."""
    if not facts.has_offer(member.adapter, member.account, member.split_id):
        return f"{member.account} does not offer adapter {member.adapter} with split {member.split_id}"
    return "" if signed(member) else f"the membership of adapter {member.adapter} is not signed by {member.account}"


def statement_fault(item: UseStatement, facts: PoolFacts, signed: Callable[[UseStatement], bool]) -> str:
    """Why a statement does not count; empty if it does."""
    if item.holder not in facts.subscribers.get(item.period, ()):
        return f"{item.holder} did not subscribe to period {item.period}"
    return "" if signed(item) else f"the uses of period {item.period} are not signed by {item.holder}"


def place_of(statement: UseStatement) -> tuple[int, Account]:
    """Period and subscriber, of which there is one statement at most."""
    return statement.period, statement.holder


def parse_division(raw: bytes) -> Division:
    """A stranger's division; neither signatures nor sums are checked. Raises: VerificationError."""

    def parse() -> Division:
        if len(raw) > MAX_DIVISION_BYTES:
            raise MalformedError("too large")
        body = parse_json(raw)
        place = text_of(body["place"])
        division = Division(
            place,
            rules_of(body["rules"]),
            _periods_of(body["periods"]),
            tuple(member_of(row, place) for row in body["members"]),
            tuple(statement_of(row, place) for row in body["statements"]),
            counts_of(body["totals"]),
            number_of(body["wallets_block"], 0),
        )
        _check_order([member.adapter for member in division.members])
        _check_order([place_of(statement) for statement in division.statements])
        if division.payload() != raw:
            raise MalformedError("not in canonical form")
        return division

    return translated(parse, "the pool's data is malformed")


def _periods_of(body: Any) -> tuple[int, int]:
    first, last = body
    return number_of(first, 0), number_of(last, first)


def _check_order(keys: Sequence[Any]) -> None:
    if any(first >= second for first, second in pairwise(keys)):
        raise MalformedError("a row stands twice or out of order")


def _by_split(uses: Mapping[int, int], split_by_adapter: Mapping[int, int]) -> Uses:
    """Uses of the pool's adapters by split; those of other adapters direct nothing."""
    by_split: dict[int, int] = {}
    for adapter, count in uses.items():
        if adapter in split_by_adapter:
            split = split_by_adapter[adapter]
            by_split[split] = by_split.get(split, 0) + count
    return by_split


def _keyed(counts: Mapping[int, int]) -> dict[str, int]:
    return {str(key): count for key, count in sorted(counts.items())}
