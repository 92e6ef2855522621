"""What pools answer has these keys, in this order; programs read them."""

from dataclasses import fields

import pytest

from viz_node.domain.answer import as_json
from viz_node.domain.ids import Account
from viz_node.domain.plan import PlanStep
from viz_node.services.pools.join_pool import JoinedPool, LeftPool
from viz_node.services.pools.open_pool import AskedPool, OpenedPool
from viz_node.services.pools.run_pool import PostedDivision, WatchedPool
from viz_node.services.pools.show_pools import (
    GivenUnits,
    PoolDetails,
    ShownMember,
    ShownPool,
    ShownRoot,
    WrittenData,
)
from viz_node.services.pools.subscribe_pool import Subscribed

POOL = "pool name fee days rule adapters_share period period_ends paid_periods roles divided operator challenger error"
KEYS = {
    ShownPool: POOL,
    PoolDetails: f"{POOL} reserve_split operator_peer challenger_peer grace_hours members roots",
    ShownMember: "adapter name account split my_uses",
    ShownRoot: "periods fees state adoptable_at claims_end data given",
    GivenUnits: "split units what",
    WrittenData: "pool directory files missing",
    JoinedPool: "pool adapter split told",
    LeftPool: "pool adapter",
    WatchedPool: "pool watched",
    OpenedPool: "pool tx_hash",
    PostedDivision: "pool through data tx_hash",
    Subscribed: "pool periods skipped until paid tx_hash",
    PlanStep: "what amount gas consequence",
    AskedPool: "name fee challenger days rule share grace_hours",
}


@pytest.mark.parametrize("record", KEYS)
def test_answers__of_pools__have_these_keys(record: type) -> None:
    assert " ".join(field.name for field in fields(record)) == KEYS[record]


def test_shown_pool__rules_are_known__has_no_error() -> None:
    shown = ShownPool(
        pool=1, name="poems", fee="10.00", days=30.0, rule="user-centric", adapters_share="70", period=0,
        period_ends="", paid_periods=[], roles=[], divided="0.00", operator=Account("0x1"), challenger=Account("0x2"),
    )  # fmt: skip
    assert " ".join(as_json(shown)) == POOL.removesuffix(" error")
