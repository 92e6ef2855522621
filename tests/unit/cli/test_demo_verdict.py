"""The demo's closing checks: a true story passes, and every single lie is seen."""

from dataclasses import replace
from typing import Any

import pytest

from viz_node.cli.demo.verdict import Facts, check_facts

A, B = "0x" + "a" * 40, "0x" + "b" * 40
SHARES = {A: 6000, B: 4000}
TRUE: Any = Facts(
    adapter="duo",
    perplexity_before=200.0,
    perplexity_after=30.0,
    rounds=3,
    rounds_by_holder={"harbour": 3, "orchard": 3},
    price=5_010_000,
    agreed_shares=SHARES,
    offered_shares=SHARES,
    paid=5_010_000,
    promised_digests={"adapter_model.safetensors": "11" * 32},
    fetched_digests={"adapter_model.safetensors": "11" * 32},
    text=" came the ferrywoman",
    sales=(5_010_000,),
    earned={A: 3_006_000, B: 2_004_000},
    claimed={A: 3_006_000, B: 2_004_000},
    due={A: 0, B: 0},
    audit_findings=(),
    audit_proven=True,
)
LIES: list[tuple[str, dict[str, Any]]] = [
    ("perplexity", {"perplexity_after": 200.0}),
    ("perplexity", {"perplexity_before": 0.0, "perplexity_after": 0.0}),
    ("every round", {"rounds_by_holder": {"harbour": 3, "orchard": 2}}),
    ("every round", {"rounds_by_holder": {"harbour": 3}}),
    ("every round", {"rounds": 0, "rounds_by_holder": {"harbour": 0, "orchard": 0}}),
    ("split", {"offered_shares": {A: 6001, B: 3999}}),
    ("paid once", {"paid": 10_020_000}),
    ("paid once", {"sales": (5_010_000, 5_010_000)}),
    ("paid once", {"sales": ()}),
    ("byte for byte", {"fetched_digests": {"adapter_model.safetensors": "12" * 32}}),
    ("byte for byte", {"fetched_digests": {}, "promised_digests": {}}),
    ("writes", {"text": " \n"}),
    ("to the unit", {"earned": {A: 3_006_000, B: 2_003_999}, "claimed": {A: 3_006_000, B: 2_003_999}}),
    ("to the unit", {"earned": {A: 3_006_001, B: 2_003_999}, "claimed": {A: 3_006_001, B: 2_003_999}}),
    ("claimed", {"claimed": {A: 3_006_000, B: 0}, "due": {A: 0, B: 2_004_000}}),
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
