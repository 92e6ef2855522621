"""Write the receipts of a channel to a file, for auditors; payer and owner have the same ones."""

from pathlib import Path
from typing import Any

from viz_node.domain.usage import PublishedReceipts, UseReceipt
from viz_node.errors import NotFoundError, StorageError, already_there
from viz_node.ports.keys import Keys
from viz_node.ports.state import Channels
from viz_node.services.uses.paid_channels import PAID
from viz_node.services.uses.serve_uses import EARNED


class ReceiptFiles:
    """Receipts of channels that this node pays for, and of those that pay it."""

    def __init__(self, channels: Channels, keys: Keys) -> None:
        self._channels = channels
        self._keys = keys

    def write(self, number: int, path: str) -> dict[str, Any]:
        """Write those of a channel to a new file. Raises: NotFoundError, UsageError (one is missing), StorageError."""
        key, body, peer_id = self._find(number)
        # Those of a channel that a reorganisation has undone may still be there.
        rows = [
            row for row in self._channels.receipts_of(key) if row["channel"] == number and row["uses"] <= body["uses"]
        ]
        if not rows:
            raise NotFoundError(f"channel {number} has no receipts yet", "viz-node channel list")
        signatures = tuple(bytes.fromhex(row.pop("signature")) for row in rows)
        published = PublishedReceipts(peer_id, tuple(UseReceipt(**row) for row in rows), signatures)
        try:
            with Path(path).open("xb") as file:
                file.write(published.to_bytes())
        except FileExistsError as error:
            raise already_there(Path(path), "choose another --out FILE") from error
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}", "choose another --out FILE") from error
        return {"channel": number, "receipts": len(rows), "file": path}

    def _find(self, number: int) -> tuple[str, dict[str, Any], str]:
        for key, body in self._channels.channels_with(PAID).items():
            if body["number"] == number:
                return key, body, body["peer_id"]
        key = f"{EARNED}{number}"
        earned = self._channels.find_channel(key)
        if earned is None:
            raise NotFoundError(f"this node has no receipts of channel {number}", "viz-node channel list")
        return key, earned, self._keys.peer_id
