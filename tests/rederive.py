"""Derives the payments of a market again from its logs, by docs/protocol.md alone, with plain web3.py.

It was written by somebody who had that page and the ABI and nothing else, and whose questions are answered there now.
So it imports nothing of `viz_node`, and `test_rederive__whole_file__is_independent` keeps it so.
Usage: python -m tests.rederive RPC DEPLOYMENT.json BLOCK [DIVISION.json …]
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace as Record
from typing import Any, NamedTuple, cast

from web3 import Web3
from web3.exceptions import Web3RPCError

from tests.rederive_pools import faults_of_data, merkle

DAY, MONTH, HALF_YEAR, FOREVER = 86_400, 30 * 86_400, 180 * 86_400, 2**256 - 1
U16, U32, U64 = 2**16 - 1, 2**32 - 1, 2**64 - 1
POINT = "(uint256,uint256)"
ORDER = f"(uint64,uint32,uint40,address,address,uint256,bytes32,bytes32,{POINT})"
DELIVERY = f"({POINT},bytes32,uint40)"
ENTRY = "Entry(uint8,uint256,address,uint256,uint256,uint256,uint256,bytes32)"
LONG = {
    "SplitTable(uint32,address[],uint16[])": ["address[]", "uint16[]"],
    f"OrderPlaced(uint64,{ORDER})": [ORDER],
    f"KeyDelivered(uint64,{DELIVERY})": [DELIVERY],
    "PoolData(uint64,bytes32,bytes32,string)": ["bytes32", "string"],
}
SALES = {
    4: ("license", "direct_sales"),
    34: ("license by escrow", "escrow_settlements"),
    22: ("metered use", "metered_redemptions"),
    45: ("catalogue", "pool_credits"),
}
ZERO = {
    1: "c", 2: "bc", 5: "d", 6: "d", 10: "bcd", 11: "bcd", 12: "bcd", 13: "abcd", 14: "abc", 15: "bc", 20: "d", 16:
    "bcd", 17: "abcd", 18: "abcd", 19: "abcd", 21: "cd", 23: "bcd", 24: "cd", 30: "bcd", 34: "d", 35: "cd", 43:
    "bc", 46: "d",
}  # fmt: skip
PRIME = 2**256 - 2**32 - 977
GENERATOR = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)


class Entry(NamedTuple):
    kind: int
    key: int
    who: str
    seq: int
    a: int
    b: int
    c: int
    d: bytes
    block: int
    index: int
    time: int
    tx: str


class Move(NamedTuple):
    index: int
    source: str
    target: str
    amount: int


def keccak(data: bytes) -> bytes:
    """Keccak-256 as plain bytes."""
    return bytes(Web3.keccak(data))


def address(word: int) -> str:
    """The address in the lowest 160 bits of a word."""
    return "0x" + (word & (2**160 - 1)).to_bytes(20, "big").hex()


def words(*numbers: int) -> bytes:
    """abi.encode of numbers."""
    return b"".join(value.to_bytes(32, "big") for value in numbers)


def number(data: bytes) -> int:
    """Bytes as a number."""
    return int.from_bytes(data, "big")


def table_root(shares: dict[str, int]) -> bytes:
    """The root of a split's table."""
    return merkle({int(account, 16): share for account, share in shares.items()})


def add(one: Any, other: Any) -> Any:
    """The sum of two points of secp256k1; None is the neutral one."""
    if one is None or other is None:
        return one or other
    if one[0] == other[0] and one[1] != other[1]:
        return None
    top, down = (3 * one[0] ** 2, 2 * one[1]) if one == other else (other[1] - one[1], other[0] - one[0])
    slope = top * pow(down, -1, PRIME) % PRIME
    x = (slope**2 - one[0] - other[0]) % PRIME
    return x, (slope * (one[0] - x) - one[1]) % PRIME


def multiply(factor: int, point: Any) -> Any:
    """A multiple of a point of secp256k1."""
    result = None
    while factor:
        result, point, factor = add(result, point) if factor & 1 else result, add(point, point), factor >> 1
    return result


