"""Bases of which nobody knows anything: refused for training and publishing until their owner says why not."""

import pytest

from tests.bases import listed_sources
from tests.fakes.store import MemoryStore
from viz_node.domain.base_catalogue import find_entry
from viz_node.domain.decide_base import refuse_unknown
from viz_node.domain.names import FilePath
from viz_node.domain.records import AdapterRecord
from viz_node.domain.training import BaseModel, InstalledBase
from viz_node.errors import NotFoundError, RefusedError, UsageError
from viz_node.services.library.clear_bases import Clearance, find_installed

KNOWN = InstalledBase("known", "aa" * 32, "CC0-1.0", 1, FilePath("/known"), listed_sources())
STRANGE = InstalledBase("strange", "bb" * 32, "mit", 1, FilePath("/strange"), {})
HUB = [{"kind": "model hub", "name": "PleIAs/Pleias-3b-Preview", "commit": "c" * 40}]
PLEIAS = InstalledBase(
    f"hf:PleIAs/Pleias-3b-Preview@{'c' * 40}", "dd" * 32, "apache-2.0", 1, FilePath("/p"), {"sources": HUB}
)
REASON = "I trained it on my own letters"


@pytest.fixture
def clearance() -> Clearance:
    return Clearance(MemoryStore().settings, lambda: [KNOWN, STRANGE, PLEIAS])


def adapter(digest: str, **training: int | str) -> AdapterRecord:
    return AdapterRecord("poems", None, "base", digest, "/x", "trained", training=dict(training))


def test_require__known_or_accepted__passes_and_all_else_is_refused_with_the_next_step(clearance: Clearance) -> None:
    clearance.require(KNOWN.reference())
    clearance.require(PLEIAS.reference())
    with pytest.raises(RefusedError, match="nobody says what strange was trained on") as refused:
        clearance.require(STRANGE.reference())
    assert refused.value.hint == 'viz-node base show bbbbbbbbbbbb, then viz-node base accept bbbbbbbbbbbb "WHY"'
    clearance.accept(STRANGE, REASON)
    clearance.require(STRANGE.reference())
    clearance.accept(STRANGE, "")
    with pytest.raises(RefusedError):
        clearance.require(STRANGE.reference())


def test_require__added_again_with_its_sources__counts_as_what_is_known_of_it() -> None:
    again = InstalledBase("again", STRANGE.digest, "mit", 1, FilePath("/again"), listed_sources())
    clearance = Clearance(MemoryStore().settings, lambda: [STRANGE, again, STRANGE])
    clearance.require(STRANGE.reference())
    assert clearance.facts(STRANGE.reference()) == {"base_verdict": "documented"}


def test_require__not_installed_yet__goes_by_the_catalogue(clearance: Clearance) -> None:
    entry = find_entry("kl3m-170m")
    assert entry is not None
    clearance.require(BaseModel(entry.full_name(), FilePath(""), ""))
    with pytest.raises(RefusedError) as refused:
        clearance.require(BaseModel(f"hf:a/b@{'c' * 40}", FilePath(""), ""))
    assert refused.value.hint.startswith("viz-node base install hf:a/b@")


def test_facts__accepted__say_the_verdict_and_the_reason(clearance: Clearance) -> None:
    assert clearance.facts(KNOWN.reference()) == {"base_verdict": "documented"}
    assert clearance.facts(BaseModel("gone", FilePath("/gone"), "ff" * 32)) == {"base_verdict": "unknown"}
    clearance.accept(STRANGE, f"  {REASON} ")
    assert clearance.facts(STRANGE.reference()) == {"base_verdict": "unknown", "base_accepted": REASON}


def test_standing_of__adapter__goes_by_what_was_recorded_then_by_what_is_installed(clearance: Clearance) -> None:
    taken_back = adapter("ff" * 32, base_verdict="unknown", base_accepted=REASON)
    assert refuse_unknown(clearance.standing_of(adapter(KNOWN.digest))) is None
    assert refuse_unknown(clearance.standing_of(adapter("ff" * 32, base_verdict="claimed"))) is None
    for refused in (adapter(STRANGE.digest), adapter("ff" * 32), taken_back):
        assert refuse_unknown(clearance.standing_of(refused)) is not None
    clearance.accept(STRANGE, REASON)
    assert refuse_unknown(clearance.standing_of(adapter(STRANGE.digest))) is None
    assert clearance.facts_of(adapter(STRANGE.digest, base_verdict="unknown"))["base_accepted"] == REASON


@pytest.mark.parametrize("reason", ["why not", "x" * 301, "so long\nas it works"])
def test_accept__reason_that_tells_a_buyer_nothing__is_refused(clearance: Clearance, reason: str) -> None:
    with pytest.raises(UsageError, match="every buyer reads it"):
        clearance.accept(STRANGE, reason)


def test_accept__base_whose_data_is_known__needs_none(clearance: Clearance) -> None:
    with pytest.raises(UsageError, match="is documented and may be used"):
        clearance.accept(KNOWN, REASON)


def test_find_installed__by_name_catalogue_or_digits() -> None:
    bases = [KNOWN, STRANGE, PLEIAS]
    assert find_installed(bases, "known") == find_installed(bases, "AAAAAA") == KNOWN
    assert find_installed(bases, "pleias-3b") == PLEIAS
    for name, hint in (("kl3m-170m", "viz-node base install kl3m-170m"), ("aaaa", "viz-node base list")):
        with pytest.raises(NotFoundError) as missing:
            find_installed(bases, name)
        assert missing.value.hint == hint
    with pytest.raises(UsageError, match="more than one"):
        find_installed([KNOWN, KNOWN], "known")
