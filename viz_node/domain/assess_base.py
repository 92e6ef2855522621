"""The verdict on an installed base, decided from its provenance and the catalogue alone."""

from collections.abc import Mapping

from viz_node.domain.base_card import UNKNOWN, Assessment, CatalogueBase, Statement
from viz_node.domain.base_catalogue import entry_of, find_entry
from viz_node.domain.base_sources import parse_stated
from viz_node.domain.sources import FORMAT, parse_sources
from viz_node.domain.training import SHIPPED_BASE, InstalledBase
from viz_node.errors import UsageError

SHIPPED_DIGEST = "eb58de1b2490fcf5810c2bd9fa6d50c9ea28c61358a9bb03c9cc2a8ca2cacaab"
GRAMMAR = "viz_node.models.base_text"
HUB, LOCAL = "model hub", "local folder"
_OWN_RECORD = "its provenance.json"


def assess(base: InstalledBase) -> Assessment:
    """The verdict; whatever does not fit the forms that this program writes is `unknown`."""
    entry = entry_for(base)
    if entry is not None:
        return _of_entry(entry, base)
    facts = base.provenance
    first = _first_source(facts)
    if first.get("kind") == HUB:
        return Assessment(UNKNOWN, "it is from a model hub, and not in the catalogue of this version")
    if first.get("kind") == LOCAL:
        return _of_folder(first)
    if first.get("name") == GRAMMAR:
        return Assessment("documented", "it learned from sentences of a grammar that was written for it, under CC0-1.0")
    return _of_own_training(facts)


def entry_for(base: InstalledBase) -> CatalogueBase | None:
    """The entry of the catalogue that this base is, at its revision or another one."""
    if base.digest == SHIPPED_DIGEST:
        return find_entry(SHIPPED_BASE)
    first = _first_source(base.provenance)
    return entry_of(str(first.get("name"))) if first.get("kind") == HUB else None


def _of_entry(entry: CatalogueBase, base: InstalledBase) -> Assessment:
    if base.digest == SHIPPED_DIGEST or (entry.commit and base.name == entry.full_name()):
        return Assessment(entry.verdict, entry.reason, entry.statements, entry.name)
    # Hubs serve commits that strangers proposed under the publisher's name, too.
    reason = f"unverified revision: what is known of {entry.name} may not be true of this one. {entry.reason}"
    return Assessment("claimed", reason, entry.statements, entry.name)


def _of_folder(source: Mapping[str, object]) -> Assessment:
    try:
        stated = parse_stated(source.get("stated"))
    except UsageError:
        return Assessment(UNKNOWN, "it was added from a folder, and nobody said what it was trained on")
    told = {
        "training data": "; ".join(f"{one.title} ({one.license})" for one in stated.sources[:20]),
        "jurisdiction": stated.jurisdiction,
        "opt-outs": stated.opt_outs,
        "synthetic text": stated.synthetic,
    }
    statements = tuple(Statement(about, text, "the owner of this node") for about, text in told.items() if text)
    return Assessment("claimed", "the owner of this node lists its sources; nobody can check them", statements)


def _of_own_training(facts: Mapping[str, object]) -> Assessment:
    listed = {"format": FORMAT, **{key: facts.get(key) for key in ("name", "license", "sources")}}
    try:
        sources = parse_sources(listed).sources
    except UsageError:
        return Assessment(UNKNOWN, "its provenance does not say what it was trained on")
    places = sorted({place for source in sources for place in source.reasons})
    titles = "; ".join(source.title for source in sources[:5])
    more = f" and {len(sources) - 5} more" if len(sources) > 5 else ""
    statements = (
        Statement("training data", f"{titles}{more}", _OWN_RECORD),
        Statement("jurisdiction", ", ".join(places) or "open licenses, everywhere", _OWN_RECORD),
    )
    return Assessment("documented", "each of its sources is listed with SHA-256 and rights", statements)


def _first_source(facts: Mapping[str, object]) -> Mapping[str, object]:
    sources = facts.get("sources")
    first = sources[0] if isinstance(sources, list) and sources else None
    return first if isinstance(first, dict) else {}
