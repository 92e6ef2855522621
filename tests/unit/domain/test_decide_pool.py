"""What the parties of a pool do next: every branch, and that no unit of a fee is lost."""

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.domain.decide_pool import (
    OPERATORS_TURN,
    AskedPeriods,
    DivisionFacts,
    Due,
    DueDivision,
    Duty,
    JoinFacts,
    PeriodStep,
    Subscribing,
    SubscriptionFacts,
    decide_credit,
    decide_division,
    decide_duty,
    decide_join,
    decide_operator,
    decide_period,
    decide_subscription,
    due_periods,
    dues_of,
    pending_root,
    root_over,
)
from viz_node.domain.decision import NothingToDo, Refusal, granted
from viz_node.domain.distribution import PoolRule
from viz_node.domain.division import Division
from viz_node.domain.ids import Account, BasisPoints, PeerId, TokenAmount
from viz_node.domain.pool import (
    ADOPTED,
    LAPSED,
    MAX_AHEAD,
    MAX_RANGE,
    PENDING,
    SILENCE_SECONDS,
    VETOED,
    Pool,
    PoolClaim,
    PoolMember,
    PoolRules,
    PostedRoot,
)
from viz_node.errors import PriceAboveLimitError, RefusedError

DAY, FEE = 86_400, TokenAmount(10_000_000)
ANN, BOB, CID = (Account("0x" + digit * 40) for digit in "123")
POOL = Pool(7, ANN, FEE, DAY, BOB, 1_000_000, 0, bytes(32), bytes(32), "1:0x:7")
RULES = PoolRules("poems", PoolRule.USER_CENTRIC, BasisPoints(7_000), 1, PeerId("a"), PeerId("b"), 3_600, 0)
DIVISION = Division("1:0x:7", RULES, (0, 1), (), (), {1: 5})
ROOT = PostedRoot(bytes(32), bytes(32), "", FEE, 0, 1, adoptable_at=5 * DAY)
SHOW = "viz-node pool show 7"
NO_LIMIT = TokenAmount(2**127)


def asked(periods: int, limit: int = NO_LIMIT, terms: str = "") -> AskedPeriods:
    return AskedPeriods(periods, TokenAmount(limit), terms)


def facts(*paid: int, current: int = 3) -> SubscriptionFacts:
    return SubscriptionFacts(POOL, current, paid)


def test_decide_subscription__some_are_paid__the_others_follow_from_the_first_that_is_not() -> None:
    assert decide_subscription(facts(), asked(2)) == Subscribing((3, 4), (), TokenAmount(2 * FEE))
    assert decide_subscription(facts(2, 3, 5), asked(3)) == Subscribing((4, 6), (5,), TokenAmount(2 * FEE))
    assert decide_subscription(facts(), asked(1, FEE, "00" * 32)) == Subscribing((3,), (), FEE)


def test_decide_subscription__another_pool_than_was_ordered__is_refused_first() -> None:
    refusal = Refusal(RefusedError, "pool 7 is not the one that was ordered", SHOW)
    assert decide_subscription(facts(), asked(1, 0, "11" * 32)) == refusal


def test_decide_subscription__dearer_than_allowed__is_refused_with_the_command_that_is_not() -> None:
    decision = decide_subscription(facts(4), asked(3, 2 * FEE - 1))
    message = "2 periods of pool 7 cost 20.00 tokens, more than 19.999999 tokens"
    hint = "viz-node pool subscribe 7 --periods 3 --max-price 20.00"
    assert decision == Refusal(PriceAboveLimitError, message, hint)
    assert isinstance(decide_subscription(facts(4), asked(3, 2 * FEE)), Subscribing)


@pytest.mark.parametrize(("paid", "periods"), [(range(3, 4), MAX_AHEAD), (range(3, 3 + MAX_AHEAD), 1)])
def test_decide_subscription__beyond_what_the_contract_takes__is_refused(paid: range, periods: int) -> None:
    decision = decide_subscription(facts(*paid), asked(periods))
    assert isinstance(decision, Refusal) and decision.kind is RefusedError and decision.hint == SHOW
    assert decision.message.startswith("pool 7 is paid until 1970-") and decision.message.endswith("is too far ahead")


