"""The workshop with a trainer in memory: what it is told, what is kept of its answer, and what a repeated job does."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bases import listed_sources
from tests.fakes.files import read_files
from tests.fakes.store import MemoryStore
from tests.fakes.trainer import MemoryTrainer
from tests.fakes.world import keys_of
from viz_node.daemon.secrets import Sealing
from viz_node.domain.answer import as_json
from viz_node.domain.ids import WorkId
from viz_node.domain.job import Job, JobState
from viz_node.domain.names import FilePath
from viz_node.domain.orders import BuildBaseOrder, TrainOrder
from viz_node.domain.recipe import Recipe
from viz_node.domain.records import AdapterRecord
from viz_node.domain.report import NO_EFFECT, CurvePoint, Measured, SampleText, TextEffect
from viz_node.domain.training import BaseModel, InstallBase, InstalledBase, Train
from viz_node.errors import NotFoundError, TrainingError, UsageError, VerificationError
from viz_node.services.library.manage_works import WorkShelf
from viz_node.services.library.report_training import Reports
from viz_node.services.library.train_adapter import ModelTools, ShownAdapter, Workshop

BASES = [
    InstalledBase("small", "aa" * 32, "CC0-1.0", 1, FilePath("/bases/small"), listed_sources()),
    InstalledBase("b", "bb" * 32, "CC0-1.0", 1, FilePath("/b"), listed_sources()),
]
SMALL = BASES[0].reference()
HUB_NAME = f"hf:PleIAs/Pleias-350m-Preview@{'c' * 40}"


class Bench:
    """A workshop with two works; `orders` are what its trainer got, `told` the progress of its jobs."""

    def __init__(self, directory: Path) -> None:
        self.store, self.trainer = MemoryStore(), MemoryTrainer(list(BASES))
        self.told: list[dict[str, Any]] = []
        self.held_out: list[str] = []
        self.works = WorkShelf(self.store, directory, Sealing(keys_of("owner")), read_files, lambda: 1)
        self.reports = Reports(self.store.adapters, directory, Sealing(keys_of("owner")))
        self.shop = Workshop(
            self.store,
            self.works,
            self.reports,
            directory,
            ModelTools(self.trainer, lambda: self.trainer.bases, self._split),
        )

    def _split(self, texts: Mapping[str, str], seed: int) -> tuple[list[str], list[str]]:
        return sorted(texts.values()), self.held_out or [str(seed)]

    async def train(self, job_id: str = "j1", **changes: Any) -> ShownAdapter:
        works = tuple(work.work_id for work in self.works.select(["all"]))
        order = replace(TrainOrder("elsin", works, None, Recipe(seed=5, rank=16)), **changes)
        return await self.shop.train(Job(job_id, "train", JobState.RUNNING, order, 1, 1), self.tell)

    def tell(self, said: object) -> None:
        self.told.append(as_json(said))


@pytest.fixture
async def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    await made.works.add(["one.txt", "two.txt"], "owned", "Elsin")
    return made


async def test_train__two_works__worker_gets_their_texts_and_the_library_the_adapter(bench: Bench) -> None:
    shown = await bench.train()
    (order,) = bench.trainer.orders
    assert (order.texts, order.eval_texts) == (("the text of one", "the text of two"), ("5",))
    assert (order.base, order.recipe) == (SMALL, Recipe(seed=5, rank=16))
    assert bench.told == [{"event": "progress", "phase": "train", "step": 1, "steps": 3, "loss": 2.5}]
    record = bench.store.adapters.find_adapter("elsin")
    assert (record.works, record.origin) == (tuple(work.work_id for work in bench.works.select([])), "trained")
    assert (record.base_digest, record.training) == ("aa" * 32, {"steps": 3, "base_verdict": "documented", "job": "j1"})
    assert (shown.works, shown.published) == (2, False)


async def test_train__done__report_is_sealed_and_shown_by_work(bench: Bench, tmp_path: Path) -> None:
    effects, sample = (TextEffect(4, 8.0, 4.0),), SampleText("the secret begins", "so", "thus")
    bench.trainer.measured = Measured(effects, TextEffect(9, 1.0, 2.0), (sample,), (CurvePoint(1, 2.5),))
    bench.held_out = ["the text of one"]
    await bench.train()
    shown = bench.reports.show("elsin")
    assert (shown.report.own, shown.report.general.tokens) == (effects[0], 9)
    assert [(work.title, work.held_out) for work in shown.report.works] == [("one", effects[0]), ("two", NO_EFFECT)]
    assert "<svg" in shown.curve
    sealed = (tmp_path / "elsin.sealed").read_bytes()
    assert b"secret" not in sealed
    (tmp_path / "elsin.sealed").write_bytes(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(VerificationError):
        bench.reports.show("elsin")


async def test_report__of_an_earlier_adapter_of_this_name__is_not_shown(bench: Bench) -> None:
    await bench.train()
    bench.store.adapters.remove_adapter("elsin")
    bench.store.adapters.save_adapter(AdapterRecord("elsin", None, "small", "aa" * 32, "/x", "imported", created=7))
    with pytest.raises(NotFoundError, match="no report"):
        bench.reports.show("elsin")


async def test_train__repeated_after_it_was_done__trains_nothing_again(bench: Bench) -> None:
    first = await bench.train()
    assert await bench.train() == first
    assert len(bench.trainer.orders) == 1


async def test_train__worker_fails__nothing_is_in_the_library_and_the_checkpoint_stays(bench: Bench, tmp_path) -> None:
    checkpoint = tmp_path / "checkpoints" / "j1"
    checkpoint.mkdir(parents=True)
    bench.trainer.failure = TrainingError("killed")
    with pytest.raises(TrainingError):
        await bench.train()
    assert (bench.store.adapters.list_adapters(), checkpoint.exists()) == ([], True)
    bench.trainer.failure = None
    await bench.train()
    assert not checkpoint.exists()


async def test_train__work_was_removed_meanwhile__is_not_found(bench: Bench) -> None:
    with pytest.raises(NotFoundError):
        await bench.train(works=(WorkId("ff" * 32),))
    assert bench.trainer.orders == []


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "a b", "x" * 65, "a\n"])
def test_check_new_name__not_fit_for_a_file__is_refused(bench: Bench, name: str) -> None:
    with pytest.raises(UsageError):
        bench.shop.check_new_name(name)


async def test_check_new_name__taken__is_refused(bench: Bench) -> None:
    bench.shop.check_new_name("elsin")
    await bench.train()
    with pytest.raises(UsageError, match="already"):
        bench.shop.check_new_name("elsin")


async def test_train__hub_model_not_installed__installed_once_and_pinned_by_its_digest(bench: Bench) -> None:
    for name in ("first", "second"):
        await bench.train(name, name=name, base=bench.shop.find_base(HUB_NAME))
    assert [type(order) for order in bench.trainer.orders] == [InstallBase, Train, Train]
    assert all(order.base.digest == "dd" * 32 for order in bench.trainer.orders[1:])
    assert bench.store.adapters.find_adapter("first").base_digest == "dd" * 32


def test_find_base__by_name_digest_or_none__and_unknown(bench: Bench) -> None:
    assert bench.shop.find_base(None) == bench.shop.find_base("small") == bench.shop.find_base("aa" * 32) == SMALL
    assert bench.shop.find_base(HUB_NAME) == BaseModel(HUB_NAME, FilePath(""), "")
    with pytest.raises(UsageError, match="is not a pinned model"):
        bench.shop.find_base("hf:org/model@main")
    with pytest.raises(NotFoundError):
        bench.shop.find_base("large")
    bench.trainer.bases.clear()
    with pytest.raises(NotFoundError, match=r"is not installed"):
        bench.shop.find_base(None)


async def test_find_base__another_one_installed_later__default_stays_until_it_is_changed(bench: Bench) -> None:
    assert bench.shop.find_base(None) == SMALL
    bench.trainer.bases.insert(0, InstalledBase("a", "dd" * 32, "mit", 1, FilePath("/a"), listed_sources()))
    assert bench.shop.find_base(None) == SMALL
    assert [base.name for base in bench.shop.list_bases() if base.default] == ["small"]
    assert bench.shop.use_base("b").digest == "bb" * 32
    assert bench.shop.find_base(None).name == "b"
    bench.trainer.bases = [base for base in bench.trainer.bases if base.name != "b"]
    with pytest.raises(NotFoundError, match=r"default base model bbbbbbbbbbbb… is not installed"):
        bench.shop.find_base(None)
    assert not any(base.default for base in bench.shop.list_bases())


async def test_settle_default__no_base_yet__the_first_one_built_becomes_it(bench: Bench, tmp_path: Path) -> None:
    bench.trainer.bases = []
    assert bench.shop.settle_default() is None
    with pytest.raises(NotFoundError, match="there is no base model"):
        bench.shop.find_base(None)
    job = Job("j", "base_build", JobState.RUNNING, BuildBaseOrder(0, "viz-base-small-0"), 1, 1)
    result = await bench.shop.build_base(job, bench.tell)
    out = tmp_path / "bases" / "viz-base-small-0"
    assert (result.base.name, result.base.path) == (out.name, str(out))
    bench.trainer.bases.insert(0, InstalledBase("a", "dd" * 32, "mit", 1, FilePath("/a"), listed_sources()))
    assert bench.shop.find_base(None).name == "viz-base-small-0"


async def test_use_base__not_installed__refused_and_nothing_changes(bench: Bench) -> None:
    for name in ("none", HUB_NAME):
        with pytest.raises(NotFoundError):
            bench.shop.use_base(name)
    assert bench.shop.find_base(None) == SMALL
