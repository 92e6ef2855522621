"""Who holds which license until when, and which orders are on their way: read from the chain, never from memory."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from viz_node.domain.ids import FOR_EVER, Account, format_amount, format_time
from viz_node.domain.offer import Grant, Sold
from viz_node.domain.order import Order, OrderState
from viz_node.domain.terms import DAY_SECONDS
from viz_node.ports.market import LicenseBook
from viz_node.services.market.deliver_orders import least_seconds_left
from viz_node.services.market.listings import Listings

_ENDED = {OrderState.REFUNDED, OrderState.DISPUTED}
Place = tuple[int, Account]


@dataclass(frozen=True)
class ShownLicense:
    """A license that an account holds, held or has ordered, with its newest order; ISO 8601 times, amounts in tokens.

    `order_until` is when `in_escrow` comes back, or from when the seller may take it; `note` tells what became of it.
    """

    adapter: str
    adapter_id: str
    offer: int
    holder: Account
    kind: str
    expires: str | None
    days_left: int | None
    paid: str
    is_valid: bool
    order: int | None
    order_state: OrderState | None
    order_until: str | None
    in_escrow: str | None
    note: str | None
    state: str


class LicenseList:
    """Licenses by account."""

    def __init__(self, market: LicenseBook, listings: Listings, account: Account) -> None:
        self._market = market
        self._listings = listings
        self._account = account

    async def held(self) -> list[ShownLicense]:
        """What this account holds, held or has ordered. Raises: ChainUnavailableError, VerificationError."""
        return await asyncio.to_thread(self._held)

    async def sold(self) -> list[ShownLicense]:
        """What others hold, held or have ordered of this account's adapters.

        Raises: ChainUnavailableError, VerificationError.
        """
        return await asyncio.to_thread(self._sold)

    def _held(self) -> list[ShownLicense]:
        orders = [o for o in self._market.orders_paid_by(self._account) if o.terms.holder == self._account]
        return self._rows(self._market.grants_to(self._account), orders)

    def _sold(self) -> list[ShownLicense]:
        offers = self._market.offers_by(self._account)
        return self._rows(self._market.grants_by(offers), self._market.orders_ever_for(offers))

    def _rows(self, grants: Sequence[Grant], orders: Sequence[Order]) -> list[ShownLicense]:
        grant_at: dict[Place, Grant] = {(grant.offer_id, grant.holder): grant for grant in grants}
        order_at: dict[Place, Order] = {(order.terms.offer_id, order.terms.holder): order for order in orders}
        places = list(dict.fromkeys([*grant_at, *order_at]))
        sold = self._market.sold_by(sorted({offer_id for offer_id, _ in places}))
        names, now = self._listings.names(), self._market.block_time()
        safely = now + least_seconds_left(self._market.facts().delivery_window_seconds) if order_at else now
        licenses = {place: _license(grant_at.get(place), now) for place in places}
        newest = {place: _order(order_at.get(place), safely) for place in places}
        return [_shown(place, sold[place[0]], names, licenses[place], newest[place]) for place in places]


@dataclass(frozen=True)
class _License:
    expires: str | None = None
    days_left: int | None = None
    paid: str = "0.00"
    is_valid: bool = False


@dataclass(frozen=True)
class _Order:
    number: int | None = None
    state: OrderState | None = None
    until: str | None = None
    in_escrow: str | None = None
    note: str | None = None


def _shown(place: Place, what: Sold, names: Mapping[str, str], license_: _License, order: _Order) -> ShownLicense:
    offer_id, holder = place
    return ShownLicense(
        adapter=names.get(what.adapter_id, what.adapter_id[:12]),
        adapter_id=what.adapter_id,
        offer=offer_id,
        holder=holder,
        kind="subscription" if what.duration_seconds else "perpetual",
        expires=license_.expires,
        days_left=license_.days_left,
        paid=license_.paid,
        is_valid=license_.is_valid,
        order=order.number,
        order_state=order.state,
        order_until=order.until,
        in_escrow=order.in_escrow,
        note=order.note,
        state=_state(license_, order),
    )


def _license(grant: Grant | None, now: int) -> _License:
    if grant is None or grant.expiry == 0:
        return _License()
    expires = format_time(grant.expiry)
    days = None if expires == FOR_EVER else max(0, grant.expiry - now) // DAY_SECONDS
    return _License(expires, days, format_amount(grant.paid), grant.expiry > now)


def _order(order: Order | None, safely: int) -> _Order:
    """The newest order. No key is delivered for a deadline before `safely`; the note tells what that means."""
    if order is None:
        return _Order()
    until = order.terms.deadline if order.state is OrderState.ORDERED else order.disputable_until
    moment = None if until is None else format_time(until)
    held = None if until is None else format_amount(order.terms.price)
    note = {
        OrderState.REFUNDED: "the key was not delivered in time; the money went back to the buyer",
        OrderState.DISPUTED: "the delivered key was wrong; the money went back to the buyer",
    }.get(order.state)
    if order.state is OrderState.ORDERED and order.terms.deadline <= safely:
        note = f"the key was not delivered in time; the money goes back to the buyer at {moment}, nothing is to be done"
    return _Order(order.number, order.state, moment, held, note)


def _state(license_: _License, order: _Order) -> str:
    if license_.is_valid:
        return "held"
    if order.state is OrderState.ORDERED:
        return "not delivered" if order.note else "on order"
    if license_.expires is not None:
        return "expired"
    return "paid back" if order.state in _ENDED else "none"
