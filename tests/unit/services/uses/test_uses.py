"""Metered use on the fakes: payer and holder killed at every call of every port, and what either may try."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.channels import VOUCHERS
from tests.fakes.state import WINDOW_SECONDS
from tests.fakes.store import MemoryStore
from tests.fakes.world import Fuse, Killed, Member, World, keys_of
from viz_node.domain.answer import as_json
from viz_node.domain.channel import EARNED, PaidRecord
from viz_node.domain.ids import PeerId, TokenAmount
from viz_node.domain.job import Job, JobState
from viz_node.domain.orders import CloseChannelOrder, OpenChannelOrder, TopUpOrder, UseOrder
from viz_node.domain.purposes import RedeemVouchers
from viz_node.domain.usage import UsageTree, UseRequest, Voucher
from viz_node.errors import RefusedError, VerificationError, VizNodeError
from viz_node.services.uses.publish_receipts import ReceiptFiles

PRICE, MONEY, DEPOSIT = 10_000, 1_000_000, 50_000
DAY = 86_400


class Pair:
    """A holder with a metered adapter, and a payer with money."""

    def __init__(self, directory: Path) -> None:
        self.world = World(directory)
        self.holder, self.payer = self.world.node("holder"), self.world.node("payer", MONEY)
        self.adapter_id = ""

    @property
    def chain(self) -> Any:
        return self.world.chain

    async def begin(self) -> "Pair":
        self.adapter_id = await self.holder.sell("elsin", "0.01", "metered")
        self.payer.hear()
        return self

    def open_order(self, deposit: int = DEPOSIT, days: int = 30) -> OpenChannelOrder:
        return OpenChannelOrder(self.adapter_id, TokenAmount(deposit), days)

    def use_order(self, prompt: str) -> UseOrder:
        return UseOrder(self.adapter_id, prompt, 8)

    async def open(self, deposit: int = DEPOSIT) -> "Pair":
        job = (await self.payer.live(self.open_order(deposit)))[0]
        assert job.state is JobState.DONE, job
        return self

    async def use(self, prompt: str) -> Job:
        return (await self.payer.live(self.use_order(prompt)))[0]

    async def resume(self, job: Job) -> Job:
        self.payer.store.jobs.save_job(replace(job, state=JobState.QUEUED, error=""))
        await self.payer.live()
        return self.payer.store.jobs.find_job(job.job_id)

    @property
    def record(self) -> PaidRecord:
        (record,) = self.payer.store.channels.list_paid().values()
        return record

    @property
    def signed_uses(self) -> int:
        """How many uses the holder could redeem now."""
        return max((record.uses for record in self.holder.store.channels.list_earned().values()), default=0)

    def jobs(self, kind: str = "use") -> list[Job]:
        return [job for job in self.payer.store.jobs.list_jobs() if job.kind == kind]

    def texts(self) -> list[str]:
        return sorted(job.result["text"] for job in self.jobs() if job.state is JobState.DONE)

    async def finish(self) -> None:
        """Ask for the close, let the holder redeem and the payer take back what is left."""
        await self.payer.live(CloseChannelOrder(1))
        await self.holder.meter.watch()
        self.chain.time += WINDOW_SECONDS + 1
        await self.payer.channel_jobs.watch()
        assert self.chain.state.channels == {}

    def request(self, uses: int, prompt: str = "p", channel: int = 1) -> UseRequest:
        return UseRequest(self.adapter_id, channel, uses, prompt, 8)

    def signed(self, request: UseRequest, receipts: int | None = None, price: int = PRICE) -> bytes:
        """The payer's request with a voucher over that many of its receipts, by default all before it."""
        key, record = next(iter(self.payer.store.channels.list_paid().items()))
        tree = UsageTree()
        rows = self.payer.store.channels.receipts_of(key)
        for row in rows[: request.uses - 1 if receipts is None else receipts]:
            tree.append(row.receipt)
        session = self.payer.sealing.open(bytes.fromhex(record.key))
        voucher = Voucher(request.channel, request.uses * price, request.uses, tree.root())
        return request.to_bytes(VOUCHERS.sign(session, voucher))


