"""Base models as people see them, and what is refused before anything is downloaded."""

from pathlib import Path

import pytest

from tests.bases import listed_sources
from tests.fakes.store import MemoryStore
from tests.fakes.trainer import MemoryTrainer
from tests.fakes.world import keys_of
from viz_node.daemon.secrets import Sealing
from viz_node.domain.base_catalogue import CATALOGUE, find_entry
from viz_node.domain.base_needs import Machine
from viz_node.domain.names import FilePath
from viz_node.domain.records import AdapterRecord
from viz_node.domain.training import InstalledBase
from viz_node.errors import NotFoundError, RefusedError, StorageError, UsageError
from viz_node.services.library.manage_works import WorkShelf
from viz_node.services.library.report_training import Reports
from viz_node.services.library.show_bases import BaseViews, named_base
from viz_node.services.library.train_adapter import ModelTools, Workshop

COMMIT = "c" * 40
KL3M = find_entry("kl3m-170m")
assert KL3M is not None
OWN = InstalledBase("own", "aa" * 32, "CC0-1.0", 10**8, FilePath("/own"), listed_sources("own"))


def hub_base(commit: str) -> InstalledBase:
    assert KL3M is not None
    source = {"kind": "model hub", "name": KL3M.repository, "commit": commit}
    return InstalledBase(KL3M.full_name(commit), "bb" * 32, "cc", 10**8, FilePath("/k"), {"sources": [source]})


class Bench:
    def __init__(self, directory: Path, bases: list[InstalledBase], machine: Machine) -> None:
        self.store, sealing = MemoryStore(), Sealing(keys_of("owner"))
        works = WorkShelf(self.store, directory, sealing, lambda paths, _: [], lambda: 1)  # type: ignore[arg-type, return-value]
        tools = ModelTools(MemoryTrainer(bases), lambda: bases, lambda texts, seed: ([], []))
        self.shop = Workshop(self.store, works, Reports(self.store.adapters, directory, sealing), directory, tools)
        adapters = self.store.adapters
        self.views = BaseViews(self.shop, self.shop.clearance, adapters, directory, lambda: machine)


def views(directory: Path, *bases: InstalledBase, machine: Machine | None = None) -> BaseViews:
    return Bench(directory, list(bases), machine or Machine(16 << 30, 2)).views


def test_catalogue__nothing_installed__lists_every_entry_with_its_state(tmp_path: Path) -> None:
    rows = {row.name: row for row in views(tmp_path).catalogue()}
    assert list(rows) == [entry.name for entry in CATALOGUE]
    states = {name: rows[name].state for name in ("kl3m-170m", "pleias-3b", "apertus-70b", "talkie-1930-13b")}
    assert list(states.values()) == ["available", "needs a revision", "too large", "not usable"]
    assert rows["pleias-3b"].base == ""
    assert all(row.digest == row.accepted == "" for row in rows.values())


def test_catalogue__installed_ones__come_first_and_once(tmp_path: Path) -> None:
    assert KL3M is not None
    rows = views(tmp_path, OWN, hub_base(KL3M.commit)).catalogue()
    assert [(row.name, row.state, row.verdict) for row in rows[:2]] == [
        ("own", "default", "documented"),
        ("kl3m-170m", "installed", "certified"),
    ]
    assert [row.name for row in rows].count("kl3m-170m") == 1


def test_catalogue__another_revision__goes_by_its_full_name_and_is_claimed(tmp_path: Path) -> None:
    first = views(tmp_path, hub_base(COMMIT)).catalogue()[0]
    assert (first.name, first.verdict) == (f"hf:alea-institute/kl3m-002-170m@{COMMIT}", "claimed")


def test_catalogue__trained_here_before__speed_is_what_it_was(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [OWN], Machine(16 << 30, 2))
    facts: dict[str, int | str] = {"tokens": 5000, "seconds": 100}
    record = AdapterRecord("poems", None, "own", OWN.digest, "/x", "trained", training=facts)
    assert bench.views.catalogue()[0].tokens_per_second == 260
    bench.store.adapters.save_adapter(record)
    assert bench.views.catalogue()[0].tokens_per_second == 50


def test_show__entry_or_installed__with_what_is_said_of_it(tmp_path: Path) -> None:
    shown = views(tmp_path, OWN)
    assert (shown.show("own").installed, shown.show("aaaaaa").row.name) == (OWN, "own")
    entry = shown.show("kl3m-170m")
    assert (entry.installed, entry.row.state) == (None, "available")
    assert {one.about for one in entry.statements} >= {"certificate", "opt-outs"}
    with pytest.raises(NotFoundError):
        shown.show("nothing")


def test_plan_install__entry__needs_verdict_and_whether_anybody_looked_it_up(tmp_path: Path) -> None:
    assert KL3M is not None
    known = views(tmp_path).plan_install("kl3m-170m")
    assert (known.base, known.verdict, known.is_verified) == (KL3M.full_name(), "certified", True)
    assert known.memory_here_bytes == 16 << 30
    other = views(tmp_path).plan_install("kl3m-170m", COMMIT)
    assert (other.base, other.verdict, other.is_verified) == (KL3M.full_name(COMMIT), "claimed", False)
    stranger = views(tmp_path).plan_install(f"hf:a/b@{COMMIT}")
    assert (stranger.base, stranger.verdict) == (f"hf:a/b@{COMMIT}", "unknown")


def test_plan_install__too_large_or_not_usable__is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RefusedError, match=r"apertus-70b needs about 38\.7 GiB of memory, this machine has 16\.0"):
        views(tmp_path).plan_install("apertus-70b")
    with pytest.raises(RefusedError, match=r"needs about 1\.2 GiB"):
        views(tmp_path, machine=Machine(1 << 30, 2)).plan_install("kl3m-170m", COMMIT)
    with pytest.raises(RefusedError, match="neither pickles nor foreign code"):
        views(tmp_path).plan_install("talkie-1930-13b")
    monkeypatch.setattr(BaseViews, "_free", lambda self: 1 << 30)
    with pytest.raises(StorageError, match=r"1\.6 GiB of disk, 1\.0 are free"):
        views(tmp_path).plan_install("kl3m-170m")


@pytest.mark.parametrize(
    ("name", "revision", "told"),
    [
        ("pleias-3b", "", "was not looked up"),
        ("pleias-3b", "main", "is not a pinned model"),
        ("kl3m-170m", "c" * 39, "is not a pinned model"),
        ("viz-base-english-1", COMMIT, "comes with viz-node"),
        (f"hf:a/b@{COMMIT}", COMMIT, "names its revision"),
        ("hf:a/b", "", "is not a pinned model"),
        ("nothing", "", "no base model is called 'nothing'"),
    ],
)
def test_named_base__nothing_that_can_be_pinned__is_refused(name: str, revision: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        named_base(name, revision)
