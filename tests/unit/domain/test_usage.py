"""Requests, receipts and the tree over receipts."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.domain.usage import (
    PublishedReceipts,
    UsageTree,
    UseAnswer,
    UseReceipt,
    UseRequest,
    parse_receipts,
    parse_use_answer,
    parse_use_request,
    text_digest,
)
from viz_node.errors import UsageError, VerificationError

ADAPTER = "ab" * 32


def receipt(uses: int) -> UseReceipt:
    return UseReceipt("cd" * 32, 7, uses, ADAPTER, "ef" * 32, text_digest("text"))


def plain_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it is written there."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\1" + plain_root(leaves[:split]) + plain_root(leaves[split:])).digest()


def test_usage_tree__of_any_size__has_the_root_of_the_specification_and_goes_on_from_its_state() -> None:
    tree, leaves = UsageTree(), []
    assert tree.root() == bytes(32)
    for uses in range(1, 40):
        tree = UsageTree(json.loads(json.dumps(tree.state)))
        tree.append(receipt(uses))
        leaves.append(receipt(uses).payload())
        assert tree.root() == plain_root(leaves)
        assert len(tree.state) == uses.bit_count()


def test_use_request__to_bytes_and_back__is_the_same() -> None:
    request = UseRequest(ADAPTER, 7, 3, "In year é", 16)
    assert parse_use_request(request.to_bytes(b"\1" * 64)) == (request, b"\1" * 64)


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": " \n"},
        {"prompt": "x" * 32_769},
        {"prompt": "\ud800"},
        {"max_new_tokens": 513},
        {"max_new_tokens": True},
        {"uses": 0},
        {"uses": 2.0},
        {"channel": 2**53},
        {"adapter_id": "AB" * 32},
        {"signature": "zz"},
        {"signature": None},
        {"more": 1},
    ],
)
def test_use_request__of_a_stranger__only_exact_ones_are_read(change: dict[str, object]) -> None:
    body = json.loads(UseRequest(ADAPTER, 7, 3, "p", 16).to_bytes(b"\1" * 64)) | change
    with pytest.raises(VerificationError):
        parse_use_request(json.dumps(body).encode())


def test_use_request__of_this_node__bad_prompt_is_its_own_error() -> None:
    with pytest.raises(UsageError):
        UseRequest(ADAPTER, 7, 3, "", 16)


@given(st.text(max_size=200).filter(lambda text: text.isprintable()))
def test_use_answer__to_bytes_and_back__is_the_same(text: str) -> None:
    said = UseReceipt("cd" * 32, 7, 1, ADAPTER, "ef" * 32, text_digest(text))
    answer = UseAnswer(text, said, b"\2" * 64)
    assert parse_use_answer(answer.to_bytes()) == answer


@given(st.binary(max_size=200))
def test_parsing__any_bytes__is_refused_as_one_error(raw: bytes) -> None:
    for parse in (parse_use_request, parse_use_answer):
        with pytest.raises(VerificationError):
            parse(raw)


def test_use_answer__other_text_than_its_receipt__is_refused() -> None:
    raw = UseAnswer("text", receipt(1), b"\2" * 64).to_bytes()
    with pytest.raises(VerificationError):
        parse_use_answer(raw.replace(b'"text":"text"', b'"text":"test"'))


def published(count: int) -> PublishedReceipts:
    receipts = tuple(receipt(number) for number in range(1, count + 1))
    return PublishedReceipts("12D3Koo", receipts, (b"\1" * 64,) * count)


def test_published_receipts__to_bytes_and_back__have_the_roots_of_their_vouchers() -> None:
    again = parse_receipts(published(5).to_bytes())
    assert (again, again.channel, again.market) == (published(5), 7, "cd" * 32)
    leaves = [receipt(number).payload() for number in range(1, 6)]
    roots = list(again.roots())
    assert roots == [bytes(32), *(plain_root(leaves[:count]) for count in range(1, 6))]


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.update(format="viz-node/receipts/2"),
        lambda body: body.update(more=1),
        lambda body: body.pop("peer_id"),
        lambda body: body.update(receipts=[]),
        lambda body: body["receipts"].pop(0),
        lambda body: body["receipts"].reverse(),
        lambda body: body["receipts"].append(body["receipts"][-1]),
        lambda body: body["receipts"][1].update(channel=8),
        lambda body: body["receipts"][1].update(uses=True),
        lambda body: body["receipts"][0].update(uses=1.0),
        lambda body: body["receipts"][1].update(answer="zz"),
        lambda body: body["receipts"][1].update(text="the answer"),
        lambda body: body["receipts"][1].pop("signature"),
        lambda body: body["receipts"].append(7),
    ],
)
def test_parse_receipts__hostile_file__is_refused(change) -> None:
    body = json.loads(published(3).to_bytes())
    change(body)
    with pytest.raises(VerificationError):
        parse_receipts(json.dumps(body).encode())


@given(st.binary(max_size=200))
def test_parse_receipts__any_bytes__is_refused(raw: bytes) -> None:
    with pytest.raises(VerificationError):
        parse_receipts(raw)
