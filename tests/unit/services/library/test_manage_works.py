"""Works on the shelf: sealed before they touch the disk, never taken in twice, and gone when removed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.files import read_files
from tests.fakes.store import MemoryStore
from tests.fakes.world import keys_of
from viz_node.daemon.secrets import Sealing
from viz_node.domain.answer import as_json
from viz_node.domain.ids import WorkId
from viz_node.domain.job import Job, JobState
from viz_node.domain.names import FilePath
from viz_node.domain.orders import TrainOrder
from viz_node.domain.recipe import Recipe
from viz_node.domain.records import AdapterRecord
from viz_node.domain.work import ImportedWork, ImportFailure, commit_work
from viz_node.errors import NotFoundError, StorageError, UsageError, VerificationError
from viz_node.services.library import manage_works
from viz_node.services.library.manage_works import NamedAdapter, TextPage, WorkShelf


@pytest.fixture
def shelf(tmp_path: Path) -> WorkShelf:
    return WorkShelf(MemoryStore(), tmp_path, Sealing(keys_of("owner")), read_files, lambda: 7)


def training_on(*works: WorkId) -> TrainOrder:
    return TrainOrder("elsin", works, None, Recipe())


async def test_add__some_readable__taken_in_sealed_and_the_rest_refused_with_a_reason(
    shelf: WorkShelf, tmp_path: Path
) -> None:
    answer = await shelf.add(["one.txt", "two.bad", "sub/one.txt"], "owned", " Elsin ")
    (added,) = answer.added
    assert (added.title, added.author, "salt" in as_json(added)) == ("one", "Elsin", False)
    assert [item.error for item in answer.refused] == ["not a text", f"already here as {added.work_id[:12]}"]
    again = await shelf.add(["one.txt"], "owned", "Elsin")
    assert (again.added, len(again.refused)) == ([], 1)
    (sealed,) = tmp_path.iterdir()
    assert b"the text" not in sealed.read_bytes()
    assert sealed.stat().st_mode & 0o777 == 0o600
    work = shelf.find(added.work_id[:6])
    assert shelf.text(work) == "the text of one"
    assert commit_work(bytes.fromhex(work.digest), bytes.fromhex(work.salt)) == work.work_id
    assert shelf.show(added.work_id).excerpt == "the text of one"


async def test_add__notes_of_the_reader__kept_and_shown(shelf: WorkShelf) -> None:
    (added,) = (await shelf.add([FilePath("one.txt")], "owned", "Elsin", "cp1252")).added
    assert added.notes == ("read as cp1252",)
    assert shelf.list_works()[0].notes == shelf.show(added.work_id).notes == ("read as cp1252",)


async def test_show_text__long_work__all_of_it_by_pages(shelf: WorkShelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manage_works, "PAGE_CHARACTERS", 6)
    (added,) = (await shelf.add([FilePath("one.txt")], "owned", "Elsin")).added
    start, text = 0, ""
    while start is not None:
        page = shelf.show_text(added.work_id, start)
        text, start = text + page.text, page.next
    assert text == "the text of one"
    assert shelf.show_text(added.work_id, -5).text == "the te"
    assert shelf.show_text(added.work_id, 99) == TextPage(added.work_id, "", None)


async def test_remove__needed_by_a_waiting_job__names_it(shelf: WorkShelf) -> None:
    (added,) = (await shelf.add(["one.txt"], "owned", "Elsin")).added
    for job_id, state in (("waits", JobState.QUEUED), ("over", JobState.DONE)):
        shelf._store.jobs.add_job(Job(job_id, "train", state, training_on(added.work_id), 1, 1))
    shelf._store.jobs.add_job(Job("other", "train", JobState.QUEUED, training_on(), 1, 1))
    assert shelf.remove(added.work_id[:8]).jobs == ["waits"]


@pytest.mark.parametrize(("rights", "author"), [("stolen", "Elsin"), ("owned", "  ")])
async def test_add__without_rights_or_author__is_refused_before_reading(shelf: WorkShelf, rights, author) -> None:
    with pytest.raises(UsageError):
        await shelf.add(["one.txt"], rights, author)
    assert shelf.list_works() == []


async def test_remove__used_by_an_adapter__erases_text_and_names_the_adapter(shelf: WorkShelf, tmp_path: Path) -> None:
    added = (await shelf.add(["one.txt"], "owned", "Elsin")).added[0]
    shelf._store.adapters.save_adapter(AdapterRecord("elsin", None, "b", "d", "/d", "trained", (added.work_id,)))
    assert shelf.remove(added.work_id).adapters == ["elsin"]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NotFoundError):
        shelf.find(added.work_id)


async def test_select__all_or_named__each_work_once(shelf: WorkShelf) -> None:
    with pytest.raises(UsageError):
        shelf.select(["all"])
    added = [work.work_id for work in (await shelf.add(["one.txt", "two.txt"], "owned", "Elsin")).added]
    assert [work.work_id for work in shelf.select(["all"])] == added == [work.work_id for work in shelf.select([])]
    assert [work.work_id for work in shelf.select([added[1], added[1][:9]])] == [added[1]]
    with pytest.raises(NotFoundError):
        shelf.select(["zz"])


async def test_text__sealed_file_changed_or_gone__is_a_verification_error(shelf: WorkShelf, tmp_path: Path) -> None:
    await shelf.add(["one.txt"], "owned", "Elsin")
    (work,) = shelf.select(["all"])
    (sealed,) = tmp_path.iterdir()
    sealed.write_bytes(sealed.read_bytes()[:-1] + b"\0")
    with pytest.raises(VerificationError):
        shelf.text(work)
    sealed.unlink()
    with pytest.raises(VerificationError, match="is gone"):
        shelf.text(work)


async def test_plan_removal__names_what_is_lost_and_erases_nothing(shelf: WorkShelf) -> None:
    (added,) = (await shelf.add(["one.txt"], "owned", "Elsin")).added
    shelf._store.adapters.save_adapter(AdapterRecord("poems", None, "b", "", "/d", "trained", works=(added.work_id,)))
    plan = shelf.plan_removal(added.work_id[:8])
    assert (plan.work_id, plan.title, plan.characters) == (added.work_id, "one", added.characters)
    assert plan.adapters == [NamedAdapter("poems", None, "trained")]
    assert len(shelf.list_works()) == 1


async def test_remove__few_digits__refused_though_only_one_work_begins_so(shelf: WorkShelf) -> None:
    (added,) = (await shelf.add(["one.txt"], "owned", "Elsin")).added
    for digits in (1, 7):
        with pytest.raises(UsageError, match="too short"):
            shelf.remove(added.work_id[:digits])
    assert len(shelf.list_works()) == 1


async def test_add__broken_off_in_the_middle__what_was_read_before_is_there(tmp_path: Path) -> None:
    async def reading(paths: list[Path], encoding: str) -> AsyncIterator[ImportedWork | ImportFailure]:
        async for item in read_files(paths[:2], encoding):
            yield item
        raise StorageError("the disk is gone")

    shelf = WorkShelf(MemoryStore(), tmp_path, Sealing(keys_of("owner")), reading, lambda: 7)
    with pytest.raises(StorageError):
        await shelf.add([FilePath(f"{name}.txt") for name in "abc"], "owned", "Somebody")
    assert [work.title for work in shelf.list_works()] == ["a", "b"]
