"""The pump: sellers buy from themselves to raise the price that honest buyers pay, under each price rule."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from viz_node.economics.demand import ARRIVALS_PER_EPOCH, Buyers, arrivals
from viz_node.economics.prices import PRICE_RULES, NaiveStep, OfferTerms, PriceRule
from viz_node.economics.tables import Band, Table, band

FEES = (0.02, 0.10, 0.30)
HONEST_PER_EPOCH = 5
WARM_UP_EPOCHS = 50
EPOCHS = 40
SELF_BUYS = (1, 2, 5, 10)
ATTACK_EPOCHS = (1, 2, 5, 10, 20)
UNREACTIVE = float("inf")


@dataclass(frozen=True)
class Attack:
    """Self-purchases at the start of each of so many epochs, after a quiet time without any."""

    self_buys: int
    epochs: int

    def buys(self, epoch: int) -> int:
        """Self-purchases in this epoch."""
        return self.self_buys if WARM_UP_EPOCHS <= epoch < WARM_UP_EPOCHS + self.epochs else 0


NO_ATTACK = Attack(0, 0)
ATTACKS = [Attack(buys, epochs) for buys in SELF_BUYS for epochs in ATTACK_EPOCHS]


@dataclass(frozen=True)
class Pump:
    """The textbook case by fee, and the best attack's profit by rule and fee for both kinds of buyers."""

    textbook: dict[float, tuple[float, float, float]]
    unreactive: dict[str, dict[float, tuple[float, Attack]]]
    reactive: dict[str, dict[float, Band]]

    def tables(self) -> list[Table]:
        """The three tables of the experiment."""
        fees = tuple(f"fee {fee:.0%}" for fee in FEES)
        return [
            Table(
                "pump-textbook",
                "Naive 1559: five epochs of five self-purchases (target 5, five honest buyers an epoch)",
                ("fee", "price after", "cost of the pump", "extra income per epoch"),
                tuple((f"{fee:.0%}", *figures) for fee, figures in self.textbook.items()),
            ),
            Table(
                "pump-unreactive",
                "Best pump against buyers who never react: profit (self-purchases x epochs)",
                ("rule", *fees),
                tuple((name, *(_named(*best) for best in row.values())) for name, row in self.unreactive.items()),
            ),
            Table(
                "pump-reactive",
                "Best pump against buyers who walk away above their valuation: profit (95 % of seeds)",
                ("rule", *fees),
                tuple((name, *row.values()) for name, row in self.reactive.items()),
            ),
        ]


def run_pump(seed: int, repeats: int, advance: Callable[[], None]) -> Pump:
    """Search the best attack per rule and fee; `advance` is called `repeats` times."""
    steady: Buyers = [[UNREACTIVE] * HONEST_PER_EPOCH] * (WARM_UP_EPOCHS + EPOCHS)
    unreactive = {
        name: {fee: max(profits(name, fee, steady), key=lambda best: best[0]) for fee in FEES} for name in PRICE_RULES
    }
    crowds = []
    for rng in np.random.default_rng(seed).spawn(repeats):
        crowds.append(arrivals(rng, [ARRIVALS_PER_EPOCH] * (WARM_UP_EPOCHS + EPOCHS)))
    gained: dict[tuple[str, float], list[list[float]]] = {}
    for crowd in crowds:
        for name in PRICE_RULES:
            for fee in FEES:
                gained.setdefault((name, fee), []).append([gain for gain, _ in profits(name, fee, crowd)[1:]])
        advance()
    reactive = {name: {fee: _best(gained[name, fee]) for fee in FEES} for name in PRICE_RULES}
    return Pump({fee: textbook_pump(fee) for fee in FEES}, unreactive, reactive)


def profits(name: str, fee: float, crowd: Buyers) -> list[tuple[float, Attack]]:
    """The profit of each attack over not attacking, with the same buyers; not attacking comes first."""
    terms = OfferTerms(fee=fee)
    honest = seller_income(PRICE_RULES[name](terms), terms, crowd, NO_ATTACK)
    attacked = [(seller_income(PRICE_RULES[name](terms), terms, crowd, attack) - honest, attack) for attack in ATTACKS]
    return [(0.0, NO_ATTACK), *attacked]


def seller_income(rule: PriceRule, terms: OfferTerms, crowd: Buyers, attack: Attack) -> float:
    """The seller's income net of the fees on self-purchases; a buyer buys if the price is within the valuation."""
    income = 0.0
    for epoch, valuations in enumerate(crowd):
        for _ in range(attack.buys(epoch)):
            income -= terms.fee * rule.price()
            rule.sell(is_first=True)
        for valuation in valuations:
            price = rule.price()
            if price <= valuation:
                income += (1 - terms.fee) * price
                rule.sell(is_first=True)
        rule.end_epoch()
    return income


def textbook_pump(fee: float) -> tuple[float, float, float]:
    """Price after five pumped epochs of the naive rule, what the pump cost, and what each later epoch brings more."""
    terms = OfferTerms(fee=fee)
    rule = NaiveStep(terms)
    cost = 0.0
    for _ in range(5):
        cost += 5 * fee * rule.price()
        for _ in range(5 + HONEST_PER_EPOCH):
            rule.sell(is_first=True)
        rule.end_epoch()
    return rule.price(), cost, HONEST_PER_EPOCH * (1 - fee) * (rule.price() - terms.floor)


def _best(gains_by_crowd: list[list[float]]) -> Band:
    """The band of the attack that earns most on average: the seller must choose before seeing the buyers."""
    gains = np.array(gains_by_crowd)
    return band(gains[:, int(np.argmax(gains.mean(axis=0)))])


def _named(profit: float, attack: Attack) -> str:
    if attack.self_buys == 0:
        return "none pays"
    text = f"{profit:,.0f}".replace(",", " ")
    return f"{text} ({attack.self_buys} x {attack.epochs})"
