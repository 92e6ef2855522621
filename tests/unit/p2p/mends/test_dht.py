"""Places in the DHT, and look-ups that ask."""

from typing import Any

import pytest
import trio
import trio.testing
from libp2p.kad_dht import common, kad_dht
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr

from tests.raw_libp2p import Stream, new_peer, raw_host
from viz_node.p2p.mends.dht import BoundedDht

KEY, HASH = "/viz/one", "1220" + "11" * 32


async def hold(dht: Any, streams: list[Stream], seconds: float) -> list[bool]:
    """Let a peer's streams send nothing for so long; which of them were reset by then."""
    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for stream in streams:
                nursery.start_soon(dht.handle_stream, stream)
                await trio.testing.wait_all_tasks_blocked(0.01)
    return [stream.was_reset for stream in streams]


async def crowd(dht_class: Any, seconds: float, held: int) -> tuple[list[bool], bool]:
    """Twelve streams of one peer; then whether another peer's is turned away."""
    dht, peer = dht_class(raw_host()), new_peer()
    others: list[bool] = []
    streams = [Stream(peer) for _ in range(held)]

    async def other() -> None:
        await trio.sleep(1)
        others.extend(await hold(dht, [Stream(new_peer())], 1))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        ended = await hold(dht, streams, seconds)
    return ended, others[0]


def raw_dht(host: Any) -> KadDHT:
    return KadDHT(host, DHTMode.SERVER)


def run(act: Any, *arguments: Any) -> Any:
    return trio.run(act, *arguments, clock=trio.testing.MockClock(autojump_threshold=0.05))


def test_upstream__one_peer_holds_all_places__for_as_long_as_it_likes_and_no_other_has_one() -> None:
    ended, is_turned_away = run(crowd, raw_dht, 600, 12)
    assert (any(ended), is_turned_away) == (False, True)


def test_handle_stream__one_peer_wants_all_places__has_three_for_a_minute_and_others_have_theirs() -> None:
    ended, is_turned_away = run(crowd, BoundedDht, 59, 12)
    assert (ended, is_turned_away) == ([False] * 3 + [True] * 9, False)
    ended, _ = run(crowd, BoundedDht, 61, 3)
    assert ended == [True] * 3


def test_upstream__message__may_be_longer_than_any_that_is_needed() -> None:
    assert common.MAX_DHT_MESSAGE_SIZE == 4 << 20
    BoundedDht(raw_host())
    assert kad_dht.MAX_DHT_MESSAGE_SIZE == 256 << 10


class Network:
    """Peers that the look-ups would ask; what they answer replaces the library's asking."""

    def __init__(self, dht: Any) -> None:
        self.asked = 0
        dht.peer_routing.find_closest_peers_network = self.find_closest

    async def find_closest(self, _key: bytes, *_: Any) -> list[Any]:
        self.asked += 1
        return []


def provided(dht: Any) -> PeerInfo:
    peer = PeerInfo(new_peer(), [Multiaddr("/ip4/192.0.2.1/tcp/4001")])
    dht.provider_store.add_provider(bytes.fromhex(HASH), peer)
    return peer


def test_upstream__something_is_kept__is_the_answer_and_nobody_is_asked() -> None:
    async def main() -> None:
        dht = raw_dht(raw_host())
        network, peer = Network(dht), provided(dht)
        dht.value_store.put(KEY.encode(), b"old")
        assert await dht.get_value(KEY) == b"old"
        assert [info.peer_id for info in await dht.find_providers(HASH)] == [peer.peer_id]
        assert network.asked == 0

    run(main)


def test_ask__something_is_kept__peers_are_asked_and_what_was_kept_is_told_too() -> None:
    async def main() -> None:
        dht = BoundedDht(raw_host())
        network, peer = Network(dht), provided(dht)
        dht.keep_value(KEY, b"old")
        assert await dht.ask_for_value(KEY) == [b"old"]
        assert [info.peer_id for info in await dht.ask_for_providers(HASH)] == [peer.peer_id]
        assert network.asked == 2
        assert await dht.ask_for_value(KEY) == []
        assert [info.peer_id for info in await dht.ask_for_providers(HASH)] == [peer.peer_id]

    run(main)


def test_ask__peers_answer_with_what_makes_the_library_fail__nothing_is_found() -> None:
    async def fail(*_: Any) -> Any:
        raise KeyError("a stranger's answer")

    async def main() -> None:
        dht: Any = BoundedDht(raw_host())
        dht.get_value = dht.find_providers = dht.find_peer = dht.refresh_routing_table = fail
        assert (await dht.ask_for_value(KEY), await dht.ask_for_providers(HASH)) == ([], [])
        assert await dht.ask_for_peer(new_peer()) is None
        await dht.ask_around()

    run(main)


@pytest.mark.parametrize("seconds", [31])
def test_ask__peers_answer_nothing__gives_up_after_half_a_minute(seconds: float) -> None:
    async def wait(*_: Any) -> Any:
        await trio.sleep_forever()

    async def main() -> None:
        dht: Any = BoundedDht(raw_host())
        dht.get_value = wait
        with trio.fail_after(seconds):
            assert await dht.ask_for_value(KEY) == []

    run(main)
