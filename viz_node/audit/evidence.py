"""All that an audit was told: enough to repeat it years later without a network, and nothing that was concluded."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import msgspec

from viz_node.audit.ancestry import read_headers
from viz_node.chain.contract.companions import (
    DELIVERY_TOPIC,
    ORDER_TOPIC,
    POOL_DATA_TOPIC,
    SPLIT_TABLE_TOPIC,
    delivery_of,
    order_of,
    pool_data_of,
    split_table_of,
)
from viz_node.chain.contract.ledger import ENTRY_TOPIC, TRANSFER_TOPIC, LedgerEntry, Transfer, entry_of, transfer_of
from viz_node.chain.node.logs import Log, ToldLog, parse_logs
from viz_node.chain.node.proofs import AccountProof, Header
from viz_node.chain.node.rpc import to_bytes, to_hex
from viz_node.chain.replay.book import Companions, MarketTerms
from viz_node.domain.deployment import Deployment, parse_deployment
from viz_node.domain.ids import parse_account
from viz_node.errors import ChainUnavailableError, UsageError, VerificationError

MARKET_TOPICS = tuple(
    to_hex(topic) for topic in (ENTRY_TOPIC, SPLIT_TABLE_TOPIC, ORDER_TOPIC, DELIVERY_TOPIC, POOL_DATA_TOPIC)
)
_TRANSFERS = (to_hex(TRANSFER_TOPIC),)
# Where tokens keep the mapping of balances: a low slot, or that of OpenZeppelin's upgradeable ERC-20.
BALANCE_SLOTS = (*range(24), 0x52C63247E1F47DB19D5CE0460030C497F067CA4CEBF71BA98EEADABE20BACE00)

# Topics, data, block, transaction and index of a log.
_LogRow = tuple[tuple[str, ...], str, int, str, int]
# Keeps any bytes as they are: what was published need not be text.
DIVISION_ENCODING = "latin-1"


MOST_DECIMALS = 36
LONGEST_SYMBOL = 32


class TokenUnit(NamedTuple):
    """What the token calls itself, and how many decimals its amounts have; told, not proven, and only for people."""

    symbol: str = ""
    decimals: int = 0


@dataclass(frozen=True)
class StateCheck:
    """How the contract's own answers compared with the ledger. It was seen once, and cannot be repeated offline."""

    checked: int = 0
    differences: tuple[str, ...] = ()


WalletWord = tuple[str, int, str]
"""A contract account, the block at which it was asked, and Keccak-256 of text digest and signature, hex."""


@dataclass(frozen=True)
class Evidence:
    """Everything that endpoints said about one market at one block; nothing in it is trusted.

    `proofs` and `codes` are of `market`, `annex` and `token`; `headers` those of every block with logs and of the
    blocks between that link them, `histories` the proofs of the history contract by block (see `ancestry`);
    `witnesses` are the endpoints that named the same block hash. `divisions` are texts from outside the chain: the
    published data behind roots of pools; `wallets` the signatures in it that contract accounts took.
    """

    deployment: Deployment
    header: Header
    proofs: Mapping[str, AccountProof]
    codes: Mapping[str, str]
    terms: MarketTerms
    logs: tuple[Log, ...]
    transfer_logs: tuple[Log, ...]
    headers: tuple[bytes, ...]
    histories: Mapping[int, AccountProof]
    witnesses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    divisions: tuple[str, ...] = ()
    state: StateCheck = field(default_factory=StateCheck)
    unit: TokenUnit = field(default_factory=TokenUnit)
    wallets: frozenset[WalletWord] = frozenset()


@dataclass(frozen=True)
class History:
    """The logs of a market, decoded."""

    entries: list[LedgerEntry]
    companions: Companions
    transfers: list[Transfer]


def decode_history(logs: Sequence[Log], transfer_logs: Sequence[Log]) -> History:
    """Decode all logs. Raises: ChainUnavailableError for a malformed or repeated one."""
    by_topic: dict[str, list[Log]] = {topic: [] for topic in MARKET_TOPICS}
    for log in logs:
        found = by_topic.get(log.topics[0] if log.topics else "")
        if found is None:
            raise ChainUnavailableError("the chain gave a log that was not asked for", "use another RPC")
        found.append(log)
    entries, tables, orders, deliveries, data = by_topic.values()
    companions = Companions(
        tuple(map(split_table_of, tables)),
        _unique([order_of(log) for log in orders], "order"),
        _unique([delivery_of(log) for log in deliveries], "delivery"),
        tuple(map(pool_data_of, data)),
    )
    numbers = [table.split_id for table in companions.tables]
    if len(set(numbers)) != len(numbers):
        raise ChainUnavailableError("the chain gave two tables for one split", "use another RPC")
    if any(log.topics[:1] != _TRANSFERS for log in transfer_logs):
        raise ChainUnavailableError("the chain gave a log that was not asked for", "use another RPC")
    return History([entry_of(log) for log in entries], companions, [transfer_of(log) for log in transfer_logs])


