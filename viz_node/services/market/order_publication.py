"""The terms of a publication, checked before it is ordered and again before it is carried out; sends nothing."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Protocol

from viz_node.domain.decide_publication import PublicationFacts, Publishing, Registration, decide_publication
from viz_node.domain.decision import NothingToDo, Refusal
from viz_node.domain.ids import WHOLE, Account, BasisPoints, parse_account
from viz_node.domain.purposes import PublishAdapter, purpose_as
from viz_node.domain.records import DONE_OUTBOX_STATES, AdapterRecord
from viz_node.domain.royalty import (
    RoyaltySplit,
    parse_parent,
    parse_split,
    split_from_shares,
    with_lineage,
)
from viz_node.domain.terms import AskedTerms, PromisedShare, PublicationTerms
from viz_node.errors import ChainUnavailableError, RefusedError, UsageError
from viz_node.ports.market import Publications
from viz_node.ports.state import WithAdapters, WithFederations, WithOutbox
from viz_node.services.library.clear_bases import Clearance
from viz_node.services.library.look_up import registration_of
from viz_node.services.market.listings import Listings


class OrderedPublications(WithAdapters, WithFederations, WithOutbox, Protocol):
    """The adapters, the federations that share in them, and the transactions that published them."""


class PublicationOrders:
    """What an owner may ask for when offering an adapter."""

    def __init__(
        self,
        store: OrderedPublications,
        market: Publications,
        listings: Listings,
        account: Account,
        clearance: Clearance,
    ) -> None:
        self._store = store
        self._clearance = clearance
        self._market = market
        self._listings = listings
        self._account = account

    async def lineage(self, texts: Sequence[str]) -> list[PromisedShare]:
        """What `ADAPTER=PERCENT` promises to parents, each at least what its terms demand.

        Raises: UsageError, RefusedError (a parent's terms forbid it), NotFoundError, UnreachableError,
        VerificationError, ChainUnavailableError.
        """
        parents = []
        for text in texts:
            name, share = parse_parent(text)
            listing = await self._listings.listing(name)
            allowed = listing.manifest.license.permissions
            if not allowed.derivatives:
                raise RefusedError(f"the terms of {name} allow no derived adapters", f"viz-node show {name}")
            if share < allowed.derivative_share:
                least = f"{allowed.derivative_share / 100:g}"
                raise RefusedError(f"the terms of {name} demand {least} percent of it", f"--parent {name}={least}")
            parents.append(PromisedShare(listing.adapter_id, listing.offer.split_id, share))
        return parents

    def check_order(self, adapter: str, asked: AskedTerms, parents: Sequence[PromisedShare] = ()) -> PublicationTerms:
        """The terms in canonical form; a federated adapter has the split that its members agreed to.

        Raises: NotFoundError, UsageError, InvalidSplitError, the refusal's error.
        """
        record = self.find(adapter)
        shares = self._split(record, asked.split)
        terms = PublicationTerms(
            **asdict(asked.offer()),
            kind=asked.license_kind,
            split={str(account): int(share) for account, share in shares.shares},
            permissions=asked.permissions,
            parents=tuple(parents),
        )
        self.decide(record, terms)
        return terms

    def find(self, adapter: str) -> AdapterRecord:
        """The adapter of this library with this name, id or unique prefix. Raises: NotFoundError."""
        return self._store.adapters.find_adapter(adapter)

    def is_begun(self, record: AdapterRecord) -> bool:
        """Whether a transaction that registers the adapter may succeed."""
        return registration_of(self._store.outbox, record) is not None

    def decide(self, record: AdapterRecord, terms: PublicationTerms) -> Publishing | NothingToDo:
        """Whether there is something to publish. Raises: the refusal's error."""
        entry = registration_of(self._store.outbox, record)
        registration = None
        if entry is not None:
            published = purpose_as(entry.purpose, PublishAdapter).terms
            registration = Registration(published, entry.tx_hash, entry.state in DONE_OUTBOX_STATES)
        standing = self._clearance.standing_of(record)
        facts = PublicationFacts(record.name, record.origin, record.evaluation, standing, registration)
        decided = decide_publication(facts, terms)
        if isinstance(decided, Refusal):
            raise decided.error()
        return decided

    async def require_known(self, adapter: str) -> None:
        """What this node's book has as published, the chain knows: a chain that is down or was reset is named.

        Raises: NotFoundError, ChainUnavailableError.
        """
        record = self._store.adapters.find_adapter(adapter)
        entry = registration_of(self._store.outbox, record)
        if entry is None or entry.state not in DONE_OUTBOX_STATES or record.adapter_id is None:
            return
        digest, account = bytes.fromhex(record.adapter_id), self._account
        if await asyncio.to_thread(self._market.find_adapter, digest, account) is None:
            raise ChainUnavailableError(
                f"this node has published {record.name}, and the chain does not know it: it was reset, or is behind",
                "restore the chain's state, or start with a new --home",
            )

    def _split(self, record: AdapterRecord, text: str | None) -> RoyaltySplit:
        asked = parse_split(text) if text else None
        if record.origin != "federated":
            return asked or split_from_shares({self._account: BasisPoints(WHOLE)})
        agreed = split_from_shares(
            self._store.federations.find_federation(str(record.training["federation"])).agreed_shares()
        )
        if asked not in (None, agreed):
            raise UsageError(f"the members of {record.name} agreed to another split", "leave --split out")
        return agreed


def shared_split(terms: PublicationTerms) -> RoyaltySplit:
    """The owner's split with its parents' part, before the platform's."""
    return with_lineage(
        _split_of(terms.split), {parent.split_id: BasisPoints(parent.share) for parent in terms.parents}
    )


def _split_of(shares: Mapping[str, int]) -> RoyaltySplit:
    return split_from_shares({parse_account(account): BasisPoints(share) for account, share in shares.items()})
