"""Catalogue subscriptions by the nodes' services on a real Anvil: paid, used, stated, divided, watched, credited."""

import copy
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.anvil_market import ANVIL
from tests.anvil_world import AnvilWorld
from tests.fakes.world import Fuse, Killed, Member, every_fuse
from viz_node.chain.development.anvil import DevChain, start_anvil, stop_anvil
from viz_node.domain.answer import as_json
from viz_node.domain.decide_pool import AskedPeriods, DueDivision
from viz_node.domain.ids import Account, TokenAmount
from viz_node.domain.job import JobState
from viz_node.domain.manifest import canonical_bytes
from viz_node.domain.orders import GenerateOrder, Order, SubscribeOrder
from viz_node.domain.pool import MemberRow, UseStatement
from viz_node.domain.pool_records import CheckedRecord, JoinedRecord, StatedRecord, WatchedRecord
from viz_node.domain.purposes import Purpose
from viz_node.errors import (
    NotFoundError,
    PriceAboveLimitError,
    RefusedError,
    TransactionRevertedError,
    UsageError,
    VerificationError,
)
from viz_node.services.pools.open_pool import AskedPool
from viz_node.services.pools.pool_desk import USES_METHOD

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed: make setup")

DAY, WINDOW = 86_400, 600
FEE = TokenAmount(10_000_000)
MONEY = 100_000_000


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevChain]:
    directory = tmp_path_factory.mktemp("anvil")
    yield start_anvil(directory, ANVIL)
    stop_anvil(directory)


class Scene:
    """An operator, a challenger, two owners whose adapters are in pool 1, and two subscribers of its period 0."""

    def __init__(self, world: AnvilWorld) -> None:
        self.world, self.gateway = world, world.anvil.gateway
        self.operator, self.challenger = world.node("operator"), world.node("challenger")
        self.owners = [world.node("ann"), world.node("bob")]
        self.readers = [world.node("rita", MONEY), world.node("rob", MONEY)]
        self.adapters: list[str] = []

    async def open(self, rule: str = "user-centric", subscribed: bool = True) -> None:
        watcher = f"{self.challenger.keys.account}@{self.challenger.keys.peer_id}"
        asked = AskedPool("poems", "10.00", watcher, 1, rule, "70", 1)
        (plan,) = await self.operator.pools.opening_plans.plan(asked)
        assert plan.gas != "0"
        await done(self.operator, self.operator.pools.opening_plans.check(asked))
        assert (await self.challenger.pools.view.show(1)).roles == ["asked to watch"]
        await self.challenger.pools.operator.set_watched(1, True)
        for owner in self.owners:
            self.adapters.append(await owner.sell(f"poems-of-{len(self.adapters)}"))
        for member in (*self.owners, *self.readers, self.operator, self.challenger):
            member.hear()
        for owner, adapter_id in zip(self.owners, self.adapters, strict=True):
            assert (await owner.pools.members.join(1, adapter_id)).told == 2
        for reader in self.readers if subscribed else []:
            await done(reader, SubscribeOrder(1, 1, FEE))

    async def read(self, reader: Member, adapter: int, times: int) -> None:
        """Fetch an adapter of the pool and use it so often."""
        result = await done(reader, ("fetch", {"adapter": self.adapters[adapter]}))
        for number in range(times):
            jobs = await reader.live(GenerateOrder(result["name"], f"line {number}", 8))
            assert jobs[0].state is JobState.DONE, jobs[0]

    def pass_time(self, seconds: int) -> None:
        self.world.anvil.pass_time(seconds)

    async def watch(self, *members: Member) -> None:
        for member in members:
            await member.pools.watch()
            await mined(member)

    def root_states(self) -> list[str]:
        return [root.state for root in self.gateway.posted_roots(1)]

    def coins(self, member: Member) -> int:
        return self.gateway.balances(member.keys.account).gas_wei

    def accrued(self, owner: Member) -> int:
        return sum(row.accrued for row in self.gateway.royalties_of(owner.keys.account))


def asked(periods: int, limit: int) -> AskedPeriods:
    return AskedPeriods(periods, TokenAmount(limit))


