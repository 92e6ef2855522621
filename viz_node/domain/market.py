"""The market's facts about itself, adapters and accounts."""

from dataclasses import dataclass

from viz_node.domain.ids import Account, BasisPoints, TokenAmount


@dataclass(frozen=True)
class MarketFacts:
    """What was fixed when the market was deployed; `platform` is None if it takes no fee."""

    platform: Account | None
    platform_fee: BasisPoints
    close_window_seconds: int
    delivery_window_seconds: int
    dispute_window_seconds: int
    veto_window_seconds: int


@dataclass(frozen=True)
class ChainAdapter:
    """An adapter as registered; `manifest` and `terms` are SHA-256 digests, `base_model` the digest of its base."""

    number: int
    owner: Account
    manifest: bytes
    base_model: bytes
    terms: bytes
    is_retired: bool = False


@dataclass(frozen=True)
class Notice:
    """A complaint on record, or the owner's answer to one, `answers` being its number (0 for a complaint)."""

    number: int
    adapter_number: int
    sender: Account
    digest: bytes
    answers: int
    block: int


@dataclass(frozen=True)
class Balances:
    """What an account has: payment token units, and the chain's own coin."""

    token: TokenAmount
    gas_wei: int
