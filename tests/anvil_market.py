"""A market of its own on a real Anvil, and accounts with test money that act on it."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coincurve import PrivateKey

from viz_node.chain.account.signing import account_of_key
from viz_node.chain.account.transactions import EntryReceipt, TransactionSender
from viz_node.chain.contract.artifact import load_artifact
from viz_node.chain.development.anvil import start_anvil, stop_anvil
from viz_node.chain.development.faucet import deploy_for_development, fund
from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.gateway.market import MarketGateway
from viz_node.chain.node.rpc import JsonRpc
from viz_node.daemon.config import ANVIL
from viz_node.domain.deployment import Deployment
from viz_node.domain.ids import Account, BasisPoints, TokenAmount
from viz_node.domain.offer import OfferTerms
from viz_node.domain.purchase import NewOrder
from viz_node.domain.royalty import RoyaltySplit, split_from_shares, with_platform
from viz_node.domain.transaction import Call

PRICE = TokenAmount(5_000_001)
DIGESTS = (b"\1" * 32, b"\2" * 32, b"\3" * 32)
KEY_HASH = keccak(b"k")
OTHERS = [Account("0x" + f"{number:02x}" * 20) for number in range(1, 5)]


class AnvilMarket:
    """A deployed market, a seller, and a buyer with money."""

    def __init__(self, rpc_url: str, deployment: Deployment | None = None) -> None:
        self.rpc_url = rpc_url
        self.deployment = deployment or deploy_for_development(rpc_url)
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

    def do(self, sender: TransactionSender, call: Call) -> EntryReceipt:
        signed = sender.sign(call, sender.next_nonce())
        sender.broadcast(signed.raw)
        receipt = sender.wait(signed.tx_hash, 20)
        assert receipt.status == 1, call.description
        return receipt

    def publish(
        self,
        terms: OfferTerms | None = None,
        digests: tuple[bytes, bytes, bytes] = DIGESTS,
        key_hash: bytes = KEY_HASH,
    ) -> int:
        call = self.gateway.prepare_publish(digests, self.split, terms or OfferTerms(PRICE), key_hash)
        return self.do(self.owner, call).logs[2].key

    def item(self, offer_id: int) -> int:
        """What purchases of the offer name, as the market tells it."""
        data = load_artifact("Market").call_data("itemOf", offer_id)
        return int(self.ask("eth_call", {"to": self.deployment.market, "data": "0x" + data.hex()}, "latest"), 16)

    def buy(self, offer_id: int) -> EntryReceipt:
        self.approve(self.buyer)
        return self.do(self.buyer, self.gateway.prepare_buy(self.item(offer_id), self.buyer.account, PRICE, b"\4" * 32))

    def approve(self, sender: TransactionSender, amount: int = 100 * PRICE) -> None:
        self.do(sender, self.gateway.prepare_approve(TokenAmount(amount)))

    def act(self, account: Account, call: Call) -> None:
        """A call by an account whose key Anvil holds, as the steward's; waits for its block."""
        order = {"from": account, "to": call.to, "data": "0x" + call.data.hex()}
        assert self.owner.wait(self.ask("eth_sendTransaction", order), 20).status == 1, call.description

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


def lively_market(directory: Path) -> Iterator[AnvilMarket]:
    """A market with sales, an order that was delivered, a claim and tokens that were sent to it."""
    market = AnvilMarket(start_anvil(directory, ANVIL).rpc_url)
    offer_id = market.publish()
    market.buy(offer_id)
    market.do(market.owner, market.gateway.prepare_claim(1, market.owner.account))
    market.ask("anvil_mine", "0x14")
    escrowed = market.publish(OfferTerms(PRICE, is_escrowed=True), (b"\7" * 32, b"\2" * 32, b"\3" * 32))
    point = PrivateKey().public_key.format(compressed=False)[1:]
    new = NewOrder(market.item(escrowed), market.buyer.account, PRICE, point, b"\1" * 32)
    market.do(market.buyer, market.gateway.prepare_order(new))
    (order,) = market.gateway.orders_for([escrowed])
    market.do(market.owner, market.gateway.prepare_deliver(order, point, b"\5" * 32))
    yield market
    stop_anvil(directory)
