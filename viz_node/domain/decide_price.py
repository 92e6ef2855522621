"""What another price, or the end of all sales, means for an adapter's offers: decided from what was read before.

Offers never change on the chain: a new price is a new offer, after which the earlier ones are withdrawn.
`tests/unit/domain/test_decide_price.py` takes every branch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from viz_node.domain.decision import NothingToDo, Refusal
from viz_node.domain.offer import Offer
from viz_node.domain.terms import DAY_SECONDS, AskedTerms
from viz_node.errors import NotFoundError


@dataclass(frozen=True)
class NewOffer:
    """Offer the adapter to the split that the first offer pays, then withdraw these offers."""

    split_id: int
    withdrawn: tuple[int, ...]


@dataclass(frozen=True)
class Withdrawal:
    """Withdraw these offers."""

    offers: tuple[int, ...]


def decide_price(offers: Sequence[Offer]) -> NewOffer | Refusal:
    """What carries another price; `offers` are all of the adapter, oldest first."""
    if not offers:
        return Refusal(NotFoundError, "the adapter was never offered", "viz-node publish ADAPTER --price 5.00")
    return NewOffer(offers[0].split_id, _open(offers))


def decide_withdrawal(offers: Sequence[Offer]) -> Withdrawal | NothingToDo:
    """Which offers end when nothing is to be sold any more."""
    ids = _open(offers)
    return Withdrawal(ids) if ids else NothingToDo("withdrawn")


def repriced(
    kind: str, duration_seconds: int, offers: Sequence[Offer], asked: tuple[str, str | None, int | None]
) -> AskedTerms:
    """The terms at another price, ceiling and target; license, days and delivery stay those of the newest offer."""
    price, ceiling, target = asked
    is_escrowed = bool(offers) and offers[-1].is_escrowed
    return AskedTerms(price, None, kind, duration_seconds // DAY_SECONDS, ceiling, target, is_escrowed)


def _open(offers: Sequence[Offer]) -> tuple[int, ...]:
    return tuple(offer.offer_id for offer in offers if offer.is_open)
