"""A market of its own on a real Anvil, and accounts with test money that act on it."""

import secrets
from pathlib import Path
from typing import Any

from viz_node.chain.anvil import deploy_for_development, fund
from viz_node.chain.market import MarketGateway
from viz_node.chain.rpc import JsonRpc
from viz_node.chain.signing import account_of_key
from viz_node.chain.transactions import Call, Receipt, TransactionSender
from viz_node.domain.ids import Account, BasisPoints, TokenAmount
from viz_node.domain.offer import OfferTerms
from viz_node.domain.royalty import RoyaltySplit, split_from_shares, with_platform

ANVIL = Path(__file__).resolve().parents[1] / "contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
PRICE = TokenAmount(5_000_001)
DIGESTS = (b"\1" * 32, b"\2" * 32, b"\3" * 32)
OTHERS = [Account("0x" + f"{number:02x}" * 20) for number in range(1, 5)]


class AnvilMarket:
    """A deployed market, a seller, and a buyer with money."""

    def __init__(self, rpc_url: str) -> None:
        self.rpc_url = rpc_url
        self.deployment = deploy_for_development(rpc_url)
        self.gateway = MarketGateway(rpc_url, self.deployment)
        self.owner = self.sender()
        self.buyer = self.sender()
        self.split = self.split_with(self.owner.account)

    def sender(self, tokens: int = 10**9) -> TransactionSender:
        key = secrets.token_bytes(32)
        fund(self.rpc_url, self.deployment, account_of_key(key), tokens)
        return TransactionSender(self.rpc_url, self.deployment, key)

    def split_with(self, owner: Account) -> RoyaltySplit:
        split = split_from_shares({owner: BasisPoints(6000), **{other: BasisPoints(1000) for other in OTHERS}})
        return self.with_platform(split)

    def with_platform(self, split: RoyaltySplit) -> RoyaltySplit:
        facts = self.gateway.facts()
        return with_platform(split, facts.platform, facts.platform_fee)

    def do(self, sender: TransactionSender, call: Call) -> Receipt:
        signed = sender.sign(call, sender.next_nonce())
        sender.broadcast(signed.raw)
        receipt = sender.wait(signed.tx_hash, 20)
        assert receipt.status == 1, call.description
        return receipt

    def publish(self, terms: OfferTerms | None = None, digests: tuple[bytes, bytes, bytes] = DIGESTS) -> int:
        call = self.gateway.prepare_publish(digests, self.split, terms or OfferTerms(PRICE))
        return self.do(self.owner, call).logs[2].key

    def buy(self, offer_id: int) -> Receipt:
        self.approve(self.buyer)
        return self.do(self.buyer, self.gateway.prepare_buy(offer_id, self.buyer.account, PRICE, b"\4" * 32))

    def approve(self, sender: TransactionSender, amount: int = 100 * PRICE) -> None:
        self.do(sender, self.gateway.prepare_approve(TokenAmount(amount)))

    def pass_time(self, seconds: int) -> None:
        """Mine a block that many seconds later."""
        self.ask("evm_increaseTime", seconds)
        self.ask("evm_mine")

    def ask(self, method: str, *params: Any) -> Any:
        rpc = JsonRpc(self.rpc_url)
        try:
            return rpc.call(method, *params)
        finally:
            rpc.close()
