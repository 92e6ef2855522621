"""What the use cases of a node are made from: ports to the world, tools for its files, and its choices."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from viz_node.domain.base_needs import Machine
from viz_node.ports import keys as keys_ports
from viz_node.ports import market as market_ports
from viz_node.ports import money as money_ports
from viz_node.ports import network as network_ports
from viz_node.ports import pools as pools_ports
from viz_node.ports import uses as uses_ports
from viz_node.ports.keys import KeyDelivery, Keys, VerifyBytes, VoucherSigning
from viz_node.ports.money import GasPricing, TransactionSender, TypedDataSigning
from viz_node.ports.node import Answering, Neighbours, Purse
from viz_node.ports.state import State
from viz_node.ports.workers import RoundsRunner, TextWriter, Trainer
from viz_node.services.library.manage_works import ReadTexts
from viz_node.services.library.suggest_recipe import ReadSizes
from viz_node.services.library.train_adapter import ListBases, SplitTexts
from viz_node.services.market.announcements import Announcements
from viz_node.services.market.export_adapter import ExportFiles
from viz_node.services.market.fetch_adapter import CheckAdapter
from viz_node.services.money.transact import Patience


class Sealing(
    keys_ports.AccountRecovery,
    keys_ports.AccountSigning,
    keys_ports.BundleSealing,
    keys_ports.BundleOpening,
    keys_ports.KeyWrapping,
    keys_ports.PeerSigning,
    keys_ports.SessionSealing,
    Protocol,
):
    """All that needs a key."""


class Network(
    network_ports.Listening,
    network_ports.Publishing,
    network_ports.Transfer,
    network_ports.Invitations,
    Answering,
    Neighbours,
    Protocol,
):
    """All that has to do with other nodes."""

    @property
    def tunnels(self) -> network_ports.Tunnels: ...


class Chain(
    market_ports.LicenseBook,
    market_ports.Publications,
    market_ports.Pricing,
    market_ports.NoticeBoard,
    market_ports.Purchases,
    market_ports.OwnOrders,
    market_ports.OrdersToDeliver,
    market_ports.Licenses,
    market_ports.Wallets,
    money_ports.Allowing,
    money_ports.PermitTokens,
    money_ports.Earnings,
    uses_ports.PaidUses,
    uses_ports.ChannelCalls,
    uses_ports.EarnedUses,
    pools_ports.PoolReading,
    pools_ports.PoolTables,
    pools_ports.PoolOpening,
    pools_ports.PoolDivisions,
    pools_ports.PoolCredits,
    pools_ports.PoolSubscriptions,
    Purse,
    Protocol,
):
    """All that the chain tells, and the calls that change it."""


class AccountSender(TransactionSender, GasPricing, TypedDataSigning, Protocol):
    """One account on one chain, with what its calls cost."""


@dataclass(frozen=True)
class Ports:
    """What a node reaches the world by."""

    store: State
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
    writer: TextWriter
    rounds: RoundsRunner
    read_files: ReadTexts
    list_bases: ListBases
    split_texts: SplitTexts
    read_sizes: ReadSizes
    check_adapter: CheckAdapter
    export_files: ExportFiles
    minute_of_day: Callable[[], int]
    """By the clock on the wall: people plan by it."""
    blob_id_of: Callable[[Path], str]
    write_samples: Callable[[], list[Path]]
    machine: Callable[[], Machine] = Machine


@dataclass(frozen=True)
class Choices:
    """What a node may do otherwise than others; `coin_price` in token units."""

    patience: Patience | None = None
    delivery_patience_seconds: float = 120
    coin_price: int = 0
