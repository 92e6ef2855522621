"""The use cases of a node, made from ports alone: the daemon and the tests' world both use it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from viz_node.domain.records import AdapterRecord, OutboxEntry
from viz_node.ports import network as networks
from viz_node.ports.keys import KeyDelivery, Keys, VerifyBytes, VoucherSigning
from viz_node.ports.money import GasPricing, TransactionSender, TypedDataSigning
from viz_node.ports.node import Answering, Neighbours, Purse
from viz_node.ports.state import Store
from viz_node.ports.workers import RoundsRunner, Trainer
from viz_node.services.federations.join_federation import Federations
from viz_node.services.federations.part import federations_part
from viz_node.services.federations.run_federation import Rounds
from viz_node.services.jobs.part import jobs_part
from viz_node.services.jobs.runner import JobRunner
from viz_node.services.library.manage_works import ReadTexts, WorkShelf
from viz_node.services.library.part import ExportFiles, Library, ModelOperations
from viz_node.services.library.remove_adapter import Removals
from viz_node.services.library.train_adapter import ListBases, SplitTexts, Workshop
from viz_node.services.market.announcements import Announcements
from viz_node.services.market.deliver_key import KeyDesk
from viz_node.services.market.deliver_orders import Deliveries
from viz_node.services.market.file_notice import Notices
from viz_node.services.market.license_adapter import Buyer, CheckAdapter
from viz_node.services.market.list_licenses import LicenseList
from viz_node.services.market.listings import Catalogue
from viz_node.services.market.order_key import KeyOrders
from viz_node.services.market.part import Buying, Market, Selling
from viz_node.services.market.plan_publication import PublicationPlans
from viz_node.services.market.plan_purchase import PurchasePlans
from viz_node.services.market.publish_adapter import Publisher
from viz_node.services.market.set_price import Prices
from viz_node.services.market.trade import MarketGateway, PeerNetwork, Sealing, Trade
from viz_node.services.money.allow_market import AllowancePlans, Allowances
from viz_node.services.money.part import Money, MoneyOperations
from viz_node.services.money.pay_price import Payments
from viz_node.services.money.quote_gas import GasQuotes
from viz_node.services.money.quote_payment import PaymentQuotes
from viz_node.services.money.settle_royalties import Royalties, RoyaltyPlans
from viz_node.services.money.sign_permit import Permits
from viz_node.services.money.transact import Patience, Treasury
from viz_node.services.node.first_start import FirstStart
from viz_node.services.node.part import NodeFacts, NodeOperations, Views
from viz_node.services.part import Operation, Part, Watcher, operations_of
from viz_node.services.pools.join_pool import PoolMembers
from viz_node.services.pools.part import pools_part
from viz_node.services.pools.pool_desk import PoolDesk
from viz_node.services.pools.run_pool import PoolOperator
from viz_node.services.pools.show_pools import Pools
from viz_node.services.pools.subscribe_pool import Subscriptions
from viz_node.services.uses.part import Uses
from viz_node.services.uses.pay_uses import Metered
from viz_node.services.uses.plan_channels import ChannelPlans
from viz_node.services.uses.publish_receipts import ReceiptFiles
from viz_node.services.uses.serve_uses import Meter

_UNDONE = "a reorganisation of the chain has undone its transaction; order it again with: viz-node jobs resume"


class Network(PeerNetwork, networks.Invitations, Answering, Neighbours, Protocol):
    """All that has to do with other nodes."""

    @property
    def tunnels(self) -> networks.Tunnels: ...


class Chain(MarketGateway, Purse, Protocol):
    """All that the chain tells, and the calls that change it."""


class AccountSender(TransactionSender, GasPricing, TypedDataSigning, Protocol):
    """One account on one chain, with what its calls cost."""


@dataclass(frozen=True)
class Ports:
    """What a node reaches the world by."""

    store: Store
    keys: Keys
    sealing: Sealing
    network: Network
    market: Chain
    sender: AccountSender
    delivery: KeyDelivery
    vouchers: VoucherSigning
    announcements: Announcements
    verify: VerifyBytes
    now: Callable[[], int]


@dataclass(frozen=True)
class Tools:
    """What works on this node's files; `directory` is its home."""

    directory: Path
    trainer: Trainer
    rounds: RoundsRunner
    read_files: ReadTexts
    list_bases: ListBases
    split_texts: SplitTexts
    check_adapter: CheckAdapter
    export_files: ExportFiles
    blob_id_of: Callable[[Path], str]
    write_samples: Callable[[], list[Path]]


@dataclass(frozen=True)
class Choices:
    """What a node may do otherwise than others; `coin_price` in token units."""

    patience: Patience | None = None
    delivery_patience_seconds: float = 120
    coin_price: int = 0


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


