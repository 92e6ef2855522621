"""Documents of pools: one form each, strict towards strangers, and totals that anybody derives alike."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.domain.distribution import PoolRule
from viz_node.domain.division import Division, PoolFacts, divide, faults_of, parse_division
from viz_node.domain.ids import Account, BasisPoints, PeerId, TokenAmount
from viz_node.domain.manifest import canonical_bytes
from viz_node.domain.pool import (
    PoolMember,
    PoolRules,
    UseStatement,
    parse_member,
    parse_row,
    parse_rules,
    parse_statement,
    pool_place,
)
from viz_node.domain.strict_json import parse_json
from viz_node.errors import VerificationError

HOLDERS = [Account("0x" + f"{number:02x}" * 20) for number in range(1, 6)]
OWNER = Account("0x" + "aa" * 20)
PLACE = pool_place(31337, Account("0x" + "ee" * 20), 1)
RULES = PoolRules("poems", PoolRule.USER_CENTRIC, BasisPoints(7000), 9, PeerId("op"), PeerId("watch"), 3600, 1_800_000)
FEE = TokenAmount(10_000_000)


def sign(account: Account) -> Any:
    return lambda text: account[2:] + hashlib.sha256(text.encode()).hexdigest()


def recover(text: str, signature: str) -> Account:
    account, digest = "0x" + signature[:40], signature[40:]
    if digest != hashlib.sha256(text.encode()).hexdigest():
        raise VerificationError("another text")
    return Account(account)


def member(adapter: int, split: int) -> PoolMember:
    return PoolMember(PLACE, adapter, OWNER, split).signed(sign(OWNER))


def statement(holder: Account, uses: Mapping[int, int], period: int = 0) -> UseStatement:
    return UseStatement(PLACE, period, holder, uses).signed(sign(holder))


MEMBERS = [member(1, 11), member(2, 12), member(3, 11)]


def facts(**changes: Any) -> PoolFacts:
    known = PoolFacts(PLACE, RULES.digest(), FEE, (0, 0), {0: HOLDERS}, lambda *_: True)
    return replace(known, **changes)


def honest() -> Division:
    stated = [statement(HOLDERS[0], {1: 3, 2: 1}), statement(HOLDERS[1], {2: 5, 77: 9})]
    return divide(RULES, facts(), MEMBERS, stated)


def test_divide__uses_of_members__by_split_and_the_rest_to_the_reserve() -> None:
    assert honest().totals == {9: 5 * FEE - 14_000_000, 11: 5_250_000, 12: 8_750_000}
    assert faults_of(honest(), facts(), recover) == []


def test_divide__several_periods__their_sum_and_nothing_of_others() -> None:
    first, later = honest(), facts(periods=(1, 3), subscribers={1: HOLDERS[:1], 3: HOLDERS[:1]})
    second = divide(RULES, later, MEMBERS, [statement(HOLDERS[0], {3: 1}, period=1)])
    assert second.totals == {9: 13_000_000, 11: 7_000_000}
    assert faults_of(second, later, recover) == []
    assert faults_of(first, later, recover) != []


def test_divide__periods_alike__have_documents_of_their_own() -> None:
    alike = [divide(RULES, facts(periods=(n, n), subscribers={n: HOLDERS}), MEMBERS, []) for n in range(2)]
    assert alike[0].totals == alike[1].totals
    assert alike[0].payload() != alike[1].payload()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda d: replace(d, place=PLACE + "0"), "another pool"),
        (lambda d: replace(d, rules=replace(d.rules, adapters_share=BasisPoints(1))), "other rules"),
        (lambda d: replace(d, periods=(0, 1)), "other periods than the root"),
        (lambda d: replace(d, totals=d.totals | {11: d.totals[11] + 1}), "not what the rule gives"),
        (lambda d: replace(d, members=d.members[1:]), "not what the rule gives"),
        (lambda d: replace(d, statements=d.statements[1:]), "not what the rule gives"),
        (lambda d: replace(d, members=(replace(d.members[0], split_id=12), *d.members[1:])), "membership of adapter 1"),
        (lambda d: replace(d, statements=(replace(d.statements[0], period=1),)), "did not subscribe"),
        (lambda d: replace(d, statements=(replace(d.statements[0], holder=HOLDERS[2]),)), "not signed by"),
        (lambda d: replace(d, statements=(replace(d.statements[0], holder=OWNER),)), "did not subscribe"),
    ],
)
def test_faults_of__any_change__is_named(change: Any, fault: str) -> None:
    assert any(fault in text for text in faults_of(change(honest()), facts(), recover))


def test_faults_of__adapter_of_another_owner__is_named() -> None:
    foreign = facts(has_offer=lambda adapter, account, split: adapter != 2)
    assert faults_of(honest(), foreign, recover) == [f"{OWNER} does not offer adapter 2 with split 12"]


def test_faults_of__statement_of_a_contract__counts_by_its_word_at_the_block_that_the_division_names() -> None:
    by_contract = UseStatement(PLACE, 0, HOLDERS[2], {1: 1}, "0x" + "ab" * 130)

    def accepts(account: Account, text: str, signature: str, block: int) -> bool:
        return (account, text, signature, block) == (HOLDERS[2], by_contract.text(), by_contract.signature, 8)

    at = {block: divide(RULES, facts(), MEMBERS, [by_contract], block) for block in (0, 7, 8)}
    assert parse_division(at[8].payload()) == at[8]
    assert faults_of(at[8], facts(), recover, accepts) == []
    for division in (at[0], at[7]):
        assert faults_of(division, facts(), recover, accepts) != []
    assert faults_of(at[8], facts(), recover) != []


USES = st.dictionaries(st.integers(1, 5), st.integers(1, 10**6), min_size=1, max_size=4)


@given(st.dictionaries(st.sampled_from(HOLDERS), USES), st.sampled_from([RULES.rule, PoolRule.SCALED_USER_PROP]))
def test_division__any_uses__travels_whole_and_gives_out_exactly_what_came_in(
    uses: dict[Account, dict[int, int]], rule: PoolRule
) -> None:
    rules = replace(RULES, rule=rule)
    known = facts(rules_digest=rules.digest())
    division = divide(rules, known, MEMBERS, [statement(holder, counts) for holder, counts in uses.items()])
    assert sum(division.totals.values()) == len(HOLDERS) * FEE
    assert parse_division(division.payload()) == division
    assert faults_of(parse_division(division.payload()), known, recover) == []


def broken(change: Any) -> bytes:
    body = parse_json(honest().payload())
    change(body)
    return canonical_bytes(body)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 10_000,
        honest().payload() + b" ",
        honest().payload().replace(b'"format"', b'"format" '),
        broken(lambda body: body.update(format="viz-node/pool-division/1")),
        broken(lambda body: body.update(extra=1)),
        broken(lambda body: body.pop("totals")),
        broken(lambda body: body["totals"].update({"07": 1})),
        broken(lambda body: body["totals"].update({"7": -1})),
        broken(lambda body: body["totals"].update({"7": 1.5})),
        broken(lambda body: body["totals"].update({"7": True})),
        broken(lambda body: body.update(periods=[1, 0])),
        broken(lambda body: body.update(periods=[0])),
        broken(lambda body: body.update(periods=[0, 1, 2])),
        broken(lambda body: body.update(periods=["0", "0"])),
        broken(lambda body: body.update(periods={"0": 1, "1": 1})),
        broken(lambda body: body["members"].reverse()),
        broken(lambda body: body["members"].append(body["members"][-1])),
        broken(lambda body: body["members"][0].update(adapter=0)),
        broken(lambda body: body["members"][0].update(account="0xAA" + "aa" * 19)),
        broken(lambda body: body["statements"].reverse()),
        broken(lambda body: body["statements"][0]["uses"].update({"3": 0})),
        broken(lambda body: body["statements"][0].update(uses={})),
        broken(lambda body: body["statements"][0].update(signature="")),
        broken(lambda body: body["rules"].update(rule="pro-rata")),
        broken(lambda body: body["rules"].update(adapters_share=10_001)),
        broken(lambda body: body["rules"].update(name="two\nlines")),
        broken(lambda body: body["rules"].update(challenger_peer="op")),
    ],
)
def test_parse_division__anything_else_than_we_write__is_refused(raw: bytes) -> None:
    with pytest.raises(VerificationError):
        parse_division(raw)


@given(st.binary(max_size=300))
def test_parsers__any_bytes__only_ever_refuse(raw: bytes) -> None:
    for parse in (parse_division, parse_rules, parse_row):
        try:
            parse(raw)
        except VerificationError:
            continue


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5), lambda inner: st.dictionaries(st.text(max_size=9), inner)
    )
)
def test_parse_member_and_statement__any_json__only_ever_refuse(body: Any) -> None:
    for parse in (parse_member, parse_statement):
        with pytest.raises(VerificationError):
            parse(body, PLACE)


def test_parse_rules__own_form__round_trips_and_pro_rata_is_none() -> None:
    assert parse_rules(RULES.payload()) == RULES
    with pytest.raises(VerificationError, match="does not divide pro-rata"):
        parse_rules(replace(RULES, rule=PoolRule.PRO_RATA).payload())


def test_signed_texts__name_place_and_every_field() -> None:
    assert member(1, 11).text() == f"viz-node/pool-member/1\n{PLACE}\n1\n{OWNER}\n11"
    text = statement(HOLDERS[0], {12: 1, 3: 2}, period=4).text()
    assert text == f"viz-node/pool-uses/1\n{PLACE}\n4\n{HOLDERS[0]}\n3 2\n12 1"
