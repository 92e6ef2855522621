"""The whole market: who receives what users pay, if adapters are sold one by one or as a catalogue, by each rule.

A user's k-th best adapter is worth 0.7^k of its value on top of the better ones. Bots are one ring that pays, uses
only its own adapters, and appears under as many names as it likes: no rule here looks at names.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from viz_node.economics.payouts import POOL_RULES, PayoutRule
from viz_node.economics.population import (
    ADAPTERS,
    HOLDERS,
    ORIGINALS,
    SECOND_CHOICE,
    USERS,
    Market,
    make_market,
)
from viz_node.economics.prices import Credit, Fixed, OfferTerms, PriceRule
from viz_node.economics.tables import Band, Table, band, gini

PLATFORM_SHARE = 0.10
LINEAGE_SHARE = 0.20
LICENSE_TERMS = OfferTerms(floor=10.0, ceiling=30.0, target=4, fee=PLATFORM_SHARE)
COPY_DISCOUNT = 0.7
ARRIVAL_EPOCHS = 12
CATALOGUE_FEE = 20.0
BOTS = 30
BOT_USES = 500.0


@dataclass(frozen=True)
class Sales:
    """The outcome of one selling rule: income by adapter, the bots' net, the rest, and the users' gain."""

    by_adapter: Any
    bots: float
    platform: float
    held_back: float
    surplus: float

    def figures(self, market: Market, lineage_share: float = LINEAGE_SHARE) -> dict[str, float]:
        """Money by receiver in percent of what honest users paid; the receivers add up to 100."""
        creators = with_lineage(self.by_adapter[:ORIGINALS], market.parent[:ORIGINALS], lineage_share)
        copies = float(self.by_adapter[ORIGINALS:].sum())
        paid = float(creators.sum()) + copies + self.bots + self.platform + self.held_back
        return {
            "paid by honest users": paid,
            "holders %": 100 * float(creators[:HOLDERS].sum()) / paid,
            "the less known half of holders %": 100 * float(creators[HOLDERS // 2 : HOLDERS].sum()) / paid,
            "developers %": 100 * float(creators[HOLDERS:].sum()) / paid,
            "copycats %": 100 * copies / paid,
            "bots, net %": 100 * self.bots / paid,
            "platform %": 100 * self.platform / paid,
            "held back for idle users %": 100 * self.held_back / paid,
            "Gini of creators": gini(creators),
            "surplus per user": self.surplus / USERS,
        }


@dataclass(frozen=True)
class Comparison:
    """Bands by selling rule and figure, and by what is done about lineage and copies."""

    rules: dict[str, dict[str, Band]]
    protections: dict[str, dict[str, Band]]

    def tables(self) -> list[Table]:
        """The two tables of the experiment."""
        return [
            _table("market-rules", "Where the users' money goes, by selling rule", self.rules),
            _table("market-lineage", "Licenses at the credit price: lineage royalty and takedowns", self.protections),
        ]


def run_market(seed: int, repeats: int, advance: Callable[[], None]) -> Comparison:
    """Sell `repeats` markets under every rule; `advance` is called after each."""
    rules: dict[str, dict[str, list[float]]] = {}
    protections: dict[str, dict[str, list[float]]] = {}
    for rng in np.random.default_rng(seed).spawn(repeats):
        market = make_market(rng)
        arrivals = rng.integers(0, ARRIVAL_EPOCHS, USERS)
        credit = sell_licenses(market, arrivals, Credit)
        _collect(rules, "licenses, fixed price", sell_licenses(market, arrivals, Fixed).figures(market))
        _collect(rules, "licenses, credit price", credit.figures(market))
        for name, rule in POOL_RULES.items():
            _collect(rules, f"catalogue, {name}", sell_catalogue(market, rule).figures(market))
        _collect(protections, "no lineage royalty", credit.figures(market, 0.0))
        _collect(protections, "lineage royalty 20 %", credit.figures(market))
        cleaned = sell_licenses(without_copies(market), arrivals, Credit)
        _collect(protections, "the same, copies taken down", cleaned.figures(market))
        advance()
    return Comparison(_bands(rules), _bands(protections))


def sell_licenses(market: Market, arrivals: Any, rule: Callable[[OfferTerms], PriceRule]) -> Sales:
    """Every user, on arrival, buys the adapters that are worth more than they cost, best first, within budget."""
    offers = [rule(LICENSE_TERMS) for _ in range(ADAPTERS)]
    paid = np.zeros(ADAPTERS)
    surplus = 0.0
    for epoch in range(ARRIVAL_EPOCHS):
        for user in np.flatnonzero(arrivals == epoch):
            surplus += _buy_for(market, int(user), offers, paid)
        for offer in offers:
            offer.end_epoch()
    self_purchases = BOTS * LICENSE_TERMS.floor
    fees = PLATFORM_SHARE * (float(paid.sum()) + self_purchases)
    return Sales((1 - PLATFORM_SHARE) * paid, -PLATFORM_SHARE * self_purchases, fees, 0.0, surplus)


def sell_catalogue(market: Market, rule: PayoutRule) -> Sales:
    """Everybody for whom the catalogue is worth its fee subscribes; the bots' adapter is the last column of uses."""
    wanted = market.wanted()
    ordered = -np.sort(-wanted, axis=1)[:, :10]
    worth = ordered @ SECOND_CHOICE ** np.arange(ordered.shape[1])
    joins = (worth >= CATALOGUE_FEE) & (market.budget >= CATALOGUE_FEE)
    liking = wanted[joins] ** 2
    uses = market.intensity[joins, None] * liking / liking.sum(axis=1, keepdims=True)
    uses = np.vstack([np.pad(uses, ((0, 0), (0, 1))), np.eye(1, ADAPTERS + 1, ADAPTERS).repeat(BOTS, 0) * BOT_USES])
    payouts = CATALOGUE_FEE * rule(uses, 1 - PLATFORM_SHARE)
    fees = CATALOGUE_FEE * len(uses)
    platform = PLATFORM_SHARE * fees
    surplus = float((worth[joins] * (market.intensity[joins] > 0) - CATALOGUE_FEE).sum())
    bots = float(payouts[-1]) - CATALOGUE_FEE * BOTS
    return Sales(payouts[:-1], bots, platform, fees - platform - float(payouts.sum()), surplus)


