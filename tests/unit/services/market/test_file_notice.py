"""Notices: an answer to none, or by a stranger, is refused before there is a job."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.world import Member, World
from viz_node.domain.orders import NoticeOrder
from viz_node.errors import NotFoundError, RefusedError, UsageError

DIGEST = "ab" * 32


@dataclass(frozen=True)
class OnRecord:
    number: int
    answers: int


@pytest.fixture
async def seller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Member:
    world = World(tmp_path)
    seller = world.node("seller")
    await seller.sell("elsin")
    rows = [OnRecord(3, 0), OnRecord(5, 3)]
    market = type(world.market())
    monkeypatch.setattr(market, "notices_of", lambda _, number: rows if number == 1 else [], raising=False)
    return seller


@pytest.mark.parametrize("number", [1, 5, 99])
async def test_answer__no_notice_of_that_number__not_found_before_a_job(seller: Member, number: int) -> None:
    with pytest.raises(NotFoundError, match=f"there is no notice {number} about elsin") as caught:
        await seller.services.market.notice_plans.check("elsin", DIGEST, number)
    assert caught.value.hint == "viz-node notice show elsin"


async def test_answer__by_the_owner__is_an_order_and_by_a_stranger_refused(seller: Member) -> None:
    order = await seller.services.market.notice_plans.check("elsin", DIGEST, 3)
    assert order == NoticeOrder("elsin", 1, DIGEST, 3)
    stranger = seller.world.node("stranger")
    stranger.hear()
    with pytest.raises(RefusedError, match="only the owner of elsin, 0x"):
        await stranger.services.market.notice_plans.check("elsin", DIGEST, 3)
    assert (await stranger.services.market.notice_plans.check("elsin", DIGEST, None)).answers is None


async def test_notice__no_digest__usage_error(seller: Member) -> None:
    with pytest.raises(UsageError, match="SHA-256"):
        await seller.services.market.notice_plans.check("elsin", "ab", None)
