"""The base models that are installed and those of the catalogue, as people see them; what installing one takes."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from viz_node.domain.assess_base import assess, entry_for
from viz_node.domain.base_card import UNKNOWN, CatalogueBase, Statement, Verdict
from viz_node.domain.base_catalogue import CATALOGUE, entry_of, find_entry
from viz_node.domain.base_needs import Machine, Needs, PastTraining, needs_of
from viz_node.domain.hub import HubModel, is_hub_name, parse_hub_model
from viz_node.domain.pretraining_curve import draw_pretraining
from viz_node.domain.training import SHIPPED_BASE, InstalledBase
from viz_node.errors import NotFoundError, RefusedError, StorageError, UsageError
from viz_node.ports.state import Adapters
from viz_node.services.library.clear_bases import Clearance, find_installed
from viz_node.services.library.train_adapter import Workshop

_SPARE_BYTES = 1 << 30
# Of a base of which only the number of weights is known.
_USUAL_SHARE_EMBEDDED = 10


@dataclass(frozen=True)
class BaseRow:
    """One base model. `base` is its full name, empty while no revision is known; the digest is of an installed one.

    `state` is `default`, `installed`, `available`, `needs a revision`, `too large` or `not usable`.
    """

    name: str
    verdict: Verdict
    state: str
    parameters: int
    memory_bytes: int
    tokens_per_second: int | None
    license: str
    base: str
    digest: str
    reason: str
    accepted: str


@dataclass(frozen=True)
class ShownBase:
    """All that is known of one base model; `installed` is None where it is not, `curve` an SVG of how it learned."""

    row: BaseRow
    statements: tuple[Statement, ...]
    publisher: str
    languages: str
    context_tokens: int
    commit_source: str
    download_bytes: int
    access: str
    unusable: str
    installed: InstalledBase | None
    curve: str = ""


@dataclass(frozen=True)
class InstallPlan:
    """What installing would do; nothing is fetched yet. `is_verified` says whether the revision was looked up."""

    name: str
    base: str
    verdict: Verdict
    reason: str
    is_verified: bool
    license: str
    download_bytes: int
    free_bytes: int
    memory_bytes: int
    memory_here_bytes: int
    tokens_per_second: int | None
    access: str


class BaseViews:
    """Shows base models, with what each needs on this machine."""

    def __init__(
        self,
        workshop: Workshop,
        clearance: Clearance,
        adapters: Adapters,
        directory: Path,
        machine: Callable[[], Machine],
    ) -> None:
        self._workshop, self._clearance, self._adapters = workshop, clearance, adapters
        self._directory, self._machine = directory, machine

    def catalogue(self) -> list[BaseRow]:
        """All of them: first those that are installed, then the rest of the catalogue."""
        installed = self._workshop.bases()
        there = [self._installed_row(base) for base in installed]
        known = {entry.name for base in installed if (entry := entry_for(base)) is not None}
        return there + [self._entry_row(entry) for entry in CATALOGUE if entry.name not in known]

    def show(self, name: str) -> ShownBase:
        """One of them, by name or by the first digits of its digest. Raises: NotFoundError, UsageError."""
        entry = find_entry(name)
        try:
            base = find_installed(self._workshop.bases(), name)
        except NotFoundError:
            if entry is None:
                raise
            return _shown(self._entry_row(entry), entry.statements, entry, None)
        return _shown(self._installed_row(base), assess(base).statements, entry_for(base), base)

    def plan_install(self, name: str, revision: str = "") -> InstallPlan:
        """What installing this base would do.

        Raises: UsageError (not pinned, or no such name), RefusedError (it cannot be used here), StorageError (the disk
        is too small).
        """
        if (wanted := find_entry(name)) is not None:
            self._check_usable(wanted)
        entry, base = named_base(name, revision)
        free = self._free()
        if entry is None:
            return InstallPlan(base, base, UNKNOWN, "it is not in the catalogue", False, "", 0, free, 0, 0, None, "")
        needs = self._check_usable(entry)
        if entry.download_bytes and entry.download_bytes + _SPARE_BYTES > free:
            told = f"{_gib(entry.download_bytes + _SPARE_BYTES)} GiB of disk, {_gib(free)} are free"
            raise StorageError(f"{entry.name} needs about {told}", "free some disk space, or use a smaller model")
        is_verified = base == entry.full_name()
        return InstallPlan(
            entry.name,
            base,
            entry.verdict if is_verified else "claimed",
            entry.reason if is_verified else "nobody has looked this revision up: what is known may not be true of it",
            is_verified,
            entry.license,
            entry.download_bytes,
            free,
            needs.memory_bytes,
            needs.memory_here_bytes,
            needs.tokens_per_second,
            entry.access,
        )

    def _check_usable(self, entry: CatalogueBase) -> Needs:
        """What it needs. Raises: RefusedError (it cannot be used as it is published, or is too large)."""
        if entry.unusable:
            raise RefusedError(f"{entry.name} cannot be installed: {entry.unusable}", "viz-node base list")
        needs = self._needs(entry.parameters, entry.embedded)
        if needs.is_too_large:
            told = f"{_gib(needs.memory_bytes)} GiB of memory, this machine has {_gib(needs.memory_here_bytes)}"
            raise RefusedError(f"{entry.name} needs about {told}", "choose a smaller one: viz-node base list")
        return needs

    def _installed_row(self, base: InstalledBase) -> BaseRow:
        entry, found = entry_for(base), assess(base)
        embedded = entry.embedded if entry else base.parameters // _USUAL_SHARE_EMBEDDED
        needs = self._needs(base.parameters, embedded)
        state = "default" if base.digest == self._workshop.settle_default() else "installed"
        shown = entry.name if entry and base.name == entry.full_name() else base.name
        accepted = self._clearance.accepted(base.digest)
        return BaseRow(
            shown, found.verdict, state, base.parameters, needs.memory_bytes, needs.tokens_per_second, base.license,
            base.name, base.digest, found.reason, accepted,
        )  # fmt: skip

    def _entry_row(self, entry: CatalogueBase) -> BaseRow:
        needs = self._needs(entry.parameters, entry.embedded)
        state = "available" if entry.commit or not entry.repository else "needs a revision"
        state = "not usable" if entry.unusable else "too large" if needs.is_too_large else state
        base = entry.full_name() if entry.commit or not entry.repository else ""
        return BaseRow(
            entry.name, entry.verdict, state, entry.parameters, needs.memory_bytes, needs.tokens_per_second,
            entry.license, base, "", entry.reason, "",
        )  # fmt: skip

    def _needs(self, parameters: int, embedded: int) -> Needs:
        return needs_of(parameters, embedded, self._machine(), self._past())

    def _past(self) -> Iterator[PastTraining]:
        """The trainings of this node, on bases that are still here."""
        sizes = {base.digest: base.parameters for base in self._workshop.bases()}
        for record in self._adapters.list_adapters():
            tokens, seconds = record.training.get("tokens"), record.training.get("seconds")
            if record.origin == "trained" and isinstance(tokens, int) and isinstance(seconds, int):
                yield PastTraining(sizes.get(record.base_digest, 0), tokens, seconds)

    def _free(self) -> int:
        return shutil.disk_usage(self._directory).free


def named_base(name: str, revision: str = "") -> tuple[CatalogueBase | None, str]:
    """The entry of the catalogue that is meant, if any, and the full name to install. Raises: UsageError."""
    if is_hub_name(name):
        if revision:
            raise UsageError(f"{name[:80]} names its revision", "leave --revision out")
        model = parse_hub_model(name)
        return entry_of(model.repository), str(model)
    entry = find_entry(name)
    if entry is None:
        raise UsageError(
            f"no base model is called {name[:80]!r}", "viz-node base list; or hf:<owner>/<name>@<revision>"
        )
    if entry.name == SHIPPED_BASE:
        if revision:
            raise UsageError(f"{SHIPPED_BASE} comes with viz-node", "leave --revision out")
        return entry, SHIPPED_BASE
    if not revision and not entry.commit and not entry.unusable:
        raise UsageError(
            f"the revision of {entry.name} was not looked up",
            f"copy the 40 digits of a commit of {entry.repository} from the hub: --revision COMMIT",
        )
    if revision:
        parse_hub_model(str(HubModel(entry.repository, revision)))
    return entry, entry.full_name(revision)


def _shown(
    row: BaseRow, statements: tuple[Statement, ...], entry: CatalogueBase | None, base: InstalledBase | None
) -> ShownBase:
    curve = draw_pretraining(base.provenance) if base is not None else ""
    if entry is None:
        return ShownBase(row, statements, "", "", 0, "", 0, "", "", base, curve)
    told = (
        entry.publisher,
        entry.languages,
        entry.context_tokens,
        entry.commit_source,
        entry.download_bytes,
        entry.access,
        entry.unusable,
    )
    return ShownBase(row, statements, *told, base, curve)


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.1f}"