def every_death(calls: int) -> Iterator[Fuse]:
    """One before each call and one after the last: to die after a call is to die before the next."""
    yield from (Fuse(position) for position in range(calls))
    yield Fuse(calls - 1, after=True)


async def calls_of(member: Member, act: Callable[[], Awaitable[Any]]) -> int:
    fuse = Fuse()
    member.start(fuse)
    await act()
    return len(fuse.calls)


def look(member: Member, watcher: str) -> Callable[[], Awaitable[Any]]:
    """A look of the watcher that the member has when it is called."""

    async def act() -> None:
        await getattr(member, watcher).watch()

    return act


async def killed(member: Member, fuse: Fuse, act: Callable[[], Awaitable[Any]]) -> None:
    """Do it until the fuse burns; then the node starts again and settles what is open."""
    member.start(fuse)
    with suppress(Killed, BaseExceptionGroup, VizNodeError):
        await act()
    member.start()
    await member.treasury.recover()


async def test_open__payer_killed_at_every_call__locks_the_deposit_once(tmp_path: Path) -> None:
    pair = await Pair(tmp_path / "count").begin()
    calls = await calls_of(pair.payer, lambda: pair.payer.live(pair.open_order()))
    assert calls > 20
    for number, fuse in enumerate(every_death(calls)):
        pair = await Pair(tmp_path / str(number)).begin()
        pair.payer.start(fuse)
        jobs = await pair.payer.survive(pair.open_order())
        assert all(job.state is JobState.DONE for job in jobs), (fuse.calls[-1], jobs)
        assert pair.payer.tokens == MONEY - (DEPOSIT if jobs else 0), fuse.calls[-1]
        if jobs:
            assert (await pair.use("p")).result["text"] == "p … 8"


async def test_top_up_and_close__payer_killed_at_every_call__once_each_and_the_rest_comes_back(tmp_path: Path) -> None:
    top_up, close = TopUpOrder(1, TokenAmount(PRICE)), CloseChannelOrder(1)

    async def opened(place: Path) -> Pair:
        return await (await Pair(place).begin()).open()

    pair = await opened(tmp_path / "count")
    calls = await calls_of(pair.payer, lambda: pair.payer.live(top_up))
    for number, fuse in enumerate(every_death(calls)):
        pair = await opened(tmp_path / f"top up {number}")
        pair.payer.start(fuse)
        await pair.payer.survive(top_up)
        topped = {job.state for job in pair.jobs("top_up")}
        assert topped <= {JobState.DONE}, (fuse.calls[-1], pair.jobs("top_up"))
        assert pair.chain.state.channels[1].deposit == DEPOSIT + (PRICE if topped else 0), fuse.calls[-1]
    closes = await calls_of(pair.payer, lambda: pair.payer.live(close))
    for number, fuse in enumerate(every_death(closes)):
        pair = await opened(tmp_path / f"close {number}")
        pair.payer.start(fuse)
        await pair.payer.survive(close)
        assert {job.state for job in pair.jobs("close")} <= {JobState.DONE}, (fuse.calls[-1], pair.jobs("close"))
        pair.chain.time += WINDOW_SECONDS + 1 if pair.jobs("close") else 31 * DAY
        await pair.payer.channel_jobs.watch()
        assert (pair.chain.state.channels, pair.payer.tokens) == ({}, MONEY), fuse.calls[-1]


async def test_take_back__payer_killed_at_every_call__comes_back_once(tmp_path: Path) -> None:
    async def over(place: Path) -> Pair:
        pair = await (await Pair(place).begin()).open()
        pair.chain.time += 31 * DAY
        return pair

    pair = await over(tmp_path / "count")
    calls = await calls_of(pair.payer, look(pair.payer, "channel_jobs"))
    assert calls > 5
    for number, fuse in enumerate(every_death(calls)):
        pair = await over(tmp_path / str(number))
        await killed(pair.payer, fuse, look(pair.payer, "channel_jobs"))
        await pair.payer.channel_jobs.watch()
        assert (pair.chain.state.channels, pair.payer.tokens) == ({}, MONEY), fuse.calls[-1]


