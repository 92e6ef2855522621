"""Orders of jobs: written and read again, those of other versions too."""

import json
from dataclasses import dataclass

import pytest

from viz_node.domain.answer import UNSET, UnsetType, as_json
from viz_node.domain.ids import Account, TokenAmount, WorkId
from viz_node.domain.offer import OfferTerms
from viz_node.domain.orders import (
    BuildBaseOrder,
    ClaimOrder,
    CloseChannelOrder,
    DivideOrder,
    FederateOrder,
    FetchOrder,
    GenerateOrder,
    LicenseOrder,
    NoticeOrder,
    OpenChannelOrder,
    OpenPoolOrder,
    Order,
    PriceOrder,
    PublishOrder,
    RevokeOrder,
    SubscribeOrder,
    TopUpOrder,
    TrainOrder,
    UnreadableOrder,
    UseOrder,
    WithdrawOrder,
    order_body,
    parse_order,
    subject_of,
)
from viz_node.domain.permissions import Permissions
from viz_node.domain.recipe import Recipe
from viz_node.domain.sampling import Sampling
from viz_node.domain.terms import PublicationTerms
from viz_node.domain.training import BaseModel

OFFER = {
    "price": 5, "duration_seconds": 0, "is_metered": False, "is_escrowed": False, "max_rise": 0, "target": 0,
}  # fmt: skip
BASE = {"name": "small", "path": "/bases/\udc80", "digest": "ab" * 32}
RECIPE = {
    "rank": 16, "alpha": 32, "learning_rate": 0.002, "epochs": 3, "batch_documents": 4, "max_tokens": 256, "seed": 1,
    "goldfish": 0,
    "evaluations": 20,
    "patience": 5,
    "dropout": 0.0,
    "rslora": False,
    "dora": False,
    "targets": (),
    "checkpointing": False,
    "tokens_at_once": 4096,
    "warmup_percent": 5,
    "schedule": "cosine",
    "optimizer": "adamw",
}  # fmt: skip
SPLIT = {"0x" + "11" * 20: 10_000}
ORDERS: list[tuple[Order, dict[str, object]]] = [
    (BuildBaseOrder(0, "viz-base-small-0"), {"seed": 0, "name": "viz-base-small-0"}),
    (
        TrainOrder("elsin", (WorkId("ab"),), BaseModel(**BASE), Recipe(rank=16, alpha=32, seed=1)),
        {"name": "elsin", "works": ("ab",), "base": BASE, "recipe": RECIPE, "cores": 0, "between": ""},
    ),
    (
        TrainOrder("elsin", (), None, Recipe(seed=5)),
        {"name": "elsin", "works": [], "base": None, "recipe": {"seed": 5}, "cores": 0, "between": ""},
    ),
    (
        GenerateOrder("elsin", "In", 80, Sampling(0.0, stop=("x",))),
        {
            "adapter": "elsin",
            "prompt": "In",
            "max_new_tokens": 80,
            "sampling": {"temperature": 0.0, "stop": ["x"]},
            "messages": [],
        },
    ),
    (FederateOrder("elsin", "f1"), {"name": "elsin", "federation": "f1"}),
    (FetchOrder("elsin"), {"adapter": "elsin"}),
    (PriceOrder("elsin", OfferTerms(TokenAmount(5))), {"adapter": "elsin", "terms": OFFER}),
    (
        PublishOrder(
            "elsin", PublicationTerms(price=TokenAmount(5), kind="perpetual", split=SPLIT, permissions=Permissions())
        ),
        {
            "adapter": "elsin",
            "terms": OFFER | {"kind": "perpetual", "split": SPLIT, "permissions": Permissions().body(), "parents": []},
        },
    ),
    (WithdrawOrder("elsin"), {"adapter": "elsin"}),
    (NoticeOrder("elsin", 7, "ab", None), {"adapter": "elsin", "number": 7, "digest": "ab", "answers": None}),
    (LicenseOrder("elsin", TokenAmount(5), True), {"adapter": "elsin", "max_price": 5, "renew": True}),
    (ClaimOrder(), {"name": "royalties"}),
    (RevokeOrder(), {"name": "allowance"}),
    (OpenChannelOrder("ab", TokenAmount(5), 30), {"adapter": "ab", "deposit": 5, "days": 30}),
    (TopUpOrder(7, TokenAmount(5)), {"channel": 7, "amount": 5}),
    (CloseChannelOrder(7), {"channel": 7}),
    (
        OpenPoolOrder("poems", "{}", TokenAmount(5), 86_400, Account("0x1")),
        {"name": "poems", "rules": "{}", "fee": 5, "period_seconds": 86_400, "challenger": "0x1"},
    ),
    (DivideOrder(1), {"pool": 1}),
    (
        SubscribeOrder(1, 2, TokenAmount(5), "ab"),
        {"pool": 1, "periods": 2, "max_price": 5, "terms": "ab"},
    ),
    (UseOrder("elsin", "In", 80), {"adapter": "elsin", "prompt": "In", "max_new_tokens": 80}),
]


@pytest.mark.parametrize(("order", "body"), ORDERS)
def test_parse_order__what_was_written__is_the_same_order(order: Order, body: object) -> None:
    assert parse_order(order.kind, body) == order
    assert parse_order(order.kind, json.loads(json.dumps(order_body(order)))) == order


def test_order_body__each_kind__has_the_keys_that_rows_have() -> None:
    assert [list(order_body(order)) for order, _ in ORDERS] == [list(body) for _, body in ORDERS]
    assert order_body(ORDERS[1][0]) == ORDERS[1][1]


@pytest.mark.parametrize(("order", "body"), ORDERS)
def test_parse_order__key_of_another_version__is_passed_over(order: Order, body: dict[str, object]) -> None:
    assert parse_order(order.kind, body | {"of_another_version": 1}) == order


@pytest.mark.parametrize("body", [{}, {"name": "elsin"}, {"name": 1, "federation": "f1"}, [], None])
def test_parse_order__malformed__kept_as_it_is_with_what_is_wrong(body: object) -> None:
    order = parse_order("federate", body)

    assert isinstance(order, UnreadableOrder) and order.problem
    assert order_body(order) == body


def test_parse_order__recipe_out_of_range__is_unreadable() -> None:
    order = parse_order("train", ORDERS[1][1] | {"recipe": {"rank": 0}})

    assert isinstance(order, UnreadableOrder) and "rank must be a whole number" in order.problem


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


@pytest.mark.parametrize(
    "change", [{"kind": "lease"}, {"split": {}}, {"split": {"0x1": 10_000}}, {"split": {"0x" + "11" * 20: 9_999}}]
)
def test_parse_order__publication_that_nobody_can_have_asked_for__is_unreadable(change: dict[str, object]) -> None:
    (body,) = (body for order, body in ORDERS if order.kind == "publish")
    assert isinstance(body, dict)
    parsed = parse_order("publish", body | {"terms": body["terms"] | change})
    assert isinstance(parsed, UnreadableOrder)
    assert "malformed" in parsed.problem