@given(paid=st.sets(st.integers(0, 40)), periods=st.integers(1, MAX_AHEAD), current=st.integers(0, 10))
def test_decide_subscription__any_gifts__each_period_is_paid_once_and_the_fee_is_the_sum(
    paid: set[int], periods: int, current: int
) -> None:
    decision = decide_subscription(facts(*paid, current=current), asked(periods))
    if isinstance(decision, Refusal):
        assert decision.kind is RefusedError
        return
    row = sorted(decision.wanted + decision.skipped)
    assert row == list(range(row[0], row[0] + periods)) and row[0] == decision.wanted[0] >= current
    assert not paid & set(decision.wanted) and paid >= set(decision.skipped) | set(range(current, row[0]))
    assert decision.fee == FEE * len(decision.wanted) and row[-1] < current + MAX_AHEAD


def test_decide_join__own_adapter__its_membership_and_nobody_elses() -> None:
    own = JoinFacts(ANN, "1:0x:7", "elsin", ANN, 4, 9)
    assert decide_join(own) == PoolMember("1:0x:7", 4, ANN, 9)
    refusal = Refusal(RefusedError, "elsin belongs to another owner", "see `viz-node adapters list`")
    assert decide_join(replace(own, owner=BOB)) == refusal


def test_decide_operator__anybody_else__is_refused() -> None:
    assert decide_operator(POOL, ANN) == POOL
    assert decide_operator(POOL, BOB) == Refusal(RefusedError, f"pool 7 is run by {ANN}", "viz-node pool list")


def test_due_periods__while_the_grace_runs__the_period_before_is_not_due() -> None:
    end = POOL.end_of(1)
    assert due_periods(POOL, 3_600, end + 3_599) == (0, 0)
    assert due_periods(POOL, 3_600, end + 3_600) == (0, 1)
    assert due_periods(replace(POOL, next_period=2), 3_600, end + 3_600) == (2, 1)
    late = POOL.start + SILENCE_SECONDS + 3 * DAY
    assert due_periods(POOL, 0, late) == (3, 3 + MAX_RANGE - 1)


def test_decide_division__nothing_pending_or_vetoed__is_posted() -> None:
    due = DivisionFacts((), {}, 1, DIVISION)
    assert decide_division(due) == DueDivision(1, DIVISION)
    assert decide_division(replace(due, roots=[ROOT])) == NothingToDo()
    assert decide_division(replace(due, roots=[replace(ROOT, state=ADOPTED)])) == DueDivision(1, DIVISION)
    assert decide_division(replace(due, division=None)) == NothingToDo()


def test_decide_division__struck_out_before__is_not_posted_again_at_another_block() -> None:
    due, digest = DivisionFacts([replace(ROOT, state=VETOED)], {}, 1, DIVISION), _digest(DIVISION)
    struck_out = NothingToDo("its challenger has struck out exactly this division")
    assert decide_division(replace(due, vetoed={digest: None})) == struck_out
    assert decide_division(replace(due, vetoed={bytes(32): None})) == DueDivision(1, DIVISION)
    asked_later = replace(DIVISION, wallets_block=9)
    earlier = {bytes(32): replace(DIVISION, wallets_block=8)}
    assert decide_division(replace(due, division=asked_later, vetoed=earlier)) == struck_out
    other = {bytes(32): replace(DIVISION, wallets_block=8, totals={1: 4, 2: 1})}
    assert decide_division(replace(due, division=asked_later, vetoed=other)) == DueDivision(1, asked_later)


def _digest(division: Division) -> bytes:
    return sha256(division.payload()).digest()