async def check_books(pair: Pair, where: str) -> None:
    """The money invariant: each use that is paid was answered to the job that asked, and the rest comes back."""
    uses = pair.signed_uses
    assert uses == pair.record.uses == len(pair.texts()), (where, pair.jobs())
    await pair.finish()
    accrued = sum(pair.chain.state.accrued.values())
    assert (accrued, pair.payer.tokens) == (uses * PRICE, MONEY - uses * PRICE), where


async def test_use__payer_killed_at_every_call__every_paid_answer_reaches_its_job(tmp_path: Path) -> None:
    async def opened(place: Path) -> Pair:
        return await (await Pair(place).begin()).open()

    pair = await opened(tmp_path / "count")
    calls = await calls_of(pair.payer, lambda: pair.use("first"))
    assert calls > 15
    for number, fuse in enumerate(every_death(calls)):
        pair = await opened(tmp_path / str(number))
        pair.payer.start(fuse)
        await pair.payer.survive(pair.use_order("first"))
        assert (await pair.use("second")).result["text"] == "second … 8", fuse.calls[-1]
        first = ["first … 8"] if len(pair.jobs()) == 2 else []
        assert pair.texts() == [*first, "second … 8"], fuse.calls[-1]
        await check_books(pair, fuse.calls[-1])


async def test_use__payer_killed_at_every_call_and_asks_something_else_first__both_get_their_own(
    tmp_path: Path,
) -> None:
    async def opened(place: Path) -> Pair:
        return await (await Pair(place).begin()).open()

    pair = await opened(tmp_path / "count")
    calls = await calls_of(pair.payer, lambda: pair.use("first"))
    for number, fuse in enumerate(every_death(calls)):
        pair = await opened(tmp_path / str(number))
        pair.payer.start(fuse)
        with suppress(BaseExceptionGroup):
            await pair.payer.live(pair.use_order("first"))
        pair.payer.start()
        left = [job for job in pair.jobs() if job.state in {JobState.QUEUED, JobState.RUNNING}]
        for job in left:  # another job comes first, and the interrupted one is resumed by hand
            pair.payer.store.jobs.save_job(replace(job, state=JobState.FAILED))
        assert (await pair.use("second")).result["text"] == "second … 8", fuse.calls[-1]
        for job in left:
            resumed = await pair.resume(job)
            assert resumed.result["text"] == "first … 8", (fuse.calls[-1], resumed)
        assert len(pair.holder.prompts) == len(pair.jobs()), fuse.calls[-1]
        await check_books(pair, fuse.calls[-1])


async def test_use__holder_killed_at_every_call__is_paid_for_what_he_answered(tmp_path: Path) -> None:
    async def opened(place: Path) -> Pair:
        return await (await Pair(place).begin()).open()

    pair = await opened(tmp_path / "count")
    calls = await calls_of(pair.holder, lambda: pair.use("first"))
    assert calls > 10
    for number, fuse in enumerate(every_death(calls)):
        pair = await opened(tmp_path / str(number))
        pair.holder.start(fuse)
        job = await pair.use("first")
        pair.holder.start()
        if job.state is not JobState.DONE:
            job = await pair.resume(job)
        assert job.result["text"] == "first … 8", (fuse.calls[-1], job)
        assert len(pair.holder.prompts) <= 2
        await check_books(pair, fuse.calls[-1])


async def test_redeem__holder_killed_at_every_call__every_answer_is_paid_once(tmp_path: Path) -> None:
    async def used(place: Path) -> Pair:
        pair = await (await Pair(place).begin()).open()
        for prompt in ("first", "second"):
            assert (await pair.use(prompt)).state is JobState.DONE
        await pair.payer.live(CloseChannelOrder(1))
        return pair

    pair = await used(tmp_path / "count")
    calls = await calls_of(pair.holder, look(pair.holder, "meter"))
    assert calls > 8
    for number, fuse in enumerate(every_death(calls)):
        pair = await used(tmp_path / str(number))
        await killed(pair.holder, fuse, look(pair.holder, "meter"))
        await check_books(pair, fuse.calls[-1])


