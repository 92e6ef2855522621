"""The composition root: the parts of a node, put together once."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from viz_node import __version__
from viz_node.api.guard import Sessions
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
from viz_node.daemon.clock import minute_of_day, now
from viz_node.daemon.config import Config, describe_config, hub_environment, worker_environment
from viz_node.daemon.machine import this_machine
from viz_node.daemon.metrics import Metrics
from viz_node.daemon.processes import Workers
from viz_node.daemon.secrets import Sealing, scrape_token
from viz_node.daemon.signers import make_signer
from viz_node.domain.health import Check
from viz_node.domain.ids import parse_amount
from viz_node.domain.work import ImportedWork, ImportFailure
from viz_node.identity import delivery
from viz_node.identity.keystore import NodeKeys
from viz_node.identity.signatures import verify_bytes
from viz_node.models.adapter_files import check_adapter, export_adapter
from viz_node.models.bases import list_bases, read_sizes
from viz_node.p2p.blobs import blob_id_of
from viz_node.p2p.core import Whereabouts
from viz_node.p2p.network import PeerNetwork
from viz_node.services.compose import Services, compose
from viz_node.services.market.announcements import Announcements
from viz_node.services.needs import Choices, Ports, Tools
from viz_node.services.node.part import NodeFacts, Views
from viz_node.storage.store import Store

DIRECTORIES = ("keys", "works", "bases", "adapters", "bundles", "checkpoints", "reports", "logs", "pools")


@dataclass(frozen=True)
class Node:
    """Everything that runs in the daemon."""

    config: Config
    facts: NodeFacts
    keys: NodeKeys
    store: Store
    network: PeerNetwork
    announcements: Announcements
    services: Services
    sessions: Sessions
    token: str
    """Opens the local API."""
    login_link: Callable[[], str]
    """Of the dashboard; it works once."""
    chain_watch: health.ChainWatch
    find_unwell: Callable[[], list[Check]]
    end_writer: Callable[[], Awaitable[None]]
    read_metrics: Callable[[], Awaitable[bytes]]


def build(config: Config, keys: NodeKeys, chain: Chain, more_checks: Sequence[health.Probe] = ()) -> Node:
    """Put the parts together; nothing is started. Raises: StorageError."""
    home = config.home
    store = Store(home / "node.db")
    announcements = Announcements(store.announcements, verify_bytes, now)
    network = _network(config, keys, announcements)
    endpoints = Endpoints(chain.rpc_urls, chain.deployment)
    market, signer = MarketGateway(endpoints, chain.deployment), make_signer(config, keys)
    sender = TransactionSender(endpoints, chain.deployment, signer, chain.confirmations)
    sealing, vouchers = Sealing(keys, signer.sign_text), Vouchers(chain.deployment)
    ports = Ports(
        store, keys, sealing, network, market, sender, delivery, vouchers, announcements, verify_bytes, now
    )  # fmt: skip
    facts = _facts(home, chain)
    chain_watch = health.ChainWatch(market.block_time)
    probes = health.vital_checks(home, network.runner, chain_watch, more_checks)
    workers = _workers(config)
    probes.append(workers.writer.check)
    token = secrets.token_urlsafe(32)
    sessions = Sessions(token, scrape_token=scrape_token(home))
    views = Views(
        dashboard=lambda: f"http://127.0.0.1:{config.api_port}{sessions.login_path()}",
        check_health=lambda peers: doctor.check(
            home, doctor.Running(config, chain, keys.account, probes, peers, network.addresses)
        ),
        find_unwell=lambda: health.unwell_of(probes),
        held_model=lambda: workers.writer.held,
        describe_config=lambda: describe_config(config),
    )
    services = compose(ports, _tools(home, workers), facts, views, Choices(coin_price=parse_amount(config.coin_price)))
    probes += services.checks
    services.library.workshop.settle_default()
    services.library.removals.finish()
    metrics = Metrics(store, probes, chain_watch, now)
    return Node(
        config,
        facts,
        keys,
        store,
        network,
        announcements,
        services,
        sessions,
        token,
        views.dashboard,
        chain_watch,
        views.find_unwell,
        workers.writer.close,
        lambda: metrics.read(network.peers),
    )


def _network(config: Config, keys: NodeKeys, announcements: Announcements) -> PeerNetwork:
    network = PeerNetwork(
        keys.network_seed,
        Whereabouts(config.listen, tuple(config.bootstrap), tuple(config.announce), is_public=not config.dev),
        announcements.check,
        announcements.known,
    )
    network.on_announcement(announcements.take_in)
    return network


def _facts(home: Path, chain: Chain) -> NodeFacts:
    return NodeFacts(
        version=__version__,
        home=str(home),
        started=now(),
        rpc_url=chain.rpc_urls[0],
        chain_id=chain.deployment.chain_id,
        market=chain.deployment.market,
        is_test_chain=chain.deployment.chain_id in DEVELOPMENT_CHAINS,
    )


def _workers(config: Config) -> Workers:
    environment, log_path = worker_environment(2, config.home / "flower"), config.home / "logs" / "workers.log"
    return Workers(environment, log_path, hub_environment(), config.device, config.model_idle_seconds)


def _tools(home: Path, workers: Workers) -> Tools:
    return Tools(
        directory=home,
        trainer=workers,
        writer=workers.writer,
        rounds=workers,
        read_files=_read_files,
        list_bases=lambda: list_bases(home / "bases"),
        read_sizes=read_sizes,
        split_texts=lambda texts, seed: split_texts(texts, 0.1, seed),
        check_adapter=check_adapter,
        minute_of_day=minute_of_day,
        export_files=lambda source, target, card: export_adapter(Path(source), Path(target), card),
        blob_id_of=blob_id_of,
        write_samples=lambda: write_samples(home / "samples", HARBOUR),
        machine=this_machine,
    )


def _read_files(paths: list[Path], encoding: str) -> AsyncIterator[ImportedWork | ImportFailure]:
    return import_works(paths, encoding=encoding)
