"""Whether an adapter is published: every branch, each refusal with its next step."""

from dataclasses import replace

import pytest

from viz_node.domain.decide_base import BaseStanding
from viz_node.domain.decide_publication import (
    PUBLISHED,
    PublicationFacts,
    Publishing,
    Registration,
    decide_publication,
)
from viz_node.domain.decision import Refusal
from viz_node.domain.ids import TokenAmount
from viz_node.domain.permissions import Permissions
from viz_node.domain.terms import PublicationTerms
from viz_node.errors import DeadlineError, RefusedError, UsageError

TERMS = PublicationTerms(
    price=TokenAmount(5_000_000), kind="perpetual", split={"0x" + "11" * 20: 10_000}, permissions=Permissions()
)
DEARER = replace(TERMS, price=TokenAmount(6_000_000))
BASE = BaseStanding("small", "ab" * 32, "documented", "")
FACTS = PublicationFacts("elsin", "trained", {"perplexity_before": "9.00", "perplexity_after": "4.00"}, BASE, None)
WORSE = {"perplexity_before": "9.00", "perplexity_after": "9.01"}


def refusal(facts: PublicationFacts, terms: PublicationTerms = TERMS) -> Refusal:
    decided = decide_publication(facts, terms)
    assert isinstance(decided, Refusal)
    assert decided.hint
    return decided


@pytest.mark.parametrize("origin", ["trained", "federated", "imported"])
def test_decide__not_registered__is_published(origin: str) -> None:
    assert decide_publication(replace(FACTS, origin=origin), TERMS) == Publishing(TERMS)
    assert decide_publication(replace(FACTS, evaluation={"tokens": 0}), TERMS) == Publishing(TERMS)


def test_decide__registered_on_these_terms__gone_on_with_until_it_counts() -> None:
    assert decide_publication(replace(FACTS, registration=Registration(TERMS, "0x1", False)), TERMS) == Publishing(
        TERMS
    )
    assert decide_publication(replace(FACTS, registration=Registration(TERMS, "0x1", True)), TERMS) == PUBLISHED


def test_decide__registered_on_other_terms__refused_with_the_way_to_change_them() -> None:
    booked = refusal(replace(FACTS, registration=Registration(TERMS, "0x1", True)), DEARER)
    assert (booked.kind, booked.message) == (UsageError, "elsin is published at another price (5.00)")
    assert booked.hint == "viz-node pricing set elsin --price 6.00"
    pending = refusal(replace(FACTS, registration=Registration(TERMS, "0x1", False)), DEARER)
    assert pending.kind is DeadlineError
    assert "transaction 0x1 is in no block" in pending.message


def test_decide__fetched__is_its_seller_s_whatever_else_is_true() -> None:
    fetched = replace(FACTS, origin="fetched", registration=Registration(TERMS, "0x1", True))
    assert refusal(fetched).kind is RefusedError


def test_decide__worse_than_its_base__refused_unless_it_is_registered_already() -> None:
    told = refusal(replace(FACTS, evaluation=WORSE))
    assert (told.kind, "9.00, then 9.01" in told.message) == (RefusedError, True)
    sold = replace(FACTS, evaluation=WORSE, registration=Registration(TERMS, "0x1", True))
    assert decide_publication(sold, TERMS) == PUBLISHED


@pytest.mark.parametrize("verdict", ["certified", "documented", "claimed"])
def test_decide__base_of_which_something_is_known__is_published(verdict: str) -> None:
    assert decide_publication(replace(FACTS, base=replace(BASE, verdict=verdict)), TERMS) == Publishing(TERMS)


def test_decide__base_of_which_nobody_knows_anything__is_refused_until_its_owner_says_why() -> None:
    unknown = replace(FACTS, base=replace(BASE, verdict="unknown"))
    refused = refusal(unknown)
    assert (refused.kind, "its verdict is unknown" in refused.message) == (RefusedError, True)
    assert refused.hint == 'viz-node base show abababababab, then viz-node base accept abababababab "WHY"'
    accepted = replace(unknown, base=replace(unknown.base, accepted="I wrote all of it"))
    assert decide_publication(accepted, TERMS) == Publishing(TERMS)
    assert decide_publication(replace(unknown, registration=Registration(TERMS, "0x1", True)), TERMS) == PUBLISHED
