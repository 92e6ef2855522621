"""Look-ups in the adapter library that a service may make before it decides."""

from viz_node.domain.records import AdapterRecord, OutboxEntry
from viz_node.ports import Store


def adapter_named(store: Store, name: str) -> AdapterRecord | None:
    """The adapter with exactly this name or id."""
    return next((record for record in store.list_adapters() if name in (record.name, record.adapter_id)), None)


def entry_of(store: Store, order_id: str) -> OutboxEntry | None:
    """The newest transaction of an order."""
    entries = store.outbox_of(order_id)
    return entries[-1] if entries else None