async def mined(member: Member) -> None:
    """What the member has sent is in blocks."""
    for entry in member.store.outbox.pending_outbox():
        await member.treasury.finish(entry.order_id)


async def done(member: Member, order: Order | tuple[str, dict[str, Any]]) -> dict[str, Any]:
    job = (await member.live(order))[0]
    kind = order.kind if isinstance(order, Order) else order[0]
    assert (job.kind, job.state) == (kind, JobState.DONE), job
    return dict(job.result)


async def scene(chain: DevChain, tmp_path: Path, **options: Any) -> Scene:
    made = Scene(AnvilWorld(tmp_path, chain.rpc_url))
    await made.open(**options)
    return made


async def used_and_over(chain: DevChain, tmp_path: Path, **options: Any) -> Scene:
    """Rita has used Ann's adapter three times and Bob's once, Rob Bob's once; the period and its grace are over."""
    made = await scene(chain, tmp_path, **options)
    rita, rob = made.readers
    await made.read(rita, 0, 3)
    await made.read(rita, 1, 1)
    await made.read(rob, 1, 1)
    made.pass_time(DAY)
    await made.watch(*made.readers)
    made.pass_time(3601)
    return made


async def test_period__used_stated_divided__pays_each_adapter_by_each_subscribers_uses(
    chain: DevChain, tmp_path: Path
) -> None:
    made = await used_and_over(chain, tmp_path)
    ann, bob = made.owners
    await made.watch(made.operator)
    assert made.root_states() == ["pending"]
    await made.watch(made.challenger, made.operator)
    assert made.root_states() == ["pending"]
    made.pass_time(WINDOW)
    await made.watch(made.operator, made.challenger)
    assert made.root_states() == ["adopted"]
    for member in (ann, bob, made.operator):
        assert "are added to" in (await member.royalty_plans.claim())[0].consequence
        assert (await member.royalties.show()).in_pools != "0.00"
        await made.watch(member)  # which credits it, unasked
        assert (await member.royalties.show()).in_pools == "0.00"
        assert made.accrued(member) > 0
        await done(member, ("claim", {"name": "royalties"}))
        assert await member.royalty_plans.claim() == []
    # Rita's 7.00 go 3:1, Rob's all to Bob; the operator's reserve has the other 30 percent of both.
    assert [made.accrued(member) for member in (ann, bob)] == [5_250_000, 8_750_000]
    assert made.accrued(made.operator) == 6_000_000
    assert made.gateway.pool_rest(1, 0) == (0, 2)
    shown = await bob.pools.view.show(1)
    assert [root.state for root in shown.roots] == ["adopted"]
    assert {row.units for row in shown.roots[0].given} == {"5.25", "8.75", "6.00"}


async def test_key__subscriber__gets_it_while_the_period_runs_and_nobody_else(chain: DevChain, tmp_path: Path) -> None:
    made = await scene(chain, tmp_path, subscribed=False)
    rita, rob = made.readers
    await done(rita, SubscribeOrder(1, 1, FEE))
    await made.read(rita, 0, 0)
    refused, *_ = await rob.live(("fetch", {"adapter": made.adapters[0]}))
    assert refused.error.startswith("LicenseRequiredError")
    number = made.gateway.find_adapter(bytes.fromhex(made.adapters[1]), made.owners[1].keys.account).number
    bob = made.owners[1].pools.members
    assert len(await bob.granted_in(number, rita.keys.account)) == 1
    assert await bob.granted_in(number, rob.keys.account) == []
    assert await bob.granted_in(number + 1, rita.keys.account) == []
    await bob.leave(1, made.adapters[1])
    assert await bob.granted_in(number, rita.keys.account) == []
    with pytest.raises(NotFoundError):
        await bob.leave(1, made.adapters[1])
    made.pass_time(DAY)
    assert await made.owners[0].pools.members.granted_in(1, rita.keys.account) == []
    late, *_ = await rita.live(("fetch", {"adapter": made.adapters[1]}))
    assert late.error.startswith("LicenseRequiredError")


