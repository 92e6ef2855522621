"""Roots of pools derived again by an auditor: from published data, with the chain and nothing else."""

import hashlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.anvil_market import ANVIL
from tests.audits import assert_cut_anywhere, checkpoint_at
from tests.fakes.world import Member
from tests.integration.test_pools import DAY, WINDOW, Scene, done, scene, used_and_over
from tests.rederive_pools import totals_of
from tests.solidity import account_made_of, creation_code
from tests.third_party import assert_rederived
from viz_node.chain.account.signing import KeySigner
from viz_node.chain.development.anvil import DevChain, start_anvil, stop_anvil
from viz_node.cli.main import run
from viz_node.daemon.audit import run_examination, run_full_audit, verify_report, write_report
from viz_node.domain.answer import as_json
from viz_node.domain.decide_pool import DueDivision
from viz_node.domain.distribution import PoolRule
from viz_node.domain.division import Division, PoolFacts, divide, parse_division
from viz_node.domain.ids import Account, BasisPoints, PeerId, TokenAmount
from viz_node.domain.manifest import canonical_bytes
from viz_node.domain.pool import PoolMember, PoolRules, UseStatement
from viz_node.domain.purposes import Purpose
from viz_node.errors import RefusedError, VerificationError
from viz_node.identity.signatures import recover_account
from viz_node.services.pools.pool_desk import USES_METHOD

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed: make setup")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevChain]:
    directory = tmp_path_factory.mktemp("anvil")
    yield start_anvil(directory, ANVIL)
    stop_anvil(directory)


def deployment_of(made: Scene, folder: Path) -> Path:
    path = folder / "deployment.json"
    path.write_bytes(made.world.anvil.deployment.to_bytes())
    return path


USES = st.dictionaries(st.integers(1, 6), st.integers(1, 40), max_size=4)


