"""Compare what the contract says now with what the ledger leads to. Seen once: an offline repetition cannot ask.

The code is pinned, so any fault in it recurs: the audit compares at most `LARGEST_SAMPLE` answers of each view, chosen
at random so that an endpoint cannot predict them.
"""

import random
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from viz_node.audit.evidence import StateCheck
from viz_node.chain.contract.artifact import load_artifact
from viz_node.chain.contract.items import ESCROWED, METERED, make_item
from viz_node.chain.node.rpc import JsonRpc, to_bytes, to_hex
from viz_node.chain.replay import LedgerReplay
from viz_node.chain.replay.pools import PENDING

LARGEST_SAMPLE = 250
Expectation = tuple[str, tuple[Any, ...], list[Any]]


def compare_state(rpc: JsonRpc, market: str, block: int, replay: LedgerReplay) -> StateCheck:
    """Ask the contract for what the replay knows. Raises: ChainUnavailableError, RpcRefusedError."""
    artifact, expected = load_artifact("Market"), _sample(replay)
    differences: list[str] = []
    calls: list[tuple[str, list[Any]]] = []
    for name, keys, _ in expected:
        try:
            data = artifact.call_data(name, *keys)
        except ValueError:
            return StateCheck(0, ("an entry has a number that the contract cannot hold",))
        calls.append(("eth_call", [{"to": market, "data": to_hex(data)}, hex(block)]))
    for (name, keys, values), answer in zip(expected, rpc.batch(calls), strict=True):
        try:
            told = artifact.outputs_of(name, to_bytes(answer))[: len(values)]
        except ValueError:
            told = []
        if told != values:
            shown = ", ".join(str(key) for key in keys)
            differences.append(f"the contract's {name}({shown}) is not what the ledger leads to")
    return StateCheck(len(expected), tuple(differences))


def _sample(replay: LedgerReplay) -> list[Expectation]:
    by_view: dict[str, list[Expectation]] = defaultdict(list)
    for item in _expectations(replay):
        by_view[item[0]].append(item)
    chance = random.SystemRandom()
    return [item for items in by_view.values() for item in chance.sample(items, min(len(items), LARGEST_SAMPLE))]


def _expectations(replay: LedgerReplay) -> Iterator[Expectation]:
    """View, arguments, and the first values of its answer."""
    for split in replay.splits.by_id.values():
        yield "splits", (split.split_id,), [split.accrued, split.paid, split.root]
        for account, total in split.claimed.items():
            yield "claimed", (split.split_id, account), [total]
    for adapter in replay.catalogue.adapters.values():
        yield "adapterOf", (adapter.owner, adapter.manifest), [adapter.number]
    for offer in replay.catalogue.offers.values():
        terms = [offer.floor, offer.split_id, offer.duration_seconds, offer.flags, offer.max_rise, offer.target]
        yield "offers", (offer.offer_id,), terms
        yield "adapterOfOffer", (offer.offer_id,), [offer.adapter_number]
        yield "keyHashOf", (offer.offer_id,), [offer.key_hash]
        offered, paid = replay.catalogue.adapters.get(offer.adapter_number), replay.splits.by_id.get(offer.split_id)
        if offered is not None and paid is not None:
            said = offered.owner, offered.manifest, paid.root, offer.key_hash
            lasting = [terms[0], terms[2], offer.flags & (METERED | ESCROWED), *terms[4:]]
            yield "itemOf", (offer.offer_id,), [make_item(offer.offer_id, said, lasting)]
    yield "pausedUntil", (), [replay.book.paused_until]
    for key, expiry in replay.licenses.expiry.items():
        yield "licenses", key, [expiry]
    for order in replay.escrow.orders.values():
        yield "orders", (order.number,), [order.word]
    yield from _of_channels_and_pools(replay)


def _of_channels_and_pools(replay: LedgerReplay) -> Iterator[Expectation]:
    for channel in replay.channels.by_number.values():
        if not channel.is_closed:
            row = [channel.session_account, channel.close_at, channel.split_id, channel.deposit, channel.price]
            yield "channels", (channel.number,), [*row, channel.uses, channel.payer, channel.offer_id]
    for pool in replay.pools.by_number.values():
        last = pool.roots[-1] if pool.roots and pool.roots[-1].state == PENDING else None
        facts = [pool.operator, pool.fee, pool.period_seconds, pool.challenger, pool.start, pool.next_period]
        yield "pools", (pool.number,), [*facts, last.through + 1 if last else 0, pool.terms]
        if last:
            row = [last.root, last.amount, last.first, last.adoptable_at, 0]
            yield "roots", (pool.number, last.through), row
        for root in (pool.roots[place] for place in pool.adopted.values()):
            yield "roots", (pool.number, root.through), [root.root, root.left, root.first, root.until, root.fees]
            for split_id, units in root.credits.items():
                yield "poolCredits", (pool.number, root.through, split_id), [units]
