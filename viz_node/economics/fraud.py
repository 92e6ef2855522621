"""The fraud experiment: paying bots use their owner's item, and the owner earns payout minus fees.

Uses per user are lognormal with median 20 and sigma 0.95, about 31 on average with a heavy tail; tastes are Dirichlet
around Zipf popularity. Only the totals matter to the bots' profit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from viz_node.economics.payouts import (
    POOL_RULES,
    PayoutRule,
    pro_rata,
    scaled_user_prop,
    user_centric,
    user_centric_shared_idle,
)
from viz_node.economics.tables import Band, Table, band

USERS = 1_000
SELLERS = 20
SELLERS_SHARE = 0.70
ATTACKS = ((1, 1_000), (10, 1_000), (100, 1_000), (1, 100_000), (100, 20))
IDLE_SHARES = (0.0, 0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 0.6)
IDLE_ATTACK = (10, 1_000)
IDLE_RULES: dict[str, PayoutRule] = {
    "pro-rata": pro_rata,
    "user-centric, idle fees shared out": user_centric_shared_idle,
    "user-centric, idle fees held back": user_centric,
    "ScaledUserProp with fallback": scaled_user_prop,
}


@dataclass(frozen=True)
class Fraud:
    """Profit of the bots' owner in fees: by attack and rule, by idle share and rule; the seller rank that bots buy."""

    profit: dict[tuple[int, int], dict[str, Band]]
    rank: dict[tuple[int, int], dict[str, float]]
    profit_per_bot_if_idle: dict[float, dict[str, Band]]

    def tables(self) -> list[Table]:
        """The three tables of the experiment."""
        rules = tuple(POOL_RULES)
        names = {attack: f"{attack[0]:,} x {attack[1]:,}".replace(",", " ") for attack in self.profit}
        return [
            Table(
                "fraud-profit",
                "Profit of the bots' owner, in fees (95 % of seeds)",
                ("bots x uses", *rules),
                tuple((names[attack], *cells.values()) for attack, cells in self.profit.items()),
            ),
            Table(
                "fraud-rank",
                f"Median rank by payout that the bots' owner reaches among {SELLERS + 1} sellers",
                ("bots x uses", *rules),
                tuple((names[attack], *cells.values()) for attack, cells in self.rank.items()),
            ),
            Table(
                "fraud-idle",
                f"Profit per bot, in fees, with {IDLE_ATTACK[0]} bots, by share of payers who used nothing",
                ("idle payers", *IDLE_RULES),
                tuple((f"{share:.0%}", *cells.values()) for share, cells in self.profit_per_bot_if_idle.items()),
            ),
        ]


def run_fraud(seed: int, repeats: int, advance: Callable[[], None]) -> Fraud:
    """Run every attack against every rule on `repeats` populations; `advance` is called after each."""
    profits: dict[Any, list[float]] = {}
    ranks: dict[Any, list[float]] = {}
    idle: dict[Any, list[float]] = {}
    for rng in np.random.default_rng(seed).spawn(repeats):
        uses = population(rng)
        for attack in ATTACKS:
            attacked = with_bots(uses, *attack)
            for name, rule in POOL_RULES.items():
                payouts = rule(attacked, SELLERS_SHARE)
                profits.setdefault((attack, name), []).append(payouts[-1] - attack[0])
                ranks.setdefault((attack, name), []).append(1.0 + int(np.count_nonzero(payouts[:-1] > payouts[-1])))
        for share in IDLE_SHARES:
            attacked = with_bots(with_idle(uses, share, rng), *IDLE_ATTACK)
            for name, rule in IDLE_RULES.items():
                profit = rule(attacked, SELLERS_SHARE)[-1] - IDLE_ATTACK[0]
                idle.setdefault((share, name), []).append(profit / IDLE_ATTACK[0])
        advance()
    return Fraud(
        {attack: {name: band(profits[attack, name]) for name in POOL_RULES} for attack in ATTACKS},
        {attack: {name: float(np.median(ranks[attack, name])) for name in POOL_RULES} for attack in ATTACKS},
        {share: {name: band(idle[share, name]) for name in IDLE_RULES} for share in IDLE_SHARES},
    )


def population(rng: Any) -> Any:
    """Uses of every honest user of every seller, as expected values rather than counts."""
    totals = rng.lognormal(np.log(20), 0.95, USERS)
    popularity = 1 / np.arange(1, SELLERS + 1)
    tastes = rng.dirichlet(5 * popularity / popularity.sum(), USERS)
    return totals[:, None] * tastes


def with_bots(uses: Any, bots: int, uses_each: int) -> Any:
    """The same population with one more seller, whom only the bots use."""
    honest = np.pad(uses, ((0, 0), (0, 1)))
    fakes = np.zeros((bots, honest.shape[1]))
    fakes[:, -1] = uses_each
    return np.vstack([honest, fakes])


def with_idle(uses: Any, share: float, rng: Any) -> Any:
    """The same population, of whom this share pays and uses nothing."""
    idle = rng.permutation(len(uses)) < round(share * len(uses))
    return np.where(idle[:, None], 0.0, uses)
