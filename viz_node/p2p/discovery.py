"""Announcements on four carriers: gossip pushes, DHT values and provider records are looked up, catalogues catch up.

Gossip loses messages and DHT records outlive those who wrote them, so the signed announcement alone counts: it carries
its own sequence number and expiry, and `check_announcement` decides. Peers drop more than ten provider records in ten
seconds from one sender, hence the queue of one DHT write per second.
"""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.kad_dht import kad_dht
from libp2p.kad_dht.common import PROTOCOL_ID as DHT
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.peer.id import ID
from libp2p.pubsub import gossipsub
from libp2p.records.validator import Validator
from libp2p.tools.anyio_service import background_trio_service

from viz_node.errors import PeerUnreachableError, RefusedError, UsageError, VerificationError, VizNodeError
from viz_node.p2p import wire
from viz_node.p2p.host import SafePubsub, parse_peer_address
from viz_node.p2p.links import Links, peer_of
from viz_node.p2p.offerings import Offerings
from viz_node.p2p.shares import Shares
from viz_node.p2p.streams import STREAM_FAILURES, abandon, finish, read_frame, write_frame

_log = logging.getLogger(__name__)
TOPIC: Final = "viz/announce/1"
CATALOG: Final = TProtocol("/viz/catalog/1.0.0")
_DHT_PREFIX: Final = "/viz/"
_SHA256_PREFIX: Final = "1220"
_REPUBLISH_SECONDS: Final = 3 * 3600.0
_PACE_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 15.0
_LOOKUP_SECONDS: Final = 30.0
_DHT_STREAM_SECONDS: Final = 60.0
_MAX_DHT_BYTES: Final = 256 << 10
_SMALL_NETWORK: Final = 20
_MAX_SEEN: Final = 50_000
_MAX_PAGES: Final = 50
_AUTHOR_BURST: Final = 20.0
_MAX_AUTHORS: Final = 5_000

CheckAnnouncement = Callable[[bytes], tuple[str, str, int]]
"""The adapter's id, the peer that signed, and its sequence number. Raises: VerificationError."""


class _AnnouncementRecords(Validator):
    """DHT rule of the `/viz/` keys: only an announcement that holds, under its own id, newest first."""

    def __init__(self, check: CheckAnnouncement) -> None:
        self._check = check

    def validate(self, key: str, value: bytes) -> None:
        """Refuse anything else. Raises: VerificationError."""
        adapter_id, *_ = self._check(value)
        if key != _DHT_PREFIX + adapter_id:
            raise VerificationError("a DHT record stands under another adapter's key")

    def select(self, key: str, values: list[bytes]) -> int:
        """The position of the highest sequence number."""
        return max(range(len(values)), key=lambda position: self._sequence(values[position]))

    def _sequence(self, value: bytes) -> int:
        try:
            return self._check(value)[2]
        except VerificationError:
            return -1


