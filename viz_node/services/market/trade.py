"""What buying and selling share: the node's state and keys, the network, the market and the money."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from viz_node.domain.manifest import AdapterManifest
from viz_node.domain.offer import Offer
from viz_node.ports import keys, market, money, network, pools, uses
from viz_node.ports.keys import KeyDelivery, Keys
from viz_node.ports.state import Store
from viz_node.services.market.listings import Catalogue
from viz_node.services.money.pay_price import Payments
from viz_node.services.money.quote_payment import PaymentQuotes
from viz_node.services.money.transact import Treasury


class Sealing(
    keys.AccountSigning,
    keys.BundleSealing,
    keys.BundleOpening,
    keys.KeyWrapping,
    keys.PeerSigning,
    keys.SessionSealing,
    Protocol,
):
    """All that needs a key."""


class PeerNetwork(network.Listening, network.Publishing, network.Transfer, Protocol):
    """Other nodes."""


class MarketGateway(
    market.Items,
    market.LicenseBook,
    market.Publications,
    market.Pricing,
    market.NoticeBoard,
    market.Purchases,
    market.OwnOrders,
    market.OrdersToDeliver,
    market.Licenses,
    market.Wallets,
    money.Allowing,
    money.PermitTokens,
    money.Earnings,
    uses.PaidUses,
    uses.ChannelCalls,
    uses.EarnedUses,
    pools.PoolFacts,
    pools.PoolTables,
    pools.PoolOpening,
    pools.PoolDivisions,
    pools.PoolCredits,
    pools.PoolSubscriptions,
    Protocol,
):
    """The whole market."""


@dataclass(frozen=True)
class Trade:
    """One node's access to everything that a sale touches."""

    store: Store
    keys: Keys
    sealing: Sealing
    network: PeerNetwork
    market: MarketGateway
    treasury: Treasury
    quotes: money.Quotes
    payments: Payments
    payment_quotes: PaymentQuotes
    catalogue: Catalogue
    delivery: KeyDelivery
    now: Callable[[], int]

    def item_of(self, manifest: AdapterManifest, offer: Offer) -> int:
        """What a purchase names, so that the market sells nothing but what the signer of this manifest offers."""
        digest, key_hash = bytes.fromhex(manifest.adapter_id()), bytes.fromhex(manifest.key_hash)
        return self.market.item_of(offer, manifest.account, digest, key_hash)
