"""A chain with the market in memory: nonces, a pool, blocks and reverts, as Anvil shows them to the node."""

import copy
import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from tests.fakes.channels import MemoryChannels
from tests.fakes.state import WINDOW_SECONDS, MemoryCall, State, pull, require_item
from viz_node.chain.account.fees import RAISE_PERCENT
from viz_node.chain.contract.items import NO_KEY, item_of
from viz_node.chain.contract.ledger import PERPETUAL
from viz_node.domain.ids import Account, BasisPoints, TokenAmount
from viz_node.domain.market import ChainAdapter, MarketFacts
from viz_node.domain.offer import Grant, Offer, OfferTerms, Sale, Sold
from viz_node.domain.order import Delivery, Order, OrderState, OrderTerms
from viz_node.domain.pricing import PricedSale, PricePath, PriceState, PriceStep
from viz_node.domain.purchase import NewOrder
from viz_node.domain.royalty import SPLIT_NUMBERS, Royalty, RoyaltySplit, split_recipient
from viz_node.domain.transaction import Heads, Receipt, SignedTransaction, TypedData
from viz_node.errors import InsufficientFundsError, TransactionRevertedError, VerificationError
from viz_node.identity.delivery import open_delivery, point_of, prove_wrong_key

PLATFORM = Account("0x" + "f0" * 20)
PLATFORM_FEE = BasisPoints(300)
START = 1_800_000_000


class MemoryChain:
    """Mines each transaction as it comes, unless `mines` is off; `forget` is a reset."""

    def __init__(self) -> None:
        self.mines = True
        self.has_permits = True
        self.approves_from_zero_only = False
        self.least_price = 1
        self.time = START
        self.calls: list[MemoryCall] = []
        self.wallet_signatures: set[tuple[str, bytes, bytes]] = set()
        self.forget()

    def forget(self) -> None:
        self.state = State()
        self.block = 0
        self.nonces: dict[str, int] = {}
        self.pool: dict[tuple[str, int], bytes] = {}
        self.receipts: dict[str, Receipt] = {}
        self._before: list[tuple[State, dict[str, int], dict[str, Receipt]]] = []
        self._forks = 0

    def take(self, raw: bytes) -> None:
        body = json.loads(raw)
        slot = (body["account"], body["nonce"])
        waiting = self.pool.get(slot)
        is_better = waiting is None or body["price"] >= json.loads(waiting)["price"] * RAISE_PERCENT / 1000
        if body["nonce"] >= self.nonces.get(body["account"], 0) and is_better and body["price"] >= self.least_price:
            self.pool[slot] = raw
        if self.mines:
            self.mine()

    def undo(self, blocks: int) -> None:
        """A reorganisation: as many blocks vanish, with their transactions; empty ones take their place."""
        self.state, self.nonces, self.receipts = self._before[-blocks]
        del self._before[-blocks:]
        self._forks += 1
        self.block -= blocks
        for _ in range(blocks):
            self._begin_block()

    def mine(self) -> None:
        self._begin_block()
        for account in {account for account, _ in self.pool}:
            while raw := self.pool.pop((account, self.nonces.get(account, 0)), None):
                self._execute(account, raw)

    def _begin_block(self) -> None:
        self._before.append((copy.deepcopy(self.state), dict(self.nonces), dict(self.receipts)))
        self.block += 1
        self.time += 1

    def nonce_before(self, account: str, blocks: int) -> int:
        """The account's nonce as many blocks ago."""
        known = [nonces for _, nonces, _ in self._before] + [self.nonces]
        return known[max(0, len(known) - 1 - blocks)].get(account, 0)

    def block_hash(self) -> str:
        return hash_of(f"{self._forks} {self.block}".encode())

    def _execute(self, account: str, raw: bytes) -> None:
        tried, status = copy.deepcopy(self.state), 1
        try:
            self.calls[json.loads(raw)["call"]].apply(tried, account, self.time)
            self.state = tried
        except (TransactionRevertedError, InsufficientFundsError):
            status = 0
        self.nonces[account] = self.nonces.get(account, 0) + 1
        self.receipts[hash_of(raw)] = Receipt(status, hash_of(raw), self.block, self.block_hash())