def with_lineage(incomes: Any, parents: Any, share: float) -> Any:
    """The same incomes after each derived adapter has paid this share to the one that it derives from."""
    derived = parents >= 0
    royalties = np.where(derived, share * incomes, 0.0)
    received = np.zeros(len(incomes))
    np.add.at(received, parents[derived], royalties[derived])
    return incomes - royalties + received


def without_copies(market: Market) -> Market:
    """The same market after every copy was taken down."""
    is_known = market.is_known.copy()
    is_known[:, ORIGINALS:] = False
    return Market(market.value, is_known, market.budget, market.intensity, market.parent, market.original)


def _buy_for(market: Market, user: int, offers: list[PriceRule], paid: Any) -> float:
    """Buy for one user; the cheaper one if the user knows an original and its copy. Returns the surplus."""
    budget, surplus, factor = float(market.budget[user]), 0.0, 1.0
    owned: set[int] = set()
    known = np.flatnonzero(market.is_known[user])
    costs = {int(adapter): _asked(int(adapter), offers) for adapter in known}
    for adapter in sorted(costs, key=lambda each: (-market.value[user, each], costs[each])):
        worth = factor * market.value[user, adapter]
        if worth < COPY_DISCOUNT * LICENSE_TERMS.floor:
            break
        if int(market.original[adapter]) in owned or costs[adapter] > min(worth, budget):
            continue
        owned.add(int(market.original[adapter]))
        offers[adapter].sell(is_first=True)
        paid[adapter] += costs[adapter]
        budget, surplus, factor = budget - costs[adapter], surplus + worth - costs[adapter], factor * SECOND_CHOICE
    return surplus


def _asked(adapter: int, offers: list[PriceRule]) -> float:
    return offers[adapter].price() * (COPY_DISCOUNT if adapter >= ORIGINALS else 1.0)


def _collect(rows: dict[str, dict[str, list[float]]], name: str, figures: dict[str, float]) -> None:
    row = rows.setdefault(name, {})
    for key, value in figures.items():
        row.setdefault(key, []).append(value)


def _bands(rows: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, Band]]:
    return {name: {key: band(values) for key, values in row.items()} for name, row in rows.items()}


def _table(name: str, title: str, rows: dict[str, dict[str, Band]]) -> Table:
    figures = next(iter(rows.values()))
    return Table(name, title, ("figure", *rows), tuple((key, *(row[key] for row in rows.values())) for key in figures))
