"""What other nodes offer: verified announcements, their manifests, and what the chain says of price and license.

Trust: an announcement says where to ask, no more; a manifest counts when its digest is the adapter's id and its peer
signed it; an offer when the chain's adapter has the manifest's digest, base, terms, account and split.
"""

import asyncio
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from viz_node.domain.announcement import Announcement
from viz_node.domain.answer import UNSET, UnsetType
from viz_node.domain.ids import (
    WHOLE,
    Account,
    AdapterId,
    PeerId,
    format_amount,
    format_span,
    format_tokens,
    is_hex_digest,
)
from viz_node.domain.manifest import (
    MAX_MANIFEST_BYTES,
    SIGNING_CONTEXT,
    AdapterManifest,
    LicenseTerms,
    canonical_bytes,
    parse_manifest,
)
from viz_node.domain.offer import Offer
from viz_node.domain.records import AdapterRecord
from viz_node.domain.strict_json import parse_json
from viz_node.errors import DeadlineError, NotFoundError, UnreachableError, VerificationError, VizNodeError
from viz_node.ports.keys import VerifyBytes
from viz_node.ports.market import Items, Offers
from viz_node.ports.network import Listening
from viz_node.ports.state import WithAdapters, WithManifests
from viz_node.services.library.look_up import adapter_named
from viz_node.services.market.announcements import Announcements

MANIFEST_METHOD = "manifest"
# Anybody may announce any adapter under any name. Those who were heard of first are asked first: nobody knows an id
# before its publisher has announced it.
_MOST_ASKED, _MOST_NAMESAKES = 4, 8


@dataclass(frozen=True)
class Listing:
    """An adapter, every part checked against the others; when no offer is open, with the last one that was."""

    adapter_id: AdapterId
    manifest: AdapterManifest
    adapter_number: int
    offer: Offer


@dataclass(frozen=True)
class ShownListing:
    """A listing as people see it; prices in tokens, `split` in percent by account.

    A search says whether this account holds a license; one listing comes with its terms in words and its manifest.
    """

    adapter_id: AdapterId
    name: str
    base_model: str
    peer_id: PeerId
    account: Account
    price: str
    floor: str
    ceiling: str
    moves: str
    license: str
    expires: str
    terms: str
    is_open: bool
    delivery: str
    offer: int
    evaluation: Mapping[str, str | int]
    split: dict[Account, float]
    size_bytes: int
    licensed: bool | UnsetType = UNSET
    permissions: dict[str, str] | UnsetType = UNSET
    manifest: object = UNSET


@dataclass(frozen=True)
class SilentListing:
    """What was announced of an adapter whose peer does not answer, and why; nothing of it is verified."""

    adapter_id: AdapterId
    name: str
    base_model: str
    peer_id: PeerId
    price: None
    license: str
    account: str
    licensed: bool
    error: str


class ListingsState(WithAdapters, WithManifests, Protocol):
    """The own adapters, and the manifests of others."""