@pytest.fixture
async def pair(tmp_path: Path) -> Pair:
    return await (await Pair(tmp_path).begin()).open()


async def test_use__earlier_answer_was_lost__is_kept_for_its_job_and_shown(pair: Pair) -> None:
    pair.holder.network.serve("use", lost(pair))
    first = await pair.use("first")
    pair.holder.start()
    second = await pair.use("second")
    assert (second.result["text"], second.result["uses_left"]) == ("second … 8", 3)
    shown = await pair.payer.channels.show(1)
    assert (shown.kept, shown.uses_left, len(as_json(shown.receipts))) == ([first.job_id], 3, 2)
    assert "first" not in str(pair.payer.store.channels.list_paid())
    pair.holder.network.is_up = False
    resumed = await pair.resume(first)
    assert (resumed.result["text"], resumed.result["paid"]) == ("first … 8", "0.01")
    assert (await pair.payer.channels.show(1)).kept == []
    await check_books(pair, "")


def lost(pair: Pair) -> Callable[[Any, bytes], Awaitable[bytes]]:
    async def answer(peer_id: Any, payload: bytes) -> bytes:
        await pair.holder.meter.on_use(peer_id, payload)
        raise RefusedError("the answer is lost")

    return answer


async def test_use__many_questions_while_the_holder_is_away__the_one_he_answered_is_still_known(pair: Pair) -> None:
    pair.holder.network.serve("use", lost(pair))
    first = await pair.use("first")
    pair.holder.start()
    pair.holder.network.is_up = False
    for number in range(12):
        assert (await pair.use(f"in vain {number}")).state is JobState.FAILED
    pair.holder.network.is_up = True
    assert (await pair.use("last")).result["text"] == "last … 8"
    assert (await pair.resume(first)).result["text"] == "first … 8"
    assert pair.signed_uses == 2


async def test_use__voucher_given_to_two_peers_at_once__one_is_served(pair: Pair) -> None:
    raw = pair.signed(pair.request(1))
    meter, (one, other) = pair.holder.meter, (keys_of("payer").peer_id, keys_of("stranger").peer_id)
    answer = await meter.on_use(one, raw)
    with pytest.raises(VerificationError, match="2 is next"):
        await meter.on_use(other, raw)
    assert await meter.on_use(one, raw) == answer
    assert pair.holder.prompts == ["p"]


async def test_use__hostile_payer__is_refused_before_anybody_waits_for_the_model(pair: Pair) -> None:
    await pair.use("honest")
    meter, peer_id = pair.holder.meter, keys_of("stranger").peer_id
    async with meter._lock:  # the model is busy
        hostile = {
            "no voucher": pair.request(2).to_bytes(b"\1" * 64),
            "a number left out": pair.signed(pair.request(3), receipts=1),
            "a cheaper voucher": pair.signed(pair.request(2), price=PRICE - 1),
            "a root without the receipt": pair.signed(pair.request(2), receipts=0),
            "no such channel": pair.signed(pair.request(1, channel=99), receipts=0),
            "a spent voucher": pair.signed(pair.request(1)),
        }
        for name, raw in hostile.items():
            with pytest.raises(VizNodeError):
                await meter.on_use(peer_id, raw)
            assert meter._waiting == 0, name


