"""Honest sellers under demand shocks: what each price rule brings to the seller and leaves to the users.

Buyers arrive as a Poisson process, know their own lognormal valuation and buy once if the price is within it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from viz_node.economics.prices import PRICE_RULES, Fixed, OfferTerms, PriceRule
from viz_node.economics.tables import Band, Table, band

ARRIVALS_PER_EPOCH = 5.5
MEDIAN_VALUATION = 160.0
VALUATION_SIGMA = 0.35
EPOCHS = 120
BOOM = range(30, 50)
BUST = range(80, 100)
BOOM_FACTOR = 4.0
BUST_FACTOR = 0.25
TERMS = OfferTerms(fee=0.10)
HINDSIGHT = "fixed, best in hindsight"
STEADY_DEMANDS = (0.6, 1.0, 1.4, 2.0, 3.0, 5.0)
STEADY_EPOCHS = 150
SETTLING_EPOCHS = 100

Buyers = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Outcome:
    """One offer's life: the seller's net income, users' surplus, the highest price paid, each epoch's opening price."""

    income: float
    surplus: float
    highest: float
    prices: tuple[float, ...]

    def volatility(self) -> float:
        """Standard deviation of the change of the price from one epoch to the next, in percent."""
        return float(100 * np.std(np.diff(np.log(self.prices))))


@dataclass(frozen=True)
class Shocks:
    """Bands by rule and figure, the first population's price paths, and the prices under steady demand."""

    figures: dict[str, dict[str, Band]]
    paths: dict[str, tuple[float, ...]]
    steady: dict[str, tuple[float, ...]]

    def tables(self) -> list[Table]:
        """The two tables of the experiment."""
        columns = tuple(next(iter(self.figures.values())))
        rows = tuple((name, *(row[column] for column in columns)) for name, row in self.figures.items())
        title = "Honest seller under a boom and a bust (income and surplus: fixed price at the floor = 100)"
        demands = tuple(f"{demand:g} x target" for demand in STEADY_DEMANDS)
        responses = tuple((name, *prices) for name, prices in self.steady.items())
        return [
            Table("pricing-shocks", title, ("rule", *columns), rows),
            Table(
                "pricing-steady",
                f"Average price paid under steady demand (floor {TERMS.floor:.0f}, fee {TERMS.fee:.0%})",
                ("rule", *demands),
                responses,
            ),
        ]


def run_shocks(seed: int, repeats: int, advance: Callable[[], None]) -> Shocks:
    """Sell to `repeats` populations under every rule; `advance` is called after each."""
    collected: dict[str, dict[str, list[float]]] = {}
    paths: dict[str, tuple[float, ...]] = {}
    for rng in np.random.default_rng(seed).spawn(repeats):
        crowd = arrivals(rng, [ARRIVALS_PER_EPOCH * _intensity(epoch) for epoch in range(EPOCHS)])
        outcomes = {name: sell_to(rule(TERMS), TERMS, crowd) for name, rule in PRICE_RULES.items()}
        outcomes[HINDSIGHT] = best_fixed(TERMS, crowd)
        base = outcomes["fixed"]
        for name, outcome in outcomes.items():
            figures = collected.setdefault(name, {})
            figures.setdefault("income", []).append(100 * outcome.income / base.income)
            figures.setdefault("users' surplus", []).append(100 * outcome.surplus / base.surplus)
            figures.setdefault("highest price paid", []).append(outcome.highest)
            figures.setdefault("volatility, % per epoch", []).append(outcome.volatility())
        paths = paths or {name: outcome.prices for name, outcome in outcomes.items()}
        advance()
    bands = {name: {key: band(row[key]) for key in row} for name, row in collected.items()}
    steady = {
        name: tuple(steady_price(rule(TERMS), demand) for demand in STEADY_DEMANDS)
        for name, rule in PRICE_RULES.items()
    }
    return Shocks(bands, paths, steady)


def steady_price(rule: PriceRule, demand: float) -> float:
    """The average price, once settled, if so many times the target buy in every epoch, whatever it costs."""
    paid = []
    for epoch in range(STEADY_EPOCHS):
        for _ in range(round(demand * TERMS.target)):
            if epoch >= SETTLING_EPOCHS:
                paid.append(rule.price())
            rule.sell(is_first=True)
        rule.end_epoch()
    return float(np.mean(paid))


def arrivals(rng: Any, intensities: Sequence[float]) -> Buyers:
    """The valuations of the buyers who come in each epoch."""
    counts = rng.poisson(intensities)
    return [list(rng.lognormal(np.log(MEDIAN_VALUATION), VALUATION_SIGMA, count)) for count in counts]


def sell_to(rule: PriceRule, terms: OfferTerms, crowd: Buyers) -> Outcome:
    """Sell to everybody whose valuation reaches the price; the price of an epoch is the one it opens with."""
    income = surplus = highest = 0.0
    prices = []
    for valuations in crowd:
        prices.append(rule.price())
        for valuation in valuations:
            price = rule.price()
            if price <= valuation:
                income += (1 - terms.fee) * price
                surplus += valuation - price
                highest = max(highest, price)
                rule.sell(is_first=True)
        rule.end_epoch()
    return Outcome(income, surplus, highest, tuple(prices))


def best_fixed(terms: OfferTerms, crowd: Buyers) -> Outcome:
    """The fixed price that would have brought most, had the seller known the buyers."""
    valuations = np.sort(np.array([valuation for epoch in crowd for valuation in epoch]))
    incomes = valuations * np.arange(len(valuations), 0, -1)
    best = float(valuations[int(np.argmax(np.where(valuations >= terms.floor, incomes, 0)))])
    return sell_to(Fixed(terms, best), terms, crowd)


def _intensity(epoch: int) -> float:
    if epoch in BOOM:
        return BOOM_FACTOR
    return BUST_FACTOR if epoch in BUST else 1.0
