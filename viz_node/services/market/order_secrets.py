"""What only the buyer of an order knows: its secret, and the key that it brought; sealed into the store."""

from viz_node.domain.order import Delivery
from viz_node.ports.keys import KeyDelivery, SealBytes
from viz_node.ports.state import SealedOrders


class OrderSecrets:
    """Secrets by the order's reference, and keys by their hash."""

    def __init__(self, sealed_orders: SealedOrders, sealing: SealBytes, delivery: KeyDelivery) -> None:
        self._sealed_orders = sealed_orders
        self._sealing = sealing
        self._delivery = delivery

    def new_point(self, order_ref: bytes) -> bytes:
        """The point of a secret that is kept from now on; the same again for the same reference."""
        reference = order_ref.hex()
        if self._sealed_orders.find_order_secret(reference) is None:
            self._sealed_orders.save_order_secret(
                reference, self._sealing.seal(self._delivery.new_order_secret()).hex()
            )
        return self._delivery.point_of(self.secret(order_ref) or b"")

    def secret(self, order_ref: bytes) -> bytes | None:
        """The secret of an order that this node has placed."""
        return self._opened(self._sealed_orders.find_order_secret(order_ref.hex()))

    def key(self, key_hash: str) -> bytes | None:
        """The key with this hash, if an order has brought it."""
        return self._opened(self._sealed_orders.find_order_key(key_hash))

    def has_key(self, key_hash: str) -> bool:
        """Whether an order has brought it."""
        return self._sealed_orders.find_order_key(key_hash) is not None

    def take_key(self, secret: bytes, delivered: Delivery, key_hash: bytes) -> None:
        """Open what was delivered, and keep it. Raises: VerificationError (it is another key)."""
        key = self._delivery.open_delivery(secret, delivered.key, key_hash)
        if not self.has_key(key_hash.hex()):
            self._sealed_orders.save_order_key(key_hash.hex(), self._sealing.seal(key).hex())

    def shared_point(self, secret: bytes, delivered: Delivery) -> bytes:
        """What proves to the market that another key was delivered."""
        return self._delivery.prove_wrong_key(secret, delivered.key).shared

    def _opened(self, sealed: str | None) -> bytes | None:
        return None if sealed is None else self._sealing.open(bytes.fromhex(sealed))
