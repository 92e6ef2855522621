"""What the token moved, held against what the ledger says."""

import pytest

from tests.unit.chain.replay.test_replay import BUYER, HISTORY, MARKET, OTHER, entry
from viz_node.audit.money import compare_transfers
from viz_node.chain.contract.ledger import EntryKind, Transfer


def test_compare_transfers__every_kind_of_difference__is_told_apart() -> None:
    paid_in = [Transfer(BUYER, MARKET, 101, 4, "0x4", 1), Transfer(BUYER, MARKET, 101, 5, "0x5", 1)]
    paid_out = [Transfer(MARKET, OTHER, 60, 6, "0x6", 1)]
    honest = compare_transfers(HISTORY, paid_in + paid_out, MARKET)
    assert (honest.findings, honest.strays, honest.incoming, honest.outgoing) == ([], 0, 202, 60)
    gift = Transfer(OTHER, MARKET, 9, 9, "0x9", 1)
    assert compare_transfers(HISTORY, [*paid_in, *paid_out, gift], MARKET).strays == 9
    theft = Transfer(MARKET, OTHER, 1, 9, "0x9", 1)
    for transfers in (paid_in[:1] + paid_out, paid_in, [*paid_in, *paid_out, theft]):
        findings = compare_transfers(HISTORY, transfers, MARKET).findings
        assert [finding.check for finding in findings] == ["C5"]


def test_compare_transfers__another_account_paid_for_an_order__is_a_finding() -> None:
    order = entry(EntryKind.ORDERED, 1, BUYER, 4, (101, 1, 3))
    subscription = entry(EntryKind.SUBSCRIBED, 1, OTHER, 5, (7, 0, int(BUYER, 16)))
    paid = [Transfer(BUYER, MARKET, 101, 4, "0x4", 1), Transfer(BUYER, MARKET, 7, 5, "0x5", 1)]
    assert compare_transfers([order, subscription], paid, MARKET).findings == []
    for place in (0, 1):
        by_other = [*paid[:place], paid[place]._replace(sender=OTHER), *paid[place + 1 :]]
        findings = compare_transfers([order, subscription], by_other, MARKET).findings
        assert [finding.check for finding in findings] == ["C5"]


@pytest.mark.parametrize("is_fee_first", [False, True])
def test_compare_transfers__token_that_takes_a_fee__is_told_and_no_finding(is_fee_first: bool) -> None:
    paid_in = [Transfer(BUYER, MARKET, 101, 4, "0x4", 1), Transfer(BUYER, MARKET, 101, 5, "0x5", 1)]
    parts = [Transfer(MARKET, OTHER, 57, 6, "0x6", 1), Transfer(MARKET, BUYER, 3, 7, "0x6", 1)]
    told = compare_transfers(HISTORY, [*paid_in, *(reversed(parts) if is_fee_first else parts)], MARKET)
    assert (told.findings, told.token_fees, told.outgoing) == ([], 3, 60)
    for wrong in (parts[:1], [parts[0], parts[0]], [parts[0], parts[1]._replace(amount=4)], [*parts, parts[1]]):
        assert compare_transfers(HISTORY, [*paid_in, *wrong], MARKET).findings != []
