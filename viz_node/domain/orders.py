"""What jobs are asked to do: one frozen dataclass per kind of job, as its row in the database keeps it.

Fields are added with a default, because rows of earlier versions are parsed, too; keys that are no fields any more are
passed over.
"""

from dataclasses import dataclass
from typing import ClassVar

import msgspec

from viz_node.domain.answer import as_json
from viz_node.domain.base_sources import StatedSources
from viz_node.domain.conversation import Message
from viz_node.domain.hours import parse_hours
from viz_node.domain.ids import Account, BasisPoints, TokenAmount, WorkId, parse_account
from viz_node.domain.limits import CORES
from viz_node.domain.names import FilePath
from viz_node.domain.offer import OfferTerms
from viz_node.domain.pretraining import PretrainRecipe
from viz_node.domain.recipe import Recipe
from viz_node.domain.royalty import split_from_shares
from viz_node.domain.sampling import Sampling
from viz_node.domain.sources import SourceList
from viz_node.domain.terms import LICENSE_KINDS, PublicationTerms
from viz_node.domain.training import BaseModel
from viz_node.errors import UsageError, VizNodeError

_USUAL = Sampling()


class Order:
    """Base of what a job may be asked to do; `kind` is the job's kind."""

    kind: ClassVar[str]


@dataclass(frozen=True)
class BuildBaseOrder(Order):
    """Build the synthetic base model of this seed, under this name."""

    kind: ClassVar[str] = "base_build"
    seed: int
    name: str


@dataclass(frozen=True)
class InstallBaseOrder(Order):
    """Install the base model of this name: the one of this package, or a pinned one of a hub."""

    kind: ClassVar[str] = "base_install"
    name: str


@dataclass(frozen=True)
class AddBaseOrder(Order):
    """Take in the base model in the folder `source` under this name, with what is stated of its training data."""

    kind: ClassVar[str] = "base_add"
    name: str
    source: FilePath
    license: str
    stated: StatedSources | None = None


@dataclass(frozen=True)
class PretrainOrder(Order):
    """Train a base model from scratch on these sources, whose paths are below the folder `texts`."""

    kind: ClassVar[str] = "base_train"
    name: str
    listed: SourceList
    texts: FilePath
    recipe: PretrainRecipe


@dataclass(frozen=True)
class TrainOrder(Order):
    """Train an adapter called `name` on works; without a base, on the one that is the default by then.

    `cores` 0: as many as the node's workers use. `between` are hours of the day, empty for all.
    """

    kind: ClassVar[str] = "train"
    name: str
    works: tuple[WorkId, ...]
    base: BaseModel | None
    recipe: Recipe
    cores: int = 0
    between: str = ""

    def __post_init__(self) -> None:
        """Raises: UsageError."""
        CORES.check(self.cores)
        if self.between:
            parse_hours(self.between)


@dataclass(frozen=True)
class ImportOrder(Order):
    """Take in the adapter in the folder `source`, as long as its weights have this SHA-256, stated to be of works."""

    kind: ClassVar[str] = "import_adapter"
    name: str
    source: FilePath
    weights_digest: str
    base: BaseModel
    works: tuple[WorkId, ...]


@dataclass(frozen=True)
class GenerateOrder(Order):
    """Write on from a prompt, or answer messages, with the adapter of this name."""

    kind: ClassVar[str] = "generate"
    adapter: str
    prompt: str
    max_new_tokens: int
    sampling: Sampling = _USUAL
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True)
class FederateOrder(Order):
    """Take this node's part in a federation; `name` is that of the adapter, `federation` its id."""

    kind: ClassVar[str] = "federate"
    name: str
    federation: str


@dataclass(frozen=True)
class PublishOrder(Order):
    """Offer an adapter on these terms."""

    kind: ClassVar[str] = "publish"
    adapter: str
    terms: PublicationTerms

    def __post_init__(self) -> None:
        """Raises: UsageError, InvalidSplitError (rows changed by another hand)."""
        if self.terms.kind not in LICENSE_KINDS:
            raise UsageError(f"{self.terms.kind!r} is no kind of license")
        split_from_shares({parse_account(name): BasisPoints(share) for name, share in self.terms.split.items()})


@dataclass(frozen=True)
class PriceOrder(Order):
    """Sell an adapter at other terms from now on."""

    kind: ClassVar[str] = "price"
    adapter: str
    terms: OfferTerms


@dataclass(frozen=True)
class WithdrawOrder(Order):
    """End the sales of an adapter."""

    kind: ClassVar[str] = "withdraw"
    adapter: str


