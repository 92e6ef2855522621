"""The use cases of a node, made from ports alone: the daemon and the tests' world both use it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from viz_node.domain.health import Check
from viz_node.domain.records import AdapterRecord, OutboxEntry
from viz_node.services.federations.join_federation import Federations
from viz_node.services.federations.part import federations_part
from viz_node.services.federations.run_federation import Rounds
from viz_node.services.jobs.part import jobs_part
from viz_node.services.jobs.runner import JobRunner
from viz_node.services.library.base_operations import BaseOperations
from viz_node.services.library.clear_bases import Clearance
from viz_node.services.library.import_adapter import Imports
from viz_node.services.library.look_up import published
from viz_node.services.library.make_base import BaseMaker
from viz_node.services.library.manage_works import WorkShelf
from viz_node.services.library.part import Library, ModelOperations
from viz_node.services.library.remove_adapter import Removals
from viz_node.services.library.report_training import Reports
from viz_node.services.library.show_bases import BaseViews
from viz_node.services.library.suggest_recipe import RecipeOperations
from viz_node.services.library.train_adapter import ModelTools, Workshop
from viz_node.services.library.write_text import Writing
from viz_node.services.market.check_signature import Signatures
from viz_node.services.market.choose_offer import OfferChoice
from viz_node.services.market.deliver_key import KeyDesk, KeyRights
from viz_node.services.market.deliver_orders import Deliveries
from viz_node.services.market.export_adapter import Exports, Place
from viz_node.services.market.fetch_adapter import AdapterFiles, AdapterKeys, Fetcher, KeyRequests
from viz_node.services.market.file_notice import NoticePlans, Notices
from viz_node.services.market.license_adapter import Buyer
from viz_node.services.market.list_licenses import LicenseList
from viz_node.services.market.listings import Listings
from viz_node.services.market.order_key import KeyOrders
from viz_node.services.market.order_publication import PublicationOrders
from viz_node.services.market.order_secrets import OrderSecrets
from viz_node.services.market.part import Buying, Market, Selling
from viz_node.services.market.plan_publication import PublicationPlans
from viz_node.services.market.plan_purchase import Asking, PurchasePlans
from viz_node.services.market.publish_adapter import Publisher
from viz_node.services.market.seal_bundle import BundleFiles, Bundles, SellerKeys
from viz_node.services.market.serve_adapters import Storefront
from viz_node.services.market.set_price import OwnOffers, PricePlans, Prices
from viz_node.services.money.allow_market import AllowancePlans, Allowances
from viz_node.services.money.part import Money, MoneyOperations
from viz_node.services.money.pay_price import Payments
from viz_node.services.money.quote_gas import GasQuotes
from viz_node.services.money.quote_payment import PaymentQuotes
from viz_node.services.money.settle_royalties import Royalties, RoyaltyPlans
from viz_node.services.money.sign_permit import Permits
from viz_node.services.money.transact import Treasury
from viz_node.services.needs import Choices, Ports, Tools
from viz_node.services.node.first_start import FirstStart
from viz_node.services.node.part import NodeFacts, NodeOperations, Views
from viz_node.services.part import Operation, Part, Watcher, operations_of
from viz_node.services.pools.credit_pool import CreditPlans, Credits, PoolDues
from viz_node.services.pools.division_data import DivisionData
from viz_node.services.pools.due_division import DivisionPlans, DueDivisions
from viz_node.services.pools.join_pool import PoolMembers, PoolSigner
from viz_node.services.pools.open_pool import PoolOpeningPlans, PoolOpenings
from viz_node.services.pools.part import Pools, pools_part
from viz_node.services.pools.pool_desk import PoolChain, PoolDesk
from viz_node.services.pools.pool_peers import PoolPeers
from viz_node.services.pools.rule_book import RuleBook
from viz_node.services.pools.run_pool import PoolOperator
from viz_node.services.pools.show_pools import PoolView
from viz_node.services.pools.state_uses import UseStatements
from viz_node.services.pools.subscribe_pool import PeriodChoice, SubscriptionPlans, Subscriptions
from viz_node.services.pools.use_pool import PoolUses
from viz_node.services.uses.open_channel import ChannelJobs
from viz_node.services.uses.paid_channels import PaidChannels, UseKeys
from viz_node.services.uses.part import Uses
from viz_node.services.uses.pay_uses import Metered
from viz_node.services.uses.plan_channels import ChannelPlans
from viz_node.services.uses.publish_receipts import ReceiptFiles
from viz_node.services.uses.serve_uses import HolderKeys, Meter, Write


@dataclass(frozen=True)
class Services:
    """The stages of a node; nothing is started."""

    jobs: JobRunner
    library: Library
    money: Money
    market: Market
    pools: Pools
    uses: Uses
    first_start: FirstStart
    parts: tuple[Part, ...]

    @property
    def operations(self) -> dict[str, Operation]:
        """All operations, by name."""
        return {name: operation for part in self.parts for name, operation in part.operations.items()}

    @property
    def watchers(self) -> list[Watcher]:
        """What takes open matters one step on."""
        return [watch for part in self.parts for watch in part.watchers]

    @property
    def checks(self) -> list[Callable[[], Check]]:
        """What the stages know of how they do."""
        return [check for part in self.parts for check in part.checks]


def compose(ports: Ports, tools: Tools, facts: NodeFacts, views: Views, choices: Choices | None = None) -> Services:
    """Put the use cases together, name each job's handler and serve the answers to peers."""
    choices, account, store = choices or Choices(), ports.keys.account, ports.store
    jobs = JobRunner(store.jobs, ports.now)
    treasury = Treasury(store.outbox, ports.sender, ports.now, choices.patience, lambda entry: _undo(jobs, entry))
    listings = Listings(ports.announcements, store, ports.network, ports.market, ports.verify, account)
    paying = _paying(ports, treasury)
    seller, storefront, files = _selling(ports, listings, tools)
    library, signatures = _library(ports, tools, storefront.unshare), Signatures(ports.sealing, ports.market)
    stage = _Stage(ports, listings, treasury, paying, seller, storefront, files, library.workshop.clearance)
    desk = _desk(stage, signatures, tools.directory / "pools", choices.coin_price)
    dues = PoolDues(desk, store, ports.market, account)
    pools = _pools(stage, desk, dues)
    credit_plans = CreditPlans(dues, ports.market, paying.quotes, listings.payers_of)
    money = Money(
        treasury,
        paying.payments,
        Royalties(ports.market, treasury, account, pools.credits),
        RoyaltyPlans(ports.market, paying.quotes, account, credit_plans, listings.payers_of),
        Allowances(ports.market, treasury, account),
        AllowancePlans(ports.market, paying.quotes, account),
    )
    adapter_files = AdapterFiles(tools.directory, tools.check_adapter, tools.blob_id_of, ports.now)
    market = _market(stage, pools, signatures, adapter_files, choices.delivery_patience_seconds)
    uses = _uses(stage, library.writing.write)
    federations = Federations(store.federations, ports.keys, ports.network, jobs, library.works, library.workshop)
    rounds = Rounds(store, ports.keys, ports.network.tunnels, library.workshop, tools.directory, tools.rounds)
    selling_now, states_of = (lambda: published(store.adapters, store.outbox)), market.prices.states
    bases = BaseOperations(jobs, library.bases)
    models = ModelOperations(store.adapters, jobs, library, selling_now, states_of)
    exports = _exports(ports, tools, listings, market.licenses, Place(facts.chain_id, facts.market))
    selling = Selling(market, library.workshop, jobs, facts.is_test_chain)
    node = NodeOperations(store, ports.keys, ports.network, ports.market, facts, views)
    parts = (
        Part(operations_of(node)),
        jobs_part(jobs),
        library.part(models, bases, pools.uses.timed(library.writing.generate)),
        money.part(MoneyOperations(money, jobs, listings.names_on_chain, facts.is_test_chain, facts.market)),
        market.part(selling, Buying(market, exports, jobs)),
        pools_part(pools, jobs),
        uses.part(jobs),
        federations_part(federations, rounds),
    )
    for part in parts:
        for kind in part.kinds:
            jobs.register(kind)
        for method, answer in part.answers.items():
            ports.network.serve(method, answer)
    first_start = FirstStart(store, jobs, library, models, selling, tools.write_samples)
    return Services(jobs, library, money, market, pools, uses, first_start, parts)


