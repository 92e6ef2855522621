"""What a worker may be ordered to do for a federation."""

from typing import Any

import msgspec
import pytest

from viz_node.domain.rounds import Agreement, Coordinate, Layout
from viz_node.errors import UsageError

ORDER = {
    "order": "coordinate", "run_id": "r", "terms_digest": "ab" * 32, "rounds": 3, "state_dir": "/s", "members": 3,
    "min_members": 2,
}  # fmt: skip


def ordered(**changes: Any) -> Coordinate:
    return msgspec.convert(ORDER | changes, Coordinate)


@pytest.mark.parametrize(
    "changes", [{"rounds": 0}, {"weight_cap": 0}, {"min_members": 0}, {"min_members": 4}, {"members": 1}]
)
def test_coordinate__number_out_of_range__is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        ordered(**changes)


def test_coordinate__agreement_and_layout__are_those_of_its_fields() -> None:
    assert ordered().agreement == Agreement("r", "ab" * 32)
    assert ordered(layout_digest="cd" * 32, vector_size=5).layout == Layout("cd" * 32, 5)
    assert [ordered().layout, ordered(layout_digest="cd" * 32).layout, ordered(vector_size=5).layout] == [None] * 3


@pytest.mark.parametrize("changes", [{"run_id": ""}, {"run_id": "r" * 129}, {"terms_digest": "AB" * 32}])
def test_agreement__malformed__is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        _ = ordered(**changes).agreement
