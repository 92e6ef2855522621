"""The buyer's side of fair delivery: the money waits in the market until the key is there.

Everything about an order is on the chain but its secret b, which is sealed into the store before the order is signed.
So `watch` needs no memory: it takes each order of the account from where the chain says it stands, and may be killed
anywhere. No delivery in time: the money is called back. A wrong key: disputed. A right one: kept, sealed. It waits
for no transaction, so that a slow one does not let another order's time run out.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from viz_node.domain.ids import Account, TokenAmount
from viz_node.domain.offer import Offer
from viz_node.domain.order import Delivery, Order, OrderState, is_awaited
from viz_node.domain.purchase import NewOrder
from viz_node.domain.purposes import Purpose
from viz_node.domain.transaction import Call
from viz_node.errors import DeadlineError, TransactionRevertedError, VerificationError
from viz_node.ports.market import OwnOrders
from viz_node.ports.money import Spending
from viz_node.services.market.listings import Listing, item_of
from viz_node.services.market.order_secrets import OrderSecrets

log = logging.getLogger(__name__)

_POLL_SECONDS = 1.0


class KeyOrders:
    """What this account has ordered."""

    def __init__(
        self, secrets: OrderSecrets, market: OwnOrders, treasury: Spending, account: Account, patience_seconds: float
    ) -> None:
        self._secrets = secrets
        self._market = market
        self._treasury = treasury
        self._account = account
        self._patience_seconds = patience_seconds

    def new_order(self, listing: Listing, offer: Offer, order_ref: bytes) -> NewOrder:
        """An order with a secret of its own; the same again for the same reference."""
        return NewOrder(
            item=item_of(self._market, listing.manifest, offer),
            holder=self._account,
            max_price=TokenAmount(offer.price),
            point=self._secrets.new_point(order_ref),
            order_ref=order_ref,
        )

    async def collect(self, key_hash: str) -> bytes | None:
        """The key, waiting for its delivery if it is on order; None if it is not. Raises: DeadlineError."""
        try:
            async with asyncio.timeout(self._patience_seconds):
                while not self._secrets.has_key(key_hash):
                    await self.watch()
                    if self._secrets.has_key(key_hash) or not is_awaited(await self._all(), key_hash):
                        break
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise DeadlineError(
                "the seller has not delivered the key yet", "try again later; money comes back automatically"
            ) from error
        return self._secrets.key(key_hash)

    async def watch(self) -> None:
        """Take every order of the account one step on. Raises: ChainUnavailableError, VerificationError."""
        orders = await self._all()
        now = await asyncio.to_thread(self._market.block_time)
        # What must be disputed soonest comes first: an account without gas money ends the look at the first order.
        for order in sorted(orders, key=lambda order: order.state != OrderState.DELIVERED):
            try:
                await self._step(order, now)
            except TransactionRevertedError as error:  # somebody else was faster, or it is too late
                log.warning("order %d: %s", order.number, error.message)

    async def _step(self, order: Order, now: int) -> None:
        if order.state is OrderState.ORDERED and now > order.terms.deadline:
            await self._send("refund", order, lambda: self._market.prepare_refund(order))
        if order.delivery is None or self._is_over_and_open(order):
            return
        secret = self._secrets.secret(order.terms.order_ref)
        if secret is None:
            return
        try:
            self._secrets.take_key(secret, order.delivery, order.terms.key_hash)
        except VerificationError as error:
            if order.disputable_until is not None and now <= order.disputable_until:
                log.error("order %d: %s", order.number, error.message)
                await self._dispute(order, order.delivery, secret)

    def _is_over_and_open(self, order: Order) -> bool:
        """Whether there is nothing to look at: the money cannot come back, and the key is here."""
        return order.state is not OrderState.DELIVERED and self._secrets.has_key(order.terms.key_hash.hex())

    async def _dispute(self, order: Order, delivered: Delivery, secret: bytes) -> None:
        number, shared = int.from_bytes(secret, "big"), self._secrets.shared_point(secret, delivered)
        await self._send("dispute", order, lambda: self._market.prepare_dispute(order, number, shared))

    async def _send(self, kind: str, order: Order, make_call: Callable[[], Call]) -> None:
        await self._treasury.submit(f"{kind}:{order.number}", make_call, Purpose(kind))

    async def _all(self) -> Sequence[Order]:
        return await asyncio.to_thread(self._market.orders_paid_by, self._account)
