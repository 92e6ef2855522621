"""What buying and selling share: the node's state and keys, the network, the market and the money."""

from collections.abc import Callable
from dataclasses import dataclass

from viz_node.ports import KeyDelivery, Keys, MarketGateway, PeerNetwork, Sealing, Store
from viz_node.services.catalogue import Catalogue
from viz_node.services.transact import Treasury


@dataclass(frozen=True)
class Trade:
    """One node's access to everything that a sale touches."""

    store: Store
    keys: Keys
    sealing: Sealing
    network: PeerNetwork
    market: MarketGateway
    treasury: Treasury
    catalogue: Catalogue
    delivery: KeyDelivery
    now: Callable[[], int]