def roll(offer: Record, time: int) -> None:
    """Price rule: credit and reservation halve for each day that began."""
    days = max(time // DAY - offer.day, 0)
    if days:
        offer.day, offer.sold, offer.credit, offer.reserved = (
            time // DAY,
            0,
            offer.credit >> days,
            offer.reserved >> days,
        )


def premium(offer: Record) -> int:
    """Price rule: takes the premium of one sale out of the credit."""
    amount = offer.credit // offer.target if offer.rise else 0
    offer.credit -= amount
    return int(amount)


def count(offer: Record, fee: int) -> None:
    """Price rule: a sale counts, and beyond the target adds credit."""
    if offer.rise and offer.sold < 2 * offer.target:
        offer.sold += 1
        if offer.sold > offer.target:
            most = offer.floor * offer.rise // 10_000 * offer.target - offer.reserved
            offer.credit = min(offer.credit + offer.floor * fee // 10_000, most)


class Replay:
    """The market as its entries tell it, with every breach of a rule in `faults`."""

    def __init__(self, rpc_url: str, deployment: dict[str, Any], block: int) -> None:
        """Takes the constants of the market; state is read at the audited block, or later if nothing came since."""
        self.w3, self.first = Web3(Web3.HTTPProvider(rpc_url)), deployment["block"]
        self.block, self.state = block, block
        self.market, self.token = (Web3.to_checksum_address(deployment[name]) for name in ("market", "token"))
        self.me = self.market.lower()
        try:
            self.w3.eth.get_storage_at(self.market, 0, block)
        except Web3RPCError:
            self.state = self.w3.eth.block_number
            if any(self.logs(source, [], block + 1, self.state) for source in (self.market, self.token)):
                raise
        constants = ("platform", "platformFee", "closeWindow", "deliveryWindow", "disputeWindow", "vetoWindow")
        self.set = Record(**{name: self.call(self.market, f"{name}()") for name in constants})
        self.head, self.seq, self.paused, self.pause_end = 1 << 41, 0, 0, -MONTH
        self.steward = self.named = ""
        self.adapters, self.splits, self.offers, self.orders, self.channels, self.pools, self.notices = (
            dict[int, Any]() for _ in range(7)
        )
        self.licenses: dict[tuple[int, str], int] = defaultdict(int)
        self.long: dict[tuple[str, str, int], list[Any]] = defaultdict(list)
        self.sales, self.claims, self.passed_on = (list[dict[str, Any]]() for _ in range(3))
        self.money: list[tuple[Entry, bool, str]] = []
        self.faults: list[str] = []
        self.retired: set[int] = set()
        self.unbooked = self.token_fees = self.transfers = 0

    def call(self, target: Any, signature: str, argument: bytes = b"") -> int:
        """One word that a contract answers."""
        return number(self.w3.eth.call({"to": target, "data": keccak(signature.encode())[:4] + argument}, self.state))

    def logs(self, source: Any, topics: list[Any], first: int, last: int) -> list[Any]:
        """Logs of a contract, in order."""
        found = self.w3.eth.get_logs({"address": source, "topics": topics, "fromBlock": first, "toBlock": last})
        return sorted(found, key=lambda log: (log["blockNumber"], log["logIndex"]))

    def must(self, entry: Entry, message: str, holds: bool) -> None:
        """Notes a fault unless the rule holds."""
        if not holds:
            self.faults.append(f"{entry.seq} (kind {entry.kind}): {message}")

    def read(self) -> list[Entry]:
        """All entries; what is too long for them goes to `long`."""
        known = {keccak(text.encode()): (text.partition("(")[0], types) for text, types in LONG.items()}
        entries, clock = [], dict[int, int]()
        for log in self.logs(self.market, [], self.first, self.block):
            topics, data, block = [bytes(topic) for topic in log["topics"]], bytes(log["data"]), log["blockNumber"]
            tx = "0x" + bytes(log["transactionHash"]).hex()
            if topics[0] == keccak(ENTRY.encode()):
                clock[block] = clock.get(block) or self.w3.eth.get_block(block)["timestamp"]
                seq, a, b, c = (number(data[at : at + 32]) for at in range(0, 128, 32))
                entries.append(
                    Entry(
                        number(topics[1]),
                        number(topics[2]),
                        address(number(topics[3])),
                        seq,
                        a,
                        b,
                        c,
                        data[128:],
                        block,
                        log["logIndex"],
                        clock[block],
                        tx,
                    )
                )
            elif topics[0] in known:
                name, types = known[topics[0]]
                self.long[name, tx, number(topics[1])].append((*topics[2:], *self.w3.codec.decode(types, data)))
            else:
                self.faults.append(f"unknown event of the market in {tx}")
        return entries

    def event(self, e: Entry, name: str) -> Any:
        """The next long event of the entry's transaction and number."""
        return self.long[name, e.tx, e.key].pop(0)

    def apply(self, e: Entry) -> None:
        """Links an entry to the head and hands it to the rules of its kind."""
        self.must(e, "gap in the sequence", e.seq == self.seq + 1)
        self.must(e, "not zero", not any(getattr(e, name) not in (0, bytes(32)) for name in ZERO.get(e.kind, "")))
        self.seq, self.paused = e.seq, {16: 1, 17: 0}.get(e.kind, self.paused)
        told = words(self.head, e.kind, e.key, int(e.who, 16), e.seq, e.a, e.b, e.c) + e.d
        self.head = number(keccak(told)) >> 41 << 41 | self.paused << 40 | e.seq
        rules = {1: self.registry, 2: self.table, 3: self.offer, 4: self.sold, 5: self.claim, 6: self.claim}
        rules |= dict.fromkeys((10, 13, 14, 15, 30), self.registry)
        rules |= dict.fromkeys((11, 12, *range(16, 20)), self.steer)
        rules |= dict.fromkeys(range(20, 25), self.channel) | {31: self.ordered, 32: self.delivered}
        rules |= dict.fromkeys((33, 34, 35), self.ended) | dict.fromkeys((40, 41, 46, 47), self.pool)
        rules |= dict.fromkeys((42, 43, 44, 45), self.root)
        try:
            rules[e.kind](e)
        except (AttributeError, KeyError, ValueError, IndexError, TypeError, StopIteration) as error:
            self.must(e, f"does not fit: {error!r}", False)

    def sale(self, e: Entry, split: int, offer: int | None, account: str, expiry: int | None) -> None:
        """Credits a split and notes a row of sales."""
        self.splits[split].sold += e.a
        adapter = self.offers[offer].adapter if offer is not None else None
        term = "none" if expiry is None else "perpetual" if expiry == FOREVER else "limited"
        self.sales.append(
            {
                "sequence": e.seq,
                "kind": SALES[e.kind][0],
                "offer_id": offer,
                "adapter_number": adapter,
                "adapter_id": self.adapters[adapter]["adapter_id"] if adapter else None,
                "account": account,
                "price": e.a,
                "split_id": split,
                "term": term,
                "expiry": expiry if term == "limited" else None,
                "time": e.time,
                "block": e.block,
                "tx_hash": e.tx,
            }
        )

    def registry(self, e: Entry) -> None:
        """Adapters, notices, withdrawals: acts of owners."""
        if e.kind == 1:
            self.must(e, "number", e.key == len(self.adapters) + 1)
            self.adapters[e.key] = {
                "adapter_number": e.key,
                "adapter_id": words(e.a).hex(),
                "owner": e.who,
                "split_ids": [],
            }
            return
        adapter = e.a if e.kind == 10 else e.key
        self.must(e, "not the owner", e.kind == 14 or self.adapters[adapter]["owner"] == e.who)
        if e.kind == 10:
            self.must(e, "offer of another adapter", self.offers[e.key].adapter == adapter)
            self.offers[e.key].flags |= 4
        elif e.kind == 13:
            self.retired.add(adapter)
        elif e.kind == 14:
            self.must(e, "adapter", e.key in self.adapters)
            self.notices[e.seq] = e.key
        elif e.kind == 15:
            self.must(e, "notice", self.notices[e.a] == e.key)

    def table(self, e: Entry) -> None:
        """A split is created: its table keeps the rules and has the root."""
        accounts, shares = self.event(e, "SplitTable")
        table = {account.lower(): share for account, share in zip(accounts, shares, strict=True)}
        self.must(e, "number or recipients", e.key == len(self.splits) + 1 and e.a == len(accounts))
        self.must(e, "accounts not ascending", list(table) == sorted(table) and len(table) == len(accounts))
        self.must(
            e,
            "recipients",
            all(
                int(account, 16) in self.splits or (int(account, 16) > U32 and account != self.me) for account in table
            ),
        )
        self.must(e, "shares", sum(shares) == 10_000 and all(shares))
        self.must(e, "platform", table.get(address(self.set.platform), 0) >= self.set.platformFee)
        self.must(e, "root", table_root(table) == e.d)
        self.splits[e.key] = Record(shares=table, sold=0, passed_in=0, had=defaultdict(int))

    def offer(self, e: Entry) -> None:
        """An offer is created by the owner of its adapter."""
        split, flags, adapter = e.c & U32, e.c >> 64 & 255, self.adapters[e.a]
        self.must(
            e,
            "number, split or owner",
            e.key == len(self.offers) + 1 and split in self.splits and e.who == adapter["owner"],
        )
        self.must(e, "retired", e.a not in self.retired)
        self.must(e, "flags", flags < 4 and bool(flags & 2) == any(e.d))
        self.offers[e.key] = Record(
            adapter=e.a,
            floor=e.b,
            split=split,
            duration=e.c >> 32 & U32,
            flags=flags,
            rise=e.c >> 72 & U16,
            target=e.c >> 88 & U16,
            key_hash=e.d,
            day=0,
            sold=0,
            credit=0,
            reserved=0,
        )
        adapter["split_ids"] = sorted({*adapter["split_ids"], split})

    def bought(self, e: Entry, key: int, flags: int) -> Record:
        """The offer that is being bought: open, of that sort, while sales are not paused."""
        self.must(e, "offer is closed or of another sort", self.offers[key].flags == flags)
        self.must(e, "sold in a pause", e.time >= self.pause_end)
        roll(self.offers[key], e.time)
        return cast(Record, self.offers[key])

    def licensed(self, offer: Record, before: int, time: int) -> int:
        """The expiry that a payment at a time leads to."""
        return int(max(before, time) + offer.duration) if offer.duration else FOREVER

    def sold(self, e: Entry) -> None:
        """A sale: price and license by rule."""
        before = self.licenses[e.key, e.who]
        renewed = self.offers[e.key].flags & 2 if before else 0
        offer = self.bought(e, e.key, renewed)
        self.must(e, "price", e.a == offer.floor + premium(offer))
        self.must(e, "split or time", e.b == offer.split | e.time << 32)
        self.must(e, "expiry", e.c == self.licensed(offer, before, e.time) and before < FOREVER)
        if not before:
            count(offer, self.set.platformFee)
        self.licenses[e.key, e.who] = e.c
        self.sale(e, offer.split, e.key, e.who, e.c)
        self.money.append((e, True, ""))

    def claim(self, e: Entry) -> None:
        """A claim pays exactly what is due, to an account or to another split."""
        split, other = self.splits[e.key], int(e.who, 16)
        earned = (split.sold + split.passed_in) * split.shares[e.who] // 10_000
        self.must(e, "claim", (e.a, e.b, e.c) == (earned - split.had[e.who], earned, split.shares[e.who]) and e.a > 0)
        self.must(e, "kind of account", (other <= U32) == (e.kind == 6))
        split.had[e.who] += e.a
        row = {"sequence": e.seq, "split_id": e.key, "amount": e.a, "time": e.time, "block": e.block, "tx_hash": e.tx}
        if e.kind == 5:
            self.claims.append(row | {"account": e.who})
            self.money.append((e, False, e.who))
        else:
            self.splits[other].passed_in += e.a
            self.passed_on.append(row | {"to_split_id": other})

    def steer(self, e: Entry) -> None:
        """Suspensions, pauses and the steward; the first steward stands in no entry."""
        self.must(e, "not the steward", e.kind in (17, 18, 19) or self.steward in ("", e.who))
        if e.kind in (11, 12):
            offer = self.offers[e.key]
            self.must(e, "notice", self.notices[e.a] == offer.adapter)
            offer.flags = offer.flags | 8 if e.kind == 11 else offer.flags & ~8
        elif e.kind == 16:
            self.must(e, "pause", e.a == e.time + MONTH and e.time >= self.pause_end + MONTH)
            self.pause_end = e.a
        elif e.kind == 17:
            self.pause_end = min(self.pause_end, e.time)
        elif e.kind == 18:
            self.named = e.who
        else:
            self.must(e, "not the named one", e.who in (self.named, address(0)))
            self.steward = e.who

    def channel(self, e: Entry) -> None:
        """Channels: amounts, deposits and ends."""
        if e.kind == 20:
            key, price, split, closing = e.b & U64, e.b >> 64 & U64, e.b >> 128 & U32, e.b >> 160
            offer = self.bought(e, key, 1)
            self.must(e, "number or terms", (len(self.channels) + 1, offer.floor, offer.split) == (e.key, price, split))
            self.must(e, "closing time", closing > e.time)
            self.channels[e.key] = Record(
                payer=e.who,
                offer=key,
                price=price,
                split=split,
                closing=closing,
                session=address(e.c),
                deposit=e.a,
                redeemed=0,
                closed=False,
            )
            self.money.append((e, True, e.who))
            return
        at = self.channels[e.key]
        self.must(e, "closed before", not at.closed)
        self.must(e, "sender", e.kind == 21 or e.who == (at.session if e.kind == 22 else at.payer))
        if e.kind == 21:
            at.deposit += e.a
            self.must(e, "deposit", e.b == at.deposit)
            self.money.append((e, True, e.who))
        elif e.kind == 22:
            self.must(e, "amount", e.a == e.c * at.price - at.redeemed > 0 and e.b == at.split)
            at.redeemed += e.a
            self.must(e, "more than the deposit", at.redeemed <= at.deposit)
            self.sale(e, at.split, at.offer, at.payer, None)
        elif e.kind == 23:
            self.must(e, "closing time", e.a == e.time + self.set.closeWindow < at.closing)
            at.closing = e.a
        else:
            self.must(e, "refund", (e.a, e.b) == (at.deposit - at.redeemed, at.redeemed) and e.time >= at.closing)
            at.closed = True
            self.money += [(e, False, e.who)] if e.a else []

    def ordered(self, e: Entry) -> None:
        """An order: terms bound by the state, price by rule."""
        (terms,), offer = self.event(e, "OrderPlaced"), self.bought(e, e.b, 2)
        extra = premium(offer)
        offer.reserved += extra
        wanted = (
            e.b,
            offer.split,
            e.time + self.set.deliveryWindow,
            int(e.who, 16),
            e.c,
            offer.floor + extra,
            offer.key_hash,
        )
        told = (*terms[:3], int(terms[3], 16), int(terms[4], 16), *terms[5:7])
        self.must(e, f"terms {told} are not {wanted}", told == wanted and e.a == terms[5])
        self.must(
            e,
            "number or state",
            e.key == len(self.orders) + 1 and keccak(self.w3.codec.encode([ORDER], [terms])) == e.d,
        )
        self.orders[e.key] = Record(
            terms=terms,
            state=e.d,
            holder=address(e.c),
            price=e.a,
            premium=extra,
            time=e.time,
            delivery=None,
            delivered=0,
            ended=False,
        )
        self.money.append((e, True, e.who))

    def delivered(self, e: Entry) -> None:
        """A delivery in time: the license begins."""
        (delivery,), order, offer = self.event(e, "KeyDelivered"), self.orders[e.key], self.offers[e.a]
        expiry = self.licensed(offer, self.licenses[e.a, order.holder], e.time)
        self.must(e, "offer, holder or expiry", (e.a, e.who, e.b) == (order.terms[0], order.holder, expiry))
        self.must(e, "deadline", e.c == delivery[2] == e.time + self.set.disputeWindow and e.time <= order.terms[2])
        self.must(e, "state", keccak(order.state + self.w3.codec.encode([DELIVERY], [delivery])) == e.d)
        self.must(e, "not open", order.delivery is None and not order.ended)
        order.delivery, order.delivered, order.expiry = delivery, e.time, expiry
        self.licenses[e.a, order.holder] = expiry

    def ended(self, e: Entry) -> None:
        """An order ends once: disputed, settled or refunded."""
        key = e.c if e.kind == 34 else e.b & U64
        order, offer, delivery = self.orders[e.key], self.offers[key], self.orders[e.key].delivery
        self.must(
            e, "offer, amount or payer", (order.terms[0], order.price, order.terms[3].lower()) == (key, e.a, e.who)
        )
        self.must(e, "ended before", not order.ended)
        self.must(e, "delivery", (delivery is None) == (e.kind == 35))
        order.ended = True
        roll(offer, e.time)
        left = order.premium >> (e.time // DAY - order.time // DAY)
        offer.reserved -= left
        if e.kind == 34:
            count(offer, self.set.platformFee)
            self.must(e, "too early, split or time", e.time > delivery[2] and e.b == order.terms[1] | e.time << 32)
            self.sale(e, order.terms[1], key, order.holder, order.expiry)
            return
        offer.credit += left
        self.money.append((e, False, e.who))
        self.must(e, "time", e.b >> 64 == e.time)
        if e.kind == 35:
            self.must(e, "too early", e.time > order.terms[2])
            return
        granted = order.delivered + offer.duration if offer.duration else FOREVER
        expiry = self.licenses[key, order.holder]
        expiry = 0 if expiry == granted else expiry - max(granted - e.time, 0)
        self.licenses[key, order.holder] = expiry
        self.must(e, "holder or expiry", e.c == int(order.holder, 16) | expiry << 160 and e.time <= delivery[2])
        shared = multiply(number(e.d), delivery[0])
        opened = number(delivery[1]) ^ number(keccak(words(*shared)))
        self.must(e, "secret", multiply(number(e.d), GENERATOR) == order.terms[8])
        self.must(e, "the key was right", keccak(words(opened)) != order.terms[6])

    def pool(self, e: Entry) -> None:
        """Pools, fees and what goes back of them."""
        if e.kind == 40:
            self.must(e, "number", e.key == len(self.pools) + 1)
            self.pools[e.key] = Record(
                operator=e.who,
                challenger=address(e.c),
                fee=e.a,
                rules=e.d,
                payers={},
                waiting=set(),
                posted=None,
                roots={},
                end=lambda period: (e.b >> 32) + (period + 1) * (e.b & U32),
            )
            return
        pool, fee = self.pools[e.key], (e.b, address(e.c))
        if e.kind == 41:
            bits = e.b >> 64
            new = {((e.b & U64) + at, e.who) for at in range(bits.bit_length()) if bits >> at & 1}
            self.must(e, "fees", e.a == pool.fee * len(new) > 0 and not new & set(pool.payers))
            self.must(e, "a period that is over", all(pool.end(period) > e.time for period, _ in new))
            self.must(e, "sold in a pause", e.time >= self.pause_end)
            pool.payers |= dict.fromkeys(new, address(e.c))
            pool.waiting |= new
            self.money.append((e, True, address(e.c)))
            return
        self.must(e, "payer", e.who == pool.payers[fee])
        self.money.append((e, False, e.who))
        if e.kind == 46:
            held = pool.posted and fee in pool.posted.fees and e.time < pool.posted.adoptable + MONTH
            self.must(e, "refund", fee in pool.waiting and not held and e.a == pool.fee)
            self.must(e, "too early", e.time >= pool.end(e.b) + HALF_YEAR)
            pool.waiting.discard(fee)
        else:
            root = next(root for root in pool.roots.values() if fee in root.fees)
            self.must(e, "part", e.a == -(-root.left // len(root.fees)) and e.d == root.root)
            self.must(e, "too early", e.time >= root.claimable)
            root.left -= e.a
            root.fees.discard(fee)

    def root(self, e: Entry) -> None:
        """Roots of pools: posted, vetoed, adopted, credited."""
        pool = self.pools[e.key]
        if e.kind == 42:
            first, last, adoptable, data = e.b & U64, e.b >> 64 & U64, e.b >> 128, self.event(e, "PoolData")
            fees = {fee for fee in pool.waiting if first <= fee[0] <= last}
            due = max(pool.roots, default=-1) + 1
            while pool.end(due) + HALF_YEAR <= e.time:
                due += 1
            self.must(e, "a root waits", pool.posted is None or e.time >= pool.posted.adoptable + MONTH)
            self.must(e, "periods", due == first <= last and pool.end(last) <= e.time)
            self.must(e, "amount or operator", e.a == pool.fee * len(fees) and e.who == pool.operator)
            self.must(e, "time or data", adoptable == e.time + self.set.vetoWindow and data[:2] == (e.d, words(e.c)))
            holders = defaultdict[int, list[str]](list)
            for period, holder in sorted(fees):
                holders[period].append(holder)
            pool.posted = Record(
                seq=e.seq,
                first=first,
                last=last,
                adoptable=adoptable,
                left=e.a,
                root=e.d,
                rules=pool.rules,
                fee=pool.fee,
                data=data[1],
                fees=fees,
                subscribers=holders,
                credited=set(),
            )
        elif e.kind == 45:
            root = pool.roots[e.c]
            self.must(e, "credit", e.d == root.root and 0 < e.a <= root.left and e.b not in root.credited)
            self.must(e, "too late", e.time < root.claimable)
            root.credited.add(e.b)
            root.left -= e.a
            self.sale(e, e.b, None, e.who, None)
        else:
            root, pool.posted = pool.posted, None
            self.must(e, "root", (e.a, e.d) == (root.left, root.root))
            if e.kind == 43:
                self.must(e, "veto", e.who == pool.challenger and e.time < root.adoptable)
                return
            self.must(e, "adoption", (e.b, e.c) == (e.time + HALF_YEAR, root.last))
            self.must(e, "time", root.adoptable <= e.time < root.adoptable + MONTH)
            pool.roots[root.last], root.claimable = root, e.b
            pool.waiting -= root.fees

    def divisions(self, chain_id: int, data: list[bytes]) -> int:
        """Derives each root that counts from its published division; how many had none."""
        published, missing = {hashlib.sha256(raw).digest(): raw for raw in data}, 0
        offered = {
            (offer.adapter, self.adapters[offer.adapter]["owner"], offer.split) for offer in self.offers.values()
        }
        now = self.w3.eth.get_block(self.block)["timestamp"]
        for number_of_pool, pool in self.pools.items():
            waiting = [pool.posted] if pool.posted and now < pool.posted.adoptable + MONTH else []
            for root in [*pool.roots.values(), *waiting]:
                raw, place = published.get(root.data), f"{chain_id}:{self.me}:{number_of_pool}"
                missing += raw is None
                try:
                    told = faults_of_data(raw, root, place, offered, self.w3) if raw is not None else []
                except (AttributeError, KeyError, ValueError, TypeError) as error:
                    told = [f"malformed: {error!r}"]
                self.faults += [f"{root.seq} (data of the root): {fault}" for fault in told]
        return missing

    def movements(self) -> None:
        """Finds the movement of the token for each entry of money; what is over was never booked."""
        topic, me = keccak(b"Transfer(address,address,uint256)"), words(int(self.market, 16))
        found = {
            (log["blockNumber"], log["logIndex"]): log
            for topics in ([topic, None, me], [topic, me])
            for log in self.logs(self.token, topics, self.first, self.block)
        }
        rows: dict[str, list[Move]] = defaultdict(list)
        for (_, index), log in sorted(found.items()):
            source, target = (address(number(bytes(side))) for side in log["topics"][1:])
            rows["0x" + bytes(log["transactionHash"]).hex()].append(
                Move(index, source, target, number(bytes(log["data"])))
            )
        for e, inward, who in self.money:
            moved = self.paid_in(rows[e.tx], e, who) if inward else self.paid_out(rows[e.tx], e.index, who, e.a)
            self.must(e, "no movement of the token", bool(moved))
            rows[e.tx] = [row for row in rows[e.tx] if row not in moved]
        rest = [row for left in rows.values() for row in left if row.source != row.target]
        self.transfers, self.unbooked = len(found), sum(row.amount for row in rest if row.target == self.me)
        self.faults += [f"left the market without an entry: {row}" for row in rest if row.source == self.me]

    def paid_in(self, rows: list[Move], e: Entry, who: str) -> list[Move]:
        """A payment; a sale by signature brings the highest price and has the rest sent back."""
        later = [row for row in rows if row.index > e.index and row.target == self.me and who in ("", row.source)]
        for row in later:
            if row.amount == e.a:
                return [row]
        for row in later if e.kind == 4 else []:
            back = self.paid_out(rows, row.index, row.source, row.amount - e.a) if row.amount > e.a else []
            if back:
                return [row, *back]
        return []

    def paid_out(self, rows: list[Move], after: int, who: str, amount: int) -> list[Move]:
        """A payout, whole or in two parts, one of which the token keeps."""
        later = [row for row in rows if row.index > after and row.source == self.me]
        for row in later:
            if (row.target, row.amount) == (who, amount):
                return [row]
        for one, two in pairwise(later):
            if who in (one.target, two.target) and one.amount + two.amount == amount:
                self.token_fees += two.amount if one.target == who else one.amount
                return [one, two]
        return []

    def books(self) -> tuple[dict[str, int], dict[str, int]]:
        """Counts and sums of the whole market."""
        names = ("adapters", "splits", "offers", "sales", "claims", "passed_on", "orders", "channels", "pools")
        counts = {name: len(getattr(self, name)) for name in names} | {"entries": self.seq, "transfers": self.transfers}
        sums = {"sales": sum(row["price"] for row in self.sales)}
        sums |= {name: sum(row["amount"] for row in getattr(self, name)) for name in ("claims", "passed_on")}
        for kind, name in SALES.values():
            prices = [row["price"] for row in self.sales if row["kind"] == kind]
            counts[name], sums[name] = len(prices), sum(prices)
        sums["unclaimed"] = sums["sales"] - sums["claims"]
        sums["in_orders"] = sum(order.price for order in self.orders.values() if not order.ended)
        sums["in_channels"] = sum(at.deposit - at.redeemed for at in self.channels.values() if not at.closed)
        sums["in_pools"] = sum(
            len(pool.waiting) * pool.fee + sum(root.left for root in pool.roots.values())
            for pool in self.pools.values()
        )
        sums["owed"] = sums["unclaimed"] + sums["in_orders"] + sums["in_channels"] + sums["in_pools"]
        sums["unbooked"], sums["token_fees"] = self.unbooked, self.token_fees
        balance = self.call(self.token, "balanceOf(address)", words(int(self.market, 16)))
        if balance != sums["owed"] + self.unbooked:
            self.faults.append(f"balance {balance} is not {sums['owed']} owed and {self.unbooked} unbooked")
        return counts, sums

    def shares(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Rows of splits, and totals of accounts."""
        rows, totals = [], dict[str, dict[str, Any]]()
        for key, split in self.splits.items():
            accrued, paid = split.sold + split.passed_in, sum(split.had.values())
            passed = sum(row["amount"] for row in self.passed_on if row["split_id"] == key)
            rows.append(
                {
                    "split_id": key,
                    "accrued": accrued,
                    "sold": split.sold,
                    "passed_in": split.passed_in,
                    "paid": paid,
                    "claimed": paid - passed,
                    "passed_on": passed,
                    "shares": [list(row) for row in split.shares.items()],
                }
            )
            for account, share in split.shares.items():
                if int(account, 16) > U32:
                    total = totals.setdefault(account, {"account": account, "earned": 0, "claimed": 0, "due": 0})
                    total["earned"] += accrued * share // 10_000
                    total["claimed"] += split.had[account]
                    total["due"] = total["earned"] - total["claimed"]
        return rows, [totals[account] for account in sorted(totals)]


def rederive(rpc_url: str, deployment: dict[str, Any], block: int, data: list[bytes]) -> dict[str, Any]:
    """What a report says of payments, derived from the logs up to `block`, and the faults found on the way.

    `data` are published divisions of pools.
    """
    replay = Replay(rpc_url, deployment, block)
    for entry in replay.read():
        replay.apply(entry)
    replay.faults += [f"{name} in {tx} without an entry" for (name, tx, _), left in replay.long.items() if left]
    stored = number(bytes(replay.w3.eth.get_storage_at(replay.market, 0, replay.state)))
    if stored != replay.head:
        replay.faults.append(f"head {replay.head:#066x} is not the stored {stored:#066x}")
    missing = replay.divisions(deployment["chain_id"], data)
    replay.movements()
    (counts, sums), (splits, totals) = replay.books(), replay.shares()
    return {
        "head": f"{replay.head:#066x}",
        "counts": counts,
        "sums": sums,
        "adapters": [*replay.adapters.values()],
        "sales": replay.sales,
        "passed_on": replay.passed_on,
        "splits": splits,
        "claims": replay.claims,
        "totals": totals,
        "faults": replay.faults,
        "roots_without_data": missing,
    }


if __name__ == "__main__":
    named = json.loads(Path(sys.argv[2]).read_text())
    given = [Path(path).read_bytes() for path in sys.argv[4:]]
    sys.stdout.write(json.dumps(rederive(sys.argv[1], named, int(sys.argv[3]), given), indent=2) + "\n")
