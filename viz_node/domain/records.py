"""The rows that a node keeps about adapters and transactions; knows no database."""

from dataclasses import dataclass, field

from viz_node.domain.ids import AdapterId, WorkId
from viz_node.domain.purposes import Purpose
from viz_node.domain.training import Facts

ADAPTER_ORIGINS = ("trained", "federated", "imported", "fetched")
PENDING_OUTBOX_STATES = ("signed", "sent", "unknown", "mined", "confirmed", "reverted")
DONE_OUTBOX_STATES = ("confirmed", "final")
OUTBOX_STATES = (*PENDING_OUTBOX_STATES, "final", "failed", "replaced")


@dataclass(frozen=True)
class AdapterRecord:
    """One adapter in the node's library; `adapter_id` and `manifest` are there once it was published or fetched.

    `training` is what the manifest says, and beside it in `job` the job that made the adapter.
    `sealed_key` is the hex of the adapter's content key as sealed under the node's own key, never the key itself.
    """

    name: str
    adapter_id: AdapterId | None
    base_name: str
    base_digest: str
    directory: str
    origin: str
    works: tuple[WorkId, ...] = ()
    training: Facts = field(default_factory=dict)
    evaluation: Facts = field(default_factory=dict)
    parents: tuple[AdapterId, ...] = ()
    sealed_key: str | None = None
    manifest: bytes | None = None
    created: int = 0


@dataclass(frozen=True)
class OutboxEntry:
    """One signed transaction, stored before it is sent, so that a restart repeats it instead of making another.

    `tx_hash` identifies it; `order_id` names the intent. Several entries with one order and one nonce are attempts at
    the same transaction with rising fees, of which the chain takes one.

    `signed → sent → mined → confirmed → final`: in a block, in one that is shown, in one that is booked permanently.
    `unknown` is what was sent and not mined in time. `reverted` is in a block as refused, `failed` is refused finally
    or can never be mined, and `replaced` when another attempt is final. `block` is that of the first sending, and once
    there is a `block_hash` that of the transaction. `description` tells a person what it does, `was_shown` whether its
    success was ever told.
    """

    order_id: str
    purpose: Purpose
    state: str
    raw: bytes
    tx_hash: str
    nonce: int
    description: str = ""
    was_shown: bool = False
    created: int = 0
    updated: int = 0
    block: int = 0
    block_hash: str = ""

    @property
    def kind(self) -> str:
        """The purpose's kind."""
        return self.purpose.kind
