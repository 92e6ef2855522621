"""Which base models this node trains on and publishes from: fails closed on those of which nobody knows anything."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import get_args

from viz_node.domain.assess_base import assess, entry_for
from viz_node.domain.base_card import UNKNOWN, Verdict
from viz_node.domain.base_catalogue import entry_of, find_entry
from viz_node.domain.decide_base import BaseStanding, refuse_unknown
from viz_node.domain.hub import is_hub_name, parse_hub_model
from viz_node.domain.records import AdapterRecord
from viz_node.domain.training import BaseModel, Facts, InstalledBase
from viz_node.errors import NotFoundError, UsageError
from viz_node.ports.state import Settings

_ACCEPTED = "accepted_base:"
VERDICT_FACT, ACCEPTED_FACT = "base_verdict", "base_accepted"
LEAST_REASON, MOST_REASON = 10, 300
_LEAST_DIGITS = 6


@dataclass(frozen=True)
class AcceptedBase:
    """A base model with the owner's reason for using it although nobody knows its data; empty if taken back."""

    name: str
    digest: str
    verdict: str
    accepted: str


class Clearance:
    """Verdicts on base models, and the owner's own decisions on `unknown` ones, kept by digest."""

    def __init__(self, settings: Settings, bases: Callable[[], list[InstalledBase]]) -> None:
        self._settings, self._bases = settings, bases

    def accepted(self, digest: str) -> str:
        """The owner's reason for using this base although its data is unknown; empty without one."""
        return self._settings.get_setting(_ACCEPTED + digest) or ""

    def accept(self, base: InstalledBase, reason: str) -> AcceptedBase:
        """Use it from now on although its data is unknown; an empty reason takes that back.

        Raises: UsageError (no reason that a buyer could read, or nothing to accept).
        """
        verdict, told = assess(base).verdict, reason.strip()
        if told and verdict != UNKNOWN:
            raise UsageError(f"{base.name} is {verdict} and may be used without a reason", "viz-node base list")
        if told and not (LEAST_REASON <= len(told) <= MOST_REASON and told.isprintable()):
            wanted = f"{LEAST_REASON} to {MOST_REASON} characters in one line"
            raise UsageError(f"the reason must have {wanted}: every buyer reads it", "say why you may use the model")
        self._settings.set_setting(_ACCEPTED + base.digest, told)
        return AcceptedBase(base.name, base.digest, verdict, told)

    def require(self, base: BaseModel) -> None:
        """Raises: RefusedError (nobody knows what it was trained on, and the owner has not accepted it)."""
        if (refusal := refuse_unknown(self._standing(base.name, base.digest))) is not None:
            raise refusal.error()

    def standing_of(self, record: AdapterRecord) -> BaseStanding:
        """The standing of an adapter's base: the verdict as recorded when it was trained, else as it is now."""
        now = self._standing(record.base_name, record.base_digest)
        return replace(now, verdict=str(record.training.get(VERDICT_FACT, now.verdict)))

    def facts(self, base: BaseModel) -> Facts:
        """What a manifest says about the base: the verdict, and the owner's reason if it is `unknown`."""
        return _as_facts(self._standing(base.name, base.digest))

    def facts_of(self, record: AdapterRecord) -> Facts:
        """`facts` about the base of an adapter, which need not be installed any more if its verdict was recorded."""
        return _as_facts(self.standing_of(record))

    def _standing(self, name: str, digest: str) -> BaseStanding:
        """One of a hub that is not installed has no digest; what the catalogue knows of it decides.

        Of a model that is installed twice, the folder counts of which more is known.
        """
        if not digest and is_hub_name(name):
            verdict = UNKNOWN if entry_of(parse_hub_model(name).repository) is None else "claimed"
            return BaseStanding(name, "", verdict, "")
        found = {assess(base).verdict for base in self._bases() if base.digest == digest}
        best = next((verdict for verdict in get_args(Verdict) if verdict in found), UNKNOWN)
        return BaseStanding(name, digest, best, self.accepted(digest))


def _as_facts(base: BaseStanding) -> Facts:
    facts: Facts = {VERDICT_FACT: base.verdict}
    return facts | {ACCEPTED_FACT: base.accepted} if base.verdict == UNKNOWN and base.accepted else facts


def find_installed(bases: list[InstalledBase], name: str) -> InstalledBase:
    """The installed base of this name, its own or the catalogue's, or the only one whose digest begins so.

    Raises: NotFoundError, UsageError (several).
    """
    found = [base for base in bases if base.name == name] or called(bases, name)
    found = found or [base for base in bases if len(name) >= _LEAST_DIGITS and base.digest.startswith(name.lower())]
    if len(found) > 1:
        raise UsageError(f"more than one base model is called {name!r}", "give more digits of its digest")
    if not found:
        hint = f"viz-node base install {name}" if find_entry(name) or is_hub_name(name) else "viz-node base list"
        raise NotFoundError(f"no base model here is called {name!r}", hint)
    return found[0]


def called(bases: list[InstalledBase], name: str) -> list[InstalledBase]:
    """The installed bases that are the catalogue's entry of this name."""
    entry = find_entry(name)
    return [base for base in bases if entry is not None and entry_for(base) == entry]
