"""The buyer's side of fair delivery: the money waits in the market until the key is there.

Everything about an order is on the chain but its secret b, which is sealed into the store before the order is signed.
So `watch` needs no memory: it takes each order of the account from where the chain says it stands, and may be killed
anywhere. No delivery in time: the money is called back. A wrong key: disputed. A right one: kept, sealed. It waits
for no transaction, so that a slow one does not let another order's time run out.
"""

import asyncio
import logging
from typing import Any

from viz_node.domain.ids import TokenAmount
from viz_node.domain.offer import Offer
from viz_node.domain.order import Delivery, Order, OrderState
from viz_node.domain.purchase import NewOrder
from viz_node.errors import DeadlineError, TransactionRevertedError, VerificationError
from viz_node.services.market.listings import Listing
from viz_node.services.market.trade import Trade

log = logging.getLogger(__name__)

_POLL_SECONDS = 1.0


class KeyOrders:
    """What this account has ordered."""

    def __init__(self, trade: Trade, patience_seconds: float = 120) -> None:
        self._trade = trade
        self._patience_seconds = patience_seconds

    def new_order(self, listing: Listing, offer: Offer, order_ref: bytes) -> NewOrder:
        """An order with a secret of its own; the same again for the same reference."""
        store, name = self._trade.store, f"order-secret:{order_ref.hex()}"
        if store.get_setting(name) is None:
            store.set_setting(name, self._trade.sealing.seal(self._trade.delivery.new_order_secret()).hex())
        return NewOrder(
            item=self._trade.item_of(listing.manifest, offer),
            holder=self._trade.keys.account,
            max_price=TokenAmount(offer.price),
            point=self._trade.delivery.point_of(self._secret(order_ref) or b""),
            order_ref=order_ref,
        )

    async def is_awaited(self, key_hash: str) -> bool:
        """Whether an order of this account for the key with this hash is paid and not delivered."""
        orders = await self._all()
        return any((order.state, order.terms.key_hash.hex()) == (OrderState.ORDERED, key_hash) for order in orders)

    def received(self, key_hash: str) -> bytes | None:
        """The key with this hash, if an order has brought it."""
        sealed = self._trade.store.get_setting(f"order-key:{key_hash}")
        return None if sealed is None else self._trade.sealing.open(bytes.fromhex(sealed))

    async def collect(self, key_hash: str) -> bytes | None:
        """The key, waiting for its delivery if it is on order; None if it is not. Raises: DeadlineError."""
        try:
            async with asyncio.timeout(self._patience_seconds):
                while self.received(key_hash) is None:
                    await self.watch()
                    if self.received(key_hash) is not None or not await self.is_awaited(key_hash):
                        break
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise DeadlineError(
                "the seller has not delivered the key yet", "try again later; money comes back automatically"
            ) from error
        return self.received(key_hash)

    async def watch(self) -> None:
        """Take every order of the account one step on. Raises: ChainUnavailableError, VerificationError."""
        orders = await self._all()
        now = await asyncio.to_thread(self._trade.market.block_time)
        # What must be disputed soonest comes first: an account without gas money ends the look at the first order.
        for order in sorted(orders, key=lambda order: order.state != OrderState.DELIVERED):
            try:
                await self._step(order, now)
            except TransactionRevertedError as error:  # somebody else was faster, or it is too late
                log.warning("order %d: %s", order.number, error.message)

    async def _step(self, order: Order, now: int) -> None:
        if order.state == OrderState.ORDERED and now > order.terms.deadline:
            await self._send("refund", order, lambda: self._trade.market.prepare_refund(order))
        if order.delivery is None or self._is_over_and_open(order):
            return
        secret = self._secret(order.terms.order_ref)
        if secret is None:
            return
        try:
            key = self._trade.delivery.open_delivery(secret, order.delivery.key, order.terms.key_hash)
        except VerificationError as error:
            if order.state == OrderState.DELIVERED and now <= order.delivery.deadline:
                log.error("order %d: %s", order.number, error.message)
                await self._dispute(order, order.delivery, secret)
            return
        name = f"order-key:{order.terms.key_hash.hex()}"
        if self._trade.store.get_setting(name) is None:
            self._trade.store.set_setting(name, self._trade.sealing.seal(key).hex())

    def _is_over_and_open(self, order: Order) -> bool:
        """Whether there is nothing to look at: the money cannot come back, and the key is here."""
        name = f"order-key:{order.terms.key_hash.hex()}"
        return order.state != OrderState.DELIVERED and self._trade.store.get_setting(name) is not None

    async def _dispute(self, order: Order, delivered: Delivery, secret: bytes) -> None:
        shared = self._trade.delivery.prove_wrong_key(secret, delivered.key).shared
        number = int.from_bytes(secret, "big")
        await self._send("dispute", order, lambda: self._trade.market.prepare_dispute(order, number, shared))

    async def _send(self, kind: str, order: Order, make_call: Any) -> None:
        detail = {"kind": kind, "order": order.number}
        await self._trade.treasury.submit(f"{kind}:{order.number}", make_call, detail)

    def _secret(self, order_ref: bytes) -> bytes | None:
        sealed = self._trade.store.get_setting(f"order-secret:{order_ref.hex()}")
        return None if sealed is None else self._trade.sealing.open(bytes.fromhex(sealed))

    async def _all(self) -> list[Order]:
        return list(await asyncio.to_thread(self._trade.market.orders_paid_by, self._trade.keys.account))
