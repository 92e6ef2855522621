"""Who holds which license until when, and which orders are on their way: read from the chain, never from memory."""

import asyncio
from collections.abc import Sequence
from typing import Any

from viz_node.domain.ids import FOR_EVER, Account, format_amount, format_time
from viz_node.domain.offer import Grant, Sold
from viz_node.domain.order import Order, OrderState
from viz_node.domain.terms import DAY_SECONDS
from viz_node.ports.market import LicenseBook
from viz_node.services.market.deliver_orders import least_seconds_left
from viz_node.services.market.listings import Catalogue

_ENDED = {OrderState.REFUNDED, OrderState.DISPUTED}
Place = tuple[int, Account]


class LicenseList:
    """Licenses by account."""

    def __init__(self, market: LicenseBook, catalogue: Catalogue, account: Account) -> None:
        self._market = market
        self._catalogue = catalogue
        self._account = account

    async def held(self) -> list[dict[str, Any]]:
        """What this account holds, held or has ordered. Raises: ChainUnavailableError, VerificationError."""
        return await asyncio.to_thread(self._held)

    async def sold(self) -> list[dict[str, Any]]:
        """What others hold, held or have ordered of this account's adapters. Raises: as `held`."""
        return await asyncio.to_thread(self._sold)

    def _held(self) -> list[dict[str, Any]]:
        orders = [o for o in self._market.orders_paid_by(self._account) if o.terms.holder == self._account]
        return self._rows(self._market.grants_to(self._account), orders)

    def _sold(self) -> list[dict[str, Any]]:
        offers = self._market.offers_by(self._account)
        return self._rows(self._market.grants_by(offers), self._market.orders_ever_for(offers))

    def _rows(self, grants: Sequence[Grant], orders: Sequence[Order]) -> list[dict[str, Any]]:
        grant_at: dict[Place, Grant] = {(grant.offer_id, grant.holder): grant for grant in grants}
        order_at: dict[Place, Order] = {(order.terms.offer_id, order.terms.holder): order for order in orders}
        places = list(dict.fromkeys([*grant_at, *order_at]))
        sold = self._market.sold_by(sorted({offer_id for offer_id, _ in places}))
        names, now = self._catalogue.names(), self._market.block_time()
        safely = now + least_seconds_left(self._market.facts().delivery_window_seconds) if order_at else now
        rows = []
        for place in places:
            what = sold[place[0]]
            row: dict[str, Any] = {
                "adapter": names.get(what.adapter_id, what.adapter_id[:12]),
                "adapter_id": what.adapter_id,
            }
            row |= {"offer": place[0], "holder": place[1]}
            rows.append(row | _license(grant_at.get(place), what, now) | _order(order_at.get(place), safely))
        for row in rows:
            row["state"] = _state(row)
        return rows


def _license(grant: Grant | None, what: Sold, now: int) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": "subscription" if what.duration_seconds else "perpetual"}
    if grant is None or grant.expiry == 0:
        return row | {"expires": None, "days_left": None, "paid": "0.00", "is_valid": False}
    paid = {"paid": format_amount(grant.paid), "is_valid": grant.expiry > now}
    expires = format_time(grant.expiry)
    days = None if expires == FOR_EVER else max(0, grant.expiry - now) // DAY_SECONDS
    return row | {"expires": expires, "days_left": days} | paid


def _order(order: Order | None, safely: int) -> dict[str, Any]:
    """The newest order; `order_until` is when `in_escrow` comes back, or from when the seller may take it.

    No key is delivered for a deadline before `safely`; `note` tells what that means, and what became of the money.
    """
    if order is None:
        return {"order": None, "order_state": None, "order_until": None, "in_escrow": None, "note": None}
    until = order.terms.deadline if order.state is OrderState.ORDERED else order.disputable_until
    moment = None if until is None else format_time(until)
    held = None if until is None else format_amount(order.terms.price)
    note = {
        OrderState.REFUNDED: "the key was not delivered in time; the money went back to the buyer",
        OrderState.DISPUTED: "the delivered key was wrong; the money went back to the buyer",
    }.get(order.state)
    if order.state is OrderState.ORDERED and order.terms.deadline <= safely:
        note = f"the key was not delivered in time; the money goes back to the buyer at {moment}, nothing is to be done"
    row = {"order": order.number, "order_state": str(order.state), "order_until": moment}
    return row | {"in_escrow": held, "note": note}


def _state(row: dict[str, Any]) -> str:
    if row["is_valid"]:
        return "held"
    if row["order_state"] == OrderState.ORDERED:
        return "not delivered" if row["note"] else "on order"
    if row["expires"] is not None:
        return "expired"
    return "paid back" if row["order_state"] in _ENDED else "none"
