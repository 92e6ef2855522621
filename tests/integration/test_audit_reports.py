"""Reports of an audit that are checked again offline, and the many ways to forge one."""

import copy
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.anvil_market import ANVIL, DIGESTS, AnvilMarket, lively_market
from viz_node.audit import audit, to_document
from viz_node.daemon.audit import FORMAT, _digest, _root, verify_report, write_report
from viz_node.domain.manifest import canonical_bytes
from viz_node.errors import RefusedError, VerificationError

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed: run `npm ci` in contracts/")


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnvilMarket]:
    yield from lively_market(tmp_path_factory.mktemp("anvil"))


def test_report__signed__is_checked_again_without_the_chain(market: AnvilMarket, tmp_path: Path) -> None:
    report, evidence = audit([market.rpc_url], market.deployment, block="latest")
    key, path = tmp_path / "key", tmp_path / "report.json"
    key.write_text(secrets.token_bytes(32).hex())
    key.chmod(0o600)
    seal = write_report(report, evidence, path, key)
    again, signer = verify_report(path)
    assert (again.ok, again.totals, signer) == (True, report.totals, seal["signer"])
    with pytest.raises(RefusedError, match="exist"):
        write_report(report, evidence, path, None)


@pytest.mark.parametrize("part", ["evidence", "report", "signer", "signature", "root"])
def test_report__changed_afterwards__is_refused(market: AnvilMarket, tmp_path: Path, part: str) -> None:
    report, evidence = audit([market.rpc_url], market.deployment, block="latest")
    key, path = tmp_path / "key", tmp_path / "report.json"
    key.write_text(secrets.token_bytes(32).hex())
    key.chmod(0o600)
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


def test_report__any_part_of_the_evidence_forged__is_refused_or_says_so(market: AnvilMarket, tmp_path: Path) -> None:
    """Values of the evidence become something else, one at a time, and the file is sealed anew around it."""
    report, evidence = audit([market.rpc_url], market.deployment, block="latest")
    body = json.loads(canonical_bytes({"evidence": to_document(evidence), "report": report.to_dict()}))
    tried = [place for place in places(body["evidence"], ()) if not is_told(place)]
    for place in tried:
        path = tmp_path / "-".join(map(str, place))
        seal_anew(path, {**body, "evidence": forged_at(body["evidence"], place)})
        try:
            again, _ = verify_report(path)
        except VerificationError:
            continue
        assert not again.ok, place
    assert len(tried) > 200


def is_told(place: tuple[Any, ...]) -> bool:
    """What an endpoint tells and nothing proves: transactions' hashes, places in a block, and what is no evidence."""
    if place == ("deployment", "block"):  # where reading began: what was left out shows in the ledger's head
        return True
    return place[0] in ("witnesses", "notes", "state", "unit") or (
        place[0] in ("logs", "transfers") and place[2:] in ((3,), (4,))
    )


def places(value: Any, way: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    steps = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for step in steps:
        yield (*way, step)
        yield from places(value[step], (*way, step))


def forged_at(evidence: dict[str, Any], place: tuple[Any, ...]) -> dict[str, Any]:
    forged = copy.deepcopy(evidence)
    holder = forged
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = other_than(holder[place[-1]])
    return forged


def other_than(value: Any) -> Any:
    if isinstance(value, int):
        return -value - 1 if value % 2 else value + 1
    if isinstance(value, str) and value.startswith("0x") and len(value) > 2:
        return value[:-1] + ("0" if value[-1] != "0" else "1")
    return {"list": {}, "dict": [], "str": 7}.get(type(value).__name__, [])


def seal_anew(path: Path, body: dict[str, Any]) -> None:
    seal = {"digest": _digest(body), "root": _root(body["report"]), "signer": "", "signature": ""}
    path.write_bytes(canonical_bytes({"format": FORMAT, **seal, **body}))


def test_report__on_one_adapter__is_checked_row_by_row(market: AnvilMarket, tmp_path: Path) -> None:
    report, evidence = audit([market.rpc_url], market.deployment, DIGESTS[0].hex(), "latest")
    write_report(report, evidence, tmp_path / "honest", None)
    again, _ = verify_report(tmp_path / "honest")
    assert (again, len(again.splits)) == (report, 1)
    body = json.loads((tmp_path / "honest").read_bytes())
    told = body["report"]
    changes: list[dict[str, Any]] = [
        {"totals": []},
        {"totals": [{**told["totals"][0], "earned": 7}, *told["totals"][1:]]},
        {"sales": told["sales"] * 2},
        {"claims": []},
        {"adapter": None},
        {"adapter": 7},
        {"notes": ["all is well"]},
        {"verdict": "all is well"},
        {"findings": [{"check": "C1", "sequence": 1, "message": "a lie"}]},
    ]
    for number, change in enumerate(changes):
        path = tmp_path / str(number)
        seal_anew(path, {"evidence": body["evidence"], "report": {**told, **change}})
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
