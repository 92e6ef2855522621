"""The head's age against this clock, on a chain with real money and on a development chain."""

import time
from typing import Any

import pytest

from viz_node.daemon import chain_checks
from viz_node.domain.health import Health


class Market:
    """Tells when its latest block was."""

    def __init__(self, age_seconds: int) -> None:
        self._age = age_seconds

    def block_time(self) -> int:
        return int(time.time()) - self._age


@pytest.mark.parametrize(
    ("age", "name", "state"),
    [
        (5, "head of the chain", Health.OK),
        (-5, "head of the chain", Health.OK),
        (chain_checks.OLD_HEAD_SECONDS + 60, "head of the chain", Health.WARN),
        (chain_checks.DEAD_HEAD_SECONDS + 60, "head of the chain", Health.FAIL),
        (-3600, "clock", Health.FAIL),
    ],
)
def test_head__age__says_whether_chain_or_clock_is_wrong(age: int, name: str, state: Health) -> None:
    market: Any = Market(age)
    found = chain_checks._head(market, is_test=False)
    assert (found.check, found.state) == (name, state)
    assert (found.fix == "") == (state is Health.OK)
    assert chain_checks._head(market, is_test=True).state is Health.OK
