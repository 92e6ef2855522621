"""Metered use between two nodes: real Anvil, real libp2p, the database on disk; only the model's text is made up."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.anvil_market import ANVIL
from tests.bases import KNOWN_BASE
from tests.fakes.world import keys_of
from tests.waiting import until_shown
from viz_node.api.binding import call_of
from viz_node.audit import audit
from viz_node.chain.account.transactions import Confirmations
from viz_node.chain.contract.vouchers import Vouchers
from viz_node.chain.development.anvil import start_anvil, stop_anvil
from viz_node.chain.development.faucet import deploy_for_development, fund
from viz_node.chain.node.rpc import JsonRpc
from viz_node.daemon.audit import compare_receipts, read_receipts
from viz_node.daemon.build import DIRECTORIES, Node, build
from viz_node.daemon.chains import Chain
from viz_node.daemon.config import Config
from viz_node.domain.answer import as_json
from viz_node.domain.deployment import Deployment
from viz_node.domain.job import Job, JobState
from viz_node.domain.manifest import FILE_NAMES
from viz_node.domain.purposes import Purpose
from viz_node.domain.records import AdapterRecord
from viz_node.domain.usage import (
    RECEIPT_CONTEXT,
    PublishedReceipts,
    UsageTree,
    UseReceipt,
    UseRequest,
    Voucher,
    parse_use_request,
)
from viz_node.errors import (
    NotFoundError,
    PeerUnreachableError,
    RefusedError,
    VerificationError,
    VizNodeError,
)
from viz_node.identity.signatures import sign_bytes
from viz_node.services.uses.serve_uses import USE_METHOD, Meter, Write

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed: run `npm ci` in contracts/")
MONEY = 10_000_000


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    rpc_url = start_anvil(tmp_path / "anvil", ANVIL).rpc_url
    yield Chain((rpc_url,), deploy_for_development(rpc_url), False, Confirmations(0, 4))
    stop_anvil(tmp_path / "anvil")


class Pair:
    """A holder with a metered adapter, and a payer; `prompts` are those that the holder's model was given."""

    def __init__(self, directory: Path, chain: Chain) -> None:
        self.directory, self.chain = directory, chain
        self.prompts: list[str] = []
        self.holder, self.payer = self.node("holder"), self.node("payer")

    def node(self, name: str) -> Node:
        home, keys = self.directory / name, keys_of(name)
        for folder in DIRECTORIES:
            (home / folder).mkdir(parents=True, exist_ok=True)
        fund(self.chain.rpc_urls[0], self.chain.deployment, keys.account, MONEY)
        return build(Config(home), keys, self.chain)

    @property
    def deployment(self) -> Deployment:
        return self.chain.deployment

    async def write(self, adapter: str, prompt: str, max_new_tokens: int) -> str:
        self.prompts.append(prompt)
        return f"{prompt} … {max_new_tokens}"

    def meter_that(self, write: Write) -> Meter:
        made = self.holder.services.uses.meter
        return Meter(made._store, made._market, made._treasury, made._listings, made._keys, write)

    async def start(self) -> None:
        await self.start_node(self.holder)
        await self.start_node(self.payer)
        self.market = self.holder.services.uses.meter._market
        self.meter = self.meter_that(self.write)
        self.holder.network.serve(USE_METHOD, self.meter.on_use)
        await self.payer.network.connect(self.holder.network.addresses[0])
        self.add_adapter()
        order = {"adapter": "elsin", "price": "0.01", "license": "metered"}
        assert (await self.run(self.holder, "publish", **order)).state is JobState.DONE
        raw = self.holder.announcements.known()[0]
        self.payer.announcements.check(raw)
        self.payer.announcements.take_in(raw)

    async def start_node(self, node: Node) -> None:
        await node.network.runner.start()
        self.group = await asyncio.TaskGroup().__aenter__()
        node.services.jobs.start(self.group)

    async def stop(self) -> None:
        for node in (self.holder, self.payer):
            await node.services.jobs.stop()
            await node.network.runner.stop()
            node.store.close()

    def add_adapter(self, adapter: str = "elsin") -> None:
        directory = self.directory / "holder" / "adapters" / adapter
        directory.mkdir()
        for name in FILE_NAMES:
            (directory / name).write_bytes(name.encode() * 100)
        self.holder.store.adapters.save_adapter(
            AdapterRecord(adapter, None, "small", "ab" * 32, str(directory), "trained", training=KNOWN_BASE)
        )

    async def run(self, node: Node, operation: str, **order: Any) -> Job:
        answer = await call_of(node.services.operations[operation]).start(order)
        return await node.services.jobs.follow(as_json(answer)["job_id"], lambda _: None)

    async def open(self, deposit: str = "0.05") -> int:
        job = await self.run(self.payer, "channel_open", adapter="elsin", deposit=deposit)
        assert job.state is JobState.DONE, job
        return int(job.result["channel"])

    async def use(self, prompt: str) -> Job:
        return await self.run(self.payer, "generate_metered", adapter="elsin", prompt=prompt)

    def request(self, uses: int, prompt: str = "p", channel: int = 1) -> UseRequest:
        adapter_id = self.holder.store.adapters.find_adapter("elsin").adapter_id
        return UseRequest(str(adapter_id), channel, uses, prompt, 8)

    def signed(self, uses: int, receipts: int, price: int = 10_000, channel: int = 1) -> bytes:
        """The payer's voucher over that many of its receipts."""
        ((key, record),) = self.payer.store.channels.list_paid().items()
        tree = UsageTree()
        for row in self.payer.store.channels.receipts_of(key)[:receipts]:
            tree.append(row.receipt)
        session = self.payer.services.uses.metered._keys.sealing.open(bytes.fromhex(record.key))
        voucher = Voucher(channel, uses * price, uses, tree.root())
        return Vouchers(self.deployment).sign(session, voucher)

    async def ask(self, raw: bytes) -> bytes:
        return await self.payer.network.request(self.holder.network.peer_id, USE_METHOD, raw)

    def pass_time(self, seconds: int) -> None:
        rpc = JsonRpc(self.chain.rpc_urls[0])
        rpc.call("evm_increaseTime", seconds)
        rpc.call("evm_mine")
        rpc.close()

    @property
    def tokens(self) -> int:
        return int(self.payer.services.uses.channels._market.balances(keys_of("payer").account).token)


