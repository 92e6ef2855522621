"""What a replacement pays, and an endpoint that tells nonsense about fees."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.chain.account.fees import raised, read_fees
from viz_node.chain.account.signing import Fees, KeySigner, fields_of, transaction_fields
from viz_node.chain.node.rpc import JsonRpc, RpcRefusedError
from viz_node.errors import ChainUnavailableError

BEFORE = Fees(21_000, 1_000, 8)


class Telling(JsonRpc):
    """An endpoint with one answer, which goes through all that real ones go through."""

    def __init__(self, answer: Any, *data_fees: str) -> None:
        super().__init__("http://127.0.0.1:1")
        self._answer = answer
        self._data_fees = data_fees

    def _read(self, content: bytes) -> bytes:
        if isinstance(self._answer, Exception):
            raise self._answer
        return json.dumps({"id": json.loads(content)["id"], "result": self._answer}).encode()

    def batch(self, requests: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        if not self._data_fees:
            raise RpcRefusedError("execution reverted")
        return list(self._data_fees)


def test_raised__quiet_market__an_eighth_more_rounded_up() -> None:
    assert raised(BEFORE, Fees(21_000, 10, 1)) == Fees(21_000, 1_125, 9)


def test_raised__market_asks_more__what_it_asks() -> None:
    assert raised(BEFORE, Fees(1, 5_000, 700)) == Fees(21_000, 5_000, 700)


PRICES = st.integers(0, 10**15)


@given(PRICES, PRICES, PRICES, PRICES)
def test_raised__any_fees_and_any_market__is_taken_by_nodes_that_want_an_eighth_more(
    max_fee: int, tip: int, market_fee: int, market_tip: int
) -> None:
    fees, market = Fees(1, max(max_fee, tip), tip), Fees(1, market_fee, market_tip)
    higher = raised(fees, market)

    assert higher.max_fee * 8 >= fees.max_fee * 9
    assert higher.priority_fee * 8 >= fees.priority_fee * 9
    assert market.max_fee <= higher.max_fee >= higher.priority_fee
    assert higher.gas == fees.gas


def test_read_fees__history__twice_the_next_base_fee_and_the_median_tip() -> None:
    history = {"baseFeePerGas": ["0x1", "0x64"], "reward": [["0x9"], ["0x1"], ["0x5"]]}
    assert read_fees(Telling(history), 7, b"") == Fees(7, 205, 5)
    assert read_fees(Telling({"baseFeePerGas": ["0x0"], "reward": None}), 7, b"") == Fees(7, 1, 1)


def test_read_fees__rollup__its_data_fee_twice_and_part_of_the_cost() -> None:
    history = {"baseFeePerGas": ["0x0"], "reward": None}
    fees = read_fees(Telling(history, "0x" + f"{1_000:064x}", "0x"), 7, b"data")
    assert fees == Fees(7, 1, 1, 2_000)
    assert fees.cost_wei() == 7 + 2_000
    assert raised(BEFORE, fees).data_fee == 2_000


@pytest.mark.parametrize("answer", ["0x", "0x00", "0x" + "ff" * 33])
def test_read_fees__no_oracle_of_data_fees__no_data_fee(answer: str) -> None:
    assert read_fees(Telling({"baseFeePerGas": ["0x0"], "reward": None}, answer, answer), 7, b"").data_fee == 0


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        [],
        {"baseFeePerGas": []},
        {"baseFeePerGas": ["x"]},
        {"baseFeePerGas": ["-0x1"]},
        {"baseFeePerGas": ["0x1"], "reward": [[]]},
        {"baseFeePerGas": ["0x1"], "reward": 5},
        {"baseFeePerGas": [hex(2**64)]},
        {"baseFeePerGas": [1]},
        {"baseFeePerGas": ["0x1\n"]},
        {"baseFeePerGas": [None], "reward": None},
        {"baseFeePerGas": ["0x1"] * 2000},
        {"baseFeePerGas": ["0x1"], "reward": [["0x1" * 10_000_000]]},
        RpcRefusedError("no such method"),
    ],
)
def test_read_fees__nonsense__is_an_error_of_the_endpoint(answer: Any) -> None:
    with pytest.raises(ChainUnavailableError):
        read_fees(Telling(answer), 7, b"")


def test_fields_of__signed_transaction__are_what_was_signed() -> None:
    signer = KeySigner(b"\1" * 32)
    fields = transaction_fields(31337, 5, "0x" + "ab" * 20, b"\1\2", BEFORE)
    signed = signer.sign_transaction(fields)
    assert signer.sign_transaction(fields_of(signed.raw)) == signed
    assert fields_of(signed.raw)["maxFeePerGas"] == BEFORE.max_fee
