"""Whether an adapter is published on these terms: decided from what was read before; the plan and the job ask the same.

`tests/unit/domain/test_decide_publication.py` takes every branch.
"""

from dataclasses import dataclass

from viz_node.domain.compare_terms import differences, next_step
from viz_node.domain.decide_base import BaseStanding, refuse_unknown
from viz_node.domain.decision import NothingToDo, Refusal
from viz_node.domain.terms import PublicationTerms
from viz_node.domain.training import Facts, is_worse_than_base
from viz_node.errors import DeadlineError, RefusedError, UsageError

PUBLISHED = NothingToDo("published")


@dataclass(frozen=True)
class Registration:
    """The transaction that registers an adapter on these terms; `is_booked` once it counts."""

    terms: PublicationTerms
    tx_hash: str
    is_booked: bool


@dataclass(frozen=True)
class PublicationFacts:
    """An adapter of this node, and its registration, unless there is none that can succeed."""

    name: str
    origin: str
    evaluation: Facts
    base: BaseStanding
    registration: Registration | None


@dataclass(frozen=True)
class Publishing:
    """Seal, register and announce it on these terms, or go on with that."""

    terms: PublicationTerms


def decide_publication(facts: PublicationFacts, terms: PublicationTerms) -> Publishing | NothingToDo | Refusal:
    """The terms of a registration stand: another price is `decide_price`'s, all else needs another adapter."""
    if facts.origin == "fetched":
        return refused_fetched(facts.name)
    registration = facts.registration
    if registration is None:
        return refuse_unknown(facts.base) or _refuse_worse(facts) or Publishing(terms)
    if registration.terms == terms:
        return PUBLISHED if registration.is_booked else Publishing(terms)
    other = differences(registration.terms, terms)
    if registration.is_booked:
        hint = next_step(facts.name, registration.terms, terms)
        return Refusal(UsageError, f"{facts.name} is published {other}", hint)
    told = f"{facts.name} is about to be published {other}: transaction {registration.tx_hash} is in no block"
    return Refusal(DeadlineError, f"{told} that counts yet", "try again when the chain answers; see `viz-node status`")


def refused_fetched(name: str) -> Refusal:
    """An adapter that was fetched is its seller's to sell, to withdraw and to price."""
    return Refusal(RefusedError, f"{name} was fetched from its seller, who alone sells it", "viz-node adapters list")


def _refuse_worse(facts: PublicationFacts) -> Refusal | None:
    if not is_worse_than_base(facts.evaluation):
        return None
    before, after = facts.evaluation["perplexity_before"], facts.evaluation["perplexity_after"]
    return Refusal(
        RefusedError,
        f"{facts.name} writes worse than its base model: perplexity on held-out text {before}, then {after}",
        f"train on more text or with a lower learning_rate; see viz-node adapters report {facts.name}",
    )
