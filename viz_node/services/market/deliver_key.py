"""Hand out the key of an adapter to those whom the chain names as its licensees, in a block that is shown as safe.

A key is told for ever, also when a reorganisation takes the payment back.
"""

import asyncio
import json
from dataclasses import dataclass

from viz_node.domain.ids import Account, PeerId, parse_account
from viz_node.domain.manifest import AdapterManifest
from viz_node.domain.strict_json import parse_json
from viz_node.errors import LicenseRequiredError, NotFoundError, RefusedError, UsageError, VerificationError
from viz_node.services.library.look_up import adapter_named
from viz_node.services.market.check_signature import is_signed
from viz_node.services.market.trade import Trade
from viz_node.services.pools.join_pool import PoolMembers

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


class KeyDesk:
    """Answers the requests of licensees, and of those who subscribe to a catalogue that has the adapter."""

    def __init__(self, trade: Trade, pools: PoolMembers) -> None:
        self._trade = trade
        self._pools = pools

    async def on_key(self, peer_id: PeerId, payload: bytes) -> bytes:
        """A licensee asks for the key of an adapter; the chain decides."""
        request, signature = parse_key_request(payload, self._trade.now())
        if request.peer_id != peer_id:
            raise VerificationError("the request was signed for another peer")
        account = parse_account(request.account)
        if not await asyncio.to_thread(is_signed, self._trade, account, request.text(), signature):
            raise VerificationError("the request is not signed by the account that it names")
        record = adapter_named(self._trade.store, request.adapter_id)
        if record is None or record.sealed_key is None or record.origin == "fetched":
            raise NotFoundError("no such adapter here")
        manifest = self._trade.catalogue.manifest_of(record)
        blocks = await self._granted_in(manifest, account)
        if not blocks:
            raise LicenseRequiredError(f"{request.account} holds no license for {record.name}", "viz-node license")
        shown = (await self._trade.treasury.heads()).shown
        if not any(block is not None and block <= shown for block in blocks):
            raise RefusedError(f"the payment for {record.name} is not safe yet", "try again in some minutes")
        key = self._trade.sealing.open(bytes.fromhex(record.sealed_key))
        wrapped = self._trade.sealing.wrap_key(bytes.fromhex(request.delivery_key), key, request.text().encode())
        return json.dumps({"wrapped": wrapped.hex()}).encode()

    async def _granted_in(self, manifest: AdapterManifest, account: Account) -> list[int | None]:
        """Since which block the account holds the licenses that it holds now, and subscribes to pools."""
        digest = bytes.fromhex(manifest.adapter_id())
        on_chain = await asyncio.to_thread(self._trade.market.find_adapter, digest, manifest.account)
        if on_chain is None:
            return []
        licensed = await asyncio.to_thread(self._licensed_in, on_chain.number, account)
        return licensed + await self._pools.granted_in(on_chain.number, account)

    def _licensed_in(self, adapter_number: int, account: Account) -> list[int | None]:
        market = self._trade.market
        now = market.block_time()
        offers = [offer.offer_id for offer in market.offers_of(adapter_number)]
        return [market.granted_in(offer, account) for offer in offers if market.license_expiry(offer, account) > now]


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