class MemorySender:
    """One account's `TransactionSender`."""

    asks_nobody = True

    def __init__(self, chain: MemoryChain, account: Account, shown: int = 0, booked: int = 0) -> None:
        self._chain = chain
        self._depths = shown, booked
        self.account = account

    def heads(self) -> Heads:
        shown, booked = self._depths
        return Heads(self._chain.block, self._chain.block - shown, self._chain.block - booked)

    def booked_nonce(self) -> int:
        return self._chain.nonce_before(self.account, self._depths[1])

    def next_nonce(self) -> int:
        nonce = self.mined_nonce()
        while (self.account, nonce) in self._chain.pool:
            nonce += 1
        return nonce

    def mined_nonce(self) -> int:
        return self._chain.nonces.get(self.account, 0)

    def quote_wei(self, call: MemoryCall) -> int:
        call.apply(copy.deepcopy(self._chain.state), self.account, self._chain.time)
        return 46_000 * 100

    def sign(self, call: MemoryCall, nonce: int) -> SignedTransaction:
        call.apply(copy.deepcopy(self._chain.state), self.account, self._chain.time)
        self._chain.calls.append(call)
        return self._signed({"account": self.account, "nonce": nonce, "call": len(self._chain.calls) - 1, "price": 100})

    def sign_again(self, raw: bytes) -> SignedTransaction:
        body = json.loads(raw)
        return self._signed(body | {"price": -(-body["price"] * RAISE_PERCENT // 1000)})

    def sign_typed_data(self, data: TypedData) -> bytes:
        return permit_signature(self.account, data)

    @staticmethod
    def _signed(body: dict[str, Any]) -> SignedTransaction:
        raw = json.dumps(body).encode()
        return SignedTransaction(raw, hash_of(raw), body["nonce"])

    def broadcast(self, raw: bytes) -> None:
        self._chain.take(raw)

    def find_receipt(self, tx_hash: str) -> Receipt | None:
        return self._chain.receipts.get(tx_hash)


class MemoryEscrow:
    """The market's orders in escrow."""

    def __init__(self, chain: MemoryChain) -> None:
        self._chain = chain

    def orders_paid_by(self, account: str) -> list[Order]:
        return [order for order in self._chain.state.orders if order.terms.payer == account]

    def orders_ever_for(self, offer_ids: Collection[int]) -> list[Order]:
        return [order for order in self._chain.state.orders if order.terms.offer_id in offer_ids]

    def orders_for(self, offer_ids: Collection[int]) -> list[Order]:
        running = {OrderState.ORDERED, OrderState.DELIVERED}
        orders = self._chain.state.orders
        return [order for order in orders if order.terms.offer_id in offer_ids and order.state in running]

    def granted_in(self, offer_id: int, account: str) -> int | None:
        return self._chain.state.granted.get((offer_id, account))

    def order(self, number: int) -> Order:
        return self._chain.state.orders[number - 1]

    def prepare_order(self, new: NewOrder) -> MemoryCall:
        def order(state: State, account: str, now: int) -> None:
            offer_id = require_item(state, new.item)
            offer = state.offers[offer_id - 1]
            if not offer.is_open or offer.price > new.max_price or (offer_id, new.holder) in state.licenses:
                raise TransactionRevertedError("the contract refused: OfferWithdrawn(), PriceAboveMax(), …")
            pull(state, account, offer.price)
            parties = Account(account), new.holder, int(offer.price)
            place = offer_id, offer.split_id, now + WINDOW_SECONDS
            number = len(state.orders) + 1
            encoded = repr((number, new)).encode()
            terms = OrderTerms(*place, *parties, state.key_hashes[offer_id], new.order_ref, new.point, encoded)
            state.orders.append(Order(number, OrderState.ORDERED, terms, None, self._chain.block))

        return MemoryCall("order", order)

    def prepare_deliver(self, order: Order, point: bytes, wrapped: bytes) -> MemoryCall:
        def deliver(state: State, account: str, now: int) -> None:
            known, key = _in_state(state, order, OrderState.ORDERED), (order.terms.offer_id, order.terms.holder)
            _require_owner(state, state.offers[key[0] - 1].adapter_number, account)
            if now > known.terms.deadline or key in state.licenses:
                raise TransactionRevertedError("the contract refused: TooLate() or AlreadyLicensed()")
            duration = state.offers[key[0] - 1].duration_seconds
            state.licenses[key] = now + duration if duration else PERPETUAL
            state.granted.setdefault(key, self._chain.block)
            delivery = Delivery(point, wrapped, now + WINDOW_SECONDS, b"")
            state.orders[order.number - 1] = replace(known, state=OrderState.DELIVERED, delivery=delivery)

        return MemoryCall("deliver", deliver)

    def prepare_dispute(self, order: Order, secret: int, shared: bytes) -> MemoryCall:
        def dispute(state: State, _: str, now: int) -> None:
            known = _in_state(state, order, OrderState.DELIVERED)
            raw, delivered = secret.to_bytes(32, "big"), known.delivery
            assert delivered is not None
            is_proof = prove_wrong_key(raw, delivered.key).shared == shared
            try:
                open_delivery(raw, delivered.key, known.terms.key_hash)
            except VerificationError:
                is_proof = is_proof and point_of(raw) == known.terms.point
            else:
                is_proof = False
            if not is_proof or now > delivered.deadline:
                raise TransactionRevertedError("the contract refused: InvalidEvidence(), KeyIsRight() or TooLate()")
            key, offer = (known.terms.offer_id, known.terms.holder), state.offers[known.terms.offer_id - 1]
            granted = delivered.deadline - WINDOW_SECONDS + offer.duration_seconds
            if offer.duration_seconds and state.licenses[key] != granted:
                state.licenses[key] -= max(granted - now, 0)
            else:
                del state.licenses[key]
            _end(state, known, OrderState.DISPUTED)

        return MemoryCall("dispute", dispute)

    def prepare_settle(self, orders: Sequence[Order]) -> MemoryCall:
        def settle(state: State, _: str, now: int) -> None:
            for order in orders:
                known = _in_state(state, order, OrderState.DELIVERED)
                assert known.delivery is not None
                if now <= known.delivery.deadline:
                    raise TransactionRevertedError("the contract refused: TooEarly()")
                split, price = known.terms.split_id, known.terms.price
                state.accrued[split] = state.accrued.get(split, 0) + price
                state.orders[order.number - 1] = replace(known, state=OrderState.SETTLED)

        return MemoryCall("settle", settle)

    def prepare_refund(self, order: Order) -> MemoryCall:
        def refund(state: State, _: str, now: int) -> None:
            known = _in_state(state, order, OrderState.ORDERED)
            if now <= known.terms.deadline:
                raise TransactionRevertedError("the contract refused: TooEarly()")
            _end(state, known, OrderState.REFUNDED)

        return MemoryCall("refund", refund)


class MemoryPayments:
    """Allowances and permits."""

    def __init__(self, chain: MemoryChain) -> None:
        self._chain = chain

    def allowance(self, account: Account) -> TokenAmount:
        return TokenAmount(self._chain.state.allowed.get(account, 0))

    def permit_to_sign(self, account: Account, amount: TokenAmount, deadline: int) -> TypedData | None:
        nonce = self._chain.state.permits.get(account, 0)
        message = {"owner": account, "value": amount, "nonce": nonce, "deadline": deadline}
        return TypedData({}, "Permit", {}, message) if self._chain.has_permits else None

    def takes_permit(self, permit: TypedData, signature: bytes) -> bool:
        return _use_permit(copy.deepcopy(self._chain.state), permit, signature, self._chain.time)

    def prepare_with_permit(self, call: MemoryCall, permit: TypedData, signature: bytes) -> MemoryCall:
        def pay(state: State, account: str, now: int) -> None:
            if permit.message["owner"] == account:
                _use_permit(state, permit, signature, now)
            call.apply(state, account, now)

        return MemoryCall(call.description, pay)

    def prepare_approve(self, amount: TokenAmount) -> MemoryCall:
        def approve(state: State, account: str, _: int) -> None:
            if self._chain.approves_from_zero_only and amount and state.allowed.get(account):
                raise TransactionRevertedError("the contract refused: execution reverted")
            state.allowed[account] = amount

        return MemoryCall("approve", approve)


class MemoryMarket(MemoryEscrow, MemoryChannels, MemoryPayments):
    """The market's `MarketGateway`."""

    def facts(self) -> MarketFacts:
        return MarketFacts(PLATFORM, PLATFORM_FEE, *[WINDOW_SECONDS] * 4)

    def block_time(self) -> int:
        return self._chain.time

    def find_adapter(self, manifest_digest: bytes, owner: Account) -> ChainAdapter | None:
        adapters = self._chain.state.adapters
        return next((item for item in adapters if (item.manifest, item.owner) == (manifest_digest, owner)), None)

    def are_offered(self, manifests: Sequence[bytes], owner: Account) -> list[bool | None]:
        found = [self.find_adapter(digest, owner) for digest in manifests]
        return [any(offer.is_open for offer in self.offers_of(item.number)) if item else None for item in found]

    def offers_of(self, adapter_number: int) -> list[Offer]:
        return [offer for offer in self._chain.state.offers if offer.adapter_number == adapter_number]

    def adapters_paid_into(self, split_ids: Collection[int]) -> dict[int, list[int]]:
        pairs = sorted({(offer.split_id, offer.adapter_number) for offer in self._chain.state.offers})
        return {split: [adapter for other, adapter in pairs if other == split] for split in split_ids}

    def offers_into(self, split_ids: Collection[int]) -> list[int]:
        return [offer.offer_id for offer in self._chain.state.offers if offer.split_id in split_ids]

    def accepts_signature(self, account: Account, digest: bytes, signature: bytes, block: int | None = None) -> bool:
        return (account, digest, signature) in self._chain.wallet_signatures

    def license_expiry(self, offer_id: int, account: Account) -> int:
        return self._chain.state.licenses.get((offer_id, account), 0)

    def pools_of(self, account: Account) -> list[Any]:
        """None, as below."""
        return []

    def subscriptions_of(self, holder: Account, payer: Account | None = None) -> dict[int, list[int]]:
        """This market has no pools; those of the contract are in tests/integration/test_pools.py."""
        return {}

    def royalties_of(self, account: Account) -> list[Royalty]:
        return [row for row in self.lineage_of(account) if row.recipient == account]

    def lineage_of(self, account: Account) -> list[Royalty]:
        state, rows, names = self._chain.state, [], {account}
        for split_id, split in enumerate(state.splits, 1):
            for name, share in split.shares:
                if name in names:
                    accrued, claimed = state.accrued.get(split_id, 0), state.claimed.get((split_id, name), 0)
                    rows.append(Royalty(split_id, name, share, TokenAmount(accrued), TokenAmount(claimed)))
                    names = names | {split_recipient(split_id)}
        return rows

    def sales(self) -> list[Sale]:
        state = self._chain.state
        settled = [order.terms for order in state.orders if order.state is OrderState.SETTLED]
        return state.sales + [
            Sale(
                terms.offer_id,
                state.offers[terms.offer_id - 1].adapter_number,
                terms.split_id,
                terms.holder,
                TokenAmount(terms.price),
                state.licenses[terms.offer_id, terms.holder],
                bytes(32),
                "0x",
                0,
            )
            for terms in settled
        ]

    def grants_to(self, holder: Account) -> list[Grant]:
        return [grant for grant in self._grants() if grant.holder == holder]

    def grants_by(self, offer_ids: Sequence[int]) -> list[Grant]:
        return [grant for grant in self._grants() if grant.offer_id in offer_ids]

    def offers_by(self, owner: Account) -> list[int]:
        state = self._chain.state
        return [item.offer_id for item in state.offers if state.adapters[item.adapter_number - 1].owner == owner]

    def sold_by(self, offer_ids: Sequence[int]) -> dict[int, Sold]:
        state = self._chain.state
        found = {}
        for offer in (state.offers[offer_id - 1] for offer_id in offer_ids):
            adapter = state.adapters[offer.adapter_number - 1]
            found[offer.offer_id] = Sold(adapter.number, adapter.manifest.hex(), offer.duration_seconds)
        return found

    def _grants(self) -> list[Grant]:
        state, paid = self._chain.state, {}
        for sale in state.sales:
            paid[sale.offer_id, sale.holder] = paid.get((sale.offer_id, sale.holder), 0) + sale.price
        for terms, end in ((order.terms, order.state) for order in state.orders if order.delivery):
            price = 0 if end is OrderState.DISPUTED else terms.price
            paid[terms.offer_id, terms.holder] = paid.get((terms.offer_id, terms.holder), 0) + price
        return [Grant(*place, state.licenses.get(place, 0), TokenAmount(amount)) for place, amount in paid.items()]

    def price_history(self, offer_ids: Sequence[int]) -> tuple[list[PricedSale], list[PricePath]]:
        """Prices of this market are fixed."""
        state, rows = self._chain.state, []
        for sale in state.sales:
            rows.append((sale.offer_id, sale.holder, sale.price, 0, "sold"))
        for order in state.orders:
            outcome = "open" if order.state is OrderState.ORDERED else str(order.state)
            rows.append((order.terms.offer_id, order.terms.holder, order.terms.price, order.number, outcome))
        sales = [
            PricedSale(number, START + number, offer, holder, TokenAmount(price), TokenAmount(price), *rest, "0x")
            for number, (offer, holder, price, *rest) in enumerate(rows, 1)
            if offer in offer_ids
        ]
        first = (PriceStep(START, PriceState()),)
        return sales, [PricePath(number, state.offers[number - 1].floor, None, first) for number in offer_ids]

    def item_of(self, offer: Offer, owner: Account, manifest: bytes, key_hash: bytes) -> int:
        return item_of(offer, owner, manifest, key_hash)

    def prepare_publish(
        self, digests: tuple[bytes, bytes, bytes], split: RoyaltySplit, terms: OfferTerms, key_hash: bytes = NO_KEY
    ) -> MemoryCall:
        def publish(state: State, account: str, _: int) -> None:
            if any((item.owner, item.manifest) == (account, digests[0]) for item in state.adapters):
                raise TransactionRevertedError("the contract refused: AlreadyRegistered()")
            if dict(split.shares).get(PLATFORM, 0) < PLATFORM_FEE:
                raise TransactionRevertedError("the contract refused: PlatformShare()")
            number = len(state.adapters) + 1
            state.adapters.append(ChainAdapter(number, Account(account), *digests))
            state.splits.append(split)
            state.offers.append(_offer(state, number, len(state.splits), terms))
            state.key_hashes[len(state.offers)] = key_hash

        return MemoryCall("publish", publish)

    def prepare_offer(
        self, adapter_number: int, split_id: int, terms: OfferTerms, key_hash: bytes = NO_KEY
    ) -> MemoryCall:
        def offer(state: State, account: str, _: int) -> None:
            _require_owner(state, adapter_number, account)
            state.offers.append(_offer(state, adapter_number, split_id, terms))
            state.key_hashes[len(state.offers)] = key_hash

        return MemoryCall("offer", offer)

    def prepare_withdraw(self, adapter_number: int, offer_ids: Sequence[int]) -> MemoryCall:
        def withdraw(state: State, account: str, _: int) -> None:
            _require_owner(state, adapter_number, account)
            for number in offer_ids:
                state.offers[number - 1] = replace(state.offers[number - 1], is_withdrawn=True)

        return MemoryCall("withdraw", withdraw)

    def prepare_buy(self, item: int, holder: Account, max_price: TokenAmount, order_ref: bytes) -> MemoryCall:
        def buy(state: State, account: str, now: int) -> None:
            offer_id = require_item(state, item)
            offer, held = state.offers[offer_id - 1], state.licenses.get((offer_id, holder), 0)
            if offer.price > max_price:
                raise TransactionRevertedError("the contract refused: PriceAboveMax()")
            if not offer.is_open or (offer.is_escrowed and not held):
                raise TransactionRevertedError("the contract refused: OfferWithdrawn() or OfferEscrowed()")
            if held and not offer.duration_seconds:
                raise TransactionRevertedError("the contract refused: AlreadyLicensed()")
            pull(state, account, offer.price)
            expiry = max(held, now) + offer.duration_seconds if offer.duration_seconds else PERPETUAL
            state.licenses[offer_id, holder] = expiry
            state.granted.setdefault((offer_id, holder), self._chain.block)
            state.accrued[offer.split_id] = state.accrued.get(offer.split_id, 0) + offer.price
            sale = (offer_id, offer.adapter_number, offer.split_id, holder, offer.price, expiry, order_ref, "0x", 0)
            state.sales.append(Sale(*sale))

        return MemoryCall("buy", buy)

    def prepare_claim(self, split_id: int, account: Account) -> MemoryCall:
        return self.prepare_claim_many([(split_id, account)])

    def prepare_claim_many(self, claims: Sequence[tuple[int, Account]]) -> MemoryCall:
        def claim(state: State, _: str, __: int) -> None:
            if not sum(_pay_due(state, split_id, account) for split_id, account in claims):
                raise TransactionRevertedError("the contract refused: NothingDue()")

        return MemoryCall("claim", claim)


def _pay_due(state: State, split_id: int, account: Account) -> int:
    entitled = state.splits[split_id - 1].entitlement(account, TokenAmount(state.accrued.get(split_id, 0)))
    due = entitled - state.claimed.get((split_id, account), 0)
    state.claimed[split_id, account] = entitled
    if int(account, 16) < SPLIT_NUMBERS:
        state.accrued[int(account, 16)] = state.accrued.get(int(account, 16), 0) + due
    else:
        state.tokens[account] = state.tokens.get(account, 0) + due
    return due


def _offer(state: State, adapter_number: int, split_id: int, terms: OfferTerms) -> Offer:
    return Offer(
        offer_id=len(state.offers) + 1,
        adapter_number=adapter_number,
        price=terms.price,
        split_id=split_id,
        duration_seconds=terms.duration_seconds,
        shares=state.splits[split_id - 1].shares,
        floor=terms.price,
        is_metered=terms.is_metered,
        is_escrowed=terms.is_escrowed,
        max_rise=terms.max_rise,
        target=terms.target,
    )


def _require_owner(state: State, adapter_number: int, account: str) -> None:
    if state.adapters[adapter_number - 1].owner != account:
        raise TransactionRevertedError("the contract refused: NotOwner()")


def permit_signature(account: str, permit: TypedData) -> bytes:
    return hashlib.sha512(json.dumps([account, permit.body()], default=str).encode()).digest() + b"\x1b"


def _use_permit(state: State, permit: TypedData, signature: bytes, now: int) -> bool:
    message = permit.message
    owner, is_signed = message["owner"], signature == permit_signature(message["owner"], permit)
    if not is_signed or now > message["deadline"] or message["nonce"] != state.permits.get(owner, 0):
        return False
    state.permits[owner] = message["nonce"] + 1
    state.allowed[owner] = message["value"]
    return True


def _in_state(state: State, order: Order, wanted: OrderState) -> Order:
    known = state.orders[order.number - 1]
    if known.state is not wanted or known.terms != order.terms:
        raise TransactionRevertedError("the contract refused: OrderMismatch()")
    return known


def _end(state: State, order: Order, end: OrderState) -> None:
    state.tokens[order.terms.payer] = state.tokens.get(order.terms.payer, 0) + order.terms.price
    state.orders[order.number - 1] = replace(order, state=end)


def hash_of(raw: bytes) -> str:
    return "0x" + hashlib.sha256(raw).hexdigest()
