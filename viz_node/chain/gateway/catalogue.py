"""Adapters and their offers."""

from collections.abc import Collection, Sequence

from viz_node.chain.contract.items import ESCROWED, METERED, NO_KEY, SUSPENDED, WITHDRAWN
from viz_node.chain.contract.ledger import EntryKind
from viz_node.chain.gateway.reader import NOBODY
from viz_node.chain.gateway.royalties import SPLIT_BITS, RoyaltyGateway
from viz_node.domain.ids import Account, BasisPoints, TokenAmount, format_tokens
from viz_node.domain.market import ChainAdapter
from viz_node.domain.offer import Offer, OfferTerms
from viz_node.domain.royalty import RoyaltySplit
from viz_node.domain.transaction import Call
from viz_node.errors import NotFoundError, UsageError, VerificationError


class CatalogueGateway(RoyaltyGateway):
    """What is for sale, and the calls of those who sell it."""

    def find_adapter(self, manifest_digest: bytes, owner: str) -> ChainAdapter | None:
        """The adapter that `owner` registered for this manifest."""
        (number,) = self._view("adapterOf", owner, manifest_digest)
        return self.adapter(number) if number else None

    def adapter(self, number: int) -> ChainAdapter:
        """The adapter with this number. Raises: NotFoundError."""
        owner, _, is_retired, manifest, base_model, terms = self._view("adapters", number)
        if owner == NOBODY:
            raise NotFoundError(f"the market has no adapter {number}")
        return ChainAdapter(number, Account(owner), manifest, base_model, terms, is_retired)

    def offers_of(self, adapter_number: int) -> list[Offer]:
        """All offers for the adapter, oldest first. Raises: VerificationError when a table is not its root's."""
        entries = [entry for entry in self._entries(EntryKind.OFFER_CREATED) if entry.a == adapter_number]
        return self._offers([entry.key for entry in entries], adapter_number)

    def are_offered(self, manifests: Sequence[bytes], owner: str) -> list[bool | None]:
        """Whether each adapter that `owner` registered for these digests has an open offer; None: it is not there.

        Two questions to the chain, however many adapters there are.
        """
        numbers = [number for (number,) in self._views([("adapterOf", (owner, digest)) for digest in manifests])]
        entries = [entry for entry in self._entries(EntryKind.OFFER_CREATED) if entry.a in {*numbers} - {0}]
        terms = self._views([("offers", (entry.key,)) for entry in entries])
        ended = WITHDRAWN | SUSPENDED
        offered = {entry.a for entry, (*_, flags, _, _, _) in zip(entries, terms, strict=True) if not flags & ended}
        return [number in offered if number else None for number in numbers]

    def offers_into(self, split_ids: Collection[int]) -> list[int]:
        """The numbers of all offers whose payments go to these splits."""
        entries = self._entries(EntryKind.OFFER_CREATED)
        return [entry.key for entry in entries if entry.c % (1 << SPLIT_BITS) in split_ids]

    def adapters_paid_into(self, split_ids: Collection[int]) -> dict[int, list[int]]:
        """The adapters whose offers pay into these splits, ascending, by split."""
        entries = self._entries(EntryKind.OFFER_CREATED)
        pairs = sorted({(entry.c % (1 << SPLIT_BITS), entry.a) for entry in entries})
        return {split: [adapter for other, adapter in pairs if other == split] for split in split_ids}

    def offer(self, offer_id: int) -> Offer:
        """One offer. Raises: NotFoundError, VerificationError."""
        (adapter_number,) = self._view("adapterOfOffer", offer_id)
        if not adapter_number:
            raise NotFoundError(f"the market has no offer {offer_id}")
        return self._offers([offer_id], adapter_number)[0]

    def quote(self, offer_id: int) -> TokenAmount:
        """The price now. Raises: TransactionRevertedError for an unknown offer."""
        return TokenAmount(self._view("quote", offer_id)[0])

    def prepare_publish(
        self, digests: tuple[bytes, bytes, bytes], split: RoyaltySplit, terms: OfferTerms, key_hash: bytes = NO_KEY
    ) -> Call:
        """Register adapter, split and offer in one; `digests` are those of manifest, base model and terms.

        `key_hash` is that of the adapter's key, which an escrowed offer names. Raises: UsageError if it names none.
        """
        description = f"publish adapter {digests[0].hex()[:12]} for {format_tokens(terms.price)}"
        return self._to_market(description, "publish", *digests, *_columns(split), _fields(0, terms, key_hash))

    def prepare_register(self, digests: tuple[bytes, bytes, bytes]) -> Call:
        """Register an adapter without an offer."""
        return self._to_market(f"register adapter {digests[0].hex()[:12]}", "register", *digests)

    def prepare_split(self, split: RoyaltySplit) -> Call:
        """Create a split."""
        return self._to_market("create a royalty split", "createSplit", *_columns(split))

    def prepare_offer(self, adapter_number: int, split_id: int, terms: OfferTerms, key_hash: bytes = NO_KEY) -> Call:
        """Create another offer for an adapter. Raises: UsageError (an escrowed one without a key hash)."""
        description = f"offer adapter {adapter_number} for {format_tokens(terms.price)}"
        return self._to_market(description, "createOffer", adapter_number, _fields(split_id, terms, key_hash))

    def prepare_withdraw(self, adapter_number: int, offer_ids: Sequence[int]) -> Call:
        """End offers of an adapter of the sender at once; licenses that were sold stay."""
        shown = ", ".join(map(str, offer_ids))
        return self._to_market(f"withdraw offers {shown}", "withdraw", adapter_number, list(offer_ids))

    def prepare_retire(self, adapter_number: int) -> Call:
        """Permanently refuse all further offers of an adapter of the sender."""
        return self._to_market(f"retire adapter {adapter_number}", "retire", adapter_number)

    def _offers(self, offer_ids: Sequence[int], adapter_number: int) -> list[Offer]:
        views = [(name, (offer_id,)) for offer_id in offer_ids for name in ("offers", "adapterOfOffer", "quote")]
        answers = self._views(views)
        tables: dict[int, tuple[tuple[Account, BasisPoints], ...]] = {}
        offers = []
        for position, offer_id in enumerate(offer_ids):
            terms, (adapter,), (price,) = answers[3 * position : 3 * position + 3]
            floor, split_id, *_ = terms
            if adapter != adapter_number or not floor <= price:
                raise VerificationError(f"the chain's endpoint contradicts itself about offer {offer_id}")
            if split_id not in tables:
                tables[split_id] = self.split_shares(split_id)
            offers.append(_offer((offer_id, adapter, price), terms, tables[split_id]))
        return offers