@pytest.fixture
async def pair(tmp_path: Path, chain: Chain) -> AsyncIterator[Pair]:
    both = Pair(tmp_path, chain)
    await both.start()
    try:
        yield both
    finally:
        await both.stop()


async def test_channel__used_redeemed_and_closed__pays_per_use_and_returns_the_rest(pair: Pair) -> None:
    number = await pair.open()
    texts = [(await pair.use(f"year {year}")).result["text"] for year in range(3)]
    assert texts == [f"year {year} … 80" for year in range(3)]
    shown = await pair.payer.services.operations["channel_show"](channel=number)
    assert (shown.uses, shown.spent, len(shown.receipts)) == (3, "0.03", 3)

    await pair.meter.watch()
    assert pair.market.channel(number).uses == 0  # not worth its gas yet
    closing = await pair.run(pair.payer, "channel_close", channel=number)
    assert closing.state is JobState.DONE
    await pair.meter.watch()
    await until_shown(pair.holder)
    assert pair.market.channel(number).uses == 3
    await pair.meter.watch()
    uses = pair.payer.services.uses
    await uses.channel_jobs.watch()
    assert pair.tokens == MONEY - 50_000
    pair.pass_time(pair.market.facts().close_window_seconds)
    await uses.channel_jobs.watch()
    await until_shown(pair.payer)
    await uses.channel_jobs.watch()
    assert pair.tokens == MONEY - 30_000
    assert [row.state for row in await uses.channels.rows()] == ["closed"]
    due = await pair.holder.services.operations["royalties"]()
    assert as_json(due)["due"] == "0.0291"  # without the platform's three percent


