"""Who gets a place for an inbound connection, and whose place ends for it."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libp2p.peer.id import ID

from viz_node.p2p.admission import Place, Places, source_of


class Host:
    """Takes places and remembers which were ended."""

    def __init__(self, in_all: int = 4, per_peer: int = 2) -> None:
        self.places = Places(in_all, per_peer)
        self.ended: list[str] = []

    def take(self, source: str, name: str = "", peer: str = "", idle: bool = False) -> Place | None:
        place = self.places.take(source, partial(self.ended.append, name))
        if place is not None and peer:
            self.places.name(place, ID(peer.encode()), lambda: idle)
        return place


def test_take__room_is_there__one_address_may_have_all_of_it() -> None:
    host = Host()
    assert all(host.take("a") for _ in range(4))
    assert (host.places.taken, host.places.is_open, host.ended) == (4, True, [])


def test_take__one_address_has_all__gives_its_newest_to_others_until_shares_are_even() -> None:
    host = Host()
    for name in "1234":
        host.take("a", name)
    assert host.take("b", "5")
    assert host.take("c", "6")
    assert host.ended == ["4", "3"]
    assert host.take("d", "7")
    assert not host.places.is_open
    assert host.take("e") is None
    assert host.ended == ["4", "3", "2"]


def test_take__own_address_has_all__only_an_idle_connection_makes_room() -> None:
    host = Host()
    for name in "123":
        host.take("a", name, name)
    host.take("a", "4", "4", idle=True)
    assert host.take("a", "5", "5")
    assert host.ended == ["4"]
    assert host.take("a", "6", "6") is None


def test_name__third_connection_of_a_peer__ends_its_oldest() -> None:
    host = Host()
    for name in "123":
        host.take("a", name, "same")
    assert (host.ended, host.places.taken) == (["1"], 2)


def test_give_back__connection_ends__its_place_is_free_once() -> None:
    host = Host(in_all=1)
    place = host.take("a")
    assert place is not None
    assert host.take("b") is None
    host.places.give_back(place)
    host.places.give_back(place)
    assert host.places.taken == 0
    assert host.take("b") is not None
    assert host.take("c") is None


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=200))
def test_places__whoever_comes_and_goes__never_more_than_all_and_a_new_address_enters(
    steps: list[tuple[int, bool]],
) -> None:
    host = Host(in_all=12)
    held: list[Place] = []
    for number, goes in steps:
        place = host.take(str(number))
        if place is not None:
            held.append(place)
        if goes and held:
            host.places.give_back(held.pop(0))
        assert host.places.taken <= 12
    assert host.places.is_open
    assert host.take("new") is not None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1%eth0", "2001:db8:1:2::/64"),
        ("nonsense", "nonsense"),
    ],
)
def test_source_of__address__is_what_one_stranger_has(address: str, expected: str) -> None:
    assert source_of(address) == expected
