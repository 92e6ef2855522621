"""The operations of a node, as the command line and the dashboard call them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from viz_node.domain.ids import Account, format_amount, parse_amount
from viz_node.domain.job import Job, JobState
from viz_node.domain.names import FilePath
from viz_node.domain.permissions import parse_permissions
from viz_node.domain.pricing import parse_time
from viz_node.domain.recipe import parse_recipe
from viz_node.domain.statement import parse_period
from viz_node.domain.terms import AskedTerms
from viz_node.errors import UnreachableError
from viz_node.ports.keys import Keys
from viz_node.ports.state import Store
from viz_node.services.federations.join_federation import Federations
from viz_node.services.jobs.runner import JobRunner, describe_job
from viz_node.services.library.manage_works import WorkShelf
from viz_node.services.library.remove_adapter import Removals
from viz_node.services.library.train_adapter import DEFAULT_RECIPE, Workshop, base_name, describe_adapter
from viz_node.services.market.file_notice import Notices
from viz_node.services.market.list_licenses import LicenseList
from viz_node.services.market.listings import Catalogue
from viz_node.services.market.plan_publication import PublicationPlans
from viz_node.services.market.plan_purchase import PurchasePlans
from viz_node.services.market.publish_adapter import Publisher
from viz_node.services.market.set_price import Prices
from viz_node.services.money.allow_market import Allowances
from viz_node.services.money.settle_royalties import Royalties
from viz_node.services.pools.run_pool import AskedPool
from viz_node.services.pools.show_pools import Pools
from viz_node.services.uses.pay_uses import Metered
from viz_node.services.uses.plan_channels import ChannelPlans
from viz_node.services.uses.publish_receipts import ReceiptFiles

Answer = dict[str, Any]
Rows = list[dict[str, Any]]


@dataclass
class Operations:
    """One method per operation; each parses nothing that its service does not, and returns JSON."""

    store: Store
    keys: Keys
    facts: dict[str, Any]
    network: Any
    market: Any
    jobs: JobRunner
    works: WorkShelf
    workshop: Workshop
    publisher: Publisher
    catalogue: Catalogue
    plans: PurchasePlans
    publications: PublicationPlans
    licenses: LicenseList
    prices: Prices
    notices: Notices
    allowances: Allowances
    metered: Metered
    pools: Pools
    channel_plans: ChannelPlans
    receipt_files: ReceiptFiles
    royalties_service: Royalties
    federations: Federations
    removals: Removals
    export_files: Callable[[str, str], Any]
    check_health: Callable[[Rows], Rows]
    """Takes the peers' rows."""
    find_problems: Callable[[], Rows]
    describe_config: Callable[[], Rows]
    dashboard: Callable[[], str] = str

    def table(self) -> dict[str, Callable[..., Awaitable[Answer | Rows]]]:
        """The operations by name."""
        names = [name for name in dir(self) if name.startswith("do_")]
        return {name.removeprefix("do_"): getattr(self, name) for name in names}

    @property
    def account(self) -> Account:
        """The node's account."""
        return self.keys.account

    def problem_names(self) -> list[str]:
        """What keeps this node from doing its work now, for those who may know no more."""
        return [str(row["check"]) for row in self.find_problems()]

    async def do_status(self) -> Answer:
        """The node at a glance; a chain that is down is a fact, not an error."""
        chain = {key: self.facts[key] for key in ("rpc_url", "chain_id", "market")}
        try:
            balances = await asyncio.to_thread(self.market.balances, self.account)
            block = await asyncio.to_thread(self.market.block_number)
            chain |= {"ok": True, "block": block, "error": ""}
            money = {"token": format_amount(balances.token), "gas": f"{balances.gas_wei / 10**18:.4f}"}
        except UnreachableError as error:
            chain |= {"ok": False, "block": None, "error": error.message}
            money = {"token": "unknown", "gas": "unknown"}
        jobs = self.jobs.list_jobs()
        counts = {
            "works": len(self.store.list_works()),
            "adapters": len(self.store.list_adapters()),
            "jobs": sum(job.state in {"queued", "running"} for job in jobs),
            "peers": sum(bool(peer["connected"]) for peer in await self.network.peers()),
        }
        identity = await self.do_id()
        return identity | {
            "version": self.facts["version"], "dashboard": self.dashboard(), "chain": chain, "balances": money,
            "counts": counts, "started": self.facts["started"], "home": self.facts["home"],
            "problems": [f"{row['check']}: {row['detail']}" for row in self.find_problems()],
        }  # fmt: skip

    async def do_id(self) -> Answer:
        """Peer id, account, addresses."""
        return {"peer_id": self.keys.peer_id, "account": self.account, "addresses": self.network.addresses}

    async def do_doctor(self) -> Rows:
        """What the node needs, each failure with its fix."""
        return await asyncio.to_thread(self.check_health, await self.do_peers())

    async def do_config(self) -> Rows:
        """Each option with its value and where that comes from."""
        return self.describe_config()

    async def do_peers(self) -> Rows:
        """Other nodes that this one knows."""
        return list(await self.network.peers())

    async def do_content_add(self, *, paths: list[FilePath], rights: str, author: str, encoding: str = "") -> Answer:
        """Take works in."""
        return await self.works.add(paths, rights, author, encoding)

    async def do_content_list(self) -> Rows:
        """All works."""
        return self.works.list_works()

    async def do_content_show(self, *, work: str) -> Answer:
        """One work."""
        return self.works.show(work)

    async def do_content_text(self, *, work: str, start: int = 0) -> Answer:
        """The text that was taken of a work, by pages."""
        return self.works.show_text(work, start)

    async def do_content_remove(self, *, work: str) -> Answer:
        """Erase a work."""
        return self.works.remove(work)

    async def do_plan_content_remove(self, *, work: str) -> Answer:
        """What erasing a work loses."""
        return self.works.plan_removal(work)

    async def do_base_list(self) -> Rows:
        """Installed base models."""
        return self.workshop.list_bases()

    async def do_base_use(self, *, base: str) -> Answer:
        """Choose the default base model."""
        return self.workshop.use_base(base)

    async def do_base_build(self, *, seed: int) -> Answer:
        """Build the small base model; while it is being built, the job that does."""
        order = {"seed": seed, "name": base_name(seed)}
        building = [job for job in self._building() if job.order == order]
        return {"job_id": building[0].job_id} if building else _order(self.jobs, "base_build", order)

    async def do_train(
        self, *, name: str, content: list[str], base: str | None = None, recipe: dict[str, Any] | None = None
    ) -> Answer:
        """Train an adapter."""
        self.workshop.check_new_name(name)
        order = {
            "name": name,
            "works": [work.work_id for work in self.works.select(content)],
            "base": None if base is None and self._building() else self.workshop.find_base(base),
            "recipe": asdict(parse_recipe(DEFAULT_RECIPE | (recipe or {}))),
        }
        return _order(self.jobs, "train", order)

    def _only_gas(self, plan: Rows) -> Rows:
        """The plan of what costs gas alone; on a development chain that is nothing."""
        return [row | {"is_test_gas": self.facts["is_test_chain"]} for row in plan]

    def _building(self) -> list[Job]:
        open_jobs = (job for job in self.jobs.list_jobs() if job.state in {JobState.QUEUED, JobState.RUNNING})
        return [job for job in open_jobs if job.kind == "base_build"]

    async def do_jobs_list(self) -> Rows:
        """All jobs, the newest first."""
        return [describe_job(job) for job in self.jobs.list_jobs()]

    async def do_jobs_show(self, *, job: str) -> Answer:
        """One job."""
        return describe_job(self.jobs.find(job))

    async def do_jobs_cancel(self, *, job: str) -> Answer:
        """Stop a job."""
        return describe_job(self.jobs.cancel(job))

    async def do_jobs_resume(self, *, job: str) -> Answer:
        """Queue a stopped job again."""
        return describe_job(self.jobs.resume(job))

    async def do_adapters_list(self) -> Rows:
        """The library."""
        published = {record.name for record in self.publisher.published()}
        rows = [describe_adapter(record) for record in self.store.list_adapters()]
        return [row | {"published": row["name"] in published} for row in rows]

    async def do_adapters_remove(self, *, adapter: str) -> Answer:
        """Remove an adapter of this library that is not published."""
        return await self.removals.remove(adapter)

    async def do_plan_adapters_remove(self, *, adapter: str) -> Answer:
        """What removing it loses."""
        return self.removals.plan(adapter)

    async def do_publish(  # noqa: PLR0913 - what people may say when they offer something
        self, *, adapter: str, price: str, split: str | None = None, license: str = "perpetual",
        duration_days: int | None = None, ceiling: str | None = None, target: int | None = None,
        escrow: bool | None = None, terms: dict[str, Any] | None = None, parents: list[str] | None = None,
    ) -> Answer:  # fmt: skip
        """Offer an adapter."""
        asked = AskedTerms(
            price,
            split,
            license,
            duration_days,
            ceiling,
            target,
            _is_escrowed(escrow, license),
            parse_permissions(terms or {}),
        )
        return _order(self.jobs, "publish", await self._publication(adapter, asked, parents))

    async def do_plan_publish(  # noqa: PLR0913 - the same
        self, *, adapter: str, price: str, split: str | None = None, license: str = "perpetual",
        duration_days: int | None = None, ceiling: str | None = None, target: int | None = None,
        escrow: bool | None = None, terms: dict[str, Any] | None = None, parents: list[str] | None = None,
    ) -> Rows:  # fmt: skip
        """What offering an adapter costs and means."""
        asked = AskedTerms(
            price,
            split,
            license,
            duration_days,
            ceiling,
            target,
            _is_escrowed(escrow, license),
            parse_permissions(terms or {}),
        )
        order = await self._publication(adapter, asked, parents)
        return self._only_gas(await self.publications.publish(order["adapter"], order["terms"]))

    async def _publication(self, adapter: str, asked: AskedTerms, parents: list[str] | None) -> dict[str, Any]:
        name = self.workshop.find_adapter(adapter).name
        await self.publisher.require_known(name)
        return {"adapter": name} | self.publisher.check_order(name, asked, await self.publisher.lineage(parents or []))

    async def do_pricing_show(self, *, adapter: str, at: str | None = None) -> Answer:
        """Offers, how their prices move, what was paid, and what their rules say."""
        return await self.prices.show(adapter, None if at is None else parse_time(at))

    async def do_pricing_set(
        self, *, adapter: str, price: str, ceiling: str | None = None, target: int | None = None
    ) -> Answer:
        """Sell at another price from now on."""
        return _order(self.jobs, "price", await self.prices.check_change(adapter, price, ceiling, target))

    async def do_plan_pricing(
        self, *, adapter: str, price: str, ceiling: str | None = None, target: int | None = None
    ) -> Rows:
        """What another price costs and means."""
        order = await self.prices.check_change(adapter, price, ceiling, target)
        return self._only_gas(await self.prices.plan_change(order))

    async def do_notice_show(self, *, adapter: str) -> Rows:
        """Complaints and answers."""
        return await self.notices.show(adapter)

    async def do_notice_file(self, *, adapter: str, digest: str, answers: int | None = None) -> Answer:
        """Put a complaint or an answer on record."""
        return _order(self.jobs, "notice", await self.notices.check(adapter, digest, answers))

    async def do_plan_notice(self, *, adapter: str, digest: str, answers: int | None = None) -> Rows:
        """What putting it on record costs and means."""
        return await self.notices.plan(adapter, digest, answers)

    async def do_withdraw(self, *, adapter: str) -> Answer:
        """End the sales of an adapter."""
        return _order(self.jobs, "withdraw", {"adapter": self.workshop.find_adapter(adapter).name})

    async def do_plan_withdraw(self, *, adapter: str) -> Rows:
        """What withdrawing means."""
        return await self.prices.plan_withdrawal(adapter)

    async def do_search(self, *, text: str = "") -> Rows:
        """The market."""
        return await self.catalogue.search(text)

    async def do_show(self, *, adapter: str) -> Answer:
        """One listing."""
        return await self.catalogue.show(adapter)

    async def do_license(self, *, adapter: str, max_price: str, renew: bool = False) -> Answer:
        """Buy or extend a license."""
        order = {"adapter": adapter, "max_price": parse_amount(max_price), "renew": renew}
        return _order(self.jobs, "license", order)

    async def do_plan_license(self, *, adapter: str, max_price: str, renew: bool = False) -> Rows:
        """What buying costs and means."""
        return await self.plans.license(adapter, parse_amount(max_price), renew)

    async def do_license_list(self, *, sold: bool = False) -> Rows:
        """Licenses of this account, or those of its adapters."""
        return await (self.licenses.sold() if sold else self.licenses.held())

    async def do_fetch(self, *, adapter: str) -> Answer:
        """Download a licensed adapter."""
        return _order(self.jobs, "fetch", {"adapter": adapter})

    async def do_generate(self, *, adapter: str, prompt: str, max_new_tokens: int = 80) -> Answer:
        """Write on from a prompt."""
        record = self.workshop.find_adapter(adapter)
        order = {"adapter": record.name, "prompt": prompt, "max_new_tokens": max_new_tokens}
        return _order(self.jobs, "generate", order)

    async def do_generate_metered(self, *, adapter: str, prompt: str, max_new_tokens: int = 80) -> Answer:
        """Have the holder's node write, for the price of one use."""
        order = {"adapter": adapter, "prompt": prompt, "max_new_tokens": max_new_tokens}
        return _order(self.jobs, "use", order)

    async def do_channel_open(self, *, adapter: str, deposit: str, days: int = 30) -> Answer:
        """Lock a deposit for uses."""
        listing = await self.metered.check_open(adapter, parse_amount(deposit), days)
        order = {"adapter": listing.adapter_id, "deposit": parse_amount(deposit), "days": days}
        return _order(self.jobs, "channel", order)

    async def do_plan_channel(self, *, adapter: str, deposit: str, days: int = 30) -> Rows:
        """What a channel costs and means."""
        return await self.channel_plans.open(adapter, parse_amount(deposit), days)

    async def do_plan_top_up(self, *, channel: int, amount: str) -> Rows:
        """What adding to a deposit costs and means."""
        return await self.channel_plans.top_up(channel, parse_amount(amount))

    async def do_plan_close(self, *, channel: int) -> Rows:
        """What closing a channel costs and means."""
        return await self.channel_plans.close(channel)

    async def do_channel_list(self) -> Rows:
        """Channels that this node pays for."""
        return await self.metered.rows()

    async def do_channel_show(self, *, channel: int) -> Answer:
        """One channel with its receipts."""
        return await self.metered.show(channel)

    async def do_channel_receipts(self, *, channel: int, path: str) -> Answer:
        """Write a channel's receipts to a file."""
        return await asyncio.to_thread(self.receipt_files.write, channel, path)

    async def do_channel_top_up(self, *, channel: int, amount: str) -> Answer:
        """Add to a deposit."""
        return _order(self.jobs, "top_up", {"channel": channel, "amount": parse_amount(amount)})

    async def do_channel_close(self, *, channel: int) -> Answer:
        """Ask for the close of a channel."""
        return _order(self.jobs, "close", {"channel": channel})

    async def do_pool_list(self) -> Rows:
        """All catalogue subscriptions of the market."""
        return await self.pools.rows()

    async def do_pool_show(self, *, pool: int) -> Answer:
        """One pool with its adapters and roots."""
        return await self.pools.show(pool)

    async def do_pool_create(
        self, *, name: str, fee: str, challenger: str, days: int = 30, rule: str = "user-centric",
        share: str = "70", grace_hours: int = 24,
    ) -> Answer:  # fmt: skip
        """Open a pool."""
        asked = AskedPool(name, parse_amount(fee), days, challenger, rule, share, grace_hours)
        return _order(self.jobs, "pool", self.pools.operator.check_new(asked))

    async def do_plan_pool_create(
        self, *, name: str, fee: str, challenger: str, days: int = 30, rule: str = "user-centric",
        share: str = "70", grace_hours: int = 24,
    ) -> Rows:  # fmt: skip
        """What opening a pool costs and means."""
        asked = AskedPool(name, parse_amount(fee), days, challenger, rule, share, grace_hours)
        return await self.pools.operator.plan_new(asked)

    async def do_pool_join(self, *, pool: int, adapter: str) -> Answer:
        """Give an adapter to a pool's subscribers."""
        return await self.pools.members.join(pool, adapter)

    async def do_pool_watch(self, *, pool: int, wanted: bool = True) -> Answer:
        """Be a pool's challenger, or no more."""
        return await self.pools.operator.set_watched(pool, wanted)

    async def do_pool_leave(self, *, pool: int, adapter: str) -> Answer:
        """Give it to no more subscribers."""
        return await self.pools.members.leave(pool, adapter)

    async def do_pool_subscribe(self, *, pool: int, max_price: str, periods: int = 1) -> Answer:
        """Pay the next periods of a pool."""
        order = await self.pools.subscriptions.order(pool, periods, parse_amount(max_price))
        return _order(self.jobs, "subscribe", order)

    async def do_plan_pool_subscribe(self, *, pool: int, max_price: str, periods: int = 1) -> Rows:
        """What subscribing costs and means."""
        return await self.pools.subscriptions.plan(pool, periods, parse_amount(max_price))

    async def do_pool_divide(self, *, pool: int) -> Answer:
        """Post the division that is due."""
        return _order(self.jobs, "divide", {"pool": pool})

    async def do_plan_pool_divide(self, *, pool: int) -> Rows:
        """What is due, and what posting it costs."""
        return await self.pools.operator.plan_division(pool)

    async def do_pool_data(self, *, pool: int, directory: str) -> Answer:
        """Write the data behind a pool's roots."""
        return await self.pools.export(pool, Path(directory))

    async def do_export(self, *, adapter: str, directory: str) -> Answer:
        """Write a folder that PEFT loads."""
        record = self.workshop.find_adapter(adapter)
        await asyncio.to_thread(self.export_files, record.directory, directory)
        return {"name": record.name, "directory": directory}

    async def do_royalties(self) -> Answer:
        """What this account earns."""
        answer = await self.royalties_service.show()
        sales = [sale | {"name": self.catalogue.name_of(sale["adapter"])} for sale in answer["sales"]]
        return answer | {"sales": sales, "rows": self._with_names(answer["rows"])}

    def _with_names(self, rows: Rows) -> Rows:
        """Rows of splits with the names of the adapters that are paid into them; a number where no name is known."""
        return [row | {"adapters": [self.catalogue.name_of(n) or f"#{n}" for n in row["adapters"]]} for row in rows]

    async def do_royalties_statement(self, *, period: str | None = None) -> Rows:
        """Every sale, share and claim, by ledger entry."""
        return self._with_names(
            await self.royalties_service.statement(None if period is None else parse_period(period))
        )

    async def do_royalties_claim(self) -> Answer:
        """Take what is due."""
        return _order(self.jobs, "claim", {"name": "royalties"})

    async def do_plan_claim(self) -> Rows:
        """What claiming brings and costs."""
        return self._only_gas(await self.royalties_service.plan_claim())

    async def do_allowance(self) -> Answer:
        """What the market may take from this account."""
        return await self.allowances.show() | {"market": self.facts["market"]}

    async def do_plan_allowance_revoke(self) -> Rows:
        """What taking it back costs and means."""
        return self._only_gas(await self.allowances.plan_revocation())

    async def do_allowance_revoke(self) -> Answer:
        """Take it back."""
        return _order(self.jobs, "revoke", {"name": "allowance"})

    async def do_federation_create(
        self, *, name: str, content: list[str], members: int, rounds: int, split: str = "equal", base: str | None = None
    ) -> Answer:
        """Propose a federated adapter."""
        return dict(self.federations.create(name, content, members, rounds, split, base))

    async def do_federation_join(self, *, invite: str, content: list[str]) -> Answer:
        """Become a member."""
        return await self.federations.join(invite, content)

    async def do_federation_run(self, *, federation: str) -> Answer:
        """Run the rounds."""
        return {"job_id": self.federations.run(federation).job_id}

    async def do_federation_status(self, *, federation: str | None = None) -> Answer | Rows:
        """One federation, or all."""
        return self.federations.status(federation)


def _is_escrowed(asked: bool | None, license_kind: str) -> bool:
    """Money waits for the key unless the seller wants it otherwise; uses of a metered license have a channel."""
    return license_kind != "metered" if asked is None else asked


def _order(jobs: JobRunner, kind: str, order: dict[str, Any]) -> Answer:
    return {"job_id": jobs.submit(kind, order).job_id}
