"""Derive the roots of pools again from the data that was published with them; no I/O.

A root that was struck out binds nobody and is passed over. A root is only as good as the one before it, from whose
totals it goes on: where the data of one is not at hand, those after it are not derived either.
"""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from viz_node.chain.hashing import pool_root
from viz_node.chain.replay.book import Book, Finding
from viz_node.chain.replay.catalogue import Catalogue
from viz_node.chain.replay.pools import VETOED, Pools, PostedRoot
from viz_node.domain.division import Division, PoolFacts, Recover, faults_of, parse_division
from viz_node.domain.ids import Account, TokenAmount
from viz_node.domain.pool import pool_place
from viz_node.errors import VerificationError


class Published(NamedTuple):
    """What lies outside the chain: divisions by their SHA-256, and how to find who signed a text."""

    divisions: Mapping[bytes, bytes]
    recover: Recover


def _nobody(text: str, signature: str) -> Account:
    raise VerificationError("nothing was published")


NOTHING_PUBLISHED = Published({}, _nobody)


def check_divisions(
    book: Book, pools: Pools, catalogue: Catalogue, chain_id: int, published: Published
) -> tuple[int, int]:
    """Note what does not follow from published data; the roots that were derived, and those not for want of data."""
    offered = {(offer.adapter_number, offer.split_id) for offer in catalogue.offers.values()}

    def has_offer(adapter: int, account: Account, split_id: int) -> bool:
        return catalogue.owner_of(adapter) == account and (adapter, split_id) in offered

    derived = missing = 0
    for pool in pools.by_number.values():
        place, before = pool_place(chain_id, book.market, pool.number), dict[int, int]()
        roots = [root for root in pool.roots if root.state != VETOED]
        for position, posted in enumerate(roots):
            raw = published.divisions.get(posted.digest)
            if raw is None:
                missing += len(roots) - position
                break
            derived += 1
            facts = PoolFacts(place, pool.rules, TokenAmount(pool.fee), before, posted.subscribers, has_offer)
            division, faults = _judge(raw, posted, facts, published.recover)
            for fault in faults:
                book.findings.append(Finding("C10", posted.sequence, f"pool {pool.number}: {fault}"))
            if division is None:
                missing += len(roots) - position - 1
                break
            before = dict(division.totals)
    return derived, missing


def _judge(raw: bytes, posted: PostedRoot, facts: PoolFacts, recover: Recover) -> tuple[Division | None, list[str]]:
    try:
        division = parse_division(raw)
    except VerificationError as error:
        return None, [error.message]
    faults = faults_of(division, facts, recover)
    if hashlib.sha256(raw).digest() != posted.digest:
        faults.append("the data has another digest than the chain says")
    if not division.totals or pool_root(division.totals) != posted.root:
        faults.append("the posted root is not that of the data")
    return division, faults
