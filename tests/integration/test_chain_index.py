"""The index over a real chain's logs: what each look reads, and what a reorganisation takes back."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.anvil_market import ANVIL, PRICE, AnvilMarket
from viz_node.chain.account.signing import account_of_key
from viz_node.chain.contract.ledger import ENTRY_TOPIC, EntryKind
from viz_node.chain.development.anvil import DevChain, start_anvil, stop_anvil
from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.gateway.escrow import _RUNNING
from viz_node.chain.gateway.index import LOGS, SETTLED_DEPTH
from viz_node.chain.gateway.market import MarketGateway
from viz_node.chain.node.endpoints import Endpoints
from viz_node.chain.node.rpc import to_hex
from viz_node.domain.ids import TokenAmount
from viz_node.domain.offer import OfferTerms
from viz_node.domain.purchase import NewChannel, NewOrder
from viz_node.errors import ChainUnavailableError
from viz_node.identity import delivery

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed: run `npm ci` in contracts/")

KEY = b"\5" * 32
DAY = 86_400


class Counting(Endpoints):
    """An endpoint that notes what it is asked and how many logs it gives; `hides_logs` makes it lag behind.

    `before_batch` is done once, between the ledger's entries and what the market says of them.
    """

    def __init__(self, market: AnvilMarket) -> None:
        super().__init__([market.rpc_url], market.deployment)
        self.asked: Counter[str] = Counter()
        self.hides_logs = False
        self.before_batch: Callable[[], None] | None = None

    def call(self, method: str, *params: Any, shape: Any = Any) -> Any:
        answer = super().call(method, *params, shape=shape)
        self.asked[method] += 1
        if method == "eth_getLogs":
            answer = [] if self.hides_logs else answer
            self.asked["logs"] += len(answer)
        return answer

    def batch(self, requests: Any) -> list[Any]:
        self.asked["batch"] += 1
        act, self.before_batch = self.before_batch, None
        if act is not None:
            act()
        self.asked["views"] += len(requests)
        return super().batch(requests)

    def look(self, act: Any) -> Counter[str]:
        """What one look asks."""
        self.asked.clear()
        act()
        return Counter(self.asked)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevChain]:
    directory = tmp_path_factory.mktemp("anvil")
    yield start_anvil(directory, ANVIL)
    stop_anvil(directory)


class Shop:
    """A market with an escrowed and a metered offer, and a gateway that counts."""

    def __init__(self, chain: DevChain) -> None:
        self.market = AnvilMarket(chain.rpc_url)
        self.escrowed = self.market.publish(OfferTerms(PRICE, is_escrowed=True), key_hash=keccak(KEY))
        terms = OfferTerms(TokenAmount(10_000), is_metered=True)
        self.metered = self.market.publish(terms, (b"\7" * 32, b"\2" * 32, b"\3" * 32))
        self.endpoint = Counting(self.market)
        self.gateway = MarketGateway(self.endpoint, self.market.deployment)
        self.market.approve(self.market.buyer, 10**9)

    def order(self) -> None:
        point = delivery.point_of(delivery.new_order_secret())
        buyer = self.market.buyer
        holder = account_of_key(secrets.token_bytes(32))
        new = NewOrder(self.market.item(self.escrowed), holder, PRICE, point, secrets.token_bytes(32))
        self.market.do(buyer, self.gateway.prepare_order(new))

    def open(self) -> None:
        session = account_of_key(secrets.token_bytes(32))
        new = NewChannel(self.market.item(self.metered), session, TokenAmount(50_000), DAY, TokenAmount(10_000))
        self.market.do(self.market.buyer, self.gateway.prepare_open_channel(new))

    def mine(self, blocks: int) -> None:
        self.market.ask("anvil_mine", hex(blocks))

    def entries(self) -> list[int]:
        """The orders of the market's log, over or not."""
        return [entry.key for entry in self.gateway._entries(EntryKind.ORDERED)]

    def numbers(self) -> list[int]:
        return [order.number for order in self.gateway.orders_for([self.escrowed])]


@pytest.fixture
def shop(chain: DevChain) -> Shop:
    return Shop(chain)


def test_look__many_orders__reads_only_the_newest_blocks(shop: Shop) -> None:
    for _ in range(20):
        shop.order()
    shop.mine(SETTLED_DEPTH + 5)
    first = shop.endpoint.look(shop.numbers)
    assert (first["logs"], first["eth_getLogs"]) == (40, 2)  # an entry and the terms of each order
    again = shop.endpoint.look(shop.numbers)
    assert (again["logs"], again["eth_getLogs"], again["batch"]) == (0, 0, 1)
    shop.mine(1)
    later = shop.endpoint.look(shop.numbers)
    assert (later["logs"], later["eth_getLogs"], later["eth_getBlockByNumber"]) == (0, 1, 4)
    shop.order()
    newest = shop.endpoint.look(shop.numbers)
    assert (newest["logs"], newest["eth_getLogs"]) == (2, 2)
    assert shop.numbers() == list(range(1, 22))