class Listings:
    """The market as this node has verified it."""

    def __init__(
        self,
        announcements: Announcements,
        store: ListingsState,
        network: Listening,
        market: Offers,
        verify: VerifyBytes,
        account: Account,
    ) -> None:
        self.announcements = announcements
        self._store = store
        self._network = network
        self._market = market
        self._verify = verify
        self._account = account
        self._name_by_number: dict[int, str] = {}

    async def search(self, text: str) -> list[ShownListing | SilentListing]:
        """The listings whose name, base or id holds `text`; false ones are left out, unreachable ones have no price."""
        items = self.announcements.living()
        wanted = [item for item in items if text.lower() in f"{item.name} {item.base_model} {item.adapter_id}".lower()]
        rows = (self._describe(*group) for group in _by_adapter(wanted).items())
        found = await asyncio.gather(*rows, return_exceptions=True)
        return [
            entry
            for entry in found
            if isinstance(entry, SilentListing) or (isinstance(entry, ShownListing) and entry.is_open)
        ]

    async def show(self, adapter: str) -> ShownListing:
        """One listing with its manifest, and its terms as people read them.

        Raises: NotFoundError, VerificationError, UnreachableError.
        """
        listing = await self.listing(adapter)
        permissions = listing.manifest.license.permissions.sentences()
        return replace(_shown(listing), permissions=permissions, manifest=json.loads(listing.manifest.payload()))

    async def listing(self, adapter: str) -> Listing:
        """The verified listing of an adapter by id, unique prefix or name.

        Raises: NotFoundError, VerificationError, UnreachableError.
        """
        own, digits = adapter_named(self._store.adapters, adapter), adapter.lower()
        if own is not None and own.manifest is not None and own.adapter_id is not None:
            return await self._compared(AdapterId(own.adapter_id), self.manifest_of(own))
        if is_hex_digest(digits):
            return await self._compared(AdapterId(digits), await self._manifest_of_id(AdapterId(digits)))
        living = self.announcements.living()
        items = [item for item in living if adapter == item.name or item.adapter_id.startswith(digits)]
        matching = _by_adapter(items)
        several = f"{len(matching)} adapters are called {adapter}", "name one by its id; see `search`"
        if len(matching) > _MOST_NAMESAKES:
            raise NotFoundError(*several)
        if not matching:
            raise _not_announced(adapter)
        found = await asyncio.gather(*(self._listing(*group) for group in matching.items()), return_exceptions=True)
        # What is false is nobody's namesake; what does not answer may be the one that is meant.
        possible = [item for item in found if isinstance(item, Listing | UnreachableError | DeadlineError)] or found
        if len(matching) > 1 and len(possible) > 1:
            raise NotFoundError(*several)
        if isinstance(possible[0], BaseException):
            raise possible[0]
        return possible[0]

    async def _listing(self, adapter_id: AdapterId, sources: Sequence[Announcement]) -> Listing:
        return await self._compared(adapter_id, await self.manifest(adapter_id, sources))

    async def _compared(self, adapter_id: AdapterId, manifest: AdapterManifest) -> Listing:
        name, digest = manifest.name, bytes.fromhex(adapter_id)
        on_chain = await asyncio.to_thread(self._market.find_adapter, digest, manifest.account)
        if on_chain is None:
            raise VerificationError(f"{name} is announced but not registered on the chain by {manifest.account}")
        if on_chain.base_model.hex() != manifest.base_model.digest or on_chain.terms != manifest.license.digest():
            raise VerificationError(f"the chain registers another base model or other terms for {name}")
        offers = await asyncio.to_thread(self._market.offers_of, on_chain.number)
        promised = [offer for offer in offers if _is_promised(offer, manifest)]
        if not promised:
            raise VerificationError(f"no offer on the chain has the split and duration that {name} promises")
        self._name_by_number[on_chain.number] = manifest.name
        newest = ([offer for offer in promised if offer.is_open] or promised)[-1]
        return Listing(adapter_id, manifest, on_chain.number, newest)

    async def is_licensed(self, adapter_number: int, account: Account) -> bool:
        """Whether the account holds a license by any offer of the adapter, by the clock of the chain."""
        return await asyncio.to_thread(self._holds_license, adapter_number, account)

    def _holds_license(self, adapter_number: int, account: Account) -> bool:
        now = self._market.block_time()
        offers = self._market.offers_of(adapter_number)
        return any(self._market.license_expiry(offer.offer_id, account) > now for offer in offers)

    def name_of(self, adapter_number: int) -> str:
        """The name under which an adapter of the chain was listed here; empty if it was not yet."""
        return self._name_by_number.get(adapter_number, "")

    def payers_of(self, split_ids: Collection[int]) -> dict[int, str]:
        """The adapters that pay into each split, by name; the split's number where none does.

        Raises: ChainUnavailableError.
        """
        found = self._market.adapters_paid_into(split_ids)
        names = self.names_on_chain({number for numbers in found.values() for number in numbers})
        named = {
            split: ", ".join(names.get(number, f"adapter {number}") for number in found.get(split, ()))
            for split in split_ids
        }
        return {split: told or f"split {split}" for split, told in named.items()}

    def names_on_chain(self, numbers: Collection[int]) -> dict[int, str]:
        """What this node calls the adapters with these numbers on the chain, without those that it knows no name of.

        Raises: ChainUnavailableError.
        """
        if unnamed := [number for number in numbers if not self.name_of(number)]:
            names = self.names()
            offers = [offer.offer_id for number in unnamed for offer in self._market.offers_of(number)[:1]]
            for sold in self._market.sold_by(offers).values():
                if sold.adapter_id in names:
                    self._name_by_number[sold.adapter_number] = names[sold.adapter_id]
        return {number: self.name_of(number) for number in numbers if self.name_of(number)}

    def names(self) -> dict[str, str]:
        """Names by adapter id: those of this node's library, else those that are announced."""
        own = {
            str(record.adapter_id): record.name for record in self._store.adapters.list_adapters() if record.adapter_id
        }
        return {str(item.adapter_id): item.name for item in reversed(self.announcements.living())} | own

    async def manifest(self, adapter_id: AdapterId, sources: Sequence[Announcement]) -> AdapterManifest:
        """The verified manifest, kept here or from the first of these peers that has it.

        A peer that announces an adapter need not have it: the manifest's own signature says whose it is.
        Raises: UnreachableError, DeadlineError, VerificationError.
        """
        own = adapter_named(self._store.adapters, adapter_id)
        if own is not None and own.manifest is not None:
            return self.open_envelope(adapter_id, own.manifest)
        cached = self._store.manifests.find_manifest(adapter_id)
        if cached is not None:
            return self.open_envelope(adapter_id, cached)
        failures: list[VizNodeError] = []
        for item in sources[:_MOST_ASKED]:
            try:
                raw = await self._network.request(
                    item.peer_id, MANIFEST_METHOD, adapter_id.encode(), addresses=item.addresses
                )
                manifest = self.open_envelope(adapter_id, raw)
            except VizNodeError as error:
                failures.append(error)
                continue
            self._store.manifests.save_manifest(adapter_id, raw)
            return manifest
        away = [error for error in failures if isinstance(error, UnreachableError | DeadlineError)]
        raise (away or failures or [_not_announced(adapter_id)])[0]

    def manifest_of(self, record: AdapterRecord) -> AdapterManifest:
        """The manifest of an adapter in this node's library. Raises: NotFoundError."""
        if record.manifest is None or record.adapter_id is None:
            raise NotFoundError(f"{record.name} is not published", f"viz-node publish {record.name} --price 5.00")
        return self.open_envelope(AdapterId(record.adapter_id), record.manifest)

    def open_envelope(self, adapter_id: AdapterId, raw: bytes) -> AdapterManifest:
        """The manifest in `{"payload", "signature"}` if it is this adapter's. Raises: VerificationError."""
        if len(raw) > 2 * MAX_MANIFEST_BYTES:
            raise VerificationError("the manifest's envelope is too large")
        try:
            envelope = parse_json(raw)
            payload = envelope["payload"].encode()
            signature = bytes.fromhex(envelope["signature"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise VerificationError("the manifest's envelope is malformed") from error
        if hashlib.sha256(payload).hexdigest() != adapter_id:
            raise VerificationError(f"the manifest is not that of {adapter_id[:12]}")
        manifest = parse_manifest(payload)
        self._verify(manifest.peer_id, SIGNING_CONTEXT + payload, signature)
        return manifest

    async def _manifest_of_id(self, adapter_id: AdapterId) -> AdapterManifest:
        """From who announced it here, else from whom the DHT names, where all may write, too.

        Raises: UnreachableError, DeadlineError, VerificationError.
        """
        items = [item for item in self.announcements.living() if item.adapter_id == adapter_id]
        try:
            return await self.manifest(adapter_id, items)
        except VizNodeError as error:
            failure = error
        others = {peer_id: Announcement(adapter_id, peer_id, (), "", "", 0, 0)
                  for peer_id in await self._network.find_providers(adapter_id)}  # fmt: skip
        raw = await self._network.find_announcement(adapter_id)
        with suppress(VerificationError):
            if raw is not None and self.announcements.check(raw)[0] == adapter_id:
                found = self.announcements.take_in(raw)
                others = {found.peer_id: found} | others
        sources = [item for item in others.values() if item.peer_id not in {item.peer_id for item in items}]
        if not sources:
            raise failure
        return await self.manifest(adapter_id, sources)

    async def _describe(self, adapter_id: AdapterId, items: Sequence[Announcement]) -> ShownListing | SilentListing:
        try:
            listing = await self._listing(adapter_id, items)
        except (UnreachableError, DeadlineError) as error:
            item = items[0]
            return SilentListing(
                item.adapter_id, item.name, item.base_model, item.peer_id, None, "", "", False, error.message
            )
        return replace(_shown(listing), licensed=await self.is_licensed(listing.adapter_number, self._account))


def _shown(listing: Listing) -> ShownListing:
    manifest = listing.manifest
    return ShownListing(
        adapter_id=listing.adapter_id,
        name=manifest.name,
        base_model=manifest.base_model.name,
        peer_id=manifest.peer_id,
        account=manifest.account,
        price=format_amount(listing.offer.price),
        floor=format_amount(listing.offer.floor),
        ceiling=format_amount(listing.offer.ceiling),
        moves=moves_of(listing.offer),
        license=manifest.license.kind,
        expires=_expiry(manifest.license),
        terms=manifest.license.permissions.summary(),
        is_open=listing.offer.is_open,
        delivery=delivery_of(listing.offer),
        offer=listing.offer.offer_id,
        evaluation=manifest.evaluation,
        split={account: share / 100 for account, share in manifest.split.shares},
        size_bytes=sum(entry.size_bytes for entry in manifest.files),
    )


def item_of(market: Items, manifest: AdapterManifest, offer: Offer) -> int:
    """What a purchase names, so that the market sells nothing but what the signer of this manifest offers."""
    digest, key_hash = bytes.fromhex(manifest.adapter_id()), bytes.fromhex(manifest.key_hash)
    return market.item_of(offer, manifest.account, digest, key_hash)


def _by_adapter(items: Iterable[Announcement]) -> dict[AdapterId, list[Announcement]]:
    groups: dict[AdapterId, list[Announcement]] = {}
    for item in items:
        groups.setdefault(item.adapter_id, []).append(item)
    return groups


def _not_announced(adapter: str) -> NotFoundError:
    return NotFoundError(f"no adapter {adapter!r} has been announced", "see `viz-node search` and `viz-node peers`")


def delivery_of(offer: Offer) -> str:
    """How money and key change hands: `escrow`, `direct`, or `channel`, from which each use is paid."""
    if offer.is_metered:
        return "channel"
    return "escrow" if offer.is_escrowed else "direct"


def moves_of(offer: Offer) -> str:
    """How the price of an offer moves, in words."""
    if not offer.max_rise:
        return "fixed"
    rise = f"up to {offer.max_rise * 100 / WHOLE:g} % above {format_tokens(offer.floor)}"
    return f"{rise} while more than {offer.target} new licensees come per day"


def _expiry(license_terms: LicenseTerms) -> str:
    after = f"{format_span(license_terms.duration_seconds)} after each payment"
    return {"perpetual": "never", "metered": "with each use"}.get(license_terms.kind, after)


def _is_promised(offer: Offer, manifest: AdapterManifest) -> bool:
    kept = tuple(offer.shares) == manifest.split.shares, offer.is_metered == (manifest.license.kind == "metered")
    return all(kept) and offer.duration_seconds == manifest.license.duration_seconds


def seal_envelope(manifest: AdapterManifest, signature: bytes) -> bytes:
    """The wire form of a signed manifest."""
    return canonical_bytes({"payload": manifest.payload().decode(), "signature": signature.hex()})
