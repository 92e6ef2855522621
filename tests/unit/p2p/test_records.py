"""What the DHT's records must be, and which of many counts."""

from typing import Any

import pytest
import trio
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr

from tests.announcing import announcement, check
from tests.raw_libp2p import new_peer
from viz_node.errors import VerificationError
from viz_node.p2p.announcements import Announcements
from viz_node.p2p.links import Links
from viz_node.p2p.offerings import Offerings
from viz_node.p2p.records import AnnouncementRecords, Records

OLD, NEW, OTHER = announcement("a", "one", 1), announcement("a", "two", 3), announcement("b", "one", 9)


class Dht:
    """Peers that answer with what they are given."""

    def __init__(self, values: list[bytes], providers: list[PeerInfo]) -> None:
        self.values, self.providers = values, providers
        self.kept: dict[str, bytes] = {}
        self.written: list[tuple[str, ...]] = []
        self.asked: list[str] = []

    async def ask_for_value(self, key: str) -> list[bytes]:
        self.asked.append(key)
        return list(self.values)

    def keep_value(self, key: str, value: bytes) -> None:
        self.kept[key] = value

    async def ask_for_providers(self, multihash: str) -> list[PeerInfo]:
        self.asked.append(multihash)
        return self.providers

    async def put_value(self, key: str, value: bytes) -> None:
        self.written.append((key, value.decode()))

    async def provide(self, multihash: str) -> None:
        if multihash.endswith("ff"):
            raise KeyError("a stranger's answer")
        self.written.append((multihash,))


class Host:
    def __init__(self) -> None:
        self.own_id = new_peer()

    def get_id(self) -> Any:
        return self.own_id


def records(*values: bytes, own: bytes = b"", providers: list[PeerInfo] | None = None) -> Any:
    delivered: list[bytes] = []
    host: Any = Host()
    dht: Any = Dht(list(values), providers or [])
    offerings = Offerings(announcements={"a": own} if own else {})
    made: Any = Records(Links(host, dht), dht, offerings, Announcements(check, delivered.append))
    made.dht, made.delivered, made.host = dht, delivered, host
    return made


async def test_find_announcement__old_new_foreign_and_malformed__the_newest_is_kept_and_delivered() -> None:
    found = records(OLD, b"nothing", OTHER, NEW)
    assert await found.find_announcement("a") == NEW
    assert (found.dht.kept, found.delivered, found.dht.asked) == ({"/viz/a": NEW}, [NEW], ["/viz/a"])


async def test_find_announcement__nobody_has_one__own_or_none() -> None:
    assert await records(own=OLD).find_announcement("a") == OLD
    found = records(OTHER, b"nothing")
    assert (await found.find_announcement("a"), found.dht.kept, found.delivered) == (None, {}, [])


async def test_find_providers__self_and_one_told_twice__others_once_with_their_addresses() -> None:
    peer, address = new_peer(), Multiaddr("/ip4/192.0.2.1/tcp/4001")
    found = records(providers=[PeerInfo(peer, [address]), PeerInfo(peer, [address])])
    found.dht.providers.append(PeerInfo(found.host.own_id, [address]))
    assert await found.find_providers("11" * 32) == [str(peer)]
    assert found._links.addresses_of(peer) == [address]
    assert found.dht.asked == ["1220" + "11" * 32]


def test_announcement_records__another_adapters_or_malformed__refused_and_never_selected() -> None:
    rule = AnnouncementRecords(check)
    rule.validate("/viz/a", OLD)
    for value in (OTHER, b"nothing"):
        with pytest.raises(VerificationError):
            rule.validate("/viz/a", value)
    assert rule.select("/viz/a", [b"nothing", OLD, NEW]) == 2


@pytest.mark.parametrize(
    ("kind", "key", "goes_well", "written"),
    [
        ("value", "a", True, [("/viz/a", OLD.decode())]),
        ("provider", "11", True, [("122011",)]),
        ("provider", "ff", False, []),
    ],
)
def test_publish__record__is_written_or_it_is_said_that_it_was_not(
    kind: str, key: str, goes_well: bool, written: list[Any]
) -> None:
    found = records(own=OLD)
    assert trio.run(found.publish, kind, key) == goes_well
    assert found.dht.written == written
