"""What this node writes into the DHT and reads from it: announcements under `/viz/`, and which peers serve a blob."""

import logging
from typing import Any, Final

import trio
from libp2p.records.validator import Validator

from viz_node.domain.ids import PeerId
from viz_node.errors import VerificationError
from viz_node.p2p.announcements import Announcements, CheckAnnouncement
from viz_node.p2p.links import Links
from viz_node.p2p.mends.dht import LOOKUP_SECONDS, BoundedDht
from viz_node.p2p.offerings import Offerings

_log = logging.getLogger(__name__)
_NAMESPACE: Final = "viz"
_PREFIX: Final = f"/{_NAMESPACE}/"
_SHA256_PREFIX: Final = "1220"


class AnnouncementRecords(Validator):
    """DHT rule of the `/viz/` keys: only an announcement that holds, under its own id, newest first."""

    def __init__(self, check: CheckAnnouncement) -> None:
        self._check = check

    def validate(self, key: str, value: bytes) -> None:
        """Refuse anything else. Raises: VerificationError."""
        adapter_id, *_ = self._check(value)
        if key != _PREFIX + adapter_id:
            raise VerificationError("a DHT record stands under another adapter's key")

    def select(self, key: str, values: list[bytes]) -> int:
        """The position of the highest sequence number."""
        return max(range(len(values)), key=lambda position: self._sequence(values[position]))

    def _sequence(self, value: bytes) -> int:
        try:
            return self._check(value)[2]
        except VerificationError:
            return -1


class Records:
    """Finding and publishing; what peers answer is a claim, and no proof."""

    def __init__(self, links: Links, dht: BoundedDht, offerings: Offerings, announcements: Announcements) -> None:
        self._links = links
        self._dht: Any = dht
        self._offerings = offerings
        self._announcements = announcements

    async def find_announcement(self, adapter_id: str) -> bytes | None:
        """The newest valid announcement that peers or this node have."""
        key, own = _PREFIX + adapter_id, self._offerings.announcements.get(adapter_id)
        candidates = await self._dht.ask_for_value(key) + ([own] if own else [])
        numbered = [(self._announcements.sequence_of(adapter_id, raw), raw) for raw in candidates]
        valid = [(sequence, raw) for sequence, raw in numbered if sequence is not None]
        if not valid:
            return None
        best: bytes = max(valid)[1]
        self._dht.keep_value(key, best)
        self._announcements.offer(best)
        return best

    async def find_providers(self, blob_id: str) -> list[PeerId]:
        """Other peers that say they serve it; remembers their addresses."""
        peers: dict[PeerId, None] = {}
        for info in await self._dht.ask_for_providers(_SHA256_PREFIX + blob_id):
            if info.peer_id != self._links.host.get_id():
                self._links.remember(info.peer_id, info.addrs)
                peers[PeerId(str(info.peer_id))] = None
        return list(peers)

    async def publish(self, kind: str, key: str) -> bool:
        """Write an offer's "value" or "provider" record; whether that went well."""
        with trio.move_on_after(LOOKUP_SECONDS) as scope:
            try:
                if kind == "value":
                    await self._dht.put_value(_PREFIX + key, self._offerings.announcements[key])
                else:
                    await self._dht.provide(_SHA256_PREFIX + key)
            except Exception as error:  # noqa: BLE001
                # As in the DHT's look-ups: whatever the peers' answers made the library raise.
                _log.info("publishing %s %s failed: %r", kind, key[:12], error)
                return False
        return not scope.cancelled_caught
