"""What a person reads of an audit: amounts with decimals and unit, dates, names where a node knows them."""

from typing import Any

import pytest

from viz_node.cli.audit_report import MOST_LINES, print_report
from viz_node.cli.output import Output

ADAPTER, ACCOUNT = "ab" * 32, "0x" + "0b" * 20
SALE = {"adapter_id": ADAPTER, "kind": "license", "price": 5_000_001, "time": 1_700_000_000, "split_id": 7}
SUMS = ("sales", "direct_sales", "escrow_settlements", "metered_redemptions", "pool_credits", "passed_on", "claims")
HELD = ("unclaimed", "in_orders", "in_channels", "in_pools", "unbooked", "token_fees")


def body(**changes: Any) -> dict[str, Any]:
    sale = {**SALE, "term": "limited", "expiry": 1_800_000_000}
    return {
        "ok": True,
        "adapter": None,
        "chain_id": 1,
        "market": ACCOUNT,
        "token": ACCOUNT,
        "unit": {"symbol": "USDC", "decimals": 6},
        "proof": {"block_number": 9, "block_hash": "0x1", "timestamp": 1_700_000_000, "entries": 4, "proven": True},
        "checks": [],
        "findings": [],
        "notes": ["one endpoint alone"],
        "counts": {"sales": 2, "claims": 0},
        "sums": dict.fromkeys((*SUMS, *HELD), 0) | {"sales": 10_000_002},
        "adapters": [{"adapter_number": 3, "adapter_id": ADAPTER, "owner": ACCOUNT, "split_ids": [7]}],
        "sales": [sale, {**SALE, "term": "perpetual", "expiry": None}],
        "passed_on": [{"split_id": 7, "to_split_id": 1, "amount": 1, "time": 1_700_000_000}],
        "splits": [],
        "claims": [],
        "totals": [{"account": ACCOUNT, "earned": 3_000_000, "claimed": 0, "due": 3_000_000}],
        **changes,
    }


def printed(capsys: pytest.CaptureFixture[str], names: dict[str, str], **changes: Any) -> str:
    print_report(Output(is_json=False), body(**changes), names)
    return capsys.readouterr().out


def test_report__for_people__has_units_dates_and_names(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, {ADAPTER: "elsin"})
    for line in (
        "sold        10.000002 USDC in 2",
        "2023-11-14  license  elsin    5.000001  2027-01-15",
        "2023-11-14  license  elsin    5.000001  perpetual",
        "2023-11-14  elsin     split 1      0.000001",
        f"{ACCOUNT}  3.00    0.00     3.00",
        "note: one endpoint alone",
        "verdict: every sale, split and claim holds",
    ):
        assert line in text, text


def test_report__no_node_knows_the_name__is_number_and_digits(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, {})
    assert "license  #3 abababababab  5.000001" in text
    assert f"#3      {ADAPTER}" in text


def test_report__token_tells_no_unit__amounts_are_units(capsys: pytest.CaptureFixture[str]) -> None:
    assert "10000002 units in 2" in printed(capsys, {}, unit={"symbol": "", "decimals": 0})


def test_report__many_rows_and_odd_times__are_cut_and_shown_as_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"time": 1 << 40, "account": ACCOUNT, "amount": 1}] * (MOST_LINES + 1)
    text = printed(capsys, {}, claims=rows)
    assert f"the last {MOST_LINES} of {MOST_LINES + 1}" in text
    assert str(1 << 40)[:10] in text
