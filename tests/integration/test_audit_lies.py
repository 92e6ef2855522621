"""An auditor behind endpoints that lie, each in one way, about a real chain: no lie is accepted.

A lie is an answer that differs from the true one in something that an audit states. Where the difference would be the
endpoint's to choose (the hash of a transaction, if all its logs tell the same), docs/explanation/audit.md says so.
"""

import copy
import itertools
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.anvil_market import ANVIL, PRICE, AnvilMarket, lively_market
from tests.lying_endpoint import LyingEndpoint
from viz_node.audit import audit, headers
from viz_node.audit.ancestry import HISTORY
from viz_node.chain.contract.ledger import EntryKind
from viz_node.chain.development.faucet import deploy_for_development
from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.node import rpc
from viz_node.chain.node.proofs import encode_header, header_of
from viz_node.errors import VerificationError, VizNodeError

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed: run `npm ci` in contracts/")

Change = Callable[[Any], Any]
FIELDS = ("address", "topics", "data", "blockNumber", "blockHash", "transactionHash", "transactionIndex", "logIndex")
ODD = (
    ("no", None),
    ("a numeric", 7),
    ("a list as", []),
    ("an object as", {}),
    ("an empty", ""),
    ("a long", "0x" + "0" * 999),
)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnvilMarket]:
    yield from lively_market(tmp_path_factory.mktemp("anvil"))


def is_entries(logs: Any) -> bool:
    return bool(logs) and len(logs[0]["topics"]) == 4


def about_entries(change: Change) -> Callable[[str, Any], Any]:
    """A lie about the market's logs; `change` gets the list of logs and returns another."""

    def lie(method: str, result: Any) -> Any:
        return change(copy.deepcopy(result)) if method == "eth_getLogs" and is_entries(result) else result

    return lie


