"""Whether a base may be trained on, and adapters of it be published: not while nobody says what it learned from."""

from dataclasses import dataclass

from viz_node.domain.base_card import UNKNOWN
from viz_node.domain.decision import Refusal
from viz_node.errors import RefusedError


@dataclass(frozen=True)
class BaseStanding:
    """A base, the verdict on it, and its owner's reason for using it although that is `unknown`; empty without one."""

    name: str
    digest: str
    verdict: str
    accepted: str


def refuse_unknown(base: BaseStanding) -> Refusal | None:
    """The refusal with the next step; None if it may be used."""
    if base.verdict != UNKNOWN or base.accepted:
        return None
    told = f"nobody says what {base.name} was trained on: its verdict is unknown"
    if not base.digest:
        return Refusal(RefusedError, told, f"viz-node base install {base.name}, then viz-node base accept")
    short = base.digest[:12]
    return Refusal(RefusedError, told, f'viz-node base show {short}, then viz-node base accept {short} "WHY"')