async def test_receipts__of_payer_and_holder__lead_an_auditor_to_the_redeemed_roots(pair: Pair, tmp_path: Path) -> None:
    number = await pair.open()
    with pytest.raises(NotFoundError, match="no receipts"):
        await pair.payer.services.operations["channel_receipts"](channel=number, path=str(tmp_path / "none"))
    for year in range(3):
        await pair.use(f"year {year}")
    await pair.run(pair.payer, "channel_close", channel=number)
    await pair.meter.watch()
    await until_shown(pair.holder)
    files = [tmp_path / name for name in ("paid", "earned")]
    for node, path in zip((pair.payer, pair.holder), files, strict=True):
        written = await node.services.operations["channel_receipts"](channel=number, path=str(path))
        assert as_json(written) == {"channel": number, "receipts": 3, "file": str(path)}
        with pytest.raises(RefusedError):
            await node.services.operations["channel_receipts"](channel=number, path=str(path))
    assert files[0].read_bytes() == files[1].read_bytes()
    assert b"year" not in files[0].read_bytes()

    report, evidence = audit(pair.chain.rpc_urls, pair.deployment, block="latest")
    compared = compare_receipts(report, evidence, [read_receipts(path) for path in files])
    assert (compared.ok, compared.notes[-1]) == (True, f"channel {number}: 1 of 1 redeemed vouchers match its receipts")
    counts = [next(check.looked_at for check in told.checks if check.check == "C8") for told in (report, compared)]
    assert counts[1] == counts[0] + 2

    body = json.loads(files[0].read_bytes())
    (tmp_path / "short").write_text(json.dumps(body | {"receipts": body["receipts"][:1]}))
    (finding,) = compare_receipts(report, evidence, [read_receipts(tmp_path / "short")]).findings
    assert (finding.check, "of the 2 receipts" in finding.message) == ("C8", True)
    forged = body | {"receipts": [body["receipts"][0] | {"answer": "ab" * 32}, *body["receipts"][1:]]}
    (tmp_path / "forged").write_text(json.dumps(forged))
    with pytest.raises(VerificationError):
        compare_receipts(report, evidence, [read_receipts(tmp_path / "forged")])
    key = keys_of("stranger")  # who signs other receipts himself
    rows = [UseReceipt(**{k: v for k, v in row.items() if k != "signature"}) for row in forged["receipts"]]
    signed = tuple(sign_bytes(key.network_seed, RECEIPT_CONTEXT + row.payload()) for row in rows)
    (tmp_path / "other").write_bytes(PublishedReceipts(key.peer_id, tuple(rows), signed).to_bytes())
    other = compare_receipts(report, evidence, [read_receipts(tmp_path / "other")])
    assert [(finding.check, "do not lead" in finding.message) for finding in other.findings] == [("C8", True)]
    assert not other.ok and not next(check for check in other.checks if check.check == "C8").holds


async def test_use__answer_lost_on_the_way__same_voucher_brings_it_again_and_nothing_is_paid_twice(pair: Pair) -> None:
    await pair.open()

    async def lose(peer_id: Any, payload: bytes) -> bytes:
        await pair.meter.on_use(peer_id, payload)
        raise RefusedError("the answer is lost")

    pair.holder.network.serve(USE_METHOD, lose)
    lost = await pair.use("first")
    assert lost.state is JobState.FAILED
    pair.holder.network.serve(USE_METHOD, pair.meter.on_use)
    pair.payer.services.jobs.resume(lost.job_id)
    again = await pair.payer.services.jobs.follow(lost.job_id, lambda _: None)
    assert (again.result["text"], pair.prompts) == ("first … 80", ["first"])

    pair.holder.network.serve(USE_METHOD, lose)
    assert (await pair.use("second")).state is JobState.FAILED
    pair.holder.network.serve(USE_METHOD, pair.meter.on_use)
    other = await pair.use("third")
    assert (other.result["text"], pair.prompts) == ("third … 80", ["first", "second", "third"])
    second = next(job for job in pair.payer.services.jobs.list_jobs() if getattr(job.order, "prompt", "") == "second")
    pair.payer.services.jobs.resume(second.job_id)
    resumed = await pair.payer.services.jobs.follow(second.job_id, lambda _: None)
    assert (resumed.result["text"], pair.prompts) == ("second … 80", ["first", "second", "third"])
    (earned,) = pair.holder.store.channels.list_earned().values()
    assert (earned.uses, earned.cumulative) == (3, 30_000)


