"""ABI encoding of the types that the market uses, and the generated artifacts."""

import pytest

from viz_node.chain.contract import account_of_word, decode_pair_of_lists, encode, load_artifact, words
from viz_node.chain.deployment import is_market_code
from viz_node.chain.ledger import ENTRY_TOPIC, SPLIT_TABLE_TOPIC, TRANSFER_TOPIC

ACCOUNT = "0x" + "ab" * 20


def test_load_artifact__market__has_the_events_that_the_ledger_decodes() -> None:
    market = load_artifact("Market")
    assert market.events["Entry"] == ENTRY_TOPIC
    assert market.events["SplitTable"] == SPLIT_TABLE_TOPIC
    assert load_artifact("TestToken").events["Transfer"] == TRANSFER_TOPIC


def test_call_data__erc20_transfer__is_the_known_encoding() -> None:
    data = load_artifact("TestToken").call_data("transfer", ACCOUNT, 5)
    assert data.hex() == "a9059cbb" + "00" * 12 + "ab" * 20 + f"{5:064x}"


def test_encode__two_lists_after_a_word__puts_offsets_in_the_head() -> None:
    data = encode(("uint64", "address[]", "uint16[]"), (7, [ACCOUNT], [1, 2]))
    assert words(data)[:3] == [7, 96, 160]
    assert words(data)[3:] == [1, int(ACCOUNT, 16), 2, 1, 2]


def test_decode_pair_of_lists__what_encode_wrote__comes_back() -> None:
    data = encode(("address[]", "uint16[]"), ([ACCOUNT], [10_000]))
    accounts, shares = decode_pair_of_lists(data)
    assert [account_of_word(word) for word in accounts] == [ACCOUNT]
    assert shares == [10_000]


@pytest.mark.parametrize("data", [b"", b"\xff" * 64, encode(("address[]", "uint16[]"), ([ACCOUNT], [1]))[:-1]])
def test_decode_pair_of_lists__cut_or_wild_offsets__raises(data: bytes) -> None:
    with pytest.raises(ValueError, match="past the end"):
        decode_pair_of_lists(data)


@pytest.mark.parametrize(("kind", "value"), [("uint16", 65536), ("uint8", -1), ("bytes32", b"short"), ("string", "x")])
def test_encode__value_that_does_not_fit__raises(kind: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"fit|needs|not used"):
        encode((kind,), (value,))


def test_is_market_code__other_immutables__is_the_same_code() -> None:
    market = load_artifact("Market")
    start, size = market.immutables[0]
    code = bytearray(market.deployed)
    code[start : start + size] = b"\x11" * size
    assert is_market_code(bytes(code), market)
    code[0] ^= 1
    assert not is_market_code(bytes(code), market)
