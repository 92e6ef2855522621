"""What an owner may change after publishing: the price of what is sold from now on, and whether it is sold at all.

Offers never change on the chain: a new price is a new offer, and the older ones are withdrawn after it. Licenses that
were bought stay as they are.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from viz_node.domain.decide_price import Withdrawal, decide_price, decide_withdrawal, repriced
from viz_node.domain.decide_publication import refused_fetched
from viz_node.domain.decision import granted
from viz_node.domain.ids import Account, TokenAmount, format_amount, format_coin, format_range, format_time
from viz_node.domain.job import Job, JobStep
from viz_node.domain.manifest import AdapterManifest
from viz_node.domain.offer import Offer
from viz_node.domain.orders import PriceOrder, WithdrawOrder
from viz_node.domain.plan import PlanStep, PurchaseStep
from viz_node.domain.pricing import PricedSale, PricePath, price_at
from viz_node.domain.purposes import Purpose
from viz_node.errors import ChainUnavailableError, NotFoundError, RefusedError, VerificationError
from viz_node.ports.market import Offers, Pricing
from viz_node.ports.money import Quotes, Spending
from viz_node.ports.state import Adapters
from viz_node.services.market.listings import Listings, delivery_of, moves_of
from viz_node.services.market.plan_purchase import parents_in, parts_of
from viz_node.services.part import Report

CURVE_STEPS = 59
"""One less than the points of the curve, which a terminal shows in one line."""
_LOOK_SECONDS = 2.0
"""How long a list of adapters waits for the chain."""
_LOOK_AGAIN_SECONDS = 30
_LOOKS = 3
"""A block between two questions changes a price; a lie stays."""


@dataclass(frozen=True)
class ShownOffer:
    """An offer as people see it; `derived` is the price that its rule gives from the ledger now, prices in tokens."""

    offer: int
    price: str
    derived: str
    matches: bool
    floor: str
    ceiling: str
    target: int
    moves: str
    delivery: str
    is_open: bool


@dataclass(frozen=True)
class ShownSale:
    """A payment beside the price that the rule derives for it; `order` is that in escrow, if there was one."""

    entry: int
    time: str
    offer: int
    holder: Account
    paid: str
    derived: str
    matches: bool
    order: int | None
    outcome: str
    tx_hash: str


@dataclass(frozen=True)
class PricePoint:
    """The price at a time, in tokens; None before the first offer."""

    time: str
    price: str | None


@dataclass(frozen=True)
class ShownPrices:
    """Offers, newest first, payments, the price over time, and at the time that was asked for."""

    adapter_id: str
    name: str
    offers: list[ShownOffer]
    sales: list[ShownSale]
    curve: list[PricePoint]
    at: PricePoint | None


@dataclass(frozen=True)
class ChangedPrice:
    """The new offer, its price in tokens, and its transaction."""

    offer: int
    price: str
    tx_hash: str


@dataclass(frozen=True)
class WithdrawnOffers:
    """The offers of an adapter, none of which is sold any more."""

    adapter: str
    offers: list[int]


class OwnOffers:
    """The offers of an adapter that this node sells."""

    def __init__(self, adapters: Adapters, market: Offers, listings: Listings, account: Account) -> None:
        self._adapters = adapters
        self._market = market
        self._listings = listings
        self.account = account

    async def find(self, adapter: str) -> tuple[str, AdapterManifest, int, Sequence[Offer]]:
        """Name, manifest, number and offers of an adapter that this node sells. Raises: NotFoundError."""
        name, manifest = self.manifest_of(adapter)
        digest = bytes.fromhex(manifest.adapter_id())
        on_chain = await asyncio.to_thread(self._market.find_adapter, digest, manifest.account)
        if on_chain is None:
            raise NotFoundError(f"{name} is not on the chain yet", f"viz-node publish {name} --price 5.00")
        offers = await asyncio.to_thread(self._market.offers_of, on_chain.number)
        return name, manifest, on_chain.number, offers

    def manifest_of(self, adapter: str) -> tuple[str, AdapterManifest]:
        """Name and manifest. Raises: NotFoundError, RefusedError (fetched), VerificationError."""
        record = self._adapters.find_adapter(adapter)
        manifest = self._listings.manifest_of(record)
        if manifest.account != self.account:
            raise refused_fetched(record.name).error()
        return record.name, manifest


class Prices:
    """An owner's changes to the offers of an adapter, and everybody's view of them."""

    def __init__(
        self, market: Pricing, treasury: Spending, listings: Listings, own: OwnOffers, now: Callable[[], int]
    ) -> None:
        self._market = market
        self._treasury = treasury
        self._listings = listings
        self._own = own
        self._now = now
        self._look_from = 0

    async def show(self, adapter: str, at: int | None = None) -> ShownPrices:
        """The offers of an adapter, newest first; every payment with the price that its rule derives from the ledger;
        the price over time, and at `at` if nobody buys before.

        Raises: NotFoundError, UnreachableError, VerificationError, ChainUnavailableError.
        """
        listing = await self._listings.listing(adapter)
        for _ in range(_LOOKS):
            offers, sales, paths, now = await asyncio.to_thread(self._look, listing.adapter_number)
            derived = {path.offer_id: path.at(now) for path in paths}
            if all(offer.price == derived[offer.offer_id] for offer in offers):
                break
        return ShownPrices(
            listing.adapter_id,
            listing.manifest.name,
            [_row(offer, derived[offer.offer_id]) for offer in reversed(offers)],
            [_sale_row(sale) for sale in sales],
            _curve(paths, now),
            None if at is None else _point(at, price_at(paths, at)),
        )

    def _look(self, number: int) -> tuple[Sequence[Offer], Sequence[PricedSale], Sequence[PricePath], int]:
        market = self._market
        offers = market.offers_of(number)
        return offers, *market.price_history([offer.offer_id for offer in offers]), market.block_time()

    async def states(self, names: Sequence[str]) -> dict[str, str]:
        """Whether each of these published adapters is `for sale`, `withdrawn`, or `unknown` without the chain.

        A chain that did not answer is not waited for again until `_LOOK_AGAIN_SECONDS` later.
        """
        states = dict.fromkeys(names, "unknown")
        if self._now() < self._look_from:
            return states
        digests = dict[str, bytes]()
        for name in names:
            with suppress(NotFoundError, RefusedError, VerificationError):
                digests[name] = bytes.fromhex(self._own.manifest_of(name)[1].adapter_id())
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                asked = [*digests.values()], self._own.account
                found = await asyncio.to_thread(self._market.are_offered, *asked)
        except (TimeoutError, ChainUnavailableError):
            self._look_from = self._now() + _LOOK_AGAIN_SECONDS
            return states
        words = {True: "for sale", False: "withdrawn", None: "unknown"}
        return states | {name: words[is_offered] for name, is_offered in zip(digests, found, strict=True)}

    async def set(self, job: Job[PriceOrder], report: Report) -> ChangedPrice:
        """Job: make the new offer, then withdraw those before it; repeated after a crash it makes one offer."""
        _, manifest, number, offers = await self._own.find(job.order.adapter)
        split_id, key_hash = granted(decide_price(offers)).split_id, bytes.fromhex(manifest.key_hash)
        terms, market = job.order.terms, self._market
        report(JobStep("offer", 1, 2))
        tx_hash = await self._treasury.execute(
            f"offer:{job.job_id}",
            lambda: market.prepare_offer(number, split_id, terms, key_hash),
            Purpose("offer", job.job_id),
        )
        report(JobStep("withdraw", 2, 2))
        *older, newest = await asyncio.to_thread(market.offers_of, number)
        await self._close(job, number, older)
        return ChangedPrice(newest.offer_id, format_amount(newest.price), tx_hash)

    async def withdraw(self, job: Job[WithdrawOrder], report: Report) -> WithdrawnOffers:
        """Job: end all sales of an adapter; what its licensees hold stays."""
        _, _, number, offers = await self._own.find(job.order.adapter)
        report(JobStep("withdraw", 1, 1))
        await self._close(job, number, offers)
        return WithdrawnOffers(job.order.adapter, [offer.offer_id for offer in offers])

    async def _close(self, job: Job[PriceOrder] | Job[WithdrawOrder], number: int, offers: Sequence[Offer]) -> None:
        order_id, market = f"withdraw:{job.job_id}", self._market
        if await self._treasury.finish(order_id) is not None:
            return
        decided = decide_withdrawal(offers)
        if isinstance(decided, Withdrawal):
            purpose = Purpose("withdraw", job.job_id)
            await self._treasury.execute(order_id, lambda: market.prepare_withdraw(number, decided.offers), purpose)


class PricePlans:
    """Orders for other prices, and what they cost and mean."""

    def __init__(self, market: Pricing, quotes: Quotes, listings: Listings, own: OwnOffers) -> None:
        self._market = market
        self._quotes = quotes
        self._listings = listings
        self._own = own

    async def check_change(self, adapter: str, price: str, ceiling: str | None, target: int | None) -> PriceOrder:
        """The order for another price; kind, days and delivery stay. Raises: NotFoundError, UsageError."""
        name, manifest, _, offers = await self._own.find(adapter)
        license_terms = manifest.license
        asked = repriced(license_terms.kind, license_terms.duration_seconds, offers, (price, ceiling, target))
        return PriceOrder(name, asked.offer())

    async def change(self, order: PriceOrder) -> list[PurchaseStep]:
        """What carrying out this checked order costs and means.

        Raises: NotFoundError, TransactionRevertedError, ChainUnavailableError.
        """
        name, manifest, number, offers = await self._own.find(order.adapter)
        decided = granted(decide_price(offers))
        key_hash = bytes.fromhex(manifest.key_hash)
        terms, market, quotes = order.terms, self._market, self._quotes
        facts = await asyncio.to_thread(market.facts)
        price = format_range(terms.price, terms.ceiling if terms.max_rise else terms.price)
        payers = await asyncio.to_thread(self._listings.payers_of, parents_in(offers[0].shares))
        offered = await quotes.quote_wei(market.prepare_offer(number, decided.split_id, terms, key_hash))
        paid_to = parts_of(terms.price, offers[0].shares, self._own.account, facts, payers)
        consequence = "what is sold from then on costs this"
        rows = [PurchaseStep(f"offer {name} at {price}", "", format_coin(offered), consequence, paid_to)]
        if decided.withdrawn:
            gas = format_coin(await quotes.quote_wei(market.prepare_withdraw(number, decided.withdrawn)))
            consequence = "nobody buys or renews at the price of before; licenses that were bought stay"
            rows.append(PurchaseStep(_withdrawn(name, decided.withdrawn, "earlier "), "", gas, consequence))
        return rows

    async def withdrawal(self, adapter: str) -> list[PlanStep]:
        """What withdrawing costs and means. Raises: NotFoundError, RefusedError."""
        name, _, number, offers = await self._own.find(adapter)
        decided = decide_withdrawal(offers)
        if not isinstance(decided, Withdrawal):
            return []
        gas = format_coin(await self._quotes.quote_wei(self._market.prepare_withdraw(number, decided.offers)))
        consequence = "not sold any more; licenses that were bought stay, and what is due can be claimed"
        return [PlanStep(_withdrawn(name, decided.offers), "", gas, consequence)]


def _withdrawn(name: str, ids: Sequence[int], which: str = "") -> str:
    return f"withdraw the {which}{'offer' if len(ids) == 1 else 'offers'} of {name}"


def _curve(paths: Sequence[PricePath], now: int) -> list[PricePoint]:
    """The price at even distances from the first offer until now."""
    first = paths[0].created
    times = sorted({first + (now - first) * step // CURVE_STEPS for step in range(CURVE_STEPS + 1)})
    return [_point(time, price_at(paths, time)) for time in times]


def _point(time: int, price: TokenAmount | None) -> PricePoint:
    return PricePoint(format_time(time), None if price is None else format_amount(price))


def _sale_row(sale: PricedSale) -> ShownSale:
    return ShownSale(
        sale.sequence,
        format_time(sale.time),
        sale.offer_id,
        sale.holder,
        format_amount(sale.paid),
        format_amount(sale.derived),
        sale.paid == sale.derived,
        sale.order or None,
        sale.outcome,
        sale.tx_hash,
    )


def _row(offer: Offer, derived: TokenAmount) -> ShownOffer:
    return ShownOffer(
        offer.offer_id,
        format_amount(offer.price),
        format_amount(derived),
        offer.price == derived,
        format_amount(offer.floor),
        format_amount(offer.ceiling),
        offer.target,
        moves_of(offer),
        delivery_of(offer),
        offer.is_open,
    )
