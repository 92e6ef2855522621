"""The composition root: the parts of a node, put together once."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from viz_node import __version__
from viz_node.chain.endpoints import Endpoints
from viz_node.chain.market import MarketGateway
from viz_node.chain.transactions import TransactionSender
from viz_node.chain.vouchers import Vouchers
from viz_node.content.datasets import split_texts
from viz_node.content.importing import import_works
from viz_node.content.samples import HARBOUR, write_samples
from viz_node.daemon import doctor
from viz_node.daemon.chains import Chain
from viz_node.daemon.clock import now
from viz_node.daemon.config import Config, hub_environment, worker_environment
from viz_node.daemon.processes import WorkerRunner
from viz_node.daemon.secrets import Sealing
from viz_node.daemon.signers import make_signer
from viz_node.identity import delivery
from viz_node.identity.keystore import NodeKeys
from viz_node.identity.signatures import verify_bytes
from viz_node.models.adapter_files import check_adapter, export_adapter
from viz_node.models.bases import list_bases
from viz_node.p2p.blobs import blob_id_of
from viz_node.p2p.network import PeerNetwork
from viz_node.services.catalogue import MANIFEST_METHOD, Catalogue
from viz_node.services.deliver_key import KEY_METHOD, KeyDesk
from viz_node.services.deliver_orders import Deliveries
from viz_node.services.file_notice import Notices
from viz_node.services.first_start import FirstStart
from viz_node.services.jobs import JobRunner
from viz_node.services.join_federation import JOIN_METHOD, TERMS_METHOD, Federations
from viz_node.services.license_adapter import Buyer
from viz_node.services.manage_works import WorkShelf
from viz_node.services.operate_node import Operations
from viz_node.services.order_key import KeyOrders
from viz_node.services.pay_uses import Metered
from viz_node.services.plan_channels import ChannelPlans
from viz_node.services.plan_purchase import PurchasePlans
from viz_node.services.publish_adapter import Publisher
from viz_node.services.publish_receipts import ReceiptFiles
from viz_node.services.run_federation import Rounds
from viz_node.services.serve_uses import USE_METHOD, Meter
from viz_node.services.set_price import Prices
from viz_node.services.settle_royalties import Royalties
from viz_node.services.trade import Trade
from viz_node.services.train_adapter import Workshop
from viz_node.services.transact import Treasury
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
    "claim": "market",
    "fetch": "transfer",
    "federate": "federation",
}
_UNDONE = "a reorganisation of the chain has undone its transaction; order it again with: viz-node jobs resume"
DIRECTORIES = ("keys", "works", "bases", "adapters", "bundles", "checkpoints", "logs")


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


def build(config: Config, keys: NodeKeys, chain: Chain) -> Node:
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
    )
    catalogue = Catalogue(store, network, market, verify_bytes, keys.account, now)
    jobs = JobRunner(store, now, LANES)
    works = WorkShelf(store, home / "works", sealing, _read_files, now)
    workers = WorkerRunner(worker_environment(2, home / "flower"), home / "logs" / "workers.log", hub_environment())
    workshop = Workshop(
        store, works, home, run_worker=workers.run, list_bases=lambda: list_bases(home / "bases"),
        split_texts=lambda texts, seed: split_texts(texts, 0.1, seed),
    )  # fmt: skip
    trade = Trade(store, keys, sealing, network, market, treasury, catalogue, delivery, now)
    publisher = Publisher(trade, home / "bundles", blob_id_of)
    key_orders = KeyOrders(trade)
    buyer = Buyer(trade, key_orders, home, check_adapter)
    prices, notices = Prices(trade), Notices(trade)
    vouchers = Vouchers(chain.deployment)
    metered, meter = Metered(trade, vouchers, verify_bytes), Meter(trade, vouchers, workshop.write)
    federations = Federations(store, keys, network, jobs, works, workshop)
    rounds = Rounds(store, keys, network, workshop, home, workers.run)
    royalties = Royalties(market, treasury, keys.account)
    jobs.register("base_build", workshop.build_base)
    jobs.register("train", workshop.train)
    jobs.register("generate", workshop.generate)
    jobs.register("publish", publisher.publish)
    jobs.register("license", buyer.license)
    jobs.register("price", prices.set)
    jobs.register("channel", metered.open)
    jobs.register("top_up", metered.top_up)
    jobs.register("close", metered.close)
    jobs.register("use", metered.use)
    network.serve(USE_METHOD, meter.on_use)
    jobs.register("withdraw", prices.withdraw)
    jobs.register("notice", notices.file)
    jobs.register("fetch", buyer.fetch)
    jobs.register("claim", royalties.claim)
    jobs.register("federate", rounds.federate)
    network.serve(TERMS_METHOD, federations.on_terms)
    network.serve(JOIN_METHOD, federations.on_join)
    network.serve(MANIFEST_METHOD, publisher.on_manifest)
    network.serve(KEY_METHOD, KeyDesk(trade).on_key)
    network.on_announcement(catalogue.take_in)
    facts = {"version": __version__, "home": str(home), "started": now(), "rpc_url": chain.rpc_urls[0],
             "chain_id": chain.deployment.chain_id, "market": chain.deployment.market}  # fmt: skip
    operations = Operations(
        store, keys, facts, network=network, market=market, jobs=jobs, works=works, workshop=workshop,
        publisher=publisher, catalogue=catalogue, plans=PurchasePlans(trade, buyer), prices=prices, notices=notices,
        metered=metered, channel_plans=ChannelPlans(trade, metered), receipt_files=ReceiptFiles(store, keys),
        royalties_service=royalties, federations=federations,
        check_health=lambda: doctor.check(home),
        export_files=lambda source, target: export_adapter(Path(source), Path(target)),
    )  # fmt: skip
    first_start = FirstStart(store, jobs, operations, lambda: write_samples(home / "samples", HARBOUR))
    watchers = key_orders.watch, Deliveries(trade, publisher).watch, metered.watch, meter.watch
    return Node(config, store, network, jobs, treasury, catalogue, publisher, operations, first_start, watchers)


async def _read_files(paths: list[Path]) -> list[Mapping[str, Any]]:
    return [asdict(item) async for item in import_works(paths)]
