"""What transactions are for, as this version and earlier ones stored it."""

from typing import Any

import pytest

from viz_node.domain.ids import TokenAmount
from viz_node.domain.permissions import Permissions
from viz_node.domain.purposes import (
    BuyLicense,
    ClaimRoyalties,
    CreditSplits,
    PublishAdapter,
    Purpose,
    RedeemVouchers,
    RefundPeriod,
    SubscribePool,
    parse_purpose,
    purpose_as,
    purpose_body,
)
from viz_node.domain.terms import PromisedShare, PublicationTerms
from viz_node.errors import StorageError

TERMS = PublicationTerms(
    price=TokenAmount(2**60),
    duration_seconds=86_400,
    kind="subscription",
    split={"0x1": 10_000},
    permissions=Permissions(derivatives=True, territories=("AT", "DE")),
    parents=(PromisedShare("ad" * 32, 7, 500),),
)
PURPOSES = [
    Purpose("approve", "j1", permit=True),
    BuyLicense("buy", "j1", adapter="ad", price=2**255),
    BuyLicense("order", "j1", permit=True, adapter="ad", price=5),
    PublishAdapter("publish", "j1", terms=TERMS),
    SubscribePool("subscribe", "j1", pool=1, wanted=(2, 3), skipped=(1,), paid=7, until=9),
    RedeemVouchers("redeem", channels=((2, 1), (3, 1))),
    CreditSplits("pool credit", claims=((1, 2, 3),)),
    ClaimRoyalties("claim", "j1", splits=(1, 2), due=2**200),
    RefundPeriod("pool refund", pool=1, period=2),
]
# As stored before purposes were records.
STORED_TERMS = {
    "price": 2**60, "duration_seconds": 86_400, "is_metered": False, "is_escrowed": False, "max_rise": 0, "target": 0,
    "kind": "subscription", "split": {"0x1": 10_000},
    "permissions": TERMS.permissions.body(),
    "parents": [{"adapter_id": "ad" * 32, "split_id": 7, "share": 500}],
}  # fmt: skip
EARLIER: list[tuple[dict[str, Any], Purpose]] = [
    (
        {"kind": "publish", "adapter": "poems", "terms": STORED_TERMS, "job": "j1", "description": "publish"},
        PublishAdapter("publish", "j1", terms=TERMS),
    ),
    ({"kind": "approve", "job": "j1", "adapter": "ad", "description": "approve"}, Purpose("approve", "j1")),
    ({"kind": "approve", "job": None}, Purpose("approve")),
    ({"kind": "close", "channel": 4, "description": "close", "shown": True}, Purpose("close")),
    (
        {
            "adapter": "ad",
            "name": "poems",
            "price": 5,
            "job": "j1",
            "kind": "order",
            "permit": True,
            "description": "d",
        },
        BuyLicense("order", "j1", permit=True, adapter="ad", price=5),
    ),
    (
        {"kind": "subscribe", "pool": 1, "wanted": [2, 3], "skipped": [], "paid": 7, "job": "j1"},
        SubscribePool("subscribe", "j1", pool=1, wanted=(2, 3), skipped=(), paid=7),
    ),
    ({"kind": "redeem", "channels": [[2, 1]]}, RedeemVouchers("redeem", channels=((2, 1),))),
    ({"kind": "pool credit", "claims": [[1, 2, 3]]}, CreditSplits("pool credit", claims=((1, 2, 3),))),
    ({"kind": "claim", "splits": [1], "due": 3, "job": "j1"}, ClaimRoyalties("claim", "j1", splits=(1,), due=3)),
]


@pytest.mark.parametrize("purpose", PURPOSES, ids=lambda purpose: purpose.kind)
def test_parse_purpose__of_what_was_stored__is_the_same(purpose: Purpose) -> None:
    assert parse_purpose(purpose.kind, purpose_body(purpose)) == purpose


@pytest.mark.parametrize(("body", "purpose"), EARLIER, ids=lambda value: str(value)[:40])
def test_parse_purpose__stored_by_an_earlier_version__is_understood(body: dict[str, Any], purpose: Purpose) -> None:
    assert parse_purpose(purpose.kind, body) == purpose


@pytest.mark.parametrize("body", [{}, {"adapter": 5, "price": "x"}, None, [1], {"job": 7}])
def test_parse_purpose__of_another_version__keeps_the_kind_and_says_so_when_its_facts_are_asked_for(body: Any) -> None:
    purpose = parse_purpose("buy", body)

    assert purpose == Purpose("buy")
    with pytest.raises(StorageError, match="another version"):
        purpose_as(purpose, BuyLicense)


@pytest.mark.parametrize("change", [{"price": -1}, {"permissions": {"territories": ["DE", "AT"]}}, {"split": []}])
def test_parse_purpose__terms_that_no_version_writes__keep_the_kind(change: dict[str, Any]) -> None:
    body = {"kind": "publish", "terms": STORED_TERMS | change, "job": "j1"}

    assert parse_purpose("publish", body) == Purpose("publish", "j1")
