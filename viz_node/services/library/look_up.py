"""Look-ups in the adapter library that a service may make before it decides."""

from viz_node.domain.records import AdapterRecord, OutboxEntry
from viz_node.ports.state import Store


def adapter_named(store: Store, name: str) -> AdapterRecord | None:
    """The adapter with exactly this name or id."""
    return next((record for record in store.list_adapters() if name in (record.name, record.adapter_id)), None)


def attempts_of(store: Store, order_id: str) -> list[OutboxEntry]:
    """The attempts at the newest transaction of an order, oldest first; they share a nonce."""
    entries = store.outbox_of(order_id)
    return [entry for entry in entries if entry.nonce == entries[-1].nonce]


def entry_of(store: Store, order_id: str) -> OutboxEntry | None:
    """The newest transaction of an order: the attempt that is in a block, else the latest."""
    attempts = attempts_of(store, order_id)
    mined = [entry for entry in attempts if entry.block_hash]
    return (mined or attempts)[-1] if attempts else None
