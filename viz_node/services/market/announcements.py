"""What peers say they sell: kept while it lives, once its signature is that of the peer that it names.

An announcement says where to ask, no more: a manifest and the chain say the rest.
"""

from collections.abc import Callable
from contextlib import suppress

from viz_node.domain import announcement as wire
from viz_node.domain.announcement import Announcement, parse_announcement
from viz_node.errors import VerificationError
from viz_node.ports.keys import VerifyBytes
from viz_node.ports.state import AnnouncementRows


class Announcements:
    """The living announcements of the network, one per adapter and peer."""

    def __init__(self, rows: AnnouncementRows, verify: VerifyBytes, now: Callable[[], int]) -> None:
        self._rows = rows
        self._verify = verify
        self._now = now

    def check(self, raw: bytes) -> tuple[str, str, int]:
        """Adapter id, peer and sequence of a properly signed announcement. Raises: VerificationError."""
        signed = parse_announcement(raw, self._now())
        item = signed.announcement
        self._verify(item.peer_id, wire.SIGNING_CONTEXT + item.payload(), signed.signature)
        return item.adapter_id, item.peer_id, item.sequence

    def take_in(self, raw: bytes) -> Announcement:
        """Keep a verified announcement if it is newer than what we have of this peer."""
        item = parse_announcement(raw, self._now()).announcement
        self._rows.save_announcement(f"{item.adapter_id}/{item.peer_id}", item.sequence, item.expires, raw)
        return item

    def known(self) -> list[bytes]:
        """The living announcements as they came, for peers that come late."""
        return list(self._rows.list_announcements(self._now()))

    def living(self) -> list[Announcement]:
        """The same, read; without those that this node's clock, when it is set back, makes too long-lived."""
        now, items = self._now(), []
        for raw in self._rows.list_announcements(now):
            with suppress(VerificationError):
                items.append(parse_announcement(raw, now).announcement)
        return items

    def forget_expired(self) -> None:
        """Drop the announcements that nobody repeated; strangers' rows must not add up."""
        self._rows.remove_expired_announcements(self._now())