@given(
    rule=st.sampled_from(["user-centric", "scaled-user-prop"]),
    fee=st.integers(1, 1000),
    share=st.integers(1, 10_000),
    splits=st.dictionaries(st.integers(1, 5), st.integers(1, 3), max_size=5),
    periods=st.lists(st.dictionaries(st.sampled_from("abcde"), USES, max_size=5), max_size=3),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_totals__any_uses__are_those_of_the_derivation_from_the_page(
    rule: str, fee: int, share: int, splits: dict[int, int], periods: list[dict[str, dict[int, int]]]
) -> None:
    rules = PoolRules("p", PoolRule(rule), BasisPoints(share), 9, PeerId("a"), PeerId("b"), 0, 0)
    subscribers = {number: [Account(name) for name in period] for number, period in enumerate(periods)}
    facts = PoolFacts("p", b"", TokenAmount(fee), (0, len(periods)), subscribers, lambda *_: True)
    members = [PoolMember("p", adapter, Account("o"), split) for adapter, split in splits.items()]
    stated = [
        UseStatement("p", number, Account(name), uses)
        for number, period in enumerate(periods) for name, uses in period.items() if uses
    ]  # fmt: skip
    division = divide(rules, facts, members, stated)
    assert totals_of(json.loads(division.payload()), fee, subscribers) == division.totals


async def adopted(made: Scene) -> None:
    made.pass_time(WINDOW)
    await made.watch(made.operator)
    assert made.root_states()[-1] == "adopted"


def audited(made: Scene, folder: Path, data: Path | None) -> dict:
    paths = [data] if data else []
    url, deployment = made.world.anvil.rpc_url, deployment_of(made, folder)
    report, _ = run_full_audit([url], deployment, None, "latest", paths)
    files = [path.read_bytes() for path in data.glob("*.json")] if data else []
    assert_rederived(url, made.world.anvil.deployment, report, files)
    return report.to_dict()


async def test_pool_data__honest__derives_every_root_and_stays_in_the_report(chain: DevChain, tmp_path: Path) -> None:
    made = await used_and_over(chain, tmp_path / "world")
    await made.watch(made.operator)
    await adopted(made)
    await done(made.owners[0], ("claim", {"name": "royalties"}))
    data = tmp_path / "data"
    assert len((await made.readers[0].pools.view.export(1, data)).files) == 1
    assert (await made.readers[0].pools.view.export(1, data)).missing == []
    without, given = audited(made, tmp_path, None), audited(made, tmp_path, data)
    assert (without["findings"], given["findings"]) == ([], [])
    assert any("1 root of pools" in note for note in without["notes"])
    assert not any("of pools" in note for note in given["notes"])
    looked = [next(row["looked_at"] for row in body["checks"] if row["check"] == "C10") for body in (without, given)]
    assert looked[1] == looked[0] + 1

    found = run_examination(
        [made.world.anvil.rpc_url], deployment_of(made, tmp_path), None, "latest", [data, *data.glob("*.json")]
    )
    assert_cut_anywhere(found, recover_account)
    middle = found.evidence.logs[len(found.evidence.logs) // 2].block_number
    start, _ = checkpoint_at(found, middle, recover_account)
    late = run_examination([made.world.anvil.rpc_url], deployment_of(made, tmp_path), None, "latest", [data], start)
    assert late.report.checks == found.report.checks
    report, evidence, _ = found
    path = tmp_path / "report.json"
    write_report(report, evidence, path, None)
    again, _ = verify_report(path)
    assert again.to_dict() == report.to_dict()
    body = json.loads(path.read_text())
    body["evidence"]["divisions"] = []
    path.write_text(json.dumps(body))
    with pytest.raises(VerificationError):
        verify_report(path)


async def test_pool_data__subscriber_is_a_contract__its_word_is_taken_by_all_and_kept_as_evidence(
    chain: DevChain, tmp_path: Path
) -> None:
    made = await scene(chain, tmp_path / "world")
    (rita, rob), pool = made.readers, made.gateway.pool(1)
    owners = [KeySigner(secrets.token_bytes(32)) for _ in range(2)]
    wallet = account_made_of(made.world.anvil, creation_code("Wallets.sol", "TwoOwnerWallet"), owners)
    calls = [
        rob.market.prepare_approve(pool.fee),
        made.gateway.prepare_subscribe(1, pool.terms, wallet, [0], bytes(32)),
    ]
    for number, call in enumerate(calls):
        await rob.treasury.execute(f"{number}", lambda call=call: call, Purpose("gift"))
    made.pass_time(DAY)
    statement = UseStatement(pool.place, 0, wallet, {1: 2})
    signatures = [owner.sign_text(statement.text())[2:] for owner in owners]
    for signature in (signatures[0], signatures[1] + signatures[0]):
        with pytest.raises(RefusedError, match="not signed by"):
            await tell(made, rita, replace(statement, signature=signature))
    await tell(made, rita, replace(statement, signature="".join(signatures)))
    made.pass_time(3601)
    await made.watch(made.operator, made.challenger, made.operator)
    assert made.root_states() == ["pending"]
    await adopted(made)
    data, path = tmp_path / "data", tmp_path / "report.json"
    await rita.pools.view.export(1, data)
    (file,) = data.glob("*.json")
    division = parse_division(file.read_bytes())
    assert division.wallets_block > 0
    assert division.statements[0].holder == wallet
    found = run_examination([made.world.anvil.rpc_url], deployment_of(made, tmp_path), None, "latest", [data])
    assert found.report.findings == ()
    assert any("contract accounts signed 1 documents" in note for note in found.report.notes)
    assert_rederived(made.world.anvil.rpc_url, made.world.anvil.deployment, found.report, [file.read_bytes()])
    write_report(found.report, found.evidence, path, None)
    assert verify_report(path)[0].to_dict() == found.report.to_dict()
    body = json.loads(path.read_text())
    body["evidence"]["wallets"] = []
    path.write_text(json.dumps(body))
    with pytest.raises(VerificationError):
        verify_report(path)


async def tell(made: Scene, teller: Member, statement: UseStatement) -> None:
    payload = canonical_bytes({"pool": 1, "row": as_json(statement.row())})
    for party in (made.operator, made.challenger):
        await teller.network.request(party.keys.peer_id, USES_METHOD, payload)


async def lie(made: Scene, change: Division) -> None:
    """The operator posts it, nobody challenges, and it is adopted."""
    due = await made.operator.pools.operator._due.decide(made.gateway.pool(1), [])
    assert isinstance(due, DueDivision)
    through = due.through
    digest, uri = await made.operator.pools.desk.data.publish(change)
    call = made.gateway.prepare_post_root(1, through, change.totals, digest, uri)
    await made.operator.treasury.execute("lie", lambda: call, Purpose("lie"))
    await adopted(made)


async def test_pool_data__operator_and_challenger_collude__the_auditor_finds_it(
    chain: DevChain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = await used_and_over(chain, tmp_path / "world")
    due = await made.operator.pools.operator._due.decide(made.gateway.pool(1), [])
    assert isinstance(due, DueDivision)
    right = due.division
    reserve = right.rules.reserve_split
    await lie(made, replace(right, totals={reserve: sum(right.totals.values())}))
    data = tmp_path / "data"
    await made.operator.pools.view.export(1, data)
    assert audited(made, tmp_path, None)["findings"] == []
    (finding,) = audited(made, tmp_path, data)["findings"]
    assert (finding["check"], "not what the rule gives" in finding["message"]) == ("C10", True)
    command = ["audit", "--rpc-url", made.world.anvil.rpc_url, "--deployment", str(tmp_path / "deployment.json")]
    assert run([*command, "--block", "latest", "--pool-data", str(data)]) == 1
    assert "C10" in capsys.readouterr().out
    assert run([*command, "--pool-data", str(tmp_path / "nothing")]) == 2


async def test_pool_data__not_text_at_all__is_a_finding(chain: DevChain, tmp_path: Path) -> None:
    made = await used_and_over(chain, tmp_path / "world")
    due = await made.operator.pools.operator._due.decide(made.gateway.pool(1), [])
    assert isinstance(due, DueDivision)
    right = due.division

    class Noise(Division):
        def payload(self) -> bytes:
            return b"\xff\x00\xfe"

    noise = Noise(**vars(right))
    await lie(made, noise)
    data = tmp_path / "data"
    data.mkdir()
    (data / f"{hashlib.sha256(noise.payload()).hexdigest()}.json").write_bytes(noise.payload())
    (finding,) = audited(made, tmp_path, data)["findings"]
    assert (finding["check"], "malformed" in finding["message"]) == ("C10", True)


async def test_pool__lapsed_adopted_credited_and_given_back__audits_whole(chain: DevChain, tmp_path: Path) -> None:
    made = await used_and_over(chain, tmp_path / "world")
    (ann, _), (rita, rob) = made.owners, made.readers
    gift = made.gateway.prepare_subscribe(1, made.gateway.pool(1).terms, rita.keys.account, [1, 3], bytes(32))
    await rob.treasury.execute("allow", lambda: made.gateway.prepare_approve(TokenAmount(10**9)), Purpose("gift"))
    await rob.treasury.execute("gift", lambda: gift, Purpose("gift"))
    await made.watch(made.operator)
    made.pass_time(WINDOW + 31 * DAY)
    await made.watch(made.operator)
    await adopted(made)
    assert made.root_states() == ["lapsed", "adopted"]
    await made.watch(ann)
    data = tmp_path / "data"
    await made.operator.pools.view.export(1, data)
    assert audited(made, tmp_path, data)["findings"] == []
    made.pass_time(181 * DAY)
    await made.watch(rita, rob)
    call = made.gateway.prepare_refund_rest(1, made.gateway.posted_roots(1)[1].through, 3, rita.keys.account)
    await ann.treasury.execute("rest", lambda: call, Purpose("rest"))
    report = audited(made, tmp_path, data)
    assert report["findings"] == []
    left, fees = made.gateway.pool_rest(1, made.gateway.posted_roots(1)[1].through)
    assert (left > 0, fees, int(report["sums"]["in_pools"])) == (True, 1, left)
