"""The rows that a node keeps about adapters and transactions; knows no database."""

from dataclasses import dataclass, field
from typing import Any

from viz_node.domain.ids import AdapterId, WorkId

ADAPTER_ORIGINS = ("trained", "federated", "fetched")
OUTBOX_STATES = ("signed", "sent", "confirmed", "failed", "unknown")
PENDING_OUTBOX_STATES = ("signed", "sent", "unknown")


@dataclass(frozen=True)
class AdapterRecord:
    """One adapter in the node's library; `adapter_id` and `manifest` are there once it was published or fetched.

    `sealed_key` is the hex of the adapter's content key as sealed under the node's own key, never the key itself.
    """

    name: str
    adapter_id: AdapterId | None
    base_name: str
    base_digest: str
    directory: str
    origin: str
    works: tuple[WorkId, ...] = ()
    training: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    parents: tuple[AdapterId, ...] = ()
    sealed_key: str | None = None
    manifest: bytes | None = None
    created: int = 0


@dataclass(frozen=True)
class OutboxEntry:
    """One signed transaction, stored before it is sent, so that a restart repeats it instead of making another.

    `tx_hash` identifies it; `order_id` names the intent, which may need several (an approval, then a purchase).
    """

    order_id: str
    kind: str
    state: str
    raw: bytes
    tx_hash: str
    nonce: int
    detail: dict[str, Any] = field(default_factory=dict)
    created: int = 0
    updated: int = 0