async def test_subscribe__more_periods__follow_each_other_and_stay_within_the_limit(
    chain: DevChain, tmp_path: Path
) -> None:
    made = await scene(chain, tmp_path)
    rita = made.readers[0]
    plans = rita.pools.subscription_plans
    with pytest.raises(PriceAboveLimitError, match="cost 20"):
        await plans.plan(1, asked(2, 2 * FEE - 1))
    with pytest.raises(UsageError):
        await plans.plan(1, asked(25, MONEY * 10))
    (row,) = await plans.plan(1, asked(2, 2 * FEE))
    assert (row.amount, "period #1 to #2, until 20" in row.what) == ("20.00", True)
    result = await done(rita, SubscribeOrder(1, 2, TokenAmount(2 * FEE)))
    assert (result["periods"], result["skipped"], result["paid"]) == ([1, 2], [], "20.00")
    assert made.gateway.subscriptions_of(rita.keys.account) == {1: [0, 1, 2]}
    with pytest.raises(RefusedError, match="paid until 20"):
        await plans.plan(1, asked(24, 24 * FEE))


async def test_subscribe__some_periods_were_given__pays_the_others_and_says_so(chain: DevChain, tmp_path: Path) -> None:
    made = await scene(chain, tmp_path)
    (rita, rob), gateway = made.readers, made.gateway
    pool = gateway.pool(1)
    gift = gateway.prepare_subscribe(1, pool.terms, rita.keys.account, [4, 6], bytes(32))
    await rob.treasury.execute("gift", lambda: rob.market.prepare_approve(TokenAmount(MONEY)), Purpose("gift"))
    await rob.treasury.execute("gifts", lambda: gift, Purpose("gift"))
    with pytest.raises(PriceAboveLimitError, match="4 periods of pool 1 cost 40"):
        await rita.pools.subscription_plans.plan(1, asked(6, 4 * FEE - 1))
    (row,) = await rita.pools.subscription_plans.plan(1, asked(6, 4 * FEE))
    assert (row.amount, "period #1 to #6, without #4, #6, paid already" in row.what) == ("40.00", True)
    before = made.world.tokens(rita)
    order = await rita.pools.choice.order(1, asked(6, 4 * FEE))
    result = await done(rita, order)
    assert (result["periods"], result["skipped"], result["paid"]) == ([1, 2, 3, 5], [4, 6], "40.00")
    assert made.world.tokens(rita) == before - 4 * FEE
    assert gateway.subscriptions_of(rita.keys.account) == {1: [*range(7)]}
    assert gateway.subscriptions_of(rita.keys.account, rob.keys.account) == {1: [4, 6]}

    (job, *_) = await rita.live(replace(order, terms="00" * 32))
    assert "is not the one that was ordered" in job.error
    call = gateway.prepare_subscribe(1, bytes(32), rita.keys.account, [9], bytes(32))
    with pytest.raises(TransactionRevertedError, match="OtherTerms"):
        await rita.treasury.execute("other", lambda: call, Purpose("other"))


async def test_wrong_root__any_lie_of_the_operator__is_struck_out(chain: DevChain, tmp_path: Path) -> None:
    made = await used_and_over(chain, tmp_path)
    pool, desk = made.gateway.pool(1), made.operator.pools.desk
    due = await made.operator.pools.operator._due.decide(pool, [])
    assert isinstance(due, DueDivision)
    through, right = due.through, due.division
    forged = UseStatement(pool.place, 0, made.readers[1].keys.account, {1: 5}).signed(
        made.operator.sealing.sign_as_account
    )
    swapped = tuple(forged if item.holder == forged.holder else item for item in right.statements)
    lies = {
        "totals": replace(right, totals={split: units + 1 for split, units in right.totals.items()}),
        "statement": replace(right, statements=right.statements[:1]),
        "member": replace(right, members=right.members[:1]),
        "signature": replace(right, statements=swapped),
        "twice": replace(right, statements=(right.statements[0], *right.statements)),
        "periods": replace(right, periods=(0, 1)),
        "rules": replace(right, rules=replace(right.rules, adapters_share=6000)),
    }
    for count, (name, lie) in enumerate(lies.items(), 1):
        digest, uri = await desk.data.publish(lie)
        call = made.gateway.prepare_post_root(1, through, lie.totals, digest, uri)
        await made.operator.treasury.execute(f"lie:{name}", lambda call=call: call, Purpose("lie"))
        await made.watch(made.challenger)
        assert made.root_states() == ["vetoed"] * count, name
    await made.watch(made.operator)
    await made.watch(made.challenger)
    assert made.root_states() == ["vetoed"] * len(lies) + ["pending"]