def at(place: int, **fields: Any) -> Change:
    def change(logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        logs[place] |= fields
        return logs

    return change


def word(place: int, number: int, value: int) -> Change:
    """Another value in one word of a log's data."""

    def change(logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        data = logs[place]["data"][2:]
        logs[place]["data"] = f"0x{data[: 64 * number]}{value:064x}{data[64 * (number + 1) :]}"
        return logs

    return change


def topic(place: int, number: int, value: str) -> Change:
    def change(logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        logs[place]["topics"][number] = value
        return logs

    return change


def without_companion(logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [log for log in logs if len(log["topics"]) != 2]


def swapped(logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    first, second = logs[0], logs[1]
    for name in ("topics", "data"):
        first[name], second[name] = second[name], first[name]
    return logs


def forged_last(logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A claim that never was, in the place after the last entry."""
    forged = copy.deepcopy(logs[-1])
    forged["logIndex"] = hex(int(forged["logIndex"], 16) + 1)
    return [*logs, forged]


def swapped_places(logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last two entries, each where the other was."""
    names = ("blockNumber", "blockHash", "transactionHash", "transactionIndex", "logIndex")
    for name in names:
        logs[-1][name], logs[-3][name] = logs[-3][name], logs[-1][name]
    return logs


def times_turned_back(logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A sale that says it was before 1971."""
    sale = next(log for log in logs if int(log["topics"][1], 16) == EntryKind.SOLD and len(log["topics"]) == 4)
    return word(logs.index(sale), 2, 1 | 9 << 32)(logs)


def joined(topics: list[str]) -> list[str]:
    return [topics[0] + topics[1], *topics[2:], ""] if len(topics) > 1 else topics


def without_field(name: str) -> Change:
    def change(logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        del logs[0][name]
        return logs

    return change


def about_payments(change: Change) -> Callable[[str, Any], Any]:
    """A lie about the movements of the token."""

    def lie(method: str, result: Any) -> Any:
        is_payments = method == "eth_getLogs" and bool(result) and not is_entries(result)
        return change(copy.deepcopy(result)) if is_payments else result

    return lie


def in_answer(method: str, *path: Any, value: Any) -> Callable[[str, Any], Any]:
    """A lie in one field of a method's answer."""

    def lie(called: str, result: Any) -> Any:
        if called != method or not isinstance(result, dict):
            return result
        changed = place = copy.deepcopy(result)
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value(place[path[-1]]) if callable(value) else value
        return changed

    return lie


LIES: dict[str, Callable[[str, Any], Any]] = {
    "first entry left out": about_entries(lambda logs: logs[1:]),
    "last entry left out": about_entries(lambda logs: logs[:-1]),
    "an entry in the middle left out": about_entries(lambda logs: [*logs[:4], *logs[5:]]),
    "everything left out": about_entries(lambda logs: []),
    "an entry twice": about_entries(lambda logs: [*logs[:2], logs[1], *logs[2:]]),
    "two entries swapped": about_entries(swapped),
    "order turned round": about_entries(lambda logs: logs[::-1]),
    "an entry forged at the end": about_entries(forged_last),
    "another kind": about_entries(topic(0, 1, f"0x{5:064x}")),
    "another key": about_entries(topic(0, 2, f"0x{9:064x}")),
    "another account": about_entries(topic(0, 3, "0x" + "00" * 12 + "0b" * 20)),
    "an account with foreign bits": about_entries(topic(0, 3, "0x" + "0b" * 32)),
    "another sequence": about_entries(word(0, 0, 7)),
    "another manifest": about_entries(word(0, 1, 7)),
    "another base model": about_entries(word(0, 2, 7)),
    "another field c": about_entries(word(0, 3, 7)),
    "other terms": about_entries(word(0, 4, 7)),
    "data cut off": about_entries(at(0, data="0x")),
    "data that is no hex": about_entries(at(0, data="0xzz")),
    "data in capitals": about_entries(lambda logs: [{**log, "data": log["data"].upper()} for log in logs]),
    "companions withheld": about_entries(without_companion),
    "an altered share table": about_entries(word(2, 0, 96)),
    "a removed log": about_entries(at(0, removed=True)),
    "a log of another contract": about_entries(at(0, address="0x" + "0c" * 20)),
    "another block": about_entries(at(0, blockNumber="0x1")),
    "another block hash": about_entries(at(0, blockHash="0x" + "0c" * 32)),
    "another transaction": about_entries(at(0, transactionHash="0x" + "0c" * 32)),
    "a number with leading zeros": about_entries(at(0, logIndex="0x00")),
    "a negative number": about_entries(at(0, logIndex="-0x1")),
    "a huge number": about_entries(at(0, logIndex=hex(1 << 70))),
    "logs that are no list": lambda method, result: {"a": 1} if method == "eth_getLogs" else result,
    "payments left out": lambda method, result: (
        [] if method == "eth_getLogs" and result and not is_entries(result) else result
    ),
    "another chain": lambda method, result: "0x1" if method == "eth_chainId" else result,
    "other code": lambda method, result: "0x6001" if method == "eth_getCode" else result,
    "no code": lambda method, result: "0x" if method == "eth_getCode" else result,
    "a header with another state root": in_answer("eth_getBlockByNumber", "stateRoot", value="0x" + "11" * 32),
    "a header with another time": in_answer("eth_getBlockByNumber", "timestamp", value="0x1"),
    "a header with another hash": in_answer("eth_getBlockByNumber", "hash", value="0x" + "11" * 32),
    "a forged storage proof": in_answer("eth_getProof", "storageProof", 0, "proof", -1, value="0xc20102"),
    "a proof cut short": in_answer("eth_getProof", "storageProof", 0, "proof", value=lambda nodes: nodes[:-1]),
    "a proof with nodes too many": in_answer("eth_getProof", "accountProof", value=lambda nodes: [*nodes, nodes[0]]),
    "a proof with a node of ten megabytes": in_answer("eth_getProof", "accountProof", 0, value="0x" + "00" * 5_000_000),
    "a proof with thousands of nodes": in_answer("eth_getProof", "accountProof", value=lambda nodes: nodes * 1_000),
    "a proof whose nodes are a text": in_answer("eth_getProof", "accountProof", value="0x" + "00" * 500),
    "another balance": lambda method, result: (
        f"0x{int(result, 16) + 1:064x}" if method == "eth_call" and PRICE < int(result, 16) < 10 * PRICE else result
    ),
    "no proof": lambda method, result: None if method == "eth_getProof" else result,
    "a proof that is no hex": in_answer("eth_getProof", "accountProof", 0, value="0xzz"),
    "views that contradict": lambda method, result: (
        result[:-1] + ("0" if result[-1] != "0" else "1") if method == "eth_call" and len(result) > 66 else result
    ),
    "other windows": lambda method, result: (
        f"0x{601:064x}" if method == "eth_call" and result == f"0x{600:064x}" else result
    ),
    "answers of null": lambda method, result: None,
    "answers of text": lambda method, result: "0x" + "00" * 32,
    "answers of lists": lambda method, result: [[[]]],
    "a page of logs twice": about_entries(lambda logs: logs * 2),
    "two entries of one transaction in the other order": about_entries(lambda logs: [logs[1], logs[0], *logs[2:]]),
    "places of two logs swapped": about_entries(swapped_places),
    "a payment before its entry": about_payments(at(0, logIndex="0x0")),
    "a payment by another": about_payments(topic(0, 1, "0x" + "00" * 12 + "0b" * 20)),
    "a payment to another": about_payments(topic(0, 2, "0x" + "00" * 12 + "0b" * 20)),
    "a larger payment": about_payments(word(0, 0, 7)),
    "a payment twice": about_payments(lambda logs: [*logs, {**logs[-1], "logIndex": "0xff"}]),
    "a number of ten megabytes": about_entries(at(0, logIndex="0x" + "1" * 10_000_000)),
    "data of ten megabytes": about_entries(at(0, data="0x" + "00" * 5_000_000)),
    "a table of endless length": about_entries(word(2, 2, 2**256 - 1)),
    "a table of negative offset": about_entries(word(2, 0, 2**256 - 32)),
    "no topics": about_entries(at(1, topics=[])),
    "topics of topics": about_entries(at(1, topics=[["0x" + "00" * 32]])),
    "a topic of two words": about_entries(lambda logs: [{**log, "topics": joined(log["topics"])} for log in logs]),
    "times turned back": about_entries(times_turned_back),
    **{f"a log with {shown} {name}": about_entries(at(0, **{name: value})) for name in FIELDS for shown, value in ODD},
    **{f"a log without {name}": about_entries(without_field(name)) for name in FIELDS},
}


def answered(changed: Callable[[bytes], bytes]) -> Callable[[str, bytes], list[bytes]]:
    """A lie in the bytes of the answers that hold logs."""
    return lambda method, raw: [changed(raw) if method == "eth_getLogs" else raw]


BYTES: dict[str, Callable[[str, bytes], Iterable[bytes]]] = {
    "a second result without logs": answered(lambda raw: raw[:-1] + b',"result":[]}'),
    "an answer cut off": answered(lambda raw: raw[:-9]),
    "NaN": answered(lambda raw: re.sub(rb'"result": .*', b'"result": NaN}', raw)),
    "no UTF-8": answered(lambda raw: b"\xff" + raw),
    "nested without end": answered(lambda raw: b"[" * 1_000_000),
    "bytes after the answer": answered(lambda raw: raw + raw),
    "nothing": answered(lambda raw: b""),
    "answers under ids that are lists": lambda method, raw: [re.sub(rb'"id": (\d+)', rb'"id": [\1]', raw)],
    "answers to other questions": lambda method, raw: [re.sub(rb'"id": (\d+)', rb'"id": 9\1', raw)],
    "two answers to one question": lambda method, raw: [raw[:-1] + b", " + raw[1:] if raw.startswith(b"[") else raw],
}


def is_accepted(market: AnvilMarket, liar: LyingEndpoint) -> bool:
    try:
        report, _ = audit([liar.rpc_url], market.deployment, block="latest")
    except VizNodeError:
        return False
    return report.ok


@pytest.mark.parametrize("name", LIES)
def test_audit__endpoint_lies__is_not_accepted(market: AnvilMarket, name: str) -> None:
    with LyingEndpoint(market.rpc_url, LIES[name]) as liar:
        assert not is_accepted(market, liar)


@pytest.mark.parametrize("name", BYTES)
def test_audit__endpoint_sends_odd_bytes__is_not_accepted(market: AnvilMarket, name: str) -> None:
    with LyingEndpoint(market.rpc_url, send=BYTES[name]) as liar:
        assert not is_accepted(market, liar)


def test_audit__endless_answer__is_given_up(market: AnvilMarket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "MAX_ANSWER_BYTES", 1 << 20)
    sent = []

    def endless(method: str, raw: bytes) -> Iterator[bytes]:
        for _ in range(1 << 10):
            sent.append(1)
            yield b" " * (1 << 16)

    with LyingEndpoint(market.rpc_url, send=endless) as liar, pytest.raises(VizNodeError):
        audit([liar.rpc_url], market.deployment, block="latest")
    assert len(sent) < 1 << 10


def test_audit__answer_that_drips__is_given_up(market: AnvilMarket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("viz_node.audit.TIMEOUT_SECONDS", 0.2)
    over = threading.Event()

    def dripping(method: str, raw: bytes) -> Iterator[bytes]:
        while not over.wait(0.05):
            yield b" "

    with LyingEndpoint(market.rpc_url, send=dripping) as liar, pytest.raises(VizNodeError, match="too long"):
        audit([liar.rpc_url], market.deployment, block="latest")
    over.set()


class ForgedBlock:
    """A lie about one block that is whole in itself: header, hash, and the logs that name the hash."""

    def __init__(self, market: AnvilMarket, number: int, **changes: str) -> None:
        self.number, body = hex(number), market.ask("eth_getBlockByNumber", hex(number), False)
        self.body = {**body, **changes}
        self.body["hash"] = f"0x{keccak(encode_header(header_of(self.body))).hex()}"
        assert self.body["hash"] != body["hash"]

    def __call__(self, method: str, result: Any) -> Any:
        if method == "eth_getBlockByNumber" and result["number"] == self.number:
            return self.body
        if method == "eth_getLogs":
            return [
                {**log, "blockHash": self.body["hash"]} if log["blockNumber"] == self.number else log for log in result
            ]
        return result


def without_history(method: str, result: Any) -> Any:
    """A chain, or an endpoint, that does not prove the hashes of old blocks."""
    return None if method == "eth_getProof" and result["address"].lower() == HISTORY else result


def blocks_with_logs(market: AnvilMarket) -> list[int]:
    _, evidence = audit([market.rpc_url], market.deployment, block="latest")
    return sorted({log.block_number for log in evidence.logs})


@pytest.mark.parametrize("changes", [{"timestamp": "0x1"}, {"parentHash": "0x" + "0c" * 32}, {"extraData": "0x07"}])
def test_audit__block_forged_with_a_hash_of_its_own__is_refused(market: AnvilMarket, changes: dict[str, str]) -> None:
    _, evidence = audit([market.rpc_url], market.deployment, block="latest")
    assert evidence.histories
    # The last is the audited block: only a second endpoint can tell whether it is the chain's.
    for number in blocks_with_logs(market)[:-1]:
        forged = ForgedBlock(market, number, **changes)
        for lie in (forged, lambda method, result, forged=forged: without_history(method, forged(method, result))):
            with LyingEndpoint(market.rpc_url, lie) as liar, pytest.raises(VerificationError):
                audit([liar.rpc_url], market.deployment, block="latest")


def test_audit__another_block_on_each_call__is_refused(market: AnvilMarket) -> None:
    numbers = itertools.count()

    def lie(method: str, result: Any) -> Any:
        if method != "eth_getBlockByNumber":
            return result
        body = {**result, "extraData": hex(0x1000 + next(numbers))}
        return {**body, "hash": f"0x{keccak(encode_header(header_of(body))).hex()}"}

    with LyingEndpoint(market.rpc_url, lie) as liar, pytest.raises(VerificationError):
        audit([liar.rpc_url], market.deployment, block="latest")


def test_audit__entry_told_in_another_real_block__is_a_finding(market: AnvilMarket) -> None:
    def is_claim(log: dict[str, Any]) -> bool:
        return len(log["topics"]) == 4 and int(log["topics"][1], 16) == EntryKind.CLAIMED

    claim = next(
        log
        for log in market.ask("eth_getLogs", {"address": market.deployment.market, "fromBlock": "0x0"})
        if is_claim(log)
    )
    before = market.ask("eth_getBlockByNumber", hex(int(claim["blockNumber"], 16) - 1), False)

    def lie(method: str, result: Any) -> Any:
        if method == "eth_getBlockByNumber" and result["number"] == before["number"]:
            return {**result, "transactions": [*result["transactions"], claim["transactionHash"]]}
        if method != "eth_getLogs":
            return result
        place = {"blockNumber": before["number"], "blockHash": before["hash"], "logIndex": "0x50"}
        place["transactionIndex"] = hex(len(before["transactions"]))
        return [{**log, **place} if log["transactionHash"] == claim["transactionHash"] else log for log in result]

    with LyingEndpoint(market.rpc_url, lie) as liar:
        report, _ = audit([liar.rpc_url], market.deployment, block="latest")
    assert "C1" in {finding.check for finding in report.findings}


def test_audit__history_not_proven__blocks_are_linked_by_their_parents(market: AnvilMarket) -> None:
    with LyingEndpoint(market.rpc_url, without_history) as endpoint:
        report, evidence = audit([endpoint.rpc_url], market.deployment, block="latest")
    assert (report.findings, report.counts["unlinked_blocks"], evidence.histories) == ((), 0, {})


def test_audit__blocks_that_nothing_links__are_noted_and_compared_with_another_endpoint(
    market: AnvilMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headers, "LONGEST_CHAIN", 2)
    first = blocks_with_logs(market)[0]
    with LyingEndpoint(market.rpc_url, without_history) as endpoint:
        report, _ = audit([endpoint.rpc_url], market.deployment, block="latest")
        again, _ = audit([endpoint.rpc_url, market.rpc_url], market.deployment, block="latest")
    for seen in (report, again):
        assert (seen.findings, seen.counts["unlinked_blocks"] > 0) == ((), True)
        assert any("not linked" in note for note in seen.notes)
    forged = ForgedBlock(market, first, extraData="0x07")
    lie = lambda method, result: without_history(method, forged(method, result))  # noqa: E731
    with LyingEndpoint(market.rpc_url, lie) as liar, pytest.raises(VerificationError, match="another block"):
        audit([liar.rpc_url, market.rpc_url], market.deployment, block="latest")


def test_audit__honest_endpoint__holds_and_names_who_vouched(market: AnvilMarket) -> None:
    with LyingEndpoint(market.rpc_url, lambda method, result: result) as second:
        report, _ = audit([market.rpc_url, second.rpc_url], market.deployment, block="latest")
    assert report.findings == ()
    assert report.proof.proven
    assert len(report.proof.witnesses) == 2
    assert [sale.kind for sale in report.sales] == ["license"]
    assert {check.check for check in report.checks if check.looked_at} >= {"C1", "C2", "C4", "C5", "C6", "C7", "C9"}


def test_audit__endpoints_name_different_blocks__is_refused(market: AnvilMarket) -> None:
    lie = in_answer("eth_getBlockByNumber", "extraData", value="0x07")
    with LyingEndpoint(market.rpc_url, lie) as liar, pytest.raises(VerificationError):
        audit([market.rpc_url, liar.rpc_url], market.deployment, block="latest")


def test_audit__deployment_file_with_another_token__is_refused_and_no_lie_of_the_endpoint_helps(
    market: AnvilMarket,
) -> None:
    foreign = replace(market.deployment, token=deploy_for_development(market.rpc_url).token)
    with pytest.raises(VerificationError, match="names the token"):
        audit([market.rpc_url], foreign, block="latest")
    own, told = f"0x{int(market.deployment.token, 16):064x}", f"0x{int(foreign.token, 16):064x}"
    lie = lambda method, result: told if method == "eth_call" and result == own else result  # noqa: E731
    with LyingEndpoint(market.rpc_url, lie) as liar:
        report, _ = audit([liar.rpc_url], foreign, block="latest")
    assert "the told token does not stand in the market's code" in {finding.message for finding in report.findings}
