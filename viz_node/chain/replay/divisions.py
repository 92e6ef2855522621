"""Derive the roots of pools again from the data that was published with them; no I/O.

A root that was struck out, or that nobody adopted in time, binds nobody and is passed over. Each root stands alone.
"""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from viz_node.chain.encoding.hashing import pool_root
from viz_node.chain.replay.book import Book, Finding
from viz_node.chain.replay.catalogue import Catalogue
from viz_node.chain.replay.pools import LAPSED, VETOED, Pools, PostedRoot
from viz_node.domain.division import Accepts, PoolFacts, Recover, faults_of, no_wallets, parse_division
from viz_node.domain.ids import Account, TokenAmount
from viz_node.domain.pool import pool_place
from viz_node.errors import VerificationError


class Published(NamedTuple):
    """What lies outside the chain: divisions by their SHA-256, and how to find who signed a text."""

    divisions: Mapping[bytes, bytes]
    recover: Recover
    accepts: Accepts = no_wallets


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
        place = pool_place(chain_id, book.market, pool.number)
        for posted in pool.roots:
            if posted.state in (VETOED, LAPSED):
                continue
            raw = published.divisions.get(posted.digest)
            if raw is None:
                missing += 1
                continue
            derived += 1
            periods = posted.first, posted.through
            facts = PoolFacts(place, pool.rules, TokenAmount(pool.fee), periods, posted.subscribers, has_offer)
            for fault in _judge(raw, posted, facts, published):
                book.findings.append(Finding("C10", posted.sequence, f"pool {pool.number}: {fault}"))
    return derived, missing


def _judge(raw: bytes, posted: PostedRoot, facts: PoolFacts, published: Published) -> list[str]:
    try:
        division = parse_division(raw)
    except VerificationError as error:
        return [error.message]
    faults = faults_of(division, facts, published.recover, published.accepts)
    if hashlib.sha256(raw).digest() != posted.digest:
        faults.append("the data has another digest than the chain says")
    if not division.totals or pool_root(division.totals) != posted.root:
        faults.append("the posted root is not that of the data")
    return faults