async def test_challenger__who_has_not_said_so__spends_nothing_and_takes_nothing(
    chain: DevChain, tmp_path: Path
) -> None:
    made = await used_and_over(chain, tmp_path)
    role, coins = made.challenger.pools.operator, made.coins(made.challenger)
    for member in (made.operator, made.readers[0]):
        with pytest.raises(RefusedError, match="the challenger of pool 1 is"):
            await member.pools.operator.set_watched(1, True)
    await role.set_watched(1, False)
    assert (await made.challenger.pools.view.rows())[0].roles == ["asked to watch"]
    lie = made.gateway.prepare_post_root(1, 0, {1: 1}, b"\1" * 32, "viz-blob:" + "0" * 64 + ":1")
    await made.operator.treasury.execute("lie", lambda: lie, Purpose("lie"))
    made.pass_time(WINDOW // 2 + 1)
    await made.watch(made.challenger)
    assert (made.root_states(), made.coins(made.challenger)) == (["pending"], coins)
    with pytest.raises(NotFoundError):
        await role.on_uses(made.readers[0].keys.peer_id, canonical_bytes({"pool": 1, "row": {}}))
    await role.set_watched(1, True)
    await made.watch(made.challenger)
    assert made.root_states() == ["vetoed"]


async def test_gifts__in_a_pool_that_nobody_knows__stop_nothing_tell_nothing_and_cost_nothing(
    chain: DevChain, tmp_path: Path
) -> None:
    made = await scene(chain, tmp_path)
    rita, mallory, gateway = made.readers[0], made.world.node("mallory", MONEY), made.gateway
    victims = (*made.owners, rita, made.operator, made.challenger)

    async def send(name: str, call: Any) -> None:
        await mallory.treasury.execute(name, lambda: call, Purpose(name))

    await send("approve", gateway.prepare_approve(MONEY))
    await send("open", gateway.prepare_create_pool(made.challenger.keys.account, TokenAmount(1), DAY, b"\7" * 32))
    gift = gateway.pool(2)
    for number, member in enumerate(victims):
        await send(
            f"gift-{number}", gateway.prepare_subscribe(2, gift.terms, member.keys.account, range(24), bytes(32))
        )
    await send("gift", gateway.prepare_subscribe(1, gateway.pool(1).terms, rita.keys.account, [1], bytes(32)))
    assert gateway.subscriptions_of(rita.keys.account) == {1: [0, 1], 2: [*range(24)]}
    assert gateway.subscriptions_of(rita.keys.account, rita.keys.account) == {1: [0]}
    await made.read(rita, 0, 1)
    made.pass_time(DAY)
    await made.watch(*victims)
    made.pass_time(3601)
    await made.watch(made.operator, made.challenger)
    assert made.root_states() == ["pending"]
    division = await made.operator.pools.desk.data.division(gateway.pool(1), gateway.posted_roots(1)[0])
    assert [item.uses for item in division.statements] == [{1: 1}]

    made.pass_time(DAY)
    await made.watch(rita, made.operator)
    assert list(rita.store.pool_records.pool_records_with("stated/", StatedRecord)) == ["stated/1/0"]
    coins = [made.coins(member) for member in victims]
    made.pass_time(182 * DAY)
    await made.watch(*victims)
    assert [made.coins(member) for member in victims if member is not rita] == [*coins[:2], *coins[3:]]
    refunds = [entry.purpose.period for entry in rita.store.outbox.rows.values() if entry.kind == "pool refund"]
    assert refunds == [0], "its own fee, of a root that nobody adopted"


async def test_pools__that_cannot_be_attended_to__keep_no_other_waiting(chain: DevChain, tmp_path: Path) -> None:
    made = await used_and_over(chain, tmp_path)
    nowhere = JoinedRecord(MemberRow(1, Account(""), 1, ""), ())
    for member in (made.operator, made.challenger):
        member.store.pool_records.save_pool_record("joined/0/1", nowhere)
        member.store.pool_records.save_pool_record("watched/0", WatchedRecord())
        with pytest.raises(NotFoundError, match="0 is not the number of a pool"):
            await member.pools.watch()
    assert made.root_states() == ["pending"]
    assert made.challenger.store.pool_records.pool_records_with("checked/1/", CheckedRecord)


async def test_withheld_data__challenger__waits_and_then_strikes_out(chain: DevChain, tmp_path: Path) -> None:
    made = await used_and_over(chain, tmp_path)
    await made.watch(made.operator)
    made.operator.network.is_up = False
    await made.watch(made.challenger)
    assert made.root_states() == ["pending"]
    made.pass_time(WINDOW // 2 + 1)
    await made.watch(made.challenger)
    assert made.root_states() == ["vetoed"]
    made.operator.network.is_up = True
    await made.watch(made.operator)
    assert made.root_states() == ["vetoed"], "what was struck out is not posted again as it is"


async def test_statement__only_the_challenger_has_it__the_operator_asks_for_it(chain: DevChain, tmp_path: Path) -> None:
    made = await scene(chain, tmp_path)
    await made.read(made.readers[0], 0, 1)
    made.pass_time(DAY)
    made.operator.network.is_up = False
    await made.watch(made.readers[0])
    made.operator.network.is_up = True
    made.pass_time(3601)
    await made.watch(made.operator, made.challenger)
    division = await made.operator.pools.desk.data.division(made.gateway.pool(1), made.gateway.posted_roots(1)[0])
    assert [item.uses for item in division.statements] == [{1: 1}]
    assert made.root_states() == ["pending"]


async def adopted(chain: DevChain, tmp_path: Path) -> Scene:
    made = await used_and_over(chain, tmp_path)
    await made.watch(made.operator)
    made.pass_time(WINDOW)
    await made.watch(made.operator)
    assert made.root_states() == ["adopted"]
    return made


async def test_credit__costs_more_than_a_tenth__waits_for_its_last_month(chain: DevChain, tmp_path: Path) -> None:
    made = await adopted(chain, tmp_path)
    ann = made.owners[0]
    await ann.pools.desk.data.division(made.gateway.pool(1), made.gateway.posted_roots(1)[0])
    (due,) = await ann.pools.credits._dues.find()
    assert due.brought == 5_250_000 * 97 // 100
    costs = await ann.pools.desk._chain.quotes.quote_wei(made.gateway.prepare_claim_pool([due.claim]))
    chain_of, price = ann.pools.desk._chain, due.brought * 10**18 // (2 * costs)
    ann.pools.desk._chain = replace(chain_of, coin_price=price)
    await made.watch(ann)
    assert made.accrued(ann) == 0
    made.pass_time(149 * DAY)
    await made.watch(ann)
    assert made.accrued(ann) == 0
    made.pass_time(2 * DAY)
    ann.pools.desk._chain = replace(chain_of, coin_price=3 * price)
    await made.watch(ann)
    assert made.accrued(ann) == 0, "it costs more than it brings"
    ann.pools.desk._chain = replace(chain_of, coin_price=price)
    await made.watch(ann)
    assert made.accrued(ann) == 5_250_000


async def test_credit__of_a_pool_that_was_left__comes_all_the_same(chain: DevChain, tmp_path: Path) -> None:
    made = await used_and_over(chain, tmp_path)
    bob = made.owners[1]
    await bob.pools.members.leave(1, made.adapters[1])
    await made.watch(made.operator)
    made.pass_time(WINDOW)
    await made.watch(made.operator, bob)
    assert made.accrued(bob) == 8_750_000


async def test_rest__that_no_split_claimed__goes_back_to_those_who_paid(chain: DevChain, tmp_path: Path) -> None:
    made = await adopted(chain, tmp_path)
    (ann, bob), (rita, rob) = made.owners, made.readers
    await made.watch(ann)
    before = [made.world.tokens(reader) for reader in (rita, rob)]
    made.pass_time(180 * DAY - 60)
    await made.watch(rita, rob)
    assert [made.world.tokens(reader) for reader in (rita, rob)] == before
    made.pass_time(60)
    await made.watch(rita, rob, bob, rita, rob)
    left = 2 * FEE - 5_250_000
    assert [made.world.tokens(reader) for reader in (rita, rob)] == [had + left // 2 for had in before]
    assert (made.accrued(bob), made.gateway.pool_rest(1, 0)) == (0, (0, 0))


async def test_posted_root__nobody_adopts_it__members_do_and_else_it_is_posted_again(
    chain: DevChain, tmp_path: Path
) -> None:
    made = await used_and_over(chain, tmp_path)
    ann = made.owners[0]
    await made.watch(made.operator)
    made.pass_time(WINDOW + 15 * DAY - 60)
    await made.watch(ann)
    assert made.root_states() == ["pending"]
    made.pass_time(15 * DAY + 60)
    await made.watch(ann)
    assert made.root_states() == ["lapsed"]
    await made.watch(made.operator)
    made.pass_time(WINDOW + 15 * DAY)
    await made.watch(ann)
    assert made.root_states() == ["lapsed", "adopted"]


async def test_nobody_divides__subscriber__has_the_fee_back_by_himself(chain: DevChain, tmp_path: Path) -> None:
    made = await scene(chain, tmp_path)
    rita = made.readers[0]
    before = made.world.tokens(rita)
    made.pass_time(182 * DAY)
    await made.watch(rita)
    await made.watch(rita)
    assert made.world.tokens(rita) == before + FEE
    await made.watch(made.operator)
    assert made.root_states() == [], "what can be refunded is not divided any more"


async def test_uses__of_others_or_of_running_periods__are_refused(chain: DevChain, tmp_path: Path) -> None:
    made = await scene(chain, tmp_path)
    pool, (rita, rob) = made.gateway.pool(1), made.readers
    sign = rita.sealing.sign_as_account

    async def send(period: int, holder: Member, uses: dict[int, int], sender: Member = rita) -> None:
        row = UseStatement(pool.place, period, holder.keys.account, uses).signed(sign).row()
        body = canonical_bytes({"pool": 1, "row": as_json(row)})
        await sender.network.request(made.operator.keys.peer_id, USES_METHOD, body)

    with pytest.raises(RefusedError, match="is not over"):
        await send(0, rita, {1: 1})
    made.pass_time(DAY)
    with pytest.raises(RefusedError, match="not signed by"):
        await send(0, rob, {1: 1})
    with pytest.raises(RefusedError, match="is not over"):
        await send(1, rita, {1: 1})
    with pytest.raises(VerificationError, match="malformed"):
        await send(0, rita, {})
    await send(0, rita, {1: 1})
    body = canonical_bytes({"pool": 1, "first": 0, "through": 0, "after": 0})
    with pytest.raises(RefusedError, match="operator only"):
        await rita.network.request(made.challenger.keys.peer_id, "pool-statements", body)
    with pytest.raises(NotFoundError):
        await rita.network.request(rob.keys.peer_id, USES_METHOD, canonical_bytes({"pool": 1, "row": {}}))


async def test_membership__of_another_owners_adapter__is_refused(chain: DevChain, tmp_path: Path) -> None:
    made = await scene(chain, tmp_path)
    ann, bob = made.owners
    with pytest.raises(RefusedError, match="another owner"):
        await ann.pools.members.join(1, made.adapters[1])
    pool = made.gateway.pool(1)
    row = next(member for member in made.operator.pools.desk.members(pool) if member.adapter == 1)
    row = as_json(row.row())
    desk = made.operator.pools.desk
    for change in (
        {"adapter": 2},
        {"split_id": row["split_id"] + 1},
        {"account": bob.keys.account},
        {"signature": "0x00"},
    ):
        with pytest.raises(VerificationError):
            await desk.take_member(pool, row | change)
    assert (await desk.take_member(pool, row)).adapter == 1


async def _killed_everywhere(
    made: Scene, member: Member, act: Callable[[], Awaitable[Any]], check: Callable[[], Any]
) -> int:
    """Let the member die before and after every call of `act`, start again, act again; then `check` must hold."""
    ask, stores = made.world.anvil.ask, [(node, copy.deepcopy(node.store)) for node in nodes_of(made)]
    counting, point = Fuse(), ask("evm_snapshot")
    member.start(counting)
    await act()
    check()
    for deadly in every_fuse(len(counting.calls)):
        ask("evm_revert", point)
        point = ask("evm_snapshot")
        for node, store in stores:
            node.store = copy.deepcopy(store)
            node.start(deadly if node is member else None)
        with suppress(Killed, BaseExceptionGroup):
            await act()
        member.start()
        await member.treasury.recover()
        await act()
        check()
    return len(counting.calls)


def nodes_of(made: Scene) -> list[Member]:
    return [made.operator, made.challenger, *made.owners, *made.readers]


async def test_subscribe__killed_at_every_call__is_paid_once(chain: DevChain, tmp_path: Path) -> None:
    made = await scene(chain, tmp_path, subscribed=False)
    rita = made.readers[0]
    order = SubscribeOrder(1, 1, FEE)

    async def act() -> None:
        started = [job for job in rita.store.jobs.list_jobs() if job.kind == "subscribe"]
        await rita.live(*([] if started else [order]))

    def check() -> None:
        assert made.gateway.subscriptions_of(rita.keys.account) == {1: [0]}
        assert made.world.tokens(rita) == MONEY - FEE

    assert await _killed_everywhere(made, rita, act, check) > 10


async def test_subscribe__believed_lost_and_paid_after_all__pays_no_other_period(
    chain: DevChain, tmp_path: Path
) -> None:
    made = await scene(chain, tmp_path)
    rita = made.readers[0]
    (entry,) = (entry for entry in rita.store.outbox.rows.values() if entry.kind == "subscribe")
    (job,) = (job for job in rita.store.jobs.list_jobs() if job.kind == "subscribe")
    rita.store.outbox.save_outbox(replace(entry, state="failed"))
    rita.store.jobs.save_job(replace(job, state=JobState.RUNNING))
    rita.start()
    await rita.live()
    assert rita.store.jobs.find_job(job.job_id).error.endswith("AlreadySubscribed()")
    assert made.gateway.subscriptions_of(rita.keys.account) == {1: [0]}
    assert made.world.tokens(rita) == MONEY - FEE


async def test_divide__killed_at_every_call__is_posted_once(chain: DevChain, tmp_path: Path) -> None:
    made = await used_and_over(chain, tmp_path)

    def check() -> None:
        assert made.root_states() == ["pending"]

    async def act() -> None:
        await made.operator.pools.operator.watch()

    assert await _killed_everywhere(made, made.operator, act, check) > 10


async def test_credit__watcher_killed_at_every_call__comes_once(chain: DevChain, tmp_path: Path) -> None:
    made = await adopted(chain, tmp_path)
    ann = made.owners[0]

    def check() -> None:
        assert made.accrued(ann) == 5_250_000

    async def act() -> None:
        await ann.pools.members.watch()
        await ann.pools.credits.watch()
        await mined(ann)

    assert await _killed_everywhere(made, ann, act, check) > 5


async def test_claim__from_a_pool_killed_at_every_call__is_paid_once(chain: DevChain, tmp_path: Path) -> None:
    made = await used_and_over(chain, tmp_path)
    await made.watch(made.operator)
    made.pass_time(WINDOW)
    await made.watch(made.operator)
    ann = made.owners[0]

    async def act() -> None:
        started = [job for job in ann.store.jobs.list_jobs() if job.kind == "claim"]
        await ann.live(*([] if started else [("claim", {"name": "royalties"})]))

    def check() -> None:
        assert made.accrued(ann) == 5_250_000
        assert made.world.tokens(ann) == 5_250_000 * 97 // 100

    assert await _killed_everywhere(made, ann, act, check) > 5
