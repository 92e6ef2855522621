"""The demo's closing checks: a true story passes, and every single lie is seen."""

from dataclasses import replace
from typing import Any

import pytest

from viz_node.cli.demo.verdict import Facts, check_facts

A, B, P = "0x" + "a" * 40, "0x" + "b" * 40, "0x" + "c" * 40
SHARES = {A: 6000, B: 4000}
OFFERED = {A: 5820, B: 3880, P: 300}
EARNED = {A: 2_915_820, B: 1_943_880, P: 150_300}
TRUE: Any = Facts(
    adapter="duo",
    perplexity_before=200.0,
    perplexity_after=30.0,
    rounds=3,
    rounds_by_holder={"harbour": 3, "orchard": 3},
    price=5_010_000,
    agreed_shares=SHARES,
    offered_shares=OFFERED,
    paid=5_010_000,
    promised_digests={"adapter_model.safetensors": "11" * 32},
    fetched_digests={"adapter_model.safetensors": "11" * 32},
    text=" came the ferrywoman",
    sales=(5_010_000,),
    earned=EARNED,
    claimed=EARNED | {P: 0},
    due={A: 0, B: 0, P: 150_300},
    audit_findings=(),
    audit_proven=True,
)
LIES: list[tuple[str, dict[str, Any]]] = [
    ("perplexity", {"perplexity_after": 200.0}),
    ("perplexity", {"perplexity_before": 0.0, "perplexity_after": 0.0}),
    ("every round", {"rounds_by_holder": {"harbour": 3, "orchard": 2}}),
    ("every round", {"rounds_by_holder": {"harbour": 3}}),
    ("every round", {"rounds": 0, "rounds_by_holder": {"harbour": 0, "orchard": 0}}),
    ("split", {"offered_shares": {A: 5821, B: 3879, P: 300}}),
    ("paid once", {"paid": 10_020_000}),
    ("paid once", {"sales": (5_010_000, 5_010_000)}),
    ("paid once", {"sales": ()}),
    ("byte for byte", {"fetched_digests": {"adapter_model.safetensors": "12" * 32}}),
    ("byte for byte", {"fetched_digests": {}, "promised_digests": {}}),
    ("writes", {"text": " \n"}),
    ("to the unit", {"earned": EARNED | {B: 1_943_879}, "claimed": EARNED | {B: 1_943_879}}),
    ("to the unit", {"earned": EARNED | {P: 150_301}}),
    ("claimed", {"claimed": EARNED | {B: 0, P: 0}}),
    ("claimed", {"due": {A: 0, B: 1, P: 150_300}}),
    ("auditor", {"audit_findings": ("an entry is missing",)}),
    ("auditor", {"audit_proven": False}),
]


def test_check_facts__true_story__all_hold() -> None:
    assert [check.name for check in check_facts(TRUE) if not check.ok] == []


@pytest.mark.parametrize(("topic", "lie"), LIES, ids=[f"{topic}: {', '.join(lie)}" for topic, lie in LIES])
def test_check_facts__one_lie__exactly_its_check_fails(topic: str, lie: dict[str, Any]) -> None:
    failed = [check.name for check in check_facts(replace(TRUE, **lie)) if not check.ok]
    assert len(failed) == 1
    assert topic in failed[0]


def test_check_facts__market_without_a_platform__the_agreed_split_holds_as_it_is() -> None:
    earned = {A: 3_006_000, B: 2_004_000}
    facts = replace(TRUE, offered_shares=SHARES, earned=earned, claimed=earned, due={A: 0, B: 0})
    assert [check.name for check in check_facts(facts) if not check.ok] == []