def _offer(place: tuple[int, int, int], terms: list[int], shares: tuple[tuple[Account, BasisPoints], ...]) -> Offer:
    offer_id, adapter_number, price = place
    floor, split_id, duration, flags, max_rise, target, _ = terms
    return Offer(
        offer_id=offer_id,
        adapter_number=adapter_number,
        price=TokenAmount(price),
        split_id=split_id,
        duration_seconds=duration,
        shares=shares,
        floor=TokenAmount(floor),
        is_metered=bool(flags & METERED),
        is_escrowed=bool(flags & ESCROWED),
        is_withdrawn=bool(flags & WITHDRAWN),
        is_suspended=bool(flags & SUSPENDED),
        max_rise=max_rise,
        target=target,
    )


def _columns(split: RoyaltySplit) -> tuple[list[Account], list[BasisPoints]]:
    return [account for account, _ in split.shares], [share for _, share in split.shares]


def _fields(split_id: int, terms: OfferTerms, key_hash: bytes) -> tuple[object, ...]:
    """The contract's OfferTerms."""
    if terms.is_escrowed and key_hash == NO_KEY:
        raise UsageError("an escrowed offer names the hash of its key")
    return (
        split_id,
        terms.price,
        terms.duration_seconds,
        terms.is_metered,
        terms.max_rise,
        terms.target,
        key_hash if terms.is_escrowed else NO_KEY,
    )