async def test_use__payer_hangs_up_while_it_is_written__is_counted_and_kept_for_him(pair: Pair) -> None:
    started, release = asyncio.Event(), asyncio.Event()
    meter, peer_id, raw = pair.holder.meter, keys_of("payer").peer_id, pair.signed(pair.request(1))

    async def write(adapter: str, prompt: str, max_new_tokens: int) -> str:
        started.set()
        await release.wait()
        return await pair.holder.write(adapter, prompt, max_new_tokens)

    meter._write = write
    asked = asyncio.create_task(meter.on_use(peer_id, raw))
    await started.wait()
    asked.cancel()
    with suppress(asyncio.CancelledError):
        await asked
    with pytest.raises(RefusedError, match="busy"):
        await meter.on_use(peer_id, raw)
    release.set()
    await asyncio.gather(*meter._asking.values())
    assert "p … 8" in (await meter.on_use(peer_id, raw)).decode()
    assert (pair.holder.prompts, pair.signed_uses) == (["p"], 1)


async def test_use__reorganisation_gave_the_channel_another_number__begins_anew(pair: Pair, tmp_path: Path) -> None:
    await pair.use("first")
    await pair.use("second")
    state = pair.chain.state
    state.channels, state.deposits = {7: replace(state.channels[1], number=7)}, {7: state.deposits[1]}
    job = await pair.use("third")
    assert (job.result["channel"], job.result["uses_left"]) == (7, 4)
    for member in (pair.payer, pair.holder):
        files = ReceiptFiles(member.store.channels, member.keys)
        assert files.write(7, str(tmp_path / member.keys.peer_id)).receipts == 1


async def test_use__deposit_is_not_safe_yet__is_answered_once_it_is(pair: Pair) -> None:
    pair.holder.confirm_after(3)
    await pair.payer.live(TopUpOrder(1, TokenAmount(PRICE)))
    pair.chain.mine()
    for number in range(5):
        pair.chain.mine()
        assert (await pair.use(f"year {number}")).state is JobState.DONE
    pair.holder.confirm_after(20)
    last = await pair.use("last")
    assert "not safe yet" in last.error
    for _ in range(20):
        pair.chain.mine()
    assert (await pair.resume(last)).result["uses_left"] == 0
    assert "used up" in (await pair.use("more")).error


async def test_use__channel_in_its_last_window__is_not_served_but_redeemed(pair: Pair) -> None:
    await pair.use("first")
    pair.chain.time = pair.chain.state.channels[1].close_at - WINDOW_SECONDS - 5
    await pair.holder.meter.watch()
    assert pair.chain.state.channels[1].uses == 0  # not worth its gas yet
    pair.chain.time += 5
    with pytest.raises(RefusedError, match="about to close"):
        await pair.holder.meter.on_use(keys_of("payer").peer_id, pair.signed(pair.request(2)))
    await pair.holder.meter.watch()
    assert pair.chain.state.channels[1].uses == 1
    assert [row.state for row in await pair.payer.channels.rows()] == ["closing"]
    assert "no channel for elsin is open" in (await pair.use("second")).error


async def test_use__first_channel_is_used_up__the_next_one_pays(pair: Pair) -> None:
    await pair.open(PRICE)
    texts = [(await pair.use(f"year {number}")).result for number in range(6)]
    assert [(result["channel"], result["uses_left"]) for result in texts] == [*((1, 4 - n) for n in range(5)), (2, 0)]
    assert "top-up" in (await pair.use("more")).result["hint"]


async def test_open__failed_and_mined_later__is_adopted_and_comes_back_in_the_end(tmp_path: Path) -> None:
    pair = await Pair(tmp_path).begin()
    calls = Fuse()
    pair.payer.start(calls)
    await pair.payer.live(pair.open_order())
    sent = [number for number, name in enumerate(calls.calls) if "broadcast" in name]
    pair = await Pair(tmp_path / "again").begin()
    pair.payer.start(Fuse(sent[-1], after=True))
    with suppress(BaseExceptionGroup):
        await pair.payer.live(pair.open_order())
    (job,) = pair.jobs("channel")
    pair.payer.store.jobs.save_job(replace(job, state=JobState.FAILED))
    pair.payer.start()
    assert pair.record.number is None
    assert (await pair.use("first")).result["channel"] == 1
    pair.chain.time += 31 * DAY
    await pair.payer.channel_jobs.watch()
    assert pair.payer.tokens == MONEY


