"""Write the receipts of a channel to a file, for auditors; payer and owner have the same ones."""

from dataclasses import dataclass
from pathlib import Path

from viz_node.domain.channel import EARNED
from viz_node.domain.ids import PeerId
from viz_node.domain.usage import PublishedReceipts
from viz_node.errors import NotFoundError, StorageError, already_there
from viz_node.ports.keys import Keys
from viz_node.ports.state import Channels


@dataclass(frozen=True)
class WrittenReceipts:
    """How many receipts of a channel were written to which file."""

    channel: int
    receipts: int
    file: str


class ReceiptFiles:
    """Receipts of channels that this node pays for, and of those that pay it."""

    def __init__(self, channels: Channels, keys: Keys) -> None:
        self._channels = channels
        self._keys = keys

    def write(self, number: int, path: str) -> WrittenReceipts:
        """Write those of a channel to a new file. Raises: NotFoundError, UsageError (one is missing), StorageError."""
        key, uses, peer_id = self._find(number)
        # Those of a channel that a reorganisation has undone may still be there.
        rows = [row for row in self._channels.receipts_of(key) if row.channel == number and row.uses <= uses]
        if not rows:
            raise NotFoundError(f"channel {number} has no receipts yet", "viz-node channel list")
        signatures = tuple(bytes.fromhex(row.signature) for row in rows)
        published = PublishedReceipts(peer_id, tuple(row.receipt for row in rows), signatures)
        try:
            with Path(path).open("xb") as file:
                file.write(published.to_bytes())
        except FileExistsError as error:
            raise already_there(Path(path), "choose another --out FILE") from error
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}", "choose another --out FILE") from error
        return WrittenReceipts(number, len(rows), path)

    def _find(self, number: int) -> tuple[str, int, PeerId]:
        """The key of the channel's record, its uses, and the peer that signed the receipts."""
        for key, record in self._channels.list_paid().items():
            if record.number == number:
                return key, record.uses, record.peer_id
        key = f"{EARNED}{number}"
        earned = self._channels.find_earned(key)
        if earned is None:
            raise NotFoundError(f"this node has no receipts of channel {number}", "viz-node channel list")
        return key, earned.uses, self._keys.peer_id
