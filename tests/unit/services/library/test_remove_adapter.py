"""Adapters leave the library with their files, whenever the process dies; what licensees need stays."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.store import MemoryStore
from viz_node.domain.ids import AdapterId
from viz_node.domain.job import Job, JobState
from viz_node.domain.orders import GenerateOrder, Order, TrainOrder
from viz_node.domain.purposes import Purpose
from viz_node.domain.recipe import Recipe
from viz_node.domain.records import AdapterRecord, OutboxEntry
from viz_node.errors import NotFoundError, RefusedError
from viz_node.services.library.manage_works import NamedAdapter
from viz_node.services.library.remove_adapter import ASIDE, Removals

ID = AdapterId("ab" * 32)


class Shelf:
    """A library with one adapter, `poems`, and one beside it, `prose`."""

    def __init__(self, directory: Path, origin: str = "trained") -> None:
        self.store, self.directory = MemoryStore(), directory
        self.unshared: list[str] = []
        self.removals = Removals(self.store, directory, lambda record: self.unshared.append(record.name))
        for name in ("poems", "prose"):
            for folder in ("adapters", "bundles"):
                place = directory / folder / name
                place.mkdir(parents=True)
                (place / "weights").write_text("x")
            self.store.adapters.save_adapter(
                AdapterRecord(name, None, "b", "", str(directory / "adapters" / name), origin)
            )

    def publish(self, state: str) -> None:
        self.store.adapters.save_adapter(
            replace(self.store.adapters.find_adapter("poems"), adapter_id=ID, manifest=b"{}")
        )
        self.store.outbox.add_outbox(OutboxEntry(f"publish:{ID}", Purpose("publish"), state, b"", "0x1", 0))

    def left(self) -> list[str]:
        return sorted(str(path.relative_to(self.directory)) for path in self.directory.glob("*/*"))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


async def test_remove__trained__record_and_files_go_and_nothing_else(shelf: Shelf) -> None:
    assert shelf.removals.plan("poems").loses.startswith("its weights, for good")
    assert await shelf.removals.remove("poems") == NamedAdapter("poems", None, "trained")
    assert [record.name for record in shelf.store.adapters.list_adapters()] == ["prose"]
    assert shelf.left() == ["adapters/prose", "bundles/prose"]
    assert shelf.unshared == ["poems"]
    with pytest.raises(NotFoundError):
        await shelf.removals.remove("poems")


async def test_remove__fetched__says_that_the_license_stays(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "fetched")
    shelf.publish("final")  # of this node's own adapters only
    assert "the license stays" in shelf.removals.plan(ID[:8]).loses
    await shelf.removals.remove(ID)
    assert shelf.left() == ["adapters/prose", "bundles/prose"]


@pytest.mark.parametrize("state", ["signed", "unknown", "confirmed", "final"])
async def test_remove__published__refused_with_what_to_do_instead(shelf: Shelf, state: str) -> None:
    shelf.publish(state)
    with pytest.raises(RefusedError, match="its licensees get their key") as caught:
        await shelf.removals.remove("poems")
    assert caught.value.hint.endswith("viz-node withdraw poems")
    assert len(shelf.left()) == 4


async def test_remove__publishing_failed__goes(shelf: Shelf) -> None:
    shelf.publish("failed")
    await shelf.removals.remove("poems")
    assert shelf.left() == ["adapters/prose", "bundles/prose"]


@pytest.mark.parametrize("order", [GenerateOrder("poems", "In", 9), TrainOrder("poems", (), None, Recipe())])
async def test_remove__a_job_needs_it__refused(shelf: Shelf, order: Order) -> None:
    shelf.store.jobs.add_job(Job("j1", order.kind, JobState.QUEUED, order, 1, 1))
    with pytest.raises(RefusedError, match="a job needs poems"):
        await shelf.removals.remove("poems")


class Killed(BaseException):
    """The process died here."""


@pytest.mark.parametrize("step", ["folder", "record", "bundle", "files"])
async def test_remove__killed_at_any_step__the_next_start_leaves_all_or_nothing(
    shelf: Shelf, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rmtree = shutil.rmtree

    def dies(path: object, *_: object) -> None:
        if step != "files" or ASIDE in str(path):
            raise Killed
        rmtree(str(path))

    with monkeypatch.context() as patch:
        if step in ("folder", "record"):
            patch.setattr(*((Path, "rename") if step == "folder" else (shelf.store.adapters, "remove_adapter")), dies)
        else:
            patch.setattr("shutil.rmtree", dies)
        with pytest.raises(Killed):
            await shelf.removals.remove("poems")
    Removals(shelf.store, shelf.directory, lambda _: None).finish()
    gone = step != "folder"
    names = {record.name for record in shelf.store.adapters.list_adapters()}
    assert names == ({"prose"} if gone else {"prose", "poems"})
    rest = ["adapters/prose", "bundles/prose"]
    assert shelf.left() == (rest if gone else sorted([*rest, "adapters/poems", "bundles/poems"]))


async def test_remove__files_are_lost_already__the_record_goes(shelf: Shelf) -> None:
    shutil.rmtree(shelf.directory / "adapters" / "poems")
    await shelf.removals.remove("poems")
    assert shelf.left() == ["adapters/prose", "bundles/prose"]
    assert len(shelf.store.adapters.list_adapters()) == 1


async def test_finish__another_adapter_has_got_the_name__stays(shelf: Shelf) -> None:
    aside = shelf.directory / "adapters" / f"{ASIDE}poems"
    aside.mkdir()
    shelf.removals.finish()
    assert not aside.exists()
    assert "adapters/poems" in shelf.left()
    assert shelf.store.adapters.find_adapter("poems")
