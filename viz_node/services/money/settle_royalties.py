"""What this account earns: read from the chain, claimed through the outbox."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from viz_node.domain.answer import UNSET, UnsetType
from viz_node.domain.ids import WHOLE, Account, format_amount, format_coin, format_time
from viz_node.domain.job import Job, JobStep
from viz_node.domain.orders import ClaimOrder
from viz_node.domain.plan import PlanStep
from viz_node.domain.purposes import ClaimRoyalties, purpose_as
from viz_node.domain.records import OutboxEntry
from viz_node.domain.royalty import Claim, Royalty, claims_for
from viz_node.domain.statement import StatementLine, statement
from viz_node.domain.transaction import Call
from viz_node.errors import TransactionRevertedError
from viz_node.ports.money import Earnings, Quotes, Spending
from viz_node.services.part import Report

# About sixty thousand gas each: a full transaction fits several times into any chain's block.
MOST_CLAIMS = 50


PayersOf = Callable[[Collection[int]], Mapping[int, str]]
"""The names of the adapters that pay into each split."""


@dataclass(frozen=True)
class ShownSplit:
    """This account's part of a split, amounts in tokens; `adapters` pay into it: their numbers, or their names."""

    adapters: list[int] | list[str]
    split_id: int
    share: str
    accrued: str
    claimed: str
    due: str


@dataclass(frozen=True)
class ShownSale:
    """A payment for an adapter, by its number; the price in tokens."""

    adapter: int
    holder: Account
    price: str
    block: int
    tx_hash: str
    name: str | UnsetType = UNSET


@dataclass(frozen=True)
class ShownRoyalties:
    """What an account earns, in tokens: due now, brought by claims on derived adapters, in escrow, and in pools."""

    account: Account
    due: str
    in_derived: str
    in_escrow: str
    in_pools: str
    rows: list[ShownSplit]
    sales: list[ShownSale]


@dataclass(frozen=True)
class ShownMovement:
    """A line of the statement: a payment into a split, or a claim; `entry` is that of the ledger."""

    entry: int
    time: str
    what: str
    split: int
    paid: str
    share: str
    earned: str
    taken: str
    tx_hash: str
    adapters: list[int] | list[str]


@dataclass(frozen=True)
class ClaimedRoyalties:
    """What claiming brought, in tokens, and its transactions."""

    claimed: str
    tx_hashes: list[str]


class PoolMoney(Protocol):
    """What pools owe to the account's splits, and having it credited."""

    async def owed(self) -> int: ...
    async def collect(self, job: Job[ClaimOrder], report: Report) -> list[str]: ...


class PoolPlans(Protocol):
    """What having it credited would bring and cost."""

    async def credits(self) -> list[PlanStep]: ...