async def test_channel__database_was_lost__is_shown_closed_and_taken_back(pair: Pair) -> None:
    pair.payer.store = MemoryStore()
    pair.payer.start()
    pair.payer.hear()
    (row,) = await pair.payer.channels.rows()
    assert (row.state, row.channel, row.deposit, row.uses_left) == ("key lost", 1, "0.05", 0)
    assert "no channel" in (await pair.use("first")).error
    closed = (await pair.payer.live(CloseChannelOrder(1)))[0]
    assert closed.state is JobState.DONE, closed
    pair.chain.time += WINDOW_SECONDS + 1
    await pair.payer.channel_jobs.watch()
    assert (pair.payer.tokens, await pair.payer.channels.rows()) == (MONEY, [])


async def test_watch__endpoint_lags_behind__no_channel_is_given_up(pair: Pair) -> None:
    await pair.use("first")
    channels, pair.chain.state.channels = pair.chain.state.channels, {}
    await pair.payer.channel_jobs.watch()
    await pair.holder.meter.watch()
    pair.chain.state.channels = channels
    assert (await pair.use("second")).state is JobState.DONE
    await check_books(pair, "")


async def test_watch__while_a_use_is_asked__takes_no_receipt_away(pair: Pair) -> None:
    async def slowly(peer_id: Any, payload: bytes) -> bytes:
        await pair.payer.channel_jobs.watch()
        answer = await pair.holder.meter.on_use(peer_id, payload)
        await pair.payer.channel_jobs.watch()
        return answer

    pair.holder.network.serve("use", slowly)
    key = next(iter(pair.payer.store.channels.list_paid()))
    pair.payer.store.channels.save_paid(key, replace(pair.record, number=None))
    await pair.use("first")
    await pair.use("second")
    assert (pair.record.uses, pair.record.number) == (2, 1)


async def several(pair: Pair, count: int) -> None:
    """That many channels with one use each, and in their last window."""
    await pair.use("first")
    for _ in range(count - 1):
        for key, record in pair.payer.store.channels.list_paid().items():
            pair.payer.store.channels.save_paid(key, replace(record, uses=5))
        await pair.open()
        assert (await pair.use("other")).state is JobState.DONE
    assert len(pair.holder.store.channels.list_earned()) == count
    pair.chain.time = pair.chain.state.channels[1].close_at - 5


def redeemed(pair: Pair) -> list[int]:
    return [channel.uses for channel in pair.chain.state.channels.values()]


async def test_redeem__vouchers_that_a_reorganisation_made_worthless__do_not_hold_up_the_others(pair: Pair) -> None:
    await several(pair, 4)
    channels = pair.chain.state.channels
    channels[1] = replace(channels[1], session_account="0x" + "99" * 20)
    channels[4] = replace(channels[4], deposit=PRICE - 1)
    await pair.holder.meter.watch()
    assert redeemed(pair) == [0, 1, 1, 0]
    (entry,) = [entry for entry in pair.holder.store.outbox.rows.values() if entry.kind == "redeem"]
    assert entry.purpose == RedeemVouchers("redeem", channels=((2, 1), (3, 1)))


async def test_redeem__payer_redeems_a_moment_before__the_others_go_alone(pair: Pair) -> None:
    await several(pair, 3)
    pair.holder.confirm_after(5)
    take = pair.chain.take

    def race(number: int) -> None:
        """The payer of this channel sees the transaction and is faster."""

        def taken(raw: bytes) -> None:
            pair.chain.take = take
            channels = pair.chain.state.channels
            channels[number] = replace(channels[number], uses=1)
            take(raw)

        pair.chain.take = taken

    race(1)
    await pair.holder.meter.watch()
    assert redeemed(pair) == [1, 0, 0]
    await pair.holder.treasury.recover()
    race(2)
    await pair.holder.meter.watch()
    assert redeemed(pair) == [1, 1, 1]


