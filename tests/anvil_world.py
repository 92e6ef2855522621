"""Nodes made of the real services, on a market of a real Anvil; peers reach each other in memory."""

from pathlib import Path
from typing import Any

from tests.anvil_market import AnvilMarket
from tests.fakes.world import Member, World
from viz_node.chain.account.transactions import TransactionSender
from viz_node.chain.development.faucet import fund


class AnvilWorld(World):
    """Nodes on one real chain."""

    patience_seconds = 10.0
    mined_seconds = 60.0

    def __init__(self, directory: Path, rpc_url: str) -> None:
        super().__init__(directory)
        self.anvil = AnvilMarket(rpc_url)

    def market(self) -> Any:
        return self.anvil.gateway

    def sender(self, member: Member) -> TransactionSender:
        return TransactionSender(self.anvil.rpc_url, self.anvil.deployment, member.keys.account_key)

    def node(self, name: str, tokens: int = 0) -> Member:
        member = super().node(name)
        fund(self.anvil.rpc_url, self.anvil.deployment, member.keys.account, tokens)
        return member

    def tokens(self, member: Member) -> int:
        return self.anvil.gateway.balances(member.keys.account).token

    def states(self, member: Member) -> list[str]:
        return [str(order.state) for order in self.anvil.gateway.orders_paid_by(member.keys.account)]
