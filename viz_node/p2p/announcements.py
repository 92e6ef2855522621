"""Which announcements were heard: each valid one that is newer than what its peer said before is delivered once.

Gossip loses messages and DHT records outlive their writers, so the signed announcement alone counts: it carries
its own sequence number and expiry. Anybody may announce any adapter, and one peer's announcement never takes the place
of another's. No I/O; kept true by tests/unit/p2p/test_announcements.py.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from viz_node.errors import VerificationError

_MAX_SEEN: Final = 50_000

CheckAnnouncement = Callable[[bytes], tuple[str, str, int]]
"""The adapter's id, the peer that signed, and its sequence number. Raises: VerificationError."""


class Announcements:
    """Announcements from all carriers; `deliver` gets the new ones."""

    def __init__(self, check: CheckAnnouncement, deliver: Callable[[bytes], None]) -> None:
        self._check = check
        self._deliver = deliver
        self._seen: OrderedDict[tuple[str, str], int] = OrderedDict()

    def offer(self, raw: bytes) -> bool:
        """Deliver it if it holds and is new; whether it was."""
        try:
            adapter_id, peer_id, sequence = self._check(raw)
        except VerificationError:
            return False
        if self._seen.get((adapter_id, peer_id), -1) >= sequence:
            return False
        self._note((adapter_id, peer_id), sequence)
        self._deliver(raw)
        return True

    def note_own(self, adapter_id: str, raw: bytes) -> None:
        """This node says it, so that it is not delivered. Raises: VerificationError (it does not hold itself)."""
        checked_id, peer_id, sequence = self._check(raw)
        if checked_id != adapter_id:
            raise VerificationError("the announcement is for another adapter")
        self._note((adapter_id, peer_id), sequence)

    def is_valid(self, raw: bytes) -> bool:
        """Whether it holds."""
        try:
            self._check(raw)
        except VerificationError:
            return False
        return True

    def sequence_of(self, adapter_id: str, raw: bytes) -> int | None:
        """Its sequence number; None when it does not hold or is for another adapter."""
        try:
            checked_id, _, sequence = self._check(raw)
        except VerificationError:
            return None
        return sequence if checked_id == adapter_id else None

    def _note(self, place: tuple[str, str], sequence: int) -> None:
        self._seen[place] = sequence
        self._seen.move_to_end(place)
        while len(self._seen) > _MAX_SEEN:
            self._seen.popitem(last=False)
