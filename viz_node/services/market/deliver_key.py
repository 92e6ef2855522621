"""Hand out the key of an adapter to those whom the chain names as its licensees, in a block that is shown as safe.

A key stays revealed, even if a reorganisation takes the payment back.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from viz_node.domain.ids import Account, PeerId, parse_account
from viz_node.domain.manifest import AdapterManifest
from viz_node.domain.strict_json import parse_json
from viz_node.errors import LicenseRequiredError, NotFoundError, RefusedError, UsageError, VerificationError
from viz_node.ports.keys import KeyWrapping
from viz_node.ports.market import Licenses
from viz_node.ports.money import Finality
from viz_node.ports.state import Adapters
from viz_node.services.library.look_up import adapter_named
from viz_node.services.market.check_signature import Signatures
from viz_node.services.market.listings import Listings

KEY_METHOD = "key"
KEY_REQUEST_CONTEXT = "viz-node/key-request/1"
_KEY_REQUEST_SECONDS = 300
_MAX_REQUEST_BYTES = 4096


@dataclass(frozen=True)
class KeyRequest:
    """A licensee's wish for the key of an adapter, signed by the licensed account for one delivery key and one peer."""

    adapter_id: str
    account: str
    delivery_key: str
    peer_id: str
    expires: int

    def text(self) -> str:
        """What the account signs."""
        fields = [
            KEY_REQUEST_CONTEXT,
            self.adapter_id,
            self.account,
            self.delivery_key,
            self.peer_id,
            str(self.expires),
        ]
        return "\n".join(fields)


class PoolRights(Protocol):
    """In which blocks the running periods of catalogues that have an adapter were paid for an account."""

    async def granted_in(self, adapter_number: int, account: Account) -> list[int | None]: ...


class KeyRights:
    """May this account have the key? It may if its license, or its subscription, is in a block that is shown."""

    def __init__(self, market: Licenses, finality: Finality, pools: PoolRights) -> None:
        self._market = market
        self._finality = finality
        self._pools = pools

    async def require(self, name: str, manifest: AdapterManifest, account: Account) -> None:
        """Raises: LicenseRequiredError (no), RefusedError (not yet), ChainUnavailableError."""
        blocks = await self._granted_in(manifest, account)
        if not blocks:
            buy = f"viz-node license {name} --max-price PRICE"
            raise LicenseRequiredError(f"{account} holds no license for {name}", buy)
        shown = (await self._finality.heads()).shown
        if not any(block is not None and block <= shown for block in blocks):
            raise RefusedError(f"the payment for {name} is not safe yet", "try again in some minutes")

    async def _granted_in(self, manifest: AdapterManifest, account: Account) -> list[int | None]:
        """Since which block the account holds the licenses that it holds now, and subscribes to pools."""
        digest = bytes.fromhex(manifest.adapter_id())
        on_chain = await asyncio.to_thread(self._market.find_adapter, digest, manifest.account)
        if on_chain is None:
            return []
        licensed = await asyncio.to_thread(self._licensed_in, on_chain.number, account)
        return licensed + await self._pools.granted_in(on_chain.number, account)

    def _licensed_in(self, adapter_number: int, account: Account) -> list[int | None]:
        market = self._market
        now = market.block_time()
        offers = [offer.offer_id for offer in market.offers_of(adapter_number)]
        return [market.granted_in(offer, account) for offer in offers if market.license_expiry(offer, account) > now]


class KeyDesk:
    """Answers the requests of licensees, and of those who subscribe to a catalogue that has the adapter."""

    def __init__(
        self,
        adapters: Adapters,
        sealing: KeyWrapping,
        listings: Listings,
        signatures: Signatures,
        rights: KeyRights,
        now: Callable[[], int],
    ) -> None:
        self._adapters = adapters
        self._sealing = sealing
        self._listings = listings
        self._signatures = signatures
        self._rights = rights
        self._now = now

    async def on_key(self, peer_id: PeerId, payload: bytes) -> bytes:
        """A licensee asks for the key of an adapter; the chain decides."""
        request, signature = parse_key_request(payload, self._now())
        if request.peer_id != peer_id:
            raise VerificationError("the request was signed for another peer")
        account = parse_account(request.account)
        if not await asyncio.to_thread(self._signatures.is_signed, account, request.text(), signature):
            raise VerificationError("the request is not signed by the account that it names")
        record = adapter_named(self._adapters, request.adapter_id)
        if record is None or record.sealed_key is None or record.origin == "fetched":
            raise NotFoundError("no such adapter here")
        await self._rights.require(record.name, self._listings.manifest_of(record), account)
        key = self._sealing.open(bytes.fromhex(record.sealed_key))
        wrapped = self._sealing.wrap_key(bytes.fromhex(request.delivery_key), key, request.text().encode())
        return json.dumps({"wrapped": wrapped.hex()}).encode()


def parse_key_request(payload: bytes, now: int) -> tuple[KeyRequest, str]:
    """Read a key request from a stranger. Raises: VerificationError."""
    try:
        if len(payload) > _MAX_REQUEST_BYTES:
            raise ValueError("too large")
        body = parse_json(payload)
        signature = str(body.pop("signature"))
        request = KeyRequest(**body)
        key = bytes.fromhex(request.delivery_key)
        parse_account(request.account)
        if len(key) != 32 or not now - 60 < request.expires <= now + _KEY_REQUEST_SECONDS:
            raise ValueError("out of bounds")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UsageError) as error:
        raise VerificationError("the key request is malformed or expired") from error
    return request, signature