@pytest.mark.parametrize(
    ("account", "roots", "now", "duty"),
    [
        (ANN, [], 0, Duty.DIVIDE),
        (ANN, [replace(ROOT, state=VETOED)], 0, Duty.DIVIDE),
        (BOB, [], 0, Duty.REST),
        (ANN, [ROOT], 5 * DAY - 1, Duty.REST),
        (ANN, [ROOT], 5 * DAY, Duty.ADOPT),
        (BOB, [ROOT], 5 * DAY + 599, Duty.CHECK),
        (BOB, [ROOT], 5 * DAY + 600, Duty.ADOPT),
        (CID, [ROOT], 5 * DAY - 1, Duty.REST),
    ],
)
def test_decide_duty__operator_and_challenger__each_in_turn(
    account: Account, roots: list[PostedRoot], now: int, duty: Duty
) -> None:
    assert decide_duty(POOL, account, roots, 600, now) is duty


def test_decide_duty__long_veto_window__leaves_the_challenger_its_turn() -> None:
    late = 5 * DAY + OPERATORS_TURN
    assert decide_duty(POOL, BOB, [ROOT], 2 * OPERATORS_TURN, late - 1) is Duty.CHECK
    assert decide_duty(POOL, BOB, [ROOT], 2 * OPERATORS_TURN, late) is Duty.ADOPT


def test_pending_root__only_the_newest_can_be() -> None:
    assert pending_root([ROOT]) == ROOT and ROOT.state == PENDING
    assert pending_root([]) is pending_root([ROOT, replace(ROOT, state=ADOPTED)]) is None


@given(
    totals=st.dictionaries(st.integers(1, 9), st.integers(1, 2**96), min_size=1),
    shares=st.dictionaries(st.integers(1, 9), st.integers(0, 10_000)),
)
def test_dues_of__any_shares__all_holders_together_get_the_units_less_rounding(
    totals: dict[int, int], shares: dict[int, int]
) -> None:
    claims = [PoolClaim(7, 1, split, totals) for split in totals.keys() & shares.keys()]
    rest = {split: 10_000 - share for split, share in shares.items()}
    for own, other in zip(dues_of(claims, shares, 9), dues_of(claims, rest, 9), strict=True):
        assert own.until == 9 and own.claim == other.claim
        assert 0 <= own.claim.units - own.brought - other.brought <= 1


def test_decide_credit__early__must_bring_ten_times_its_cost_and_late_as_much() -> None:
    claim = PoolClaim(7, 1, 3, {3: 1_000})
    dues = [Due(claim, 1_000, 100 * DAY), Due(claim, 0, 90 * DAY)]
    early, late = 60 * DAY, 60 * DAY + 1
    assert decide_credit(dues, 100, early) and not decide_credit(dues, 101, early)
    assert decide_credit(dues, 1_000, late) and not decide_credit(dues, 1_001, late)


def test_granted__decision__is_returned_as_it_is() -> None:
    assert granted(decide_operator(POOL, ANN)) is POOL


@pytest.mark.parametrize(
    ("state", "until", "now", "step"),
    [
        (None, 0, 0, PeriodStep.STATE_USES),
        (None, 0, SILENCE_SECONDS - 1, PeriodStep.STATE_USES),
        (None, 0, SILENCE_SECONDS, PeriodStep.CALL_BACK),
        (PENDING, 0, SILENCE_SECONDS - 1, PeriodStep.STATE_USES),
        (PENDING, 0, SILENCE_SECONDS, PeriodStep.WAIT),
        (ADOPTED, 50, 49, PeriodStep.WAIT),
        (ADOPTED, 50, 50, PeriodStep.CALL_BACK_REST),
        (ADOPTED, 50, SILENCE_SECONDS, PeriodStep.CALL_BACK_REST),
    ],
)
def test_period__over_at_0__is_stated_or_called_back(state: str | None, until: int, now: int, step: PeriodStep) -> None:
    over = None if state is None else replace(ROOT, state=state, first=3, through=5, until=until)
    assert decide_period(0, over, now) is step


def test_root_over__vetoed_and_lapsed_ones__cover_nothing() -> None:
    roots = [replace(ROOT, state=state, first=3, through=5) for state in (ADOPTED, VETOED, LAPSED)]
    assert root_over(3, roots) is root_over(5, roots) is roots[0]
    assert root_over(2, roots) is root_over(6, roots) is root_over(4, roots[1:]) is None
