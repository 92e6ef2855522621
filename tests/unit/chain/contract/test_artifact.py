"""The generated artifacts: what the node calls and decodes is what the contract has."""

import pytest

from viz_node.chain.account.library import encode_creation
from viz_node.chain.contract.artifact import account_of_word, decode_pair_of_lists, load_artifact
from viz_node.chain.contract.companions import DELIVERY_TOPIC, ORDER_TOPIC, POOL_DATA_TOPIC, SPLIT_TABLE_TOPIC
from viz_node.chain.contract.ledger import ENTRY_TOPIC, TRANSFER_TOPIC
from viz_node.chain.encoding.abi import encode

ACCOUNT = "0x" + "ab" * 20


def test_load_artifact__market__has_the_events_that_the_ledger_decodes() -> None:
    events = load_artifact("Market").events
    assert events["Entry"] == ENTRY_TOPIC
    assert events["SplitTable"] == SPLIT_TABLE_TOPIC
    assert (events["OrderPlaced"], events["KeyDelivered"]) == (ORDER_TOPIC, DELIVERY_TOPIC)
    assert events["PoolData"] == POOL_DATA_TOPIC
    assert load_artifact("TestToken").events["Transfer"] == TRANSFER_TOPIC


def test_call_data__erc20_transfer__is_the_known_encoding() -> None:
    data = load_artifact("TestToken").call_data("transfer", ACCOUNT, 5)
    assert data.hex() == "a9059cbb" + "00" * 12 + "ab" * 20 + f"{5:064x}"


def test_outputs_of__answer_with_a_bit_beyond_its_type__raises() -> None:
    market = load_artifact("Market")
    assert market.outputs_of("adapterOf", bytes(31) + b"\7") == [7]
    for answer in (b"\1" + bytes(31), bytes(64), b""):
        with pytest.raises(ValueError, match=r"fit|too"):
            market.outputs_of("adapterOf", answer)


def test_error_of__custom_error__has_its_name_and_values() -> None:
    market = load_artifact("Market")
    selector = next(key for key, (name, _) in market.errors.items() if name == "PriceAboveMax")
    assert market.error_of(selector + encode(("uint256", "uint256"), (5, 4))) == ("PriceAboveMax", [5, 4])
    assert market.error_of(selector + b"\1") is None
    assert market.error_of(b"\0\0\0\0") is None


def test_decode_pair_of_lists__what_encode_wrote__comes_back() -> None:
    data = encode(("address[]", "uint16[]"), ([ACCOUNT], [10_000]))
    accounts, shares = decode_pair_of_lists(data)
    assert [account_of_word(word) for word in accounts] == [ACCOUNT]
    assert shares == [10_000]


@pytest.mark.parametrize("data", [b"", b"\xff" * 64, encode(("address[]", "uint16[]"), ([ACCOUNT], [1]))[:-1]])
def test_decode_pair_of_lists__cut_or_wild_offsets__raises(data: bytes) -> None:
    with pytest.raises(ValueError, match="past the end"):
        decode_pair_of_lists(data)


def test_is_code__other_immutables__is_the_same_code() -> None:
    market = load_artifact("Market")
    start, size = market.immutables[0]
    code = bytearray(market.deployed)
    code[start : start + size] = b"\x11" * size
    assert market.is_code(bytes(code))
    code[0] ^= 1
    assert not market.is_code(bytes(code))


def test_creation_data__market_with_its_annex__fits_a_transaction() -> None:
    # EIP-3860: a chain refuses longer creation code, and the annex's creation code is part of the market's.
    setup = (ACCOUNT, ACCOUNT, 300, ACCOUNT, (600, 600, 600, 600))
    assert len(encode_creation("Market", [setup])) <= 2 * 24_576
    assert all(len(load_artifact(name).deployed) <= 24_576 for name in ("Market", "Annex"))
