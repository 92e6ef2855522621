"""The rows of an audit's report: payments, splits, payouts and totals, as `docs/protocol.md` names their fields."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from viz_node.audit.money import Ledgers
from viz_node.chain.contract.ledger import PERPETUAL, EntryKind, LedgerEntry
from viz_node.chain.replay import LedgerReplay
from viz_node.chain.replay.book import SPLIT_ACCOUNTS
from viz_node.chain.replay.splits import SplitState
from viz_node.domain.ids import Account

INCOME: dict[int, tuple[str, str]] = {
    EntryKind.SOLD: ("license", "direct_sales"),
    EntryKind.SETTLED: ("license by escrow", "escrow_settlements"),
    EntryKind.REDEEMED: ("metered use", "metered_redemptions"),
    EntryKind.POOL_CLAIMED: ("catalogue", "pool_credits"),
}
"""What a payment into a split from outside is, and under which name such payments are counted."""
PERPETUAL_TERM, LIMITED_TERM, NO_TERM = "perpetual", "limited", "none"


class AuditSale(NamedTuple):
    """One payment into a split from outside the splits.

    `account` is the licensee, the payer of the channel, or the account that had a pool credited. `term` is
    `perpetual`, `limited` (until `expiry`) or `none`, where no license was given. What does not exist is None.
    """

    sequence: int
    kind: str
    offer_id: int | None
    adapter_number: int | None
    adapter_id: str | None
    account: Account
    price: int
    split_id: int
    term: str
    expiry: int | None
    time: int
    block: int
    tx_hash: str


class AuditAdapter(NamedTuple):
    """One adapter as registered; `adapter_id` is the digest of its manifest, `split_ids` where its offers pay."""

    adapter_number: int
    adapter_id: str
    owner: Account
    split_ids: tuple[int, ...]


class AuditSplit(NamedTuple):
    """One split, units, and its recipients with shares in basis points.

    `accrued` is `sold`, from sales, and `passed_in`, from other splits; `paid` is `claimed`, by accounts, and
    `passed_on`.
    """

    split_id: int
    accrued: int
    sold: int
    passed_in: int
    paid: int
    claimed: int
    passed_on: int
    shares: tuple[tuple[Account, int], ...]


class AuditClaim(NamedTuple):
    """One payout of a split to an account."""

    sequence: int
    split_id: int
    account: Account
    amount: int
    time: int
    block: int
    tx_hash: str


class AuditPassedOn(NamedTuple):
    """What one split passed on to another, which is a recipient of it: no new money."""

    sequence: int
    split_id: int
    to_split_id: int
    amount: int
    time: int
    block: int
    tx_hash: str


class AccountTotal(NamedTuple):
    """What one account earned in all, was paid, and may still claim; splits are no accounts here."""

    account: Account
    earned: int
    claimed: int
    due: int


class Rows(NamedTuple):
    """All rows about one adapter, or about all."""

    adapters: tuple[AuditAdapter, ...]
    sales: tuple[AuditSale, ...]
    passed_on: tuple[AuditPassedOn, ...]
    splits: tuple[AuditSplit, ...]
    claims: tuple[AuditClaim, ...]
    totals: tuple[AccountTotal, ...]


def rows_of(replay: LedgerReplay, adapter_id: str | None) -> Rows:
    """The rows about the splits that an adapter's offers pay, or about all splits."""
    splits = replay.splits
    adapters = [row for row in _adapters(replay) if adapter_id in (None, row.adapter_id)]
    used = {split_id for row in adapters for split_id in row.split_ids} if adapter_id else set(splits.by_id)
    credits = [credit for credit in splits.credits if credit[0] in used or credit[2].kind == EntryKind.PASSED_ON]
    times = replay.book.times
    return Rows(
        tuple(adapters),
        tuple(_sale(replay, *credit) for credit in credits if credit[2].kind != EntryKind.PASSED_ON),
        tuple(
            AuditPassedOn(entry.sequence, entry.key, split_id, amount, times[entry.block_number], *_place(entry))
            for split_id, amount, entry in credits
            if entry.kind == EntryKind.PASSED_ON and {split_id, entry.key} & used
        ),
        tuple(_split_rows(replay, used)),
        tuple(
            AuditClaim(entry.sequence, entry.key, entry.who, entry.a, times[entry.block_number], *_place(entry))
            for entry in splits.claims
            if entry.key in used
        ),
        _totals([split for number, split in splits.by_id.items() if number in used]),
    )


