"""What of all that was heard is delivered."""

import pytest

from tests.announcing import announcement, check
from viz_node.errors import VerificationError
from viz_node.p2p import announcements
from viz_node.p2p.announcements import Announcements


def heard() -> tuple[Announcements, list[bytes]]:
    delivered: list[bytes] = []
    return Announcements(check, delivered.append), delivered


def test_offer__same_older_newer_and_of_another_peer__what_is_new_once() -> None:
    table, delivered = heard()
    offered = [
        announcement("a", "one", 2),
        announcement("a", "one", 2),
        announcement("a", "one", 1),
        announcement("a", "other", 1),
        announcement("a", "one", 3),
        b"nothing",
    ]
    assert [table.offer(raw) for raw in offered] == [True, False, False, True, True, False]
    assert delivered == [offered[0], offered[3], offered[4]]


def test_note_own__comes_back_from_a_peer__is_not_delivered() -> None:
    table, delivered = heard()
    table.note_own("a", announcement("a", "self", 7))
    assert not table.offer(announcement("a", "self", 7))
    assert table.offer(announcement("a", "self", 8))
    assert delivered == [announcement("a", "self", 8)]


@pytest.mark.parametrize("raw", [b"nothing", announcement("b", "self", 1)])
def test_note_own__malformed_or_of_another_adapter__refused_and_forgotten(raw: bytes) -> None:
    table, _ = heard()
    with pytest.raises(VerificationError):
        table.note_own("a", raw)
    assert table.offer(announcement("a", "self", 0))


def test_sequence_of__other_adapter_or_malformed__none() -> None:
    table, _ = heard()
    raws = [announcement("a", "one", 5), announcement("b", "one", 5), b"nothing"]
    assert [table.sequence_of("a", raw) for raw in raws] == [5, None, None]
    assert [table.is_valid(raw) for raw in raws] == [True, True, False]


def test_offer__more_peers_than_are_kept__the_longest_silent_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcements, "_MAX_SEEN", 2)
    table, _ = heard()
    for peer in ("one", "two", "three"):
        table.offer(announcement("a", peer, 1))
    assert not table.offer(announcement("a", "three", 1))
    assert table.offer(announcement("a", "one", 1))
