"""Orders of jobs: written and read again, those of other versions too."""

from dataclasses import dataclass

import pytest

from viz_node.domain.answer import UNSET, UnsetType, as_json
from viz_node.domain.orders import FederateOrder, UnreadableOrder, order_body, parse_order, subject_of

ORDERS = [(FederateOrder("elsin", "f1"), {"name": "elsin", "federation": "f1"})]


@pytest.mark.parametrize(("order", "body"), ORDERS)
def test_parse_order__what_was_written__is_the_same_order(order: FederateOrder, body: object) -> None:
    assert order_body(order) == body
    assert parse_order(order.kind, body) == order


@pytest.mark.parametrize(("order", "body"), ORDERS)
def test_parse_order__key_of_another_version__is_passed_over(order: FederateOrder, body: dict[str, object]) -> None:
    assert parse_order(order.kind, body | {"of_another_version": 1}) == order


@pytest.mark.parametrize("body", [{}, {"name": "elsin"}, {"name": 1, "federation": "f1"}, [], None])
def test_parse_order__malformed__kept_as_it_is_with_what_is_wrong(body: object) -> None:
    order = parse_order("federate", body)

    assert isinstance(order, UnreadableOrder) and order.problem
    assert order_body(order) == body


@pytest.mark.parametrize(
    ("body", "subject"),
    [({"name": "a"}, "a"), ({"adapter": "b"}, "b"), ({"name": "", "adapter": "b"}, "b"), ({"pool": 1}, ""), ([], "")],
)
def test_subject_of__name_or_adapter(body: object, subject: str) -> None:
    assert subject_of(UnreadableOrder(body, "")) == subject


@dataclass(frozen=True)
class Row:
    """A record with a key that some rows lack."""

    amount: int
    path: str
    note: str | UnsetType = UNSET


def test_as_json__records__objects_at_any_depth_without_what_is_unset() -> None:
    row = Row(2**200, "\udc80")

    assert as_json({"rows": [row, Row(1, "", "x")]}) == {
        "rows": [{"amount": 2**200, "path": "\udc80"}, {"amount": 1, "path": "", "note": "x"}]
    }


def test_as_json__bytes__stay_what_json_refuses() -> None:
    assert as_json([b"x"]) == [b"x"]
