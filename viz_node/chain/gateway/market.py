"""The whole market behind one endpoint: every entry point of the contract, and typed reads of its state."""

from viz_node.chain.gateway.channels import ChannelsGateway
from viz_node.chain.gateway.divisions import DivisionsGateway
from viz_node.chain.gateway.escrow import EscrowGateway
from viz_node.chain.gateway.notices import NoticesGateway
from viz_node.chain.gateway.payments import PaymentsGateway
from viz_node.chain.gateway.pools import PoolsGateway
from viz_node.chain.gateway.prices import PricesGateway
from viz_node.chain.gateway.sales import SalesGateway
from viz_node.chain.gateway.subscriptions import SubscriptionsGateway
from viz_node.chain.gateway.wallets import WalletsGateway
from viz_node.domain.market import Balances, ChainAdapter
from viz_node.domain.offer import Offer, Sale

__all__ = ["Balances", "ChainAdapter", "MarketGateway", "Offer", "Sale"]


class MarketGateway(
    SalesGateway,
    PaymentsGateway,
    PricesGateway,
    NoticesGateway,
    EscrowGateway,
    ChannelsGateway,
    PoolsGateway,
    DivisionsGateway,
    SubscriptionsGateway,
    WalletsGateway,
):
    """One deployed market, composed of the parts that the contract is composed of."""
