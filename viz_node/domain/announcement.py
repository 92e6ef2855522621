"""What a node tells the network about one adapter: small, signed, expiring, superseded by a higher sequence number."""

from dataclasses import asdict, dataclass
from typing import Any

from viz_node.domain.ids import AdapterId, PeerId, is_hex_digest
from viz_node.domain.manifest import canonical_bytes
from viz_node.domain.strict_json import MalformedError, parse_json, why_malformed
from viz_node.errors import VerificationError

SIGNING_CONTEXT = b"viz-node/announcement/1\0"
MAX_ANNOUNCEMENT_BYTES = 4096
MAX_LIFETIME_SECONDS = 48 * 3600


@dataclass(frozen=True)
class Announcement:
    """`name` and `base_model` help a search; the manifest and the chain are what counts."""

    adapter_id: AdapterId
    peer_id: PeerId
    addresses: tuple[str, ...]
    name: str
    base_model: str
    sequence: int
    expires: int

    def payload(self) -> bytes:
        """The canonical bytes that are signed."""
        return canonical_bytes(asdict(self))


@dataclass(frozen=True)
class SignedAnnouncement:
    """The announcement with the signature of its peer over `SIGNING_CONTEXT + payload`."""

    announcement: Announcement
    signature: bytes

    def to_bytes(self) -> bytes:
        """The wire form: `{"payload": canonical text, "signature": hex}`."""
        payload = self.announcement.payload().decode()
        return canonical_bytes({"payload": payload, "signature": self.signature.hex()})


def parse_announcement(raw: bytes, now: int) -> SignedAnnouncement:
    """Read the wire form; the caller still has to verify the signature. Raises: VerificationError."""
    if len(raw) > MAX_ANNOUNCEMENT_BYTES:
        raise VerificationError("the announcement is larger than 4096 bytes")
    try:
        envelope = parse_json(raw)
        body = parse_json(envelope["payload"].encode())
        announcement = Announcement(**{**body, "addresses": tuple(body["addresses"])})
        signed = SignedAnnouncement(announcement, bytes.fromhex(envelope["signature"]))
        if signed.to_bytes() != raw:
            raise MalformedError("not in canonical form")
        _check_limits(announcement, now)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise VerificationError(f"the announcement is malformed: {why_malformed(error)}") from error
    return signed


def _check_limits(item: Announcement, now: int) -> None:
    texts: list[Any] = [item.peer_id, item.name, item.base_model, *item.addresses]
    if not is_hex_digest(item.adapter_id):
        raise MalformedError("the adapter id is not 64 hex digits")
    if not all(isinstance(text, str) and 0 < len(text) <= 200 and text.isprintable() for text in texts):
        raise MalformedError("a text is empty, too long or not printable")
    if not all(type(number) is int and 0 <= number < 2**53 for number in (item.sequence, item.expires)):
        raise MalformedError("a number is out of range")
    if len(item.addresses) > 8 or not now < item.expires <= now + MAX_LIFETIME_SECONDS:
        raise MalformedError("it has expired, or lives too long, or has too many addresses")