def counts_of(replay: LedgerReplay) -> dict[str, int]:
    """How many payments of each kind the whole market had, and payouts."""
    counts = {name: replay.splits.counts[kind] for kind, (_, name) in INCOME.items()}
    return {"sales": sum(counts.values())} | counts | _flows(replay.splits.counts)


def sums_of(replay: LedgerReplay, money: Ledgers) -> dict[str, int]:
    """Units of the whole market; `sales` less `claims` is `unclaimed`, `owed` and `unbooked` are the proven balance."""
    units = {name: replay.splits.units[kind] for kind, (_, name) in INCOME.items()}
    held = {
        "unclaimed": sum(split.accrued - split.paid for split in replay.splits.by_id.values()),
        "in_orders": replay.escrow.locked,
        "in_channels": replay.channels.locked,
        "in_pools": replay.pools.held,
    }
    owed = {"owed": sum(held.values()), "unbooked": money.strays, "token_fees": money.token_fees}
    return {"sales": sum(units.values())} | units | _flows(replay.splits.units) | held | owed


def _flows(tally: dict[int, int]) -> dict[str, int]:
    return {"claims": tally[EntryKind.CLAIMED], "passed_on": tally[EntryKind.PASSED_ON]}


def _adapters(replay: LedgerReplay) -> list[AuditAdapter]:
    splits: dict[int, dict[int, None]] = defaultdict(dict)
    for offer in replay.catalogue.offers.values():
        splits[offer.adapter_number][offer.split_id] = None
    return [
        AuditAdapter(number, adapter.manifest.hex(), adapter.owner, tuple(splits[number]))
        for number, adapter in replay.catalogue.adapters.items()
    ]


def _sale(replay: LedgerReplay, split_id: int, amount: int, entry: LedgerEntry) -> AuditSale:
    offer_id, account, expiry = _terms_of(replay, entry)
    offer = replay.catalogue.offers.get(offer_id)
    adapter = None if offer is None else replay.catalogue.adapters.get(offer.adapter_number)
    term = PERPETUAL_TERM if expiry == PERPETUAL else LIMITED_TERM if expiry else NO_TERM
    return AuditSale(
        entry.sequence,
        INCOME[entry.kind][0],
        None if offer is None else offer.offer_id,
        None if offer is None else offer.adapter_number,
        None if adapter is None else adapter.manifest.hex(),
        account,
        amount,
        split_id,
        term,
        expiry if term == LIMITED_TERM else None,
        replay.book.times[entry.block_number],
        *_place(entry),
    )


def _terms_of(replay: LedgerReplay, entry: LedgerEntry) -> tuple[int, Account, int]:
    """Offer and expiry, 0 where there is none, and the account that the payment is for."""
    match entry.kind:
        case EntryKind.SOLD:
            return entry.key, entry.who, entry.c
        case EntryKind.SETTLED:
            order = replay.escrow.orders[entry.key]
            return order.offer_id, order.holder, order.expiry
        case EntryKind.REDEEMED if entry.key in replay.channels.by_number:
            channel = replay.channels.by_number[entry.key]
            return channel.offer_id, channel.payer, 0
        case _:
            return 0, entry.who, 0


def _place(entry: LedgerEntry) -> tuple[int, str]:
    return entry.block_number, entry.tx_hash


def _split_rows(replay: LedgerReplay, used: set[int]) -> Iterable[AuditSplit]:
    splits = replay.splits.by_id
    passed_in: dict[int, int] = defaultdict(int)
    for split in splits.values():
        for account, amount in _to_splits(split):
            passed_in[int(account, 16)] += amount
    for number in sorted(used & splits.keys()):
        split, received = splits[number], passed_in[number]
        passed_on = sum(amount for _, amount in _to_splits(split))
        flows = split.accrued, split.accrued - received, received, split.paid, split.paid - passed_on, passed_on
        yield AuditSplit(number, *flows, tuple(sorted(split.shares.items())))


def _to_splits(split: SplitState) -> list[tuple[Account, int]]:
    return [(account, amount) for account, amount in split.claimed.items() if _is_split(account)]


def _is_split(account: Account) -> bool:
    return int(account, 16) < SPLIT_ACCOUNTS


def _totals(splits: Sequence[SplitState]) -> tuple[AccountTotal, ...]:
    claimed: dict[Account, int] = defaultdict(int)
    due: dict[Account, int] = defaultdict(int)
    for split in splits:
        for account in split.shares:
            if not _is_split(account):
                claimed[account] += split.claimed.get(account, 0)
                due[account] += split.due(account)
    return tuple(AccountTotal(a, claimed[a] + due[a], claimed[a], due[a]) for a in sorted(claimed))