async def test_use__reorganisation_gave_the_number_to_another_channel__is_served_from_the_first_use(pair: Pair) -> None:
    await pair.use("first")
    earned = pair.holder.store.channels.find_earned(f"{EARNED}1")
    assert earned is not None
    other = replace(earned, session="0x" + "99" * 20, peer_id=PeerId("another"))
    pair.holder.store.channels.save_earned(f"{EARNED}1", other)
    key = next(iter(pair.payer.store.channels.list_paid()))
    pair.payer.store.channels.save_paid(key, replace(pair.record, uses=0, tree=()))
    assert (await pair.use("again")).result["text"] == "again … 8"


async def test_redeem__a_token_is_owed__is_redeemed_at_once_and_once(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.adapter_id = await pair.holder.sell("elsin", "1.00", "metered")
    pair.payer.hear()
    pair.chain.state.tokens[pair.payer.keys.account] = 3 * MONEY
    await pair.open(3 * MONEY)
    await pair.use("first")
    for _ in range(3):
        await pair.holder.meter.watch()
        await pair.holder.treasury.recover()
    assert pair.chain.state.channels[1].uses == 1
    assert [entry.kind for entry in pair.holder.store.outbox.rows.values()].count("redeem") == 1


async def test_use__flood_of_peers__leaves_room_and_forgets_them(pair: Pair) -> None:
    meter = pair.holder.meter
    for number in range(40):
        with pytest.raises(VizNodeError):
            await meter.on_use(keys_of(f"stranger {number}").peer_id, pair.request(1).to_bytes(b"\1" * 64))
    assert (meter._asking, meter._waiting) == ({}, 0)
    assert (await pair.use("honest")).state is JobState.DONE


async def test_fetch_and_license__of_an_adapter_that_is_paid_by_use__lead_to_a_channel(tmp_path: Path) -> None:
    pair = await Pair(tmp_path).begin()
    for kind, order in (("fetch", {}), ("license", {"max_price": MONEY, "renew": False})):
        await pair.payer.live((kind, {"adapter": "elsin", **order}))
        (job,) = pair.jobs(kind)
        assert job.state is JobState.FAILED
        assert job.result is not None
        assert job.result["hint"] == "viz-node channel open elsin --deposit 2.00"
    (row,) = await pair.payer.listings.search("elsin")
    assert row.delivery == "channel"
    assert (await pair.payer.prices.show("elsin", None)).offers[0].delivery == "channel"


async def test_answers__of_channels__have_these_keys(pair: Pair, tmp_path: Path) -> None:
    operations = pair.payer.services.operations
    plans = [
        await operations["plan_channel"](adapter="elsin", deposit="0.05"),
        await operations["plan_top_up"](channel=1, amount="0.01"),
        await operations["plan_close"](channel=1),
    ]
    assert [list(step) for (step,) in as_json(plans)] == 3 * [["what", "amount", "gas", "consequence"]]
    (opened,) = pair.jobs("channel")
    used = await pair.use("first")
    assert list(opened.result) == ["channel", "deposit", "tx_hash"]
    assert list(used.result) == ["text", "adapter", "channel", "paid", "uses_left"]
    row = [
        "channel", "adapter_id", "price", "uses", "uses_left", "spent", "session", "days_left", "deposit", "close_at",
        "state", "adapter",
    ]  # fmt: skip
    assert list(as_json(await operations["channel_list"]())[0]) == row
    shown = as_json(await operations["channel_show"](channel=1))
    assert list(shown) == [*row, "kept", "receipts"]
    assert set(shown["receipts"][0]) == {
        "market", "channel", "uses", "adapter_id", "request", "answer", "signature"
    }  # fmt: skip
    written = await operations["channel_receipts"](channel=1, path=str(tmp_path / "receipts"))
    assert list(as_json(written)) == ["channel", "receipts", "file"]
    topped = (await pair.payer.live(TopUpOrder(1, TokenAmount(PRICE))))[0]
    assert list(topped.result) == ["channel", "added", "tx_hash"]
    closed = (await pair.payer.live(CloseChannelOrder(1)))[0]
    assert list(closed.result) == ["channel", "close_at", "tx_hash"]
