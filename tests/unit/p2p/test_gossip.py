"""How often an author may speak, and what is passed on."""

import pytest

from viz_node.p2p import gossip
from viz_node.p2p.gossip import Turns


def test_take__one_speaks_without_end__twenty_at_once_and_then_one_a_second() -> None:
    now = 0.0
    turns = Turns(lambda: now)
    assert [turns.take(b"one") for _ in range(21)] == [True] * 20 + [False]
    assert turns.take(b"other")
    now = 2.5
    assert [turns.take(b"one") for _ in range(3)] == [True, True, False]
    now = 1000.0
    assert sum(turns.take(b"one") for _ in range(100)) == 20


def test_take__more_authors_than_are_kept__the_longest_silent_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip, "_MAX_AUTHORS", 1)
    turns = Turns(lambda: 0.0)
    for _ in range(21):
        turns.take(b"one")
    turns.take(b"other")
    assert turns.take(b"one")