class Royalties:
    """The recipient's side of every sale."""

    def __init__(self, market: Earnings, treasury: Spending, account: Account, pools: PoolMoney) -> None:
        self._market = market
        self._pools = pools
        self._treasury = treasury
        self._account = account

    async def show(self) -> ShownRoyalties:
        """Royalties owed and sales made, in tokens. Raises: ChainUnavailableError."""
        lineage = await asyncio.to_thread(self._market.lineage_of, self._account)
        rows = [row for row in lineage if row.recipient == self._account]
        due, splits = sum(row.due for row in rows), {row.split_id for row in rows}
        sales = [sale for sale in await asyncio.to_thread(self._market.sales) if sale.split_id in splits]
        adapters = await asyncio.to_thread(self._market.adapters_paid_into, splits)
        return ShownRoyalties(
            self._account,
            format_amount(due),
            format_amount(_brought(self._account, _in_order(claims_for(self._account, lineage))) - due),
            format_amount(await self._in_escrow({row.split_id: row.share for row in rows})),
            format_amount(await self._pools.owed()),
            [_row(row, adapters[row.split_id]) for row in rows],
            [
                ShownSale(sale.adapter_number, sale.holder, format_amount(sale.price), sale.block, sale.tx_hash)
                for sale in sales
            ],
        )

    async def _in_escrow(self, shares: Mapping[int, int]) -> int:
        """This account's part of what buyers have paid for keys that are not beyond dispute yet."""
        offers = await asyncio.to_thread(self._market.offers_into, set(shares))
        orders = await asyncio.to_thread(self._market.orders_for, offers)
        return sum(order.terms.price * shares[order.terms.split_id] // WHOLE for order in orders)

    async def statement(self, period: tuple[int, int] | None) -> list[ShownMovement]:
        """One line per sale, use or claim of the period, by ledger entry. Raises: ChainUnavailableError."""
        shares = {row.split_id: row.share for row in await asyncio.to_thread(self._market.royalties_of, self._account)}
        movements = await asyncio.to_thread(self._market.movements, self._account, list(shares))
        first, end = period or (0, 2**63)
        adapters = await asyncio.to_thread(self._market.adapters_paid_into, list(shares))
        lines = [line for line in statement(movements, shares) if first <= line.movement.time < end]
        return [_line(line, adapters[line.movement.split_id]) for line in lines]

    async def claim(self, job: Job[ClaimOrder], report: Report) -> ClaimedRoyalties:
        """Job: claim everything that is due, in as few transactions as it takes; claims by others do no harm.

        What pools give to own splits is credited first.
        """
        credits = await self._pools.collect(job, report)
        done: list[OutboxEntry] = []
        while (entry := await self._claim_next(f"claim:{job.job_id}:{len(done)}", job)) is not None:
            done.append(entry)
            report(JobStep("claim", len(done), len(done)))
        claimed = sum(purpose_as(entry.purpose, ClaimRoyalties).due for entry in done)
        return ClaimedRoyalties(format_amount(claimed), [*credits, *(entry.tx_hash for entry in done)])

    async def _claim_next(self, order_id: str, job: Job[ClaimOrder]) -> OutboxEntry | None:
        """Claim what one transaction can; None if nothing is due."""
        try:
            entry = await self._treasury.finish(order_id)
            if entry is not None:
                return entry
            claims = _in_order(await _claims(self._market, self._account))[:MOST_CLAIMS]
            if not claims:
                return None
            splits = tuple(claim.split_id for claim in claims)
            purpose = ClaimRoyalties("claim", job.job_id, splits=splits, due=_brought(self._account, claims))
            await self._treasury.execute(order_id, lambda: _call(self._market, claims), purpose)
            return await self._treasury.finish(order_id)
        except TransactionRevertedError:
            if await _claims(self._market, self._account):
                raise
            return None  # anyone may claim for this account: then the money is here already


class RoyaltyPlans:
    """What claiming would bring and cost."""

    def __init__(
        self, market: Earnings, quotes: Quotes, account: Account, pools: PoolPlans, payers_of: PayersOf
    ) -> None:
        self._market = market
        self._quotes = quotes
        self._account = account
        self._pools = pools
        self._payers_of = payers_of

    async def claim(self) -> list[PlanStep]:
        """What each split brings and would cost if it were claimed alone, and what all of it costs together.

        Raises: ChainUnavailableError.
        """
        by_split = await _claims(self._market, self._account)
        splits = {claim.split_id for claims in by_split.values() for claim in claims}
        payers = await asyncio.to_thread(self._payers_of, splits)
        rows = [_plan_row(payers, claims, await self._quote_wei(claims)) for claims in by_split.values()]
        if len(rows) > 1:
            claims = _in_order(by_split)
            what = f"all of it, in {-(-len(claims) // MOST_CLAIMS)} transaction(s)"
            brought, gas = _brought(self._account, claims), format_coin(await self._quote_wei(claims))
            consequence = f"comes to {self._account}; the rows above say what each would cost alone"
            rows.append(PlanStep(what, f"+{format_amount(brought)}", gas, consequence))
        return [*await self._pools.credits(), *rows]

    async def _quote_wei(self, claims: Sequence[Claim]) -> int:
        # A later transaction cannot be tried before an earlier one has brought what it rests on.
        first = claims[:MOST_CLAIMS]
        wei = await self._quotes.quote_wei(await asyncio.to_thread(_call, self._market, first))
        return wei * len(claims) // len(first)


def _call(market: Earnings, claims: Sequence[Claim]) -> Call:
    if len(claims) == 1:
        return market.prepare_claim(claims[0].split_id, claims[0].recipient)
    return market.prepare_claim_many([(claim.split_id, claim.recipient) for claim in claims])


async def _claims(market: Earnings, account: Account) -> dict[int, list[Claim]]:
    return claims_for(account, await asyncio.to_thread(market.lineage_of, account))


def _brought(account: Account, claims: Sequence[Claim]) -> int:
    """Units that come to the account itself."""
    return sum(claim.amount for claim in claims if claim.recipient == account)


def _in_order(by_split: Mapping[int, Sequence[Claim]]) -> list[Claim]:
    """Each claim once, after those it rests on."""
    return list(dict.fromkeys(claim for claims in by_split.values() for claim in claims))


def _plan_row(payers: Mapping[int, str], claims: Sequence[Claim], wei: int) -> PlanStep:
    *passed, own = claims
    consequence = "your part of what was paid for it"
    if passed:
        sources = ", ".join(dict.fromkeys(payers[claim.split_id] for claim in passed))
        consequence += f", and what is passed on for {sources}, derived from it"
    what, amount = f"claim from {payers[own.split_id]}", f"+{format_amount(own.amount)}"
    return PlanStep(what, amount, format_coin(wei), consequence)


def _row(row: Royalty, adapters: Collection[int]) -> ShownSplit:
    return ShownSplit(
        list(adapters),
        row.split_id,
        f"{row.share / 100:.2f}",
        format_amount(row.accrued),
        format_amount(row.claimed),
        format_amount(row.due),
    )


def _line(line: StatementLine, adapters: Collection[int]) -> ShownMovement:
    item = line.movement
    return ShownMovement(
        item.sequence,
        format_time(item.time),
        item.what,
        item.split_id,
        format_amount(item.amount),
        f"{line.share / 100:.2f}",
        format_amount(line.earned),
        format_amount(line.taken),
        item.tx_hash,
        list(adapters),
    )
