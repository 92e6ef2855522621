"""An auditor behind endpoints that lie, each in one way, about a real chain: no lie is accepted."""

import copy
import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey

from tests.anvil_market import ANVIL, PRICE, AnvilMarket
from tests.lying_endpoint import LyingEndpoint
from viz_node.chain.anvil import start_anvil, stop_anvil
from viz_node.chain.audit import audit
from viz_node.chain.hashing import keccak
from viz_node.daemon.audit import verify_report, write_report
from viz_node.domain.offer import OfferTerms
from viz_node.domain.purchase import NewOrder
from viz_node.errors import StorageError, VerificationError, VizNodeError

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed: run `npm ci` in contracts/")

Change = Callable[[Any], Any]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnvilMarket]:
    """A market with sales, an order that was delivered, a claim and tokens that were sent to it."""
    directory = tmp_path_factory.mktemp("anvil")
    market = AnvilMarket(start_anvil(directory, ANVIL).rpc_url)
    offer_id = market.publish()
    market.buy(offer_id)
    market.do(market.owner, market.gateway.prepare_claim(1, market.owner.account))
    escrowed = market.publish(OfferTerms(PRICE, is_escrowed=True), (b"\7" * 32, b"\2" * 32, b"\3" * 32))
    point = PrivateKey().public_key.format(compressed=False)[1:]
    new = NewOrder(escrowed, market.buyer.account, PRICE, keccak(b"k"), point, b"\1" * 32)
    market.do(market.buyer, market.gateway.prepare_order(new))
    (order,) = market.gateway.orders_for([escrowed])
    market.do(market.owner, market.gateway.prepare_deliver(order, point, b"\5" * 32))
    yield market
    stop_anvil(directory)


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
    "no proof": lambda method, result: None if method == "eth_getProof" else result,
    "a proof that is no hex": in_answer("eth_getProof", "accountProof", 0, value="0xzz"),
    "views that contradict": lambda method, result: (
        result[:-1] + ("0" if result[-1] != "0" else "1") if method == "eth_call" and len(result) > 66 else result
    ),
    "other windows": lambda method, result: (
        f"0x{601:064x}" if method == "eth_call" and result == f"0x{600:064x}" else result
    ),
    "answers of null": lambda method, result: None,
}


@pytest.mark.parametrize("name", LIES)
def test_audit__endpoint_lies__is_not_accepted(market: AnvilMarket, name: str) -> None:
    with LyingEndpoint(market.rpc_url, LIES[name]) as liar:
        try:
            report, _ = audit([liar.rpc_url], market.deployment, block="latest")
        except VizNodeError:
            return
    assert report.findings


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


def test_report__signed__is_checked_again_without_the_chain(market: AnvilMarket, tmp_path: Path) -> None:
    report, evidence = audit([market.rpc_url], market.deployment, block="latest")
    key, path = tmp_path / "key", tmp_path / "report.json"
    key.write_text(secrets.token_bytes(32).hex())
    seal = write_report(report, evidence, path, key)
    again, signer = verify_report(path)
    assert (again.ok, again.totals, signer) == (True, report.totals, seal["signer"])
    with pytest.raises(StorageError, match="exist"):
        write_report(report, evidence, path, None)


@pytest.mark.parametrize("part", ["evidence", "report", "signer", "signature", "root"])
def test_report__changed_afterwards__is_refused(market: AnvilMarket, tmp_path: Path, part: str) -> None:
    report, evidence = audit([market.rpc_url], market.deployment, block="latest")
    key, path = tmp_path / "key", tmp_path / "report.json"
    key.write_text(secrets.token_bytes(32).hex())
    write_report(report, evidence, path, key)
    body = json.loads(path.read_bytes())
    if part == "evidence":
        body["evidence"]["logs"].pop()
    elif part == "report":
        body["report"]["totals"][0]["earned"] += 1
    else:
        body[part] = "0x" + "0b" * 20 if part == "signer" else "00" * 65 if part == "signature" else "00" * 32
    path.write_text(json.dumps(body))
    with pytest.raises(VerificationError):
        verify_report(path)


def test_report__sealed_anew_around_a_lie__does_not_follow_from_its_evidence(
    market: AnvilMarket, tmp_path: Path
) -> None:
    report, evidence = audit([market.rpc_url], market.deployment, block="latest")
    honest, forged = tmp_path / "honest.json", tmp_path / "forged.json"
    write_report(report, evidence, honest, None)
    without_last = evidence.__class__(**{**vars(evidence), "logs": evidence.logs[:-1]})
    write_report(report, without_last, forged, None)
    with pytest.raises(VerificationError, match="follow"):
        verify_report(forged)


@pytest.mark.parametrize("part", ["totals", "sales", "claims", "splits", "checks", "counts"])
def test_report__says_less_or_more_than_its_evidence__is_refused(
    market: AnvilMarket, tmp_path: Path, part: str
) -> None:
    report, evidence = audit([market.rpc_url], market.deployment, block="latest")
    path = tmp_path / "forged.json"
    write_report(replace(report, **{part: getattr(report, part).__class__()}), evidence, path, None)
    with pytest.raises(VerificationError, match="follow"):
        verify_report(path)


def test_report__about_one_adapter__is_checked_as_such(market: AnvilMarket, tmp_path: Path) -> None:
    report, evidence = audit([market.rpc_url], market.deployment, (b"\7" * 32).hex(), block="latest")
    path = tmp_path / "report.json"
    write_report(report, evidence, path, None)
    assert (verify_report(path)[0], report.sales) == (report, ())