@dataclass(frozen=True)
class _Paying:
    """What payments cost, and making them."""

    quotes: GasQuotes
    payments: Payments
    payment_quotes: PaymentQuotes


@dataclass(frozen=True)
class _Stage:
    """What the use cases of the market share."""

    ports: Ports
    listings: Listings
    treasury: Treasury
    paying: _Paying
    seller: SellerKeys
    storefront: Storefront
    files: BundleFiles
    clearance: Clearance


def _paying(ports: Ports, treasury: Treasury) -> _Paying:
    market, account = ports.market, ports.keys.account
    quotes, permits = GasQuotes(ports.sender), Permits(market, ports.sender, account)
    payments = Payments(ports.store.outbox, market, treasury, permits, account)
    return _Paying(quotes, payments, PaymentQuotes(market, quotes, permits, account))


def _library(ports: Ports, tools: Tools, unshare: Callable[[AdapterRecord], None]) -> Library:
    store, directory, trainer = ports.store, tools.directory, tools.trainer
    works = WorkShelf(store, directory / "works", ports.sealing, tools.read_files, ports.now)
    reports = Reports(store.adapters, directory / "reports", ports.sealing)
    workshop = Workshop(
        store, works, reports, directory, ModelTools(trainer, tools.list_bases, tools.split_texts, tools.minute_of_day)
    )
    maker = BaseMaker(workshop, directory, trainer, tools.read_files)
    imports = Imports(store.adapters, works, workshop, directory, trainer)
    writing, removals = Writing(workshop, tools.writer), Removals(store, directory, unshare)
    views = BaseViews(workshop, workshop.clearance, store.adapters, directory, tools.machine)
    recipes = RecipeOperations(workshop, tools.read_sizes)
    return Library(works, workshop, writing, removals, maker, views, imports, reports, recipes)


