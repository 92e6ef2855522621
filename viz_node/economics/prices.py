"""Price rules as float models: fixed, the naive 1559 step, the same step under a cap, the credit rule, a VRGDA.

The credit rule is the one that the contract `Pricing` keeps in whole units. An offer has a credit, at first zero. The
price is `floor + credit / target`. Every sale takes its premium (price - floor) out of the credit; each first-time
licensee above the target in one epoch, up to twice the target, adds a step of `fee x floor`, which is no more than the
fee on that sale; the credit never exceeds what the ceiling needs, and halves with every epoch that ends, busy or not.

Why buying from oneself cannot pay, even if buyers never react. Compare the same honest purchases without and with k of
the seller's own. No line above widens a difference of credits, and a sale moves exactly what it asks more from that
difference into the seller's hands. n first licenses in an epoch make min(max(n - target, 0), target) steps, so k more
make at most k more steps. Honest buyers therefore pay at most k steps more, and each of the k purchases lost at least
one step to the platform. `tests/unit/economics/test_prices.py` searches for a pump that pays.
"""

from dataclasses import dataclass
from typing import Protocol

STEP_DIVISOR = 8
VRGDA_DECAY = 0.2


@dataclass(frozen=True)
class OfferTerms:
    """Bounds of a moving price, the first licenses per epoch that it aims at, and the platform's part of each sale."""

    floor: float = 100.0
    ceiling: float = 1_000.0
    target: int = 5
    fee: float = 0.02

    def bounded(self, price: float) -> float:
        """The price within floor and ceiling."""
        return max(self.floor, min(self.ceiling, price))


class PriceRule(Protocol):
    """The price of one offer over time; epochs end one after the other."""

    def price(self) -> float:
        """The price of the next license."""

    def sell(self, is_first: bool) -> None:
        """Book a sale at `price()`; `is_first` unless it renews a license that the holder had."""

    def end_epoch(self) -> None:
        """Time passes into the next epoch."""


class Fixed:
    """The price never moves."""

    def __init__(self, terms: OfferTerms, price: float | None = None) -> None:
        self._price = terms.floor if price is None else price

    def price(self) -> float:
        return self._price

    def sell(self, is_first: bool) -> None:
        pass

    def end_epoch(self) -> None:
        pass


class NaiveStep:
    """Like the base fee of EIP-1559: up or down by at most 1/8 per epoch, on the number of all sales."""

    counts_renewals = True

    def __init__(self, terms: OfferTerms) -> None:
        self.terms = terms
        self._step_price = terms.floor
        self._sold = 0

    def price(self) -> float:
        return self._step_price

    def sell(self, is_first: bool) -> None:
        self._sold += is_first or self.counts_renewals

    def end_epoch(self) -> None:
        excess = min(self._sold, 2 * self.terms.target) / self.terms.target - 1
        self._step_price = self.terms.bounded(self._step_price * (1 + excess / STEP_DIVISOR))
        self._sold = 0


class CappedStep(NaiveStep):
    """The step on first licenses, capped by `floor + credit / target`, where the credit halves in idle epochs.

    Bounded in total, but not at the margin: the attacker who triggers the step spends the credit that others built up.
    """

    counts_renewals = False

    def __init__(self, terms: OfferTerms) -> None:
        super().__init__(terms)
        self._credit = 0.0

    def price(self) -> float:
        return self.terms.bounded(min(self._step_price, self.terms.floor + self._credit / self.terms.target))

    def sell(self, is_first: bool) -> None:
        price = self.price()
        self._credit += self.terms.fee * price * is_first - (price - self.terms.floor)
        super().sell(is_first)

    def end_epoch(self) -> None:
        if self._sold == 0:
            self._credit /= 2
        super().end_epoch()


class Credit:
    """The credit rule of the module's text."""

    def __init__(self, terms: OfferTerms) -> None:
        self.terms = terms
        self._credit = 0.0
        self._new_licensees = 0

    def price(self) -> float:
        return self.terms.floor + self._credit / self.terms.target

    def sell(self, is_first: bool) -> None:
        self._credit -= self._credit / self.terms.target
        if not is_first or self._new_licensees == 2 * self.terms.target:
            return
        self._new_licensees += 1
        if self._new_licensees > self.terms.target:
            limit = (self.terms.ceiling - self.terms.floor) * self.terms.target
            self._credit = min(limit, self._credit + self.terms.fee * self.terms.floor)

    def end_epoch(self) -> None:
        self._credit /= 2
        self._new_licensees = 0


class Vrgda:
    """Linear VRGDA (paradigm.xyz/2022/08/vrgda): p0 (1 - k)^(t - n / target), here within floor and ceiling."""

    def __init__(self, terms: OfferTerms) -> None:
        self.terms = terms
        self._epoch = 0
        self._sold = 0

    def price(self) -> float:
        lateness = self._epoch - self._sold / self.terms.target
        return self.terms.bounded(self.terms.floor * (1 - VRGDA_DECAY) ** lateness)

    def sell(self, is_first: bool) -> None:
        self._sold += is_first

    def end_epoch(self) -> None:
        self._epoch += 1


PRICE_RULES: dict[str, type[Fixed] | type[NaiveStep] | type[Credit] | type[Vrgda]] = {
    "fixed": Fixed,
    "naive 1559": NaiveStep,
    "capped 1559": CappedStep,
    "credit": Credit,
    "VRGDA": Vrgda,
}