class Discovery:
    """One per core; `deliver` gets every valid announcement that is newer than what its peer said before.

    Anybody may announce any adapter, so that one peer's announcement never takes the place of another's.
    """

    def __init__(
        self,
        links: Links,
        offerings: Offerings,
        check: CheckAnnouncement,
        known: Callable[[], list[bytes]],
        deliver: Callable[[bytes], None],
    ) -> None:
        self._links = links
        self._offerings = offerings
        self._check = check
        self._known = known
        self._deliver = deliver
        self._seen: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._authors: OrderedDict[bytes, tuple[float, float]] = OrderedDict()
        self._due: dict[tuple[str, str], float] = {}
        self._catalog_shares = Shares(64, 2)
        self._catalog_slots = trio.CapacityLimiter(4)
        self._dht: Any = KadDHT(links.host, DHTMode.SERVER)
        self._dht.register_validator("viz", _AnnouncementRecords(check))
        # The library lets any peer hold its few places for as long as it likes, with 4 MiB each.
        kad_dht.MAX_DHT_MESSAGE_SIZE = _MAX_DHT_BYTES
        self._dht_shares = Shares(48, 3)
        self._dht._inbound_limiter = trio.CapacityLimiter(48)
        links.host.set_stream_handler(DHT, self._on_dht_stream)
        links.find_peer = self._dht.find_peer
        router = gossipsub.GossipSub(
            protocols=[gossipsub.PROTOCOL_ID_V12, gossipsub.PROTOCOL_ID_V11],
            degree=5,
            degree_low=4,
            degree_high=8,
            heartbeat_interval=1,
            heartbeat_initial_delay=0.3,
            max_messages_per_topic_per_second=200.0,
            adaptive_gossip_enabled=False,
        )
        self._router = router
        self._pubsub = SafePubsub(
            links.host, router, strict_signing=True, seen_ttl=600, max_inbound_rpc_size=65536, allowed_topics={TOPIC}
        )
        links.host.set_stream_handler(CATALOG, self._on_catalog_stream)

    async def run(self, bootstrap: list[str], task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; started once gossip is subscribed."""
        async with AsyncExitStack() as services:
            for service in (self._dht, self._pubsub, self._router):
                await services.enter_async_context(background_trio_service(service))
            await self._pubsub.wait_until_ready()
            self._pubsub.set_topic_validator(TOPIC, self._is_acceptable, False)
            subscription = await self._pubsub.subscribe(TOPIC)
            for adapter_id in self._offerings.announcements:
                self._due["value", adapter_id] = self._due["provider", adapter_id] = 0.0
            self._due.update({("provider", key): 0.0 for key in self._offerings.provided})
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read_gossip, subscription)
                nursery.start_soon(self._publish_forever)
                nursery.start_soon(self._greet_forever)
                nursery.start_soon(self._bootstrap_forever, bootstrap)
                task_status.started()

    # What the node itself wants.

    async def announce(self, adapter_id: str, announcement: bytes) -> None:
        """Push now and publish in the DHT from the queue. Raises: VerificationError (it is not valid itself)."""
        checked_id, peer_id, sequence = self._check(announcement)
        if checked_id != adapter_id:
            raise VerificationError("the announcement is for another adapter")
        self._offerings.announcements[adapter_id] = announcement
        self._note_seen((adapter_id, peer_id), sequence)
        self._due["value", adapter_id] = self._due["provider", adapter_id] = 0.0
        try:
            await self._pubsub.publish(TOPIC, announcement)
        except STREAM_FAILURES as error:
            _log.info("an announcement was not pushed (the DHT and catalogues still carry it): %r", error)

    def provide(self, blob_id: str) -> None:
        """Publish, from the queue, that this node serves the blob."""
        self._offerings.provided[blob_id] = True
        self._due["provider", blob_id] = 0.0

    async def find_announcement(self, adapter_id: str) -> bytes | None:
        """The newest announcement that the DHT has."""
        key = _DHT_PREFIX + adapter_id
        store = self._dht.value_store
        local = store.get(key.encode())
        # The library answers from its own store, however old, without asking anybody.
        store.remove(key.encode())
        found: bytes | None = None
        with trio.move_on_after(_LOOKUP_SECONDS):
            found = await self._look_up(self._dht.get_value, key)
        own = self._offerings.announcements.get(adapter_id)
        candidates = [raw for raw in (found, local.value if local else None, own) if raw]
        valid = [(sequence, raw) for raw in candidates if (sequence := self._sequence_for(adapter_id, raw)) is not None]
        if not valid:
            return None
        best = max(valid)[1]
        store.put(key.encode(), best)
        self._offer(best)
        return best

    def _sequence_for(self, adapter_id: str, raw: bytes) -> int | None:
        try:
            checked_id, _, sequence = self._check(raw)
        except VerificationError:
            return None
        return sequence if checked_id == adapter_id else None

    async def find_providers(self, blob_id: str) -> list[ID]:
        """Other peers that say they serve it; remembers their addresses. A claim is no proof."""
        key = bytes.fromhex(_SHA256_PREFIX + blob_id)
        # The library answers from its cache for as long as there is one entry.
        cached = self._dht.provider_store.providers.pop(key, {})
        infos: list[Any] = []
        with trio.move_on_after(_LOOKUP_SECONDS):
            infos = await self._look_up(self._dht.find_providers, _SHA256_PREFIX + blob_id, 1000) or []
        for peer_text, record in cached.items():
            self._dht.provider_store.providers.setdefault(key, {}).setdefault(peer_text, record)
        infos += self._dht.provider_store.get_providers(key)
        peers: dict[ID, None] = {}
        for info in infos:
            if info.peer_id != self._links.host.get_id():
                self._links.remember(info.peer_id, info.addrs)
                peers[info.peer_id] = None
        return list(peers)

    async def _look_up(self, ask: Callable[..., Awaitable[Any]], *arguments: object) -> Any:
        try:
            return await ask(*arguments)
        except Exception as error:  # noqa: BLE001
            # The library lets a stranger's malformed answer out in many classes; a lookup is a hint only.
            _log.info("a DHT lookup failed: %r", error)
            return None

    async def catch_up(self) -> int:
        """Ask every connected peer for its catalogue; the number of new announcements."""
        new = 0
        for peer in self._links.host.get_connected_peers():
            new += await self._catch_up_with(peer)
        return new

    # What peers send.

    def _offer(self, raw: bytes) -> bool:
        try:
            adapter_id, peer_id, sequence = self._check(raw)
        except VerificationError:
            return False
        if self._seen.get((adapter_id, peer_id), -1) >= sequence:
            return False
        self._note_seen((adapter_id, peer_id), sequence)
        self._deliver(raw)
        return True

    def _note_seen(self, place: tuple[str, str], sequence: int) -> None:
        self._seen[place] = sequence
        self._seen.move_to_end(place)
        while len(self._seen) > _MAX_SEEN:
            self._seen.popitem(last=False)

    def _is_acceptable(self, _forwarder: ID, message: Any) -> bool:
        author = bytes(message.from_id)
        if author != self._links.host.get_id().to_bytes() and not self._may_speak(author):
            return False
        try:
            self._check(message.data)
        except VerificationError:
            return False
        return True

    def _may_speak(self, author: bytes) -> bool:
        now = trio.current_time()
        allowance, last = self._authors.pop(author, (_AUTHOR_BURST, now))
        allowance = min(_AUTHOR_BURST, allowance + (now - last))
        may = allowance >= 1
        self._authors[author] = (allowance - may, now)
        while len(self._authors) > _MAX_AUTHORS:
            self._authors.popitem(last=False)
        return may

    async def _read_gossip(self, subscription: Any) -> None:
        async for message in subscription:
            self._offer(message.data)

    async def _on_catalog_stream(self, stream: INetStream) -> None:
        peer = peer_of(stream)
        try:
            with self._catalog_shares.place(peer) as is_free:
                if not is_free:
                    raise RefusedError("too many at once")
                offset = wire.parse_page_request(await read_frame(stream, max_bytes=wire.PAGE_REQUEST_BYTES))
                async with self._catalog_slots:
                    known = await trio.to_thread.run_sync(self._known)
                end = offset + wire.MAX_PAGE_ENTRIES
                await write_frame(stream, wire.page_body(known[offset:end], end < len(known)))
            await finish(stream)
        except (*STREAM_FAILURES, VizNodeError) as error:
            _log.debug("a catalogue request of %s ended early: %r", peer, error)
            await abandon(stream)

    async def _on_dht_stream(self, stream: INetStream) -> None:
        with self._dht_shares.place(peer_of(stream)) as is_free, trio.move_on_after(_DHT_STREAM_SECONDS):
            if is_free:
                await self._dht.handle_stream(stream)
                return
        await abandon(stream)

    async def _catch_up_with(self, peer: ID) -> int:
        new = 0
        try:
            for page in range(_MAX_PAGES):
                entries, more = await self._request_page(peer, page * wire.MAX_PAGE_ENTRIES)
                new += sum(self._offer(entry) for entry in entries)
                if not more or not entries:
                    break
        except (*STREAM_FAILURES, VizNodeError) as error:
            _log.debug("the catalogue of %s: %r", peer, error)
        return new

    async def _request_page(self, peer: ID, offset: int) -> tuple[list[bytes], bool]:
        stream = await self._links.open_stream(peer, CATALOG)
        try:
            await write_frame(stream, wire.page_request(offset))
            return wire.parse_page(await read_frame(stream))
        finally:
            await finish(stream)

    # What runs by itself.

    async def _publish_forever(self) -> None:
        while True:
            now = trio.current_time()
            ready = next((job for job, due in self._due.items() if due <= now), None)
            if ready is None or self._dht.get_routing_table_size() == 0:
                await trio.sleep(0.25)
                continue
            if not self._is_wanted(*ready):
                del self._due[ready]
                continue
            self._due[ready] = now + (_REPUBLISH_SECONDS if await self._publish(*ready) else _RETRY_SECONDS)
            await trio.sleep(_PACE_SECONDS)

    def _is_wanted(self, kind: str, key: str) -> bool:
        return key in self._offerings.announcements or (kind == "provider" and key in self._offerings.provided)

    async def _publish(self, kind: str, key: str) -> bool:
        with trio.move_on_after(_LOOKUP_SECONDS) as scope:
            try:
                if kind == "value":
                    await self._dht.put_value(_DHT_PREFIX + key, self._offerings.announcements[key])
                else:
                    await self._dht.provide(_SHA256_PREFIX + key)
            except Exception as error:  # noqa: BLE001
                # As in `_look_up`: whatever the peers' answers made the library raise.
                _log.info("publishing %s %s failed: %r", kind, key[:12], error)
                return False
        return not scope.cancelled_caught

    async def _greet_forever(self) -> None:
        greeted: set[ID] = set()
        async with trio.open_nursery() as nursery:
            while True:
                connected = set(self._links.host.get_connected_peers())
                for peer in connected - greeted:
                    nursery.start_soon(self._greet, peer)
                greeted = connected
                await trio.sleep(0.25)

    async def _greet(self, peer: ID) -> None:
        # Identify has to have brought the peer's addresses and protocols first.
        await trio.sleep(0.5)
        try:
            await self._dht.add_peer(peer)
        except Exception as error:  # noqa: BLE001
            _log.info("peer %s did not enter the routing table: %r", peer, error)
        if self._dht.get_routing_table_size() <= _SMALL_NETWORK:
            self._due.update(dict.fromkeys(self._due, 0.0))
        await self._catch_up_with(peer)

    async def _bootstrap_forever(self, bootstrap: list[str]) -> None:
        while True:
            for text in bootstrap:
                try:
                    info = parse_peer_address(text)
                    self._links.remember(info.peer_id, info.addrs)
                    await self._links.connect(info.peer_id)
                except (PeerUnreachableError, UsageError) as error:
                    _log.info("bootstrap %s: %s", text, error)
            if self._dht.get_routing_table_size():
                await self._look_up(self._dht.refresh_routing_table)
            await trio.sleep(60.0 if self._links.host.get_connected_peers() or not bootstrap else 5.0)
