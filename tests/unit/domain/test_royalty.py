"""How a split is written and refused, and that no unit of a payment is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.domain.ids import WHOLE, Account, BasisPoints, TokenAmount
from viz_node.domain.royalty import (
    Royalty,
    RoyaltySplit,
    claims_for,
    parse_parent,
    parse_split,
    split_from_shares,
    split_recipient,
    with_platform,
)
from viz_node.errors import InvalidSplitError, UsageError

ONE, TWO = "0x" + "1" * 40, "0x" + "2" * 40


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (f"{ONE}=70,{TWO}=20", "add up to 90, not 100"),
        (f"{ONE}=70,{TWO}=40", "add up to 110, not 100"),
        (f"{ONE}=100,{TWO}=0", "at least 0.01 percent"),
        (f"{ONE}=50,{ONE}=50", "stands twice"),
        (f"{ONE}=-1,{TWO}=101", "is not a percentage"),
        (f"{ONE}=99.999,{TWO}=0.001", "has more than two decimals"),
        (f"{ONE}=100.01,{TWO}=1", "is more than 100 percent"),
        (f"{ONE}={'9' * 9999}", "is more than 100 percent"),
        (f"{ONE}=100,", "is not ACCOUNT=PERCENT"),
        (f"{ONE}", "is not ACCOUNT=PERCENT"),
        ("me=100", "is not an account"),
        (f"0x{2**32 - 1:040x}=100", "names no account"),
        ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD=100", "wrong checksum"),
    ],
)
def test_parse_split__bad__cause_and_next_step(text: str, cause: str) -> None:
    with pytest.raises(UsageError, match=cause) as caught:
        parse_split(text)
    assert caught.value.hint


def test_parse_split__good__ascending_in_basis_points() -> None:
    assert parse_split(f"{TWO}=33.34, {ONE}=66.66").shares == ((ONE, 6666), (TWO, 3334))


@st.composite
def splits(draw: st.DrawFn) -> RoyaltySplit:
    cuts = sorted(draw(st.sets(st.integers(1, WHOLE - 1), max_size=20)))
    shares = [end - start for start, end in zip([0, *cuts], [*cuts, WHOLE], strict=True)]
    return split_from_shares({Account(f"0x{n:040x}"): BasisPoints(share) for n, share in enumerate(shares, 1)})


@given(splits(), st.integers(0, 10**18))
def test_allocate__any__adds_up_and_is_within_a_unit_of_the_share(split: RoyaltySplit, amount: int) -> None:
    parts = split.allocate(TokenAmount(amount))
    assert sum(parts.values()) == amount
    for account, share in split.shares:
        assert abs(parts[account] * WHOLE - amount * share) < WHOLE
        assert 0 <= parts[account] - split.entitlement(account, TokenAmount(amount)) <= 1


PLATFORM = Account("0x" + "9" * 40)


@given(splits(), st.integers(1, 1000))
def test_with_platform__any_split__platform_has_its_fee_and_the_others_their_proportions(
    split: RoyaltySplit, fee: int
) -> None:
    shared = with_platform(split, PLATFORM, BasisPoints(fee))
    after = dict(shared.shares)
    assert after.pop(PLATFORM) == fee
    assert set(after) == {account for account, _ in split.shares}
    for account, share in split.shares:
        exact = share * (WHOLE - fee) / WHOLE
        # A share that is raised to the least one takes what it needs from others.
        assert 1 <= after[account] <= max(1, exact + 1)
    assert with_platform(shared, PLATFORM, BasisPoints(fee)) == shared


def test_with_platform__no_platform_or_enough__stays_and_no_room_is_refused() -> None:
    split = split_from_shares({Account(ONE): BasisPoints(9_000), PLATFORM: BasisPoints(1_000)})
    assert with_platform(split, None, BasisPoints(0)) == split
    assert with_platform(split, PLATFORM, BasisPoints(300)) == split
    raised = with_platform(split, Account(TWO), BasisPoints(100))
    assert raised.shares == ((ONE, 8_910), (TWO, 100), (PLATFORM, 990))
    shares = {Account(f"0x{number:040x}"): BasisPoints(10) for number in range(2**40, 2**40 + 1000)}
    with pytest.raises(InvalidSplitError, match="no room"):
        with_platform(split_from_shares(shares), PLATFORM, BasisPoints(9_500))


@st.composite
def lineages(draw: st.DrawFn) -> list[Royalty]:
    """What splits owe to ONE and to each other, in any state that the contract can be in."""
    rows = []
    for number in range(1, draw(st.integers(1, 6)) + 1):
        accrued = draw(st.integers(0, 10**12))
        for name in [Account(ONE), *map(split_recipient, range(1, number))]:
            if share := draw(st.integers(0, WHOLE // 7)):
                claimed = draw(st.integers(0, accrued)) * share // WHOLE
                rows.append(Royalty(number, name, BasisPoints(share), TokenAmount(accrued), TokenAmount(claimed)))
    return draw(st.permutations(rows))


@given(lineages())
def test_claims_for__any_lineage__each_pays_what_it_says_and_nothing_is_left(lineage: list[Royalty]) -> None:
    accrued = {row.split_id: int(row.accrued) for row in lineage}
    paid = {(row.split_id, row.recipient): int(row.claimed) for row in lineage}
    shares = {(row.split_id, row.recipient): row.share for row in lineage}

    def due(split_id: int, name: Account) -> int:
        return accrued[split_id] * shares[split_id, name] // WHOLE - paid[split_id, name]

    for split_id, steps in claims_for(Account(ONE), lineage).items():
        assert (steps[-1].split_id, steps[-1].recipient) == (split_id, ONE)
        for claim in steps:
            if (amount := due(claim.split_id, claim.recipient)) == 0:
                continue  # another split rested on it, too
            assert amount == claim.amount
            paid[claim.split_id, claim.recipient] += amount
            if claim.recipient != ONE:
                accrued[int(claim.recipient, 16)] += amount
    assert not any(due(split_id, name) for split_id, name in shares if name == ONE)


def test_claims_for__spam_of_splits_that_pass_on__takes_no_longer_than_they_are_many() -> None:
    ladder = [
        Royalty(number, split_recipient(parent), BasisPoints(5000), TokenAmount(10**6), TokenAmount(0))
        for number in range(2, 2000)
        for parent in {1, number - 1}
    ]
    own = Royalty(1, Account(ONE), BasisPoints(10_000), TokenAmount(0), TokenAmount(0))
    (steps,) = claims_for(Account(ONE), [own, *ladder]).values()
    assert len(steps) == len(ladder) + 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mini", "'mini' is not ADAPTER=PERCENT"),
        ("=10", "'=10' is not ADAPTER=PERCENT"),
        ("mini=70.555", "'70.555' has more than two decimals: shares are hundredths of a percent"),
        ("mini=ten", "'ten' is not a percentage"),
        ("mini=101", "'101' is more than 100 percent"),
    ],
)
def test_parse_parent__bad__says_what_is_wrong_with_the_value(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_parent(text)
    assert (caught.value.message, "--split" in caught.value.hint, "=10" in caught.value.hint) == (message, False, True)


def test_parse_parent__good__name_and_share() -> None:
    assert parse_parent("mini=2.5") == ("mini", 250)
