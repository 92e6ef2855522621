"""Whether a license is bought, by which offer and how: decided from what was read before.

A plan describes the decision, the job carries it out. `tests/unit/domain/test_decide_purchase.py` takes every branch.
"""

from dataclasses import dataclass

from viz_node.domain.decision import NothingToDo, Refusal
from viz_node.domain.ids import TokenAmount, format_amount, format_tokens
from viz_node.domain.offer import Offer
from viz_node.errors import LicenseRequiredError, PriceAboveLimitError, RefusedError, UsageError

ALREADY_LICENSED, ALREADY_ORDERED = NothingToDo("already_licensed"), NothingToDo("already_ordered")


@dataclass(frozen=True)
class Holding:
    """An offer of the adapter, and until when this account holds a license by it: 0 if it never did."""

    offer: Offer
    expiry: int


@dataclass(frozen=True)
class PurchaseFacts:
    """What is sold under a name, and what this account holds or awaits of it.

    `kind` is the license's; `offer` the one that is listed; `holdings` has every offer of the adapter; `is_awaited`
    says that an order of this account waits for the adapter's key; `now` is the chain's time.
    """

    name: str
    kind: str
    offer: Offer
    holdings: tuple[Holding, ...]
    is_awaited: bool
    now: int

    @property
    def is_licensed(self) -> bool:
        """Whether the account holds a license by any offer now."""
        return any(holding.expiry > self.now for holding in self.holdings)


@dataclass(frozen=True)
class AskedPurchase:
    """The most that may be paid, and whether a license that is held, or was, is to be extended."""

    limit: int
    is_renewal: bool = False


@dataclass(frozen=True)
class Buying:
    """Pay the price of this offer: into escrow if `is_order`, else at once."""

    offer: Offer
    is_order: bool

    @property
    def price(self) -> TokenAmount:
        """The amount to pay, in units."""
        return self.offer.price


def decide_purchase(facts: PurchaseFacts, asked: AskedPurchase) -> Buying | NothingToDo | Refusal:
    """What to buy. A license held or ordered already is not bought again, whether or not it is still sold."""
    if facts.kind == "perpetual" and not asked.is_renewal and facts.is_licensed:
        return ALREADY_LICENSED
    if facts.offer.is_escrowed and facts.is_awaited:
        return ALREADY_ORDERED
    if facts.kind == "metered":
        return paid_by_use(facts.name)
    chosen = _renewed(facts) if asked.is_renewal else facts.offer
    if isinstance(chosen, Refusal):
        return chosen
    if not chosen.is_open:
        return _withdrawn(facts)
    if chosen.price > asked.limit:
        told = f"{facts.name} costs {format_tokens(chosen.price)}, more than {format_tokens(TokenAmount(asked.limit))}"
        renew = "renew " if asked.is_renewal else ""
        hint = f"viz-node license {renew}{facts.name} --max-price {format_amount(chosen.price)}"
        return Refusal(PriceAboveLimitError, told, hint)
    # An order brings the key, which a licensee has: only the first license by an escrowed offer is one.
    held = {holding.offer.offer_id for holding in facts.holdings if holding.expiry}
    return Buying(chosen, chosen.is_escrowed and chosen.offer_id not in held)


def paid_by_use(name: str) -> Refusal:
    """An adapter of this kind stays on its seller's node: it is neither licensed nor fetched."""
    told = f"{name} is paid by use, on its seller's node"
    return Refusal(RefusedError, told, f"viz-node channel open {name} --deposit 2.00")


def how_to_buy(name: str, offer: Offer) -> str:
    """The command that buys the license, while it is sold."""
    if not offer.is_open:
        return f"{name} is withdrawn from sale; viz-node search shows what is sold"
    return f"viz-node license {name} --max-price {format_amount(offer.price)}"


def _renewed(facts: PurchaseFacts) -> Offer | Refusal:
    """The offer that is held, and of several the one still sold that ends last."""
    held = sorted(
        (holding for holding in facts.holdings if holding.expiry), key=lambda one: (one.offer.is_open, one.expiry)
    )
    if not held:
        told = f"this account never had a license for {facts.name}"
        return Refusal(LicenseRequiredError, told, how_to_buy(facts.name, facts.offer))
    if facts.kind == "perpetual":
        return Refusal(UsageError, f"a license for {facts.name} never ends", f"viz-node fetch {facts.name}")
    return held[-1].offer


def _withdrawn(facts: PurchaseFacts) -> Refusal:
    """Why there is nothing to pay for, and what is left to this account."""
    name = facts.name
    if facts.offer.is_open:
        told = f"the offer of {name} that this account holds is withdrawn"
        return Refusal(RefusedError, told, how_to_buy(name, facts.offer))
    if facts.is_licensed:
        told = f"{name} is withdrawn from sale; the license that this account holds stays until it ends"
        return Refusal(RefusedError, told, f"viz-node fetch {name}")
    return Refusal(RefusedError, f"{name} is withdrawn from sale", "viz-node search shows what is sold")