def _selling(ports: Ports, listings: Listings, tools: Tools) -> tuple[SellerKeys, Storefront, BundleFiles]:
    keys = SellerKeys(ports.keys, ports.sealing, ports.delivery)
    files = BundleFiles(tools.directory / "bundles", tools.blob_id_of)
    return keys, Storefront(ports.store, keys, ports.network, listings, files.directory, ports.now), files


def _market(stage: "_Stage", pools: Pools, signatures: Signatures, files: AdapterFiles, patience: float) -> Market:
    ports, listings, treasury, paying = stage.ports, stage.listings, stage.treasury, stage.paying
    store, market, account = ports.store, ports.market, ports.keys.account
    own = OwnOffers(store.adapters, market, listings, account)
    secrets = OrderSecrets(store.sealed_orders, ports.sealing, ports.delivery)
    key_orders = KeyOrders(secrets, market, treasury, account, patience)
    choice = OfferChoice(market, account)
    asking = Asking(ports.keys, ports.network)
    requests = KeyRequests(ports.keys, ports.sealing, ports.network, ports.now)
    adapter_keys = AdapterKeys(listings, key_orders, requests, pools.uses, account)
    publications = PublicationOrders(store, market, listings, account, stage.clearance)
    bundles = Bundles(store.adapters, market, stage.seller, stage.files, stage.clearance)
    rights = KeyRights(market, treasury, pools.members)
    return Market(
        listings=listings,
        storefront=stage.storefront,
        publication_orders=publications,
        publication_plans=PublicationPlans(publications, market, paying.quotes, listings, account),
        publisher=Publisher(market, treasury, publications, bundles, stage.storefront),
        price_plans=PricePlans(market, paying.quotes, listings, own),
        prices=Prices(market, treasury, listings, own, ports.now),
        notice_plans=NoticePlans(market, paying.quotes, listings, account),
        notices=Notices(market, treasury, listings),
        purchase_plans=PurchasePlans(market, paying.payment_quotes, ports.delivery, listings, choice, asking),
        buyer=Buyer(market, paying.payments, listings, choice, key_orders, account),
        fetcher=Fetcher(store, ports.sealing, ports.network, listings, adapter_keys, files),
        licenses=LicenseList(market, listings, account),
        key_orders=key_orders,
        key_desk=KeyDesk(store.adapters, ports.sealing, listings, signatures, rights, ports.now),
        deliveries=Deliveries(store, market, treasury, stage.seller, listings),
    )


