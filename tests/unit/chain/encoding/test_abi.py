"""ABI encoding against known vectors, and decoding that takes nothing but what encoding writes."""

import pytest
from eth_abi import encode as reference
from hypothesis import given
from hypothesis import strategies as st

from viz_node.chain.encoding.abi import decode, encode

ACCOUNT = "0x" + "ab" * 20
ORDER = "(uint64,address,(uint256,uint256))"
CLAIM = "(uint32,address,uint256,bytes32[])"

CASES = [
    (("uint64", "address[]", "uint16[]"), [7, [ACCOUNT], [1, 2]]),
    ((ORDER, "bytes32"), [(5, ACCOUNT, (1, 2)), b"\1" * 32]),
    ((f"{CLAIM}[]",), [[(1, ACCOUNT, 300, [b"\2" * 32]), (2, ACCOUNT, 9_700, [])]]),
    (("uint64[]", f"{ORDER}[]", "string"), [[1, 2], [(5, ACCOUNT, (1, 2))], "été"]),
    (("bool", "bytes", "string"), [True, b"", "x" * 33]),
]


@pytest.mark.parametrize(("types", "values"), CASES)
def test_encode__every_shape_of_type__is_the_reference_encoding_and_comes_back(types, values) -> None:
    data = encode(types, values)
    assert data == reference(types, values)
    assert decode(types, data) == values


@pytest.mark.parametrize(("types", "values"), CASES)
def test_decode__every_cut_and_every_flipped_bit__is_refused_or_means_something_else(types, values) -> None:
    data = encode(types, values)
    for end in range(len(data)):
        with pytest.raises(ValueError, match=r"."):
            decode(types, data[:end])
    with pytest.raises(ValueError, match="too many"):
        decode(types, data + bytes(32))
    for bit in range(len(data) * 8):
        wrong = bytearray(data)
        wrong[bit // 8] ^= 1 << bit % 8
        try:
            assert decode(types, bytes(wrong)) != values
        except ValueError:
            continue


@given(st.binary(max_size=400))
def test_decode__any_bytes__are_refused_or_are_what_encode_writes(data: bytes) -> None:
    for types, _ in CASES:
        try:
            values = decode(types, data)
        except ValueError:
            continue
        assert encode(types, values) == data


def test_decode__list_that_claims_to_be_huge__is_refused_at_once() -> None:
    data = (32).to_bytes(32, "big") + (2**255).to_bytes(32, "big")
    for types in (("uint16[]",), (f"{CLAIM}[]",), ("bytes",)):
        with pytest.raises(ValueError, match="past the end"):
            decode(types, data)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("uint16", 65536), ("uint8", -1), ("bytes32", b"short"), ("address", "0x12"), ("int8", 1), ("uint8[2]", [1, 2])],
)
def test_encode__value_or_type_that_does_not_fit__raises(kind: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"fit|needs|not used"):
        encode((kind,), (value,))


def test_encode__too_few_values__raises() -> None:
    with pytest.raises(ValueError, match="2 values expected, 1 given"):
        encode(("uint8", "uint8"), [1])
