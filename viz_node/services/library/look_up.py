"""Look-ups in the adapter library that a service may make before it decides."""

from viz_node.domain.pipeline import leading, newest_attempts
from viz_node.domain.records import DONE_OUTBOX_STATES, AdapterRecord, OutboxEntry
from viz_node.ports.state import Adapters, Outbox


def adapter_named(adapters: Adapters, name: str) -> AdapterRecord | None:
    """The adapter with exactly this name or id."""
    records = adapters.list_adapters()
    return next((record for record in records if record.name == name or record.adapter_id == name.lower()), None)


def attempts_of(outbox: Outbox, order_id: str) -> list[OutboxEntry]:
    """The attempts at the newest transaction of an order, oldest first; they share a nonce."""
    return newest_attempts(outbox.outbox_of(order_id))


def entry_of(outbox: Outbox, order_id: str) -> OutboxEntry | None:
    """The newest transaction of an order, by its leading attempt; None if nothing was signed."""
    attempts = attempts_of(outbox, order_id)
    return leading(attempts) if attempts else None


def registration_of(outbox: Outbox, record: AdapterRecord) -> OutboxEntry | None:
    """The transaction that registers an adapter, unless there is none that can succeed."""
    entry = entry_of(outbox, f"publish:{record.adapter_id}") if record.manifest else None
    return None if entry is None or entry.state == "failed" else entry


def published(adapters: Adapters, outbox: Outbox) -> list[AdapterRecord]:
    """The adapters that this node sells."""
    own = [record for record in adapters.list_adapters() if record.origin != "fetched"]
    found = [(record, registration_of(outbox, record)) for record in own]
    return [record for record, entry in found if entry is not None and entry.state in DONE_OUTBOX_STATES]