def compose(ports: Ports, tools: Tools, facts: NodeFacts, views: Views, choices: Choices | None = None) -> Services:
    """Put the use cases together, name each job's handler and serve the answers to peers."""
    choices, account = choices or Choices(), ports.keys.account
    jobs = JobRunner(ports.store, ports.now)
    treasury = Treasury(ports.store, ports.sender, ports.now, choices.patience, lambda entry: _undo(jobs, entry))
    catalogue = Catalogue(ports.announcements, ports.store, ports.network, ports.market, ports.verify, account)
    paying = _paying(ports, treasury)
    trade = Trade(
        ports.store, ports.keys, ports.sealing, ports.network, ports.market, treasury, paying.quotes, paying.payments,
        paying.payment_quotes, catalogue, ports.delivery, ports.now,
    )  # fmt: skip
    publisher = Publisher(trade, tools.directory / "bundles", tools.blob_id_of)
    library = _library(ports, tools, publisher.unshare)
    desk = PoolDesk(trade, tools.directory / "pools", choices.coin_price)
    pools = Pools(desk, PoolOperator(desk), PoolMembers(desk), Subscriptions(desk))
    money = Money(
        treasury,
        paying.payments,
        Royalties(ports.market, treasury, account, pools.members),
        RoyaltyPlans(ports.market, paying.quotes, account, pools.members),
        Allowances(ports.market, treasury, account),
        AllowancePlans(ports.market, paying.quotes, account),
    )
    market = _market(trade, publisher, pools, tools, choices)
    metered = Metered(trade, ports.vouchers, ports.verify)
    meter = Meter(trade, ports.vouchers, library.workshop.write)
    uses = Uses(metered, meter, ChannelPlans(trade, metered), ReceiptFiles(ports.store, ports.keys))
    federations = Federations(ports.store, ports.keys, ports.network, jobs, library.works, library.workshop)
    rounds = Rounds(ports.store, ports.keys, ports.network.tunnels, library.workshop, tools.directory, tools.rounds)
    models = ModelOperations(ports.store, jobs, library, publisher.published, tools.export_files)
    selling = Selling(market, library.workshop, jobs, facts.is_test_chain)
    node = NodeOperations(ports.store, ports.keys, ports.network, ports.market, facts, views)
    parts = (
        Part(operations_of(node)),
        jobs_part(jobs),
        library.part(models, pools.subscriptions.timed(library.workshop.generate)),
        money.part(MoneyOperations(money, jobs, catalogue.name_of, facts.is_test_chain, facts.market)),
        market.part(selling, Buying(market, jobs)),
        pools_part(pools, jobs),
        uses.part(jobs),
        federations_part(federations, rounds),
    )
    for part in parts:
        for kind, (lane, handler) in part.handlers.items():
            jobs.register(kind, lane, handler)
        for method, answer in part.answers.items():
            ports.network.serve(method, answer)
    first_start = FirstStart(ports.store, jobs, library, models, selling, tools.write_samples)
    return Services(jobs, library, money, market, pools, uses, first_start, parts)


@dataclass(frozen=True)
class _Paying:
    """What payments cost, and making them."""

    quotes: GasQuotes
    payments: Payments
    payment_quotes: PaymentQuotes


def _paying(ports: Ports, treasury: Treasury) -> _Paying:
    market, account = ports.market, ports.keys.account
    quotes, permits = GasQuotes(ports.sender), Permits(market, ports.sender, account)
    payments = Payments(ports.store, market, treasury, permits, account)
    return _Paying(quotes, payments, PaymentQuotes(market, quotes, permits, account))


def _library(ports: Ports, tools: Tools, unshare: Callable[[AdapterRecord], None]) -> Library:
    works = WorkShelf(ports.store, tools.directory / "works", ports.sealing, tools.read_files, ports.now)
    workshop = Workshop(
        ports.store, works, tools.directory, trainer=tools.trainer, list_bases=tools.list_bases,
        split_texts=tools.split_texts,
    )  # fmt: skip
    return Library(works, workshop, Removals(ports.store, tools.directory, unshare))


def _market(trade: Trade, publisher: Publisher, pools: Pools, tools: Tools, choices: Choices) -> Market:
    orders = KeyOrders(trade, choices.delivery_patience_seconds)
    buyer = Buyer(trade, orders, pools.subscriptions, tools.directory, tools.check_adapter, tools.blob_id_of)
    return Market(
        trade.catalogue,
        publisher,
        PublicationPlans(trade, publisher),
        Prices(trade),
        Notices(trade),
        buyer,
        PurchasePlans(trade, buyer),
        LicenseList(trade.market, trade.catalogue, trade.keys.account),
        orders,
        KeyDesk(trade, pools.members),
        Deliveries(trade, publisher),
    )


def _undo(jobs: JobRunner, entry: OutboxEntry) -> None:
    jobs.undo(str(entry.detail.get("job")), _UNDONE)
