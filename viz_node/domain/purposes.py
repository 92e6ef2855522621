"""What a transaction is for: one frozen dataclass for each kind whose facts are read again, as its row keeps them.

Fields are added with a default, because rows of earlier versions are parsed, too; keys that are no fields any more are
passed over.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from viz_node.domain.answer import as_json
from viz_node.domain.terms import PublicationTerms
from viz_node.errors import StorageError, VizNodeError


@dataclass(frozen=True)
class Purpose:
    """`job` is the job that wants the transaction, empty for what the node does unasked.

    `permit`: the call carries a permit of the account's tokens.
    """

    kind: str
    job: str = ""
    permit: bool = False


@dataclass(frozen=True, kw_only=True)
class BuyLicense(Purpose):
    """A license of this adapter (its id); kind `buy` is one bought directly, `order` one delivered through escrow."""

    adapter: str
    price: int


@dataclass(frozen=True, kw_only=True)
class PublishAdapter(Purpose):
    """An adapter on the market, with the terms of its order."""

    terms: PublicationTerms


@dataclass(frozen=True, kw_only=True)
class SubscribePool(Purpose):
    """Periods of a pool: those wanted, those skipped because they are paid, and the second in which the last ends."""

    pool: int
    wanted: tuple[int, ...]
    skipped: tuple[int, ...]
    paid: int
    until: int | None = None


@dataclass(frozen=True, kw_only=True)
class RedeemVouchers(Purpose):
    """Vouchers, each as its channel and how many uses it counts."""

    channels: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class CreditSplits(Purpose):
    """What pools give to splits, each as the pool, its last period, and the split."""

    claims: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, kw_only=True)
class ClaimRoyalties(Purpose):
    """What these splits hold, of which `due` units come to the account itself."""

    splits: tuple[int, ...]
    due: int


@dataclass(frozen=True, kw_only=True)
class RefundPeriod(Purpose):
    """The fee of a period that was not divided or not claimed."""

    pool: int
    period: int


AnyPurpose = TypeVar("AnyPurpose", bound=Purpose)
_PURPOSES: dict[str, type[Purpose]] = {
    "buy": BuyLicense,
    "order": BuyLicense,
    "publish": PublishAdapter,
    "subscribe": SubscribePool,
    "redeem": RedeemVouchers,
    "pool credit": CreditSplits,
    "claim": ClaimRoyalties,
    "pool refund": RefundPeriod,
}


def parse_purpose(kind: str, body: object) -> Purpose:
    """The purpose of a stored transaction; only its kind where the rest is none of this version's."""
    for purpose in (_PURPOSES.get(kind, Purpose), Purpose):
        try:
            return msgspec.convert({**body, "kind": kind} if isinstance(body, dict) else body, purpose)
        except (msgspec.ValidationError, VizNodeError):  # terms check themselves
            continue
    return Purpose(kind)


def purpose_body(purpose: Purpose) -> dict[str, Any]:
    """The purpose as its row keeps it."""
    body: dict[str, Any] = as_json(purpose)
    return body


def purpose_as(purpose: Purpose, wanted: type[AnyPurpose]) -> AnyPurpose:
    """The purpose with its facts. Raises: StorageError (the row of another version)."""
    if isinstance(purpose, wanted):
        return purpose
    raise StorageError(f"another version of this program sent this transaction ({purpose.kind})", "use that version")