def test_look__delivered_orders__are_asked_about_again_when_their_time_is_over(shop: Shop) -> None:
    for _ in range(3):
        shop.order()
    for order in shop.gateway.orders_for([shop.escrowed]):
        given = delivery.wrap_for_order(KEY, order.terms.point)
        shop.market.do(shop.market.owner, shop.gateway.prepare_deliver(order, given.point, given.wrapped))
    fresh = shop.endpoint.look(shop.numbers)
    assert fresh["views"] == 3
    shop.mine(SETTLED_DEPTH + 1)
    orders = shop.gateway.orders_for([shop.escrowed])
    assert shop.endpoint.look(shop.numbers)["views"] == 0
    assert [(order.number, order.state) for order in orders] == [(number, "delivered") for number in (1, 2, 3)]
    shop.market.pass_time(601)
    assert shop.endpoint.look(shop.numbers)["views"] == 3
    shop.market.do(shop.market.owner, shop.gateway.prepare_settle(orders))
    assert shop.numbers() == []


def test_look__newest_logs_are_read_again__are_not_told_twice(shop: Shop) -> None:
    shop.mine(SETTLED_DEPTH + 1)
    shop.order()
    for _ in range(3):
        assert shop.entries() == [1]
        shop.mine(SETTLED_DEPTH // 2)
    assert shop.entries() == [1]


def test_look__orders_that_are_over__are_forgotten_by_the_seller_and_told_to_the_buyer(shop: Shop) -> None:
    shop.order()
    shop.market.pass_time(601)
    (order,) = shop.gateway.orders_for([shop.escrowed])
    shop.market.do(shop.market.owner, shop.gateway.prepare_refund(order))
    shop.mine(SETTLED_DEPTH + 1)
    assert shop.numbers() == []
    assert [item.state for item in shop.gateway.orders_paid_by(shop.market.buyer.account)] == ["refunded"]


def test_look__order_ends_while_it_is_read__is_told_with_its_end(shop: Shop) -> None:
    account = shop.market.buyer.account
    shop.order()
    shop.market.pass_time(601)
    (order,) = shop.gateway.orders_for([shop.escrowed])

    def refund() -> None:
        shop.market.do(shop.market.owner, shop.gateway.prepare_refund(order))

    shop.endpoint.before_batch = refund
    assert [item.state for item in shop.gateway.orders_paid_by(account)] == ["refunded"]
    assert shop.gateway.order(1).state == "refunded"


def test_look__endpoint_hides_how_an_order_ended__says_so_and_leaves_none_out(shop: Shop) -> None:
    shop.order()
    shop.mine(SETTLED_DEPTH + 1)
    shop.market.pass_time(601)
    (order,) = shop.gateway.orders_for([shop.escrowed])
    assert [shop.gateway.order(1)] == shop.gateway.orders_ever_for([shop.escrowed])
    shop.market.do(shop.market.owner, shop.gateway.prepare_refund(order))
    shop.endpoint.hides_logs = True
    for look in (lambda: shop.gateway.order(1), lambda: shop.gateway.orders_ever_for([shop.escrowed])):
        with pytest.raises(ChainUnavailableError, match="does not tell how order 1 ended"):
            look()
    assert shop.numbers() == []


def test_reorganisation__order_and_channel_vanish__from_the_index_too(shop: Shop) -> None:
    shop.order()
    account = shop.market.buyer.account
    before = shop.gateway.block_number()
    shop.order()
    shop.open()
    assert shop.numbers() == shop.entries() == [1, 2]
    assert [channel.number for channel in shop.gateway.channels_of(account)] == [1]
    assert shop.gateway.deposit_through(1, before + 2) == 50_000
    shop.market.ask("anvil_reorg", 2, [])
    assert shop.numbers() == shop.entries() == [1]
    assert shop.gateway.channels_of(account) == shop.gateway.open_channels([1]) == []
    assert shop.gateway.deposit_through(1, before + 2) == 0
    shop.order()
    (_, again) = shop.gateway.orders_for([shop.escrowed])
    assert (again.number, again.block) == (2, shop.gateway.block_number())


def test_reorganisation__deeper_than_what_is_settled__reads_all_again(shop: Shop) -> None:
    shop.order()
    shop.order()
    shop.mine(SETTLED_DEPTH + 10)
    assert shop.numbers() == shop.entries() == [1, 2]
    shop.mine(1)
    assert shop.entries() == [1, 2]
    shop.market.ask("anvil_reorg", SETTLED_DEPTH + 12, [])
    assert list(shop.gateway._placed(_RUNNING)) == shop.entries() == [1]


def test_reorganisation__an_order_of_another_text_has_the_number__is_read_anew(shop: Shop) -> None:
    shop.order()
    (first,) = shop.gateway.orders_for([shop.escrowed])
    shop.market.ask("anvil_reorg", 1, [])
    shop.order()
    (second,) = shop.gateway.orders_for([shop.escrowed])
    assert (second.number, second.terms.order_ref == first.terms.order_ref) == (1, False)


def test_look__endpoint_gave_too_few_logs__is_made_good_by_the_next_look(shop: Shop) -> None:
    shop.mine(SETTLED_DEPTH + 1)
    assert shop.numbers() == []
    shop.order()
    shop.endpoint.hides_logs = True
    assert shop.numbers() == []
    shop.endpoint.hides_logs = False
    shop.mine(SETTLED_DEPTH - 1)
    assert shop.numbers() == [1]


def test_index__pattern_that_nobody_asked_for_long__is_forgotten(shop: Shop) -> None:
    index, head = shop.gateway._index, shop.gateway._head()
    for number in range(300):
        index.look((to_hex(ENTRY_TOPIC), f"0x{number:064x}"), LOGS, head)
    assert len(index._followed) == 256