def to_document(evidence: Evidence) -> dict[str, Any]:
    """The evidence as plain JSON data."""
    return {
        "deployment": asdict(evidence.deployment),
        "header": dict(evidence.header),
        "proofs": {name: _proof_body(proof) for name, proof in evidence.proofs.items()},
        "codes": dict(evidence.codes),
        "terms": asdict(evidence.terms),
        "logs": [_log_row(log) for log in evidence.logs],
        "transfers": [_log_row(log) for log in evidence.transfer_logs],
        "headers": [to_hex(raw) for raw in evidence.headers],
        "histories": [[number, _proof_body(proof)] for number, proof in sorted(evidence.histories.items())],
        "witnesses": list(evidence.witnesses),
        "notes": list(evidence.notes),
        "divisions": list(evidence.divisions),
        "unit": list(evidence.unit),
        "wallets": sorted(map(list, evidence.wallets)),
        "state": {"checked": evidence.state.checked, "differences": list(evidence.state.differences)},
    }


def from_document(body: Any) -> Evidence:
    """Read evidence back. Raises: VerificationError, whatever the document holds."""
    try:
        deployment = parse_deployment(json.dumps(body["deployment"]).encode())
        headers = tuple(map(to_bytes, body["headers"]))
        hashes = {block.number: block.block_hash for block in read_headers(headers).values()}
        terms = dict(body["terms"])
        state = body["state"]
        return Evidence(
            deployment,
            {str(name): str(value) for name, value in body["header"].items()},
            {str(name): _proof(proof) for name, proof in body["proofs"].items()},
            {str(name): str(code) for name, code in body["codes"].items()},
            MarketTerms(parse_account(terms.pop("platform")), **{name: _word(value) for name, value in terms.items()}),
            _logs(body["logs"], deployment.market, hashes),
            _logs(body["transfers"], deployment.token, hashes),
            headers,
            {_word(number): _proof(proof) for number, proof in body["histories"]},
            tuple(map(str, body["witnesses"])),
            tuple(map(str, body["notes"])),
            _divisions(body["divisions"]),
            StateCheck(int(state["checked"]), tuple(map(str, state["differences"]))),
            unit_of(*body["unit"]),
            _wallets(body["wallets"]),
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, ChainUnavailableError, UsageError) as error:
        raise VerificationError(f"the report's evidence is malformed: {error!r:.200}") from error


def unit_of(symbol: Any, decimals: Any) -> TokenUnit:
    """The unit that a token tells; none when what it tells cannot be one."""
    if type(decimals) is not int or not 0 <= decimals <= MOST_DECIMALS or not isinstance(symbol, str):
        return TokenUnit()
    return TokenUnit(symbol[:LONGEST_SYMBOL], decimals)


def _divisions(texts: Any) -> tuple[str, ...]:
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("divisions are a list of texts")
    return tuple(text.encode(DIVISION_ENCODING).decode(DIVISION_ENCODING) for text in texts)


def _wallets(rows: Any) -> frozenset[WalletWord]:
    found = frozenset((parse_account(account), _word(block), str(word)) for account, block, word in rows)
    if rows != sorted(map(list, found)):
        raise ValueError("words of contract accounts are a list, each once and in order")
    return found


def _unique(pairs: Sequence[tuple[int, Any]], noun: str) -> dict[int, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ChainUnavailableError(f"the chain gave one {noun} twice", "use another RPC")
    return found


def _log_row(log: Log) -> list[Any]:
    return [list(log.topics), log.data, log.block_number, log.tx_hash, log.log_index]


def _logs(rows: Any, address: str, hashes: Mapping[int, str]) -> tuple[Log, ...]:
    told = [
        ToldLog(address, topics, data, hex(number), hashes[number], tx_hash, "0x0", hex(index))
        for topics, data, number, tx_hash, index in msgspec.convert(rows, list[_LogRow])
    ]
    return tuple(parse_logs(told))


def _proof_body(proof: AccountProof) -> dict[str, Any]:
    return {
        "address": proof.address,
        "account": list(proof.account_nodes),
        "slots": [[hex(slot), list(nodes)] for slot, nodes in proof.slot_nodes],
    }


def _proof(body: Any) -> AccountProof:
    if not isinstance(body["slots"], list) or not isinstance(body["account"], list):
        raise TypeError("no lists of nodes")
    slots = tuple((_word(int(slot, 16)), tuple(map(str, nodes))) for slot, nodes in body["slots"])
    return AccountProof(parse_account(body["address"]), tuple(map(str, body["account"])), slots)


def _word(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 256:
        raise ValueError(f"{value!r:.80} does not fit a word")
    return value