def _exports(ports: Ports, tools: Tools, listings: Listings, licenses: LicenseList, place: Place) -> Exports:
    return Exports(ports.store.adapters, tools.list_bases, listings, licenses, place, tools.export_files)


def _desk(stage: _Stage, signatures: Signatures, directory: Path, coin_price: int) -> PoolDesk:
    ports = stage.ports
    peers = PoolPeers(ports.keys.peer_id, ports.network, stage.listings.announcements, ports.now)
    chain, rule_book = (
        PoolChain(ports.market, stage.paying.quotes, coin_price),
        RuleBook(ports.store.pool_records, peers),
    )
    data = DivisionData(ports.market, rule_book, peers, directory)
    return PoolDesk(ports.store.pool_records, peers, chain, signatures, rule_book, data)


def _pools(stage: _Stage, desk: PoolDesk, dues: PoolDues) -> Pools:
    ports, listings, treasury, paying = stage.ports, stage.listings, stage.treasury, stage.paying
    store, market, account = ports.store, ports.market, ports.keys.account
    signer, due = PoolSigner(account, ports.sealing), DueDivisions(desk, market, treasury, account)
    choice, uses = PeriodChoice(desk, market, account), PoolUses(desk, store, market, listings, account)
    operator = PoolOperator(desk, store.pool_records, due, market, treasury, account)
    return Pools(
        desk=desk,
        openings=PoolOpenings(desk, market, treasury, account),
        opening_plans=PoolOpeningPlans(desk, market, paying.quotes, account),
        operator=operator,
        division_plans=DivisionPlans(due, market, paying.quotes),
        members=PoolMembers(desk, store.pool_records, market, treasury, listings, signer),
        credits=Credits(desk, dues, market, treasury),
        choice=choice,
        subscription_plans=SubscriptionPlans(desk, choice, paying.payment_quotes),
        subscriptions=Subscriptions(desk, store.outbox, choice, paying.payments),
        uses=uses,
        statements=UseStatements(desk, store.pool_records, market, treasury, uses, signer),
        view=PoolView(desk, market, uses, account, operator.is_watched, listings.names_on_chain),
    )


def _uses(stage: _Stage, write: Write) -> Uses:
    ports, listings, treasury, paying = stage.ports, stage.listings, stage.treasury, stage.paying
    store, market, account = ports.store, ports.market, ports.keys.account
    keys = UseKeys(ports.sealing, ports.vouchers, ports.verify)
    channels = PaidChannels(store, market, listings, account)
    return Uses(
        channels,
        ChannelJobs(store.channels, market, paying.payments, treasury, channels, keys),
        Metered(store.channels, channels, listings, ports.network, keys),
        Meter(store, market, treasury, listings, HolderKeys(ports.sealing, ports.vouchers), write),
        ChannelPlans(market, paying.payment_quotes, paying.quotes, channels, account),
        ReceiptFiles(store.channels, ports.keys),
    )


def _undo(jobs: JobRunner, entry: OutboxEntry) -> None:
    job, cause = entry.purpose.job, "a reorganisation of the chain has undone its transaction"
    jobs.undo(job, f"{cause}; order it again with: viz-node jobs resume {job}")
