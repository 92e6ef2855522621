"""Decoding of logs and the hash chain over entries."""

from typing import Any

import pytest

from viz_node.chain.contract.companions import split_table_of
from viz_node.chain.contract.ledger import INITIAL_HEAD, LedgerEntry, entry_of, next_head
from viz_node.chain.node.logs import Log
from viz_node.domain.ids import Account
from viz_node.errors import ChainUnavailableError

WHO = Account("0x" + "0a" * 20)
ENTRY = LedgerEntry(4, 9, WHO, 1, 5, 6, 7, b"\4" * 32, 3, "0x" + "ab" * 32, 2)


def log_of(entry: LedgerEntry) -> Log:
    numbers = (entry.sequence, entry.a, entry.b, entry.c)
    topics = ("0x" + "00" * 32, f"0x{entry.kind:064x}", f"0x{entry.key:064x}", "0x" + "00" * 12 + entry.who[2:])
    data = "0x" + b"".join(number.to_bytes(32, "big") for number in numbers).hex() + entry.d.hex()
    return Log(WHO, topics, data, entry.block_number, "0x" + "cd" * 32, entry.tx_hash, 0, entry.log_index)


def test_entry_of__well_formed_log__gives_every_field() -> None:
    assert entry_of(log_of(ENTRY)) == ENTRY


@pytest.mark.parametrize("change", [{"topics": ()}, {"data": "0x00"}, {"data": "zz"}, {"topics": ("0x",) * 5}])
def test_entry_of__malformed_log__raises_chain_unavailable(change: dict[str, Any]) -> None:
    with pytest.raises(ChainUnavailableError, match="malformed"):
        entry_of(log_of(ENTRY)._replace(**change))


def test_decode_split_table__wild_offsets__raises_chain_unavailable() -> None:
    log = Log(WHO, ("0x" + "00" * 32, "0x" + "00" * 31 + "01"), "0x" + "ff" * 64, 1, "0x", "0x", 0, 0)
    with pytest.raises(ChainUnavailableError, match="malformed"):
        split_table_of(log)


def test_next_head__any_field_changed__is_another_head() -> None:
    heads = {next_head(INITIAL_HEAD, ENTRY)}
    for name, value in {"kind": 5, "key": 8, "who": "0x" + "0b" * 20, "a": 0, "b": 0, "c": 0, "d": b"\5" * 32}.items():
        heads.add(next_head(INITIAL_HEAD, ENTRY._replace(**{name: value})))
    assert len(heads) == 8
    assert all(head & (1 << 40) - 1 == 1 for head in heads)