async def test_use__hostile_payer__is_refused_before_the_model_is_asked(pair: Pair) -> None:
    await pair.open()
    assert (await pair.use("honest")).state is JobState.DONE
    await pair.open("0.02")
    ((first, record), (second, _)) = pair.payer.store.channels.list_paid().items()
    pair.payer.store.channels.save_paid(second, replace(record, number=None))

    def signed(uses: int, receipts: int, price: int = 10_000, channel: int = 1) -> bytes:
        session = pair.payer.services.uses.metered._keys.sealing.open(bytes.fromhex(record.key))
        tree = UsageTree()
        for row in pair.payer.store.channels.receipts_of(first)[:receipts]:
            tree.append(row.receipt)
        return Vouchers(pair.deployment).sign(session, Voucher(channel, uses * price, uses, tree.root()))

    hostile = {
        "an earlier number": pair.request(1).to_bytes(signed(1, 0)).replace(b'"uses":1', b'"uses":0'),
        "a number left out": pair.request(3).to_bytes(signed(3, 1)),
        "a cheaper voucher": pair.request(2).to_bytes(signed(2, 1, price=9_999)),
        "a root without the receipt": pair.request(2).to_bytes(signed(2, 0)),
        "another channel's key": pair.request(1, channel=2).to_bytes(signed(1, 0, channel=2)),
        "no such channel": pair.request(1, channel=99).to_bytes(signed(1, 0, channel=99)),
        "a replayed voucher": pair.request(2).to_bytes(signed(1, 0)),
        "a huge prompt": pair.request(2).to_bytes(signed(2, 1)).replace(b'"p"', b'"' + b"p" * 40_000 + b'"'),
        "too many tokens": pair.request(2).to_bytes(signed(2, 1)).replace(b":8,", b":100000,"),
        "no JSON": b"{",
        "nested": b"[" * 100_000,
    }
    for name, raw in hostile.items():
        with pytest.raises(VizNodeError) as raised:
            await pair.ask(raw)
        assert type(raised.value) not in (VizNodeError, PeerUnreachableError), (name, raised.value)
    assert pair.prompts == ["honest"]
    await pair.ask(pair.request(2).to_bytes(signed(2, 1)))
    assert pair.prompts == ["honest", "p"]


async def test_use__answer_of_another_peer__is_not_given_to_whoever_knows_the_number(pair: Pair) -> None:
    await pair.open()
    assert (await pair.use("secret")).state is JobState.DONE
    raw = pair.request(1).to_bytes(pair.signed(1, 0))
    with pytest.raises(VerificationError):
        await pair.meter.on_use(keys_of("stranger").peer_id, raw)
    assert b"secret" in await pair.meter.on_use(keys_of("payer").peer_id, raw)


async def test_use__many_at_once__one_per_peer_and_the_rest_is_told_to_wait(pair: Pair) -> None:
    await pair.open()
    release = asyncio.Event()

    async def wait(adapter: str, prompt: str, max_new_tokens: int) -> str:
        await release.wait()
        return await pair.write(adapter, prompt, max_new_tokens)

    meter = pair.meter_that(wait)
    peer_id, raw = keys_of("payer").peer_id, pair.request(1).to_bytes(pair.signed(1, 0))
    running = asyncio.create_task(meter.on_use(peer_id, raw))
    await asyncio.sleep(0)
    with pytest.raises(RefusedError):
        await meter.on_use(peer_id, raw)
    release.set()
    await running
    assert pair.prompts == ["p"]


async def test_use__hostile_holder__no_use_is_counted(pair: Pair) -> None:
    await pair.open()

    def lying(change: Callable[[bytes], bytes]) -> Callable[[Any, bytes], Awaitable[bytes]]:
        async def lie(peer_id: Any, payload: bytes) -> bytes:
            return change(await pair.meter.on_use(peer_id, payload))

        return lie

    lies: list[Callable[[bytes], bytes]] = [
        lambda raw: raw.replace("… 80".encode(), "… 81".encode()),
        lambda raw: raw.replace(b'"uses":1', b'"uses":2'),
        lambda raw: raw.replace(b'"request":"', b'"request":"0'),
        lambda raw: raw[:-130] + b"00" + raw[-128:],
        lambda _: b"{}",
    ]
    for change in lies:
        pair.holder.network.serve(USE_METHOD, lying(change))
        job = await pair.use("truth")
        assert job.state is JobState.FAILED and job.error.startswith("VerificationError"), job
        assert [row.uses for row in await pair.payer.services.uses.channels.rows()] == [0]
    pair.holder.network.serve(USE_METHOD, pair.meter.on_use)
    assert (await pair.use("truth")).result["text"] == "truth … 80"
    assert pair.prompts == ["truth"]


