"""Terms, invitations and agreed shares of a federation."""

import json
from pathlib import Path
from typing import Any

import pytest

from viz_node.domain.answer import as_json
from viz_node.domain.federation import (
    JoinAnswer,
    JoinRequest,
    TermsQuestion,
    agreed_shares,
    parse_federation,
    parse_invite,
    parse_message,
    parse_terms_answer,
    write_message,
)
from viz_node.domain.ids import WHOLE
from viz_node.domain.manifest import canonical_bytes
from viz_node.domain.recipe import Recipe
from viz_node.errors import RefusedError, UsageError, VerificationError

# What the program wrote before these records had types.
SAMPLES = json.loads(Path(__file__).with_name("federation_samples.json").read_text())

A, B, C = ("0x" + digit * 40 for digit in "abc")
TERMS: dict[str, Any] = {
    "name": "duo",
    "base": {"name": "small", "digest": "0" * 64},
    "rounds": 2,
    "members": 2,
    "split": "equal",
    "recipe": {"rank": 16, "seed": 1},
    "run_seed": "11",
}


def test_agreed_shares__equal_among_three__add_up_to_the_whole_in_any_order() -> None:
    shares = agreed_shares("equal", [C, A, B])
    assert shares == {A: 3334, B: 3333, C: 3333}
    assert sum(shares.values()) == WHOLE
    assert agreed_shares("equal", [B, C, A]) == shares


def test_agreed_shares__explicit__stay_as_agreed() -> None:
    assert agreed_shares({A: 7000, B: 3000}, [A, C]) == {A: 7000, B: 3000}


def test_parse_terms_answer__well_formed__gives_the_same_bytes_and_digest_again() -> None:
    for message in (m for m in SAMPLES["messages"] if m["method"] == "federation-terms"):
        answer = parse_terms_answer(message["answered"].encode())
        assert write_message(answer).decode() == message["answered"]
        assert answer.terms.digest() == SAMPLES["terms_digest"]
    other = f'{{"ended":true,"terms":{SAMPLES["other_terms"]}}}'.encode()
    answer = parse_terms_answer(other)
    assert (write_message(answer), answer.terms.digest()) == (other, SAMPLES["other_terms_digest"])
    assert answer.terms.recipe.to_recipe() == Recipe(seed=7, learning_rate=0.003, goldfish=4)


def test_parse_message__recorded_requests__give_the_same_bytes_again() -> None:
    first, second = SAMPLES["messages"]
    for text, kind in (
        (first["asked"], TermsQuestion),
        (second["asked"], JoinRequest),
        (second["answered"], JoinAnswer),
    ):
        assert write_message(parse_message(text.encode(), kind)).decode() == text


@pytest.mark.parametrize("row", ["gathering", "full", "running"])
def test_parse_federation__recorded_row_of_a_coordinator__gives_the_same_text_again(row: str) -> None:
    text = SAMPLES["rows"][row]
    assert json.dumps(as_json(parse_federation(text)), separators=(",", ":")) == text


def test_parse_federation__recorded_row_of_a_member__gives_the_same_facts_again() -> None:
    text = SAMPLES["rows"]["member"]
    federation = parse_federation(text)
    assert json.loads(json.dumps(as_json(federation))) == json.loads(text)
    assert federation.coordinator()[0] == json.loads(text)["peer_id"]


def test_parse_federation__changed_by_another_hand__is_refused() -> None:
    for change in ({"more": 1}, {"role": "owner"}, {"works": None}):
        with pytest.raises(VerificationError):
            parse_federation(json.dumps(json.loads(SAMPLES["rows"]["full"]) | change))


def test_describe__recorded_rows__as_people_saw_them() -> None:
    for row, status, state in (
        ("gathering", "gathering", None),
        ("member", "joined", "queued"),
        ("running", "running", "queued"),
    ):
        shown = parse_federation(SAMPLES["rows"][row]).describe(state, SAMPLES["invite"])
        assert json.dumps(as_json(shown)) == json.dumps(SAMPLES["status"][status]), row


def test_admit__second_member__fixes_the_shares_and_repeats_change_nothing() -> None:
    gathering = parse_federation(SAMPLES["rows"]["gathering"])
    full = parse_federation(SAMPLES["rows"]["full"])
    (peer_id, account) = list(full.joined.items())[1]
    admitted = gathering.admit(peer_id, account)
    assert admitted == full
    assert admitted.admit(peer_id, account) is admitted
    for other_peer, other_account in ((peer_id, A), ("12D3other", account), ("12D3other", A)):
        with pytest.raises(RefusedError):
            admitted.admit(other_peer, other_account)


def test_parse_invite__recorded__gives_the_same_word_again() -> None:
    assert parse_invite(SAMPLES["invite"]).write() == SAMPLES["invite"]


@pytest.mark.parametrize(
    "change",
    [
        {"rounds": 0},
        {"members": 1},
        {"members": True},
        {"split": {A: 9_999}},
        {"split": "most"},
        {"base": {"name": "small", "digest": "x"}},
        {"extra": 1},
        {"run_seed": ""},
        {"recipe": None},
        {"recipe": {"rank": 16}},
        {"recipe": {"seed": 1, "rank": 0}},
        {"recipe": {"seed": 1, "depth": 2}},
        {"rounds": 2.0},
    ],
)
def test_parse_terms_answer__malformed__is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(VerificationError):
        parse_terms_answer(canonical_bytes({"ended": False, "terms": TERMS | change}))


@pytest.mark.parametrize("invite", ["", "!", "e30", "bm90IGpzb24"])
def test_parse_invite__not_an_invitation__is_a_usage_error(invite: str) -> None:
    with pytest.raises(UsageError):
        parse_invite(invite)
