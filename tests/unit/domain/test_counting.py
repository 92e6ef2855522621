"""Counts in words."""

from viz_node.domain.counting import counted


def test_counted__one_and_others() -> None:
    assert [counted(count, "adapter") for count in (0, 1, 2)] == ["0 adapters", "1 adapter", "2 adapters"]
    assert [counted(count, "entry", "entries") for count in (1, 2)] == ["1 entry", "2 entries"]