async def test_use__deposit_used_up__is_refused_until_it_is_topped_up(pair: Pair) -> None:
    number = await pair.open("0.01")
    assert (await pair.use("one")).state is JobState.DONE
    refused = await pair.use("two")
    assert refused.error.startswith("LicenseRequiredError") and "top-up" in refused.result["hint"]
    topped = await pair.run(pair.payer, "channel_top_up", channel=number, amount="0.01")
    assert topped.state is JobState.DONE
    assert (await pair.use("two")).result["text"] == "two … 80"


async def test_use__channel_that_is_about_to_close__is_refused(pair: Pair) -> None:
    number = await pair.open()
    assert (await pair.use("in time")).state is JobState.DONE
    await pair.run(pair.payer, "channel_close", channel=number)
    late = await pair.use("late")
    assert late.error.startswith("LicenseRequiredError") and "no channel" in late.error
    with pytest.raises(RefusedError, match="about to close"):
        await pair.ask(pair.request(2).to_bytes(pair.signed(2, 1)))
    assert pair.prompts == ["in time"]


async def test_plans__open_top_up_and_close__say_what_it_costs_and_means(pair: Pair) -> None:
    table = pair.payer.services.operations
    (opening,) = await table["plan_channel"](adapter="elsin", deposit="0.05", days=30)
    assert (opening.what, opening.amount) == ("deposit for elsin", "0.05")
    assert opening.consequence == "5 uses at 0.01 tokens within 29 days; what is not used comes back"
    number = await pair.open()
    await pair.use("first")
    (more,) = await table["plan_top_up"](channel=number, amount="0.02")
    assert (more.what, more.amount) == (f"deposit for channel {number}, elsin", "0.02")
    assert more.consequence == "6 uses left at 0.01 tokens; the channel's end stays the same"
    (closing,) = await table["plan_close"](channel=number)
    assert closing.consequence == "no further uses; 0.04 tokens come back automatically after 10 minutes"
    assert all(float(row.gas) > 0 for row in (opening, more, closing))
    await pair.run(pair.payer, "channel_close", channel=number)
    assert await table["plan_close"](channel=number) == []


async def test_plan__allowed_already__is_one_row_with_the_simulated_gas(pair: Pair) -> None:
    treasury, market = pair.payer.services.money.treasury, pair.market
    await treasury.execute("allow", lambda: market.prepare_approve(MONEY), Purpose("approve"))
    (row,) = await pair.payer.services.operations["plan_channel"](adapter="elsin", deposit="0.05")
    assert row.amount == "0.05"


async def test_use__adapter_that_the_channel_does_not_pay_for__is_refused(pair: Pair) -> None:
    await pair.open()
    pair.add_adapter("other")
    await pair.run(pair.holder, "publish", adapter="other", price="0.02", license="metered")
    other = replace(pair.request(1), adapter_id=str(pair.holder.store.adapters.find_adapter("other").adapter_id))
    with pytest.raises(RefusedError, match="another adapter"):
        await pair.ask(other.to_bytes(pair.signed(1, 0)))
    assert pair.prompts == []


async def test_channel__reorganisation_takes_its_opening__is_opened_again_and_goes_on(pair: Pair) -> None:
    await pair.open()
    assert (await pair.use("before")).state is JobState.DONE
    rpc = JsonRpc(pair.chain.rpc_urls[0])
    rpc.call("anvil_reorg", 1, [])
    rpc.close()
    assert [row.state for row in await pair.payer.services.uses.channels.rows()] == ["closed"]
    with pytest.raises(NotFoundError):
        await pair.ask(pair.request(2).to_bytes(pair.signed(2, 1)))
    await pair.payer.services.uses.channel_jobs.watch()
    await until_shown(pair.payer)
    assert [row.state for row in await pair.payer.services.uses.channels.rows()] == ["open"]
    assert (await pair.use("after")).result["uses_left"] == 3
    assert pair.prompts == ["before", "after"]


async def test_use__signed_receipt_for_what_was_not_asked__is_refused(pair: Pair) -> None:
    await pair.open()

    async def answer_something_else(peer_id: Any, payload: bytes) -> bytes:
        request, _ = parse_use_request(payload)
        return pair.meter._answer(replace(request, prompt="cheaper"), "cheaper").to_bytes()

    pair.holder.network.serve(USE_METHOD, answer_something_else)
    assert "not asked" in (await pair.use("dear")).error
    assert [row.uses for row in await pair.payer.services.uses.channels.rows()] == [0]
