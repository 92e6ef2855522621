"""What an owner asks for an adapter, as people write it; checked here, before anything is sealed or signed."""

from dataclasses import dataclass, field, fields
from typing import Any

from viz_node.domain.ids import WHOLE, TokenAmount, format_tokens, parse_amount
from viz_node.domain.limits import LICENSE_DAYS, TARGET
from viz_node.domain.offer import OfferTerms
from viz_node.domain.permissions import Permissions, parse_permissions
from viz_node.errors import UsageError

DAY_SECONDS = 86_400
DEFAULT_SUBSCRIPTION_DAYS = 30
LICENSE_KINDS = ("perpetual", "subscription", "metered")


@dataclass(frozen=True)
class AskedTerms:
    """Amounts are texts in tokens; a price that moves has a `ceiling`, and a `target` of new licensees per day."""

    price: str
    split: str | None = None
    license_kind: str = "perpetual"
    duration_days: int | None = None
    ceiling: str | None = None
    target: int | None = None
    is_escrowed: bool = False
    permissions: Permissions = field(default_factory=Permissions)

    def offer(self) -> OfferTerms:
        """The same for the market. Raises: UsageError."""
        price = parse_amount(self.price)
        if self.target is not None:
            TARGET.check(self.target)
        return OfferTerms(
            price=price,
            duration_seconds=self._days() * DAY_SECONDS,
            is_metered=self.license_kind == "metered",
            is_escrowed=self.is_escrowed,
            max_rise=0 if self.ceiling is None else _rise(price, parse_amount(self.ceiling)),
            target=self.target or 0,
        )

    def _days(self) -> int:
        if self.license_kind not in LICENSE_KINDS:
            raise UsageError(f"{self.license_kind!r} is not a license", ", ".join(LICENSE_KINDS))
        if self.license_kind == "subscription":
            days = DEFAULT_SUBSCRIPTION_DAYS if self.duration_days is None else self.duration_days
            LICENSE_DAYS.check(days)
            return days
        if self.duration_days:
            raise UsageError(f"a {self.license_kind} license does not expire", "--license subscription")
        return 0


@dataclass(frozen=True)
class PromisedShare:
    """What the adapter that this one derives from gets of each payment, in basis points after the platform's fee."""

    adapter_id: str
    split_id: int
    share: int


@dataclass(frozen=True, kw_only=True)
class PublicationTerms(OfferTerms):
    """The whole terms of a publication in canonical form; `split` is the owner's, account to basis points."""

    kind: str
    split: dict[str, int]
    permissions: Permissions
    parents: tuple[PromisedShare, ...] = ()

    def offer(self) -> OfferTerms:
        """The market's part of them."""
        return OfferTerms(**{field.name: getattr(self, field.name) for field in fields(OfferTerms)})


def is_escrowed(asked: bool | None, license_kind: str) -> bool:
    """Money waits for the key unless the seller wants it otherwise; uses of a metered license have a channel.

    Raises: UsageError.
    """
    if license_kind == "metered" and asked is not None:
        raise UsageError("a metered license is paid from a channel", "leave --escrow and --direct out")
    return license_kind != "metered" if asked is None else asked


def _rise(price: TokenAmount, ceiling: TokenAmount) -> int:
    """The whole basis points that fit between price and ceiling. Raises: UsageError."""
    rise = (ceiling - price) * WHOLE // max(price, 1)
    if rise < 1:
        raise UsageError(
            f"the ceiling {format_tokens(ceiling)} is not 0.01 percent above the price {format_tokens(price)}",
            "--ceiling 5.50 --target 20",
        )
    return rise


@dataclass(frozen=True)
class AskedPublication:
    """What an owner says when offering an adapter: amounts as texts in tokens, `parents` as ADAPTER=PERCENT."""

    adapter: str
    price: str
    split: str | None = None
    license: str = "perpetual"
    duration_days: int | None = None
    ceiling: str | None = None
    target: int | None = None
    escrow: bool | None = None
    terms: dict[str, Any] | None = None
    parents: list[str] | None = None

    def checked(self) -> AskedTerms:
        """The terms of it. Raises: UsageError."""
        return AskedTerms(
            self.price,
            self.split,
            self.license,
            self.duration_days,
            self.ceiling,
            self.target,
            is_escrowed(self.escrow, self.license),
            parse_permissions(self.terms or {}),
        )
