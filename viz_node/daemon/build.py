"""The composition root: the parts of a node, put together once."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from viz_node import __version__
from viz_node.audit.collect import DEVELOPMENT_CHAINS
from viz_node.chain.account.transactions import TransactionSender
from viz_node.chain.contract.vouchers import Vouchers
from viz_node.chain.gateway.market import MarketGateway
from viz_node.chain.node.endpoints import Endpoints
from viz_node.content.datasets import split_texts
from viz_node.content.importing import import_works
from viz_node.content.samples import HARBOUR, write_samples
from viz_node.daemon import doctor, health
from viz_node.daemon.chains import Chain
from viz_node.daemon.clock import now
from viz_node.daemon.config import Config, describe_config, hub_environment, worker_environment
from viz_node.daemon.metrics import Metrics
from viz_node.daemon.processes import WorkerRunner
from viz_node.daemon.secrets import Sealing
from viz_node.daemon.signers import make_signer
from viz_node.domain.ids import parse_amount
from viz_node.identity import delivery
from viz_node.identity.keystore import NodeKeys
from viz_node.identity.signatures import verify_bytes
from viz_node.models.adapter_files import check_adapter, export_adapter
from viz_node.models.bases import list_bases
from viz_node.p2p.blobs import blob_id_of
from viz_node.p2p.network import PeerNetwork
from viz_node.services.federations.join_federation import JOIN_METHOD, TERMS_METHOD, Federations
from viz_node.services.federations.run_federation import Rounds
from viz_node.services.first_start import FirstStart
from viz_node.services.jobs.runner import JobRunner
from viz_node.services.library.manage_works import WorkShelf
from viz_node.services.library.remove_adapter import Removals
from viz_node.services.library.train_adapter import Workshop
from viz_node.services.market.deliver_key import KEY_METHOD, KeyDesk
from viz_node.services.market.deliver_orders import Deliveries
from viz_node.services.market.file_notice import Notices
from viz_node.services.market.license_adapter import Buyer
from viz_node.services.market.list_licenses import LicenseList
from viz_node.services.market.listings import MANIFEST_METHOD, Catalogue
from viz_node.services.market.order_key import KeyOrders
from viz_node.services.market.plan_publication import PublicationPlans
from viz_node.services.market.plan_purchase import PurchasePlans
from viz_node.services.market.publish_adapter import Publisher
from viz_node.services.market.set_price import Prices
from viz_node.services.market.trade import Trade
from viz_node.services.money.allow_market import Allowances
from viz_node.services.money.settle_royalties import Royalties
from viz_node.services.money.transact import Treasury
from viz_node.services.operate_node import Operations
from viz_node.services.pools.join_pool import PoolMembers
from viz_node.services.pools.pool_desk import PoolDesk
from viz_node.services.pools.run_pool import PoolOperator
from viz_node.services.pools.show_pools import Pools
from viz_node.services.pools.subscribe_pool import Subscriptions
from viz_node.services.uses.pay_uses import Metered
from viz_node.services.uses.plan_channels import ChannelPlans
from viz_node.services.uses.publish_receipts import ReceiptFiles
from viz_node.services.uses.serve_uses import USE_METHOD, Meter
from viz_node.storage.store import Store

log = logging.getLogger(__name__)

LANES = {
    "base_build": "compute",
    "train": "compute",
    "generate": "inference",
    "publish": "market",
    "license": "market",
    "price": "market",
    "channel": "market",
    "top_up": "market",
    "close": "market",
    "use": "metered",
    "withdraw": "market",
    "notice": "market",
    "revoke": "market",
    "claim": "market",
    "fetch": "transfer",
    "pool": "market",
    "subscribe": "market",
    "divide": "market",
    "federate": "federation",
}
_UNDONE = "a reorganisation of the chain has undone its transaction; order it again with: viz-node jobs resume"
DIRECTORIES = ("keys", "works", "bases", "adapters", "bundles", "checkpoints", "logs", "pools")


@dataclass(frozen=True)
class Node:
    """Everything that runs in the daemon."""

    config: Config
    store: Store
    network: PeerNetwork
    jobs: JobRunner
    treasury: Treasury
    catalogue: Catalogue
    publisher: Publisher
    operations: Operations
    first_start: FirstStart
    watchers: Sequence[Callable[[], Awaitable[None]]]
    """Each takes open orders in escrow one step on."""
    chain_watch: health.ChainWatch
    read_metrics: Callable[[], Awaitable[bytes]]


def build(config: Config, keys: NodeKeys, chain: Chain, more_checks: Sequence[health.Probe] = ()) -> Node:
    """Put the parts together; nothing is started. Raises: StorageError."""
    home = config.home
    signer = make_signer(config, keys)
    store, sealing = Store(home / "node.db"), Sealing(keys, signer.sign_text)
    endpoints = Endpoints(chain.rpc_urls, chain.deployment)
    market = MarketGateway(endpoints, chain.deployment)
    sender = TransactionSender(endpoints, chain.deployment, signer, chain.confirmations)
    treasury = Treasury(store, sender, now, on_undone=lambda entry: jobs.undo(str(entry.detail.get("job")), _UNDONE))
    network = PeerNetwork(
        keys.network_seed,
        config.listen,
        list(config.bootstrap),
        lambda raw: catalogue.check_announcement(raw),  # noqa: PLW0108 - the catalogue is made below
        lambda: catalogue.known(),  # noqa: PLW0108
        announce=config.announce,
        is_public=not config.dev,
    )
    catalogue = Catalogue(store, network, market, verify_bytes, keys.account, now)
    jobs = JobRunner(store, now, LANES)
    works = WorkShelf(store, home / "works", sealing, _read_files, now)
    workers = WorkerRunner(worker_environment(2, home / "flower"), home / "logs" / "workers.log", hub_environment())
    workshop = Workshop(
        store, works, home, run_worker=workers.run, list_bases=lambda: list_bases(home / "bases"),
        split_texts=lambda texts, seed: split_texts(texts, 0.1, seed),
    )  # fmt: skip
    workshop.settle_default()
    trade = Trade(store, keys, sealing, network, market, treasury, catalogue, delivery, now)
    publisher = Publisher(trade, home / "bundles", blob_id_of)
    desk = PoolDesk(trade, home / "pools", parse_amount(config.coin_price))
    pools = Pools(desk, PoolOperator(desk), PoolMembers(desk), Subscriptions(desk))
    key_orders = KeyOrders(trade)
    buyer = Buyer(trade, key_orders, pools.subscriptions, home, check_adapter, blob_id_of)
    prices, notices, allowances = Prices(trade), Notices(trade), Allowances(trade)
    vouchers = Vouchers(chain.deployment)
    metered, meter = Metered(trade, vouchers, verify_bytes), Meter(trade, vouchers, workshop.write)
    federations = Federations(store, keys, network, jobs, works, workshop)
    rounds = Rounds(store, keys, network, workshop, home, workers.run)
    royalties = Royalties(market, treasury, keys.account, pools.members)
    handlers = {
        "base_build": workshop.build_base,
        "train": workshop.train,
        "generate": pools.subscriptions.timed(workshop.generate),
        "publish": publisher.publish,
        "license": buyer.license,
        "price": prices.set,
        "channel": metered.open,
        "top_up": metered.top_up,
        "close": metered.close,
        "use": metered.use,
        "withdraw": prices.withdraw,
        "notice": notices.file,
        "revoke": allowances.revoke,
        "fetch": buyer.fetch,
        "claim": royalties.claim,
        "federate": rounds.federate,
        **pools.handlers(),
    }
    for kind, handler in handlers.items():
        jobs.register(kind, handler)
    answers = {
        USE_METHOD: meter.on_use,
        TERMS_METHOD: federations.on_terms,
        JOIN_METHOD: federations.on_join,
        MANIFEST_METHOD: publisher.on_manifest,
        KEY_METHOD: KeyDesk(trade, pools.members).on_key,
        **pools.answers(),
    }
    for method, answer in answers.items():
        network.serve(method, answer)
    network.on_announcement(catalogue.take_in)
    facts = {"version": __version__, "home": str(home), "started": now(), "rpc_url": chain.rpc_urls[0],
             "chain_id": chain.deployment.chain_id, "market": chain.deployment.market,
             "is_test_chain": chain.deployment.chain_id in DEVELOPMENT_CHAINS}  # fmt: skip
    chain_watch = health.ChainWatch(market.block_time)
    probes = health.vital_checks(home, network, chain_watch, more_checks)
    removals = Removals(store, home, publisher.unshare)
    removals.finish()
    metrics = Metrics(store, probes, chain_watch, now)
    operations = Operations(
        store, keys, facts, network=network, market=market, jobs=jobs, works=works, workshop=workshop,
        publisher=publisher, catalogue=catalogue, plans=PurchasePlans(trade, buyer),
        publications=PublicationPlans(trade, publisher), licenses=LicenseList(market, catalogue, keys.account),
        prices=prices, notices=notices, allowances=allowances,
        metered=metered, channel_plans=ChannelPlans(trade, metered), pools=pools,
        receipt_files=ReceiptFiles(store, keys),
        royalties_service=royalties, federations=federations, removals=removals,
        check_health=lambda peers: doctor.check(
            home, doctor.Running(config, chain, keys.account, probes, peers, network.addresses)
        ),
        find_problems=lambda: [item.to_row() for item in health.problems_of(probes)],
        describe_config=lambda: describe_config(config),
        export_files=lambda source, target: export_adapter(Path(source), Path(target)),
    )  # fmt: skip
    first_start = FirstStart(store, jobs, operations, lambda: write_samples(home / "samples", HARBOUR))
    watchers = key_orders.watch, Deliveries(trade, publisher).watch, metered.watch, meter.watch, pools.watch
    return Node(
        config,
        store,
        network,
        jobs,
        treasury,
        catalogue,
        publisher,
        operations,
        first_start,
        watchers,
        chain_watch,
        lambda: metrics.read(network.peers),
    )


async def _read_files(paths: list[Path], encoding: str) -> list[Mapping[str, Any]]:
    return [asdict(item) async for item in import_works(paths, encoding=encoding)]