@dataclass(frozen=True)
class NoticeOrder(Order):
    """Put a complaint about the adapter with this number on record, or an answer to one; `digest` in hex."""

    kind: ClassVar[str] = "notice"
    adapter: str
    number: int
    digest: str
    answers: int | None


@dataclass(frozen=True)
class LicenseOrder(Order):
    """Buy a license for an adapter, or extend it, for so many units at most."""

    kind: ClassVar[str] = "license"
    adapter: str
    max_price: TokenAmount
    renew: bool = False


@dataclass(frozen=True)
class ClaimOrder(Order):
    """Take what is due to this account."""

    kind: ClassVar[str] = "claim"
    name: str = "royalties"


@dataclass(frozen=True)
class RevokeOrder(Order):
    """Take back what the market may take."""

    kind: ClassVar[str] = "revoke"
    name: str = "allowance"


@dataclass(frozen=True)
class FetchOrder(Order):
    """Download a licensed adapter; its id, a prefix of it, or its name."""

    kind: ClassVar[str] = "fetch"
    adapter: str


@dataclass(frozen=True)
class OpenChannelOrder(Order):
    """Lock a deposit for uses of the adapter with this id."""

    kind: ClassVar[str] = "channel"
    adapter: str
    deposit: TokenAmount
    days: int


@dataclass(frozen=True)
class TopUpOrder(Order):
    """Add to the deposit of a channel."""

    kind: ClassVar[str] = "top_up"
    channel: int
    amount: TokenAmount


@dataclass(frozen=True)
class CloseChannelOrder(Order):
    """Ask for the close of a channel."""

    kind: ClassVar[str] = "close"
    channel: int


@dataclass(frozen=True)
class UseOrder(Order):
    """Have the owner of an adapter write on from a prompt, for the price of one use."""

    kind: ClassVar[str] = "use"
    adapter: str
    prompt: str
    max_new_tokens: int


@dataclass(frozen=True)
class OpenPoolOrder(Order):
    """Open a pool; `rules` is their canonical JSON, in which the reserve's split is not known yet."""

    kind: ClassVar[str] = "pool"
    name: str
    rules: str
    fee: TokenAmount
    period_seconds: int
    challenger: Account


@dataclass(frozen=True)
class DivideOrder(Order):
    """Post the division of a pool that is due."""

    kind: ClassVar[str] = "divide"
    pool: int


@dataclass(frozen=True)
class SubscribeOrder(Order):
    """Pay the next periods of the pool with these terms (hex; empty: whichever has the number), for so much at most."""

    kind: ClassVar[str] = "subscribe"
    pool: int
    periods: int
    max_price: TokenAmount
    terms: str = ""


@dataclass(frozen=True)
class UnreadableOrder(Order):
    """The row of an order that is none of this version's, kept as it is; `problem` says what is wrong."""

    kind: ClassVar[str] = ""
    body: object
    problem: str


_ORDERS: tuple[type[Order], ...] = (
    BuildBaseOrder,
    InstallBaseOrder,
    AddBaseOrder,
    PretrainOrder,
    TrainOrder,
    ImportOrder,
    GenerateOrder,
    FederateOrder,
    PublishOrder,
    PriceOrder,
    WithdrawOrder,
    NoticeOrder,
    LicenseOrder,
    ClaimOrder,
    RevokeOrder,
    FetchOrder,
    OpenChannelOrder,
    TopUpOrder,
    CloseChannelOrder,
    UseOrder,
    OpenPoolOrder,
    DivideOrder,
    SubscribeOrder,
)
_ORDER_BY_KIND = {order.kind: order for order in _ORDERS}


def parse_order(kind: str, body: object) -> Order:
    """The order of a stored job; an `UnreadableOrder` if it is none of this version's."""
    if kind not in _ORDER_BY_KIND:
        return UnreadableOrder(body, f"this version knows no job {kind!r}")
    try:
        return msgspec.convert(body, _ORDER_BY_KIND[kind])
    except (msgspec.ValidationError, VizNodeError) as error:
        return UnreadableOrder(body, f"the order of this job is malformed: {error}")


def order_body(order: object) -> object:
    """The order as its row keeps it."""
    return order.body if isinstance(order, UnreadableOrder) else as_json(order)


def subject_of(order: object) -> str:
    """The name that a person knows the order's subject by; empty if it has none."""
    body = order_body(order)
    return str(body.get("name") or body.get("adapter") or "") if isinstance(body, dict) else ""
