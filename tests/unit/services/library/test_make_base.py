"""Bases of an owner's own making: what is refused first, what the worker is told, what a repeated job does."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.fakes.store import MemoryStore
from tests.fakes.trainer import MemoryTrainer
from tests.fakes.world import keys_of
from viz_node.daemon.secrets import Sealing
from viz_node.domain.job import Job, JobState
from viz_node.domain.names import FilePath
from viz_node.domain.orders import AddBaseOrder, InstallBaseOrder, PretrainOrder
from viz_node.domain.pretraining import FetchSources, Pretrain, PretrainRecipe
from viz_node.domain.sources import FORMAT, parse_sources
from viz_node.domain.training import SHIPPED_BASE, InstallBase, UnpackBase
from viz_node.domain.work import ImportedWork, ImportFailure
from viz_node.errors import NotFoundError, TrainingError, UsageError, VerificationError
from viz_node.services.library.make_base import BaseMaker
from viz_node.services.library.manage_works import WorkShelf
from viz_node.services.library.report_training import Reports
from viz_node.services.library.train_adapter import BuiltBase, ModelTools, Workshop


async def read_files(paths: list[Path], encoding: str) -> AsyncIterator[ImportedWork | ImportFailure]:
    for path in paths:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        yield ImportedWork(str(path), "", path.read_text(), "text/plain", digest, 1, ())


HUB_NAME = f"hf:org/model@{'c' * 40}"


class Bench:
    """A maker of bases, and a folder with one text."""

    def __init__(self, directory: Path) -> None:
        self.home, self.texts = directory / "home", directory / "texts"
        self.texts.mkdir()
        (self.texts / "night.txt").write_text("It was a dark night.")
        self.trainer = MemoryTrainer([])
        works = WorkShelf(MemoryStore(), self.home, Sealing(keys_of("owner")), read_files, lambda: 1)
        store = MemoryStore()
        shop = Workshop(
            store,
            works,
            Reports(store.adapters, self.home, Sealing(keys_of("owner"))),
            self.home,
            ModelTools(self.trainer, lambda: self.trainer.bases, lambda texts, seed: ([], [])),
        )  # fmt: skip
        self.maker = BaseMaker(shop, self.home, self.trainer, read_files)

    def listed(self, **changes: Any) -> Any:
        digest = hashlib.sha256(b"It was a dark night.").hexdigest()
        row = {"title": "Night", "authors": ["A"], "license": "CC0-1.0", "sha256": digest, "path": "night.txt"}
        return parse_sources({"format": FORMAT, "name": "own", "license": "CC0-1.0", "sources": [{**row, **changes}]})

    async def pretrain(self, **changes: Any) -> BuiltBase:
        order = PretrainOrder("own", self.listed(**changes), FilePath(str(self.texts)), PretrainRecipe(steps=7))
        return await self.maker.pretrain(Job("j1", "base_train", JobState.RUNNING, order, 1, 1), lambda said: None)

    async def install(self, name: str) -> BuiltBase:
        order = InstallBaseOrder(name)
        return await self.maker.install(Job("j2", "base_install", JobState.RUNNING, order, 1, 1), lambda said: None)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_pretrain__local_text__is_read_and_handed_over(bench: Bench) -> None:
    built = await bench.pretrain()
    (order,) = bench.trainer.orders
    assert isinstance(order, Pretrain)
    assert (order.recipe.steps, order.listed.name, built.base.name) == (7, "own", "own")
    assert not (bench.home / "checkpoints/j1").exists()


async def test_pretrain__failed__keeps_texts_for_the_next_try(bench: Bench) -> None:
    bench.trainer.failure = TrainingError("stopped")
    with pytest.raises(TrainingError):
        await bench.pretrain()
    (bench.texts / "night.txt").unlink()
    bench.trainer.failure = None
    assert (await bench.pretrain()).base.name == "own"


async def test_pretrain__file_is_not_the_pinned_one__trains_nothing(bench: Bench) -> None:
    with pytest.raises(VerificationError, match="another file than the list pins"):
        await bench.pretrain(sha256="0" * 64)
    assert bench.trainer.orders == []


async def test_pretrain__source_with_an_address__is_fetched_first(bench: Bench) -> None:
    digest = hashlib.sha256(b"Night").hexdigest()
    await bench.pretrain(sha256=digest, path="", url="https://example.org/night.txt")
    assert [type(order) for order in bench.trainer.orders] == [FetchSources, Pretrain]


def test_plan__everything_is_there__names_sources_and_tokens(bench: Bench) -> None:
    plan = bench.maker.plan(bench.listed(reasons={"EU": "own words"}), bench.texts, PretrainRecipe(steps=7))
    assert (plan.name, plan.steps, plan.tokens) == ("own", 7, 7 * 4096)
    assert [(row.title, row.use, row.reasons) for row in plan.sources] == [("Night", "train", "EU: own words")]


def test_check__file_missing_or_name_taken__is_refused_before_any_work(bench: Bench) -> None:
    with pytest.raises(NotFoundError, match=r"has no file gone\.txt"):
        bench.maker.check(bench.listed(path="gone.txt"), bench.texts)
    (bench.home / "bases/own").mkdir(parents=True)
    with pytest.raises(UsageError, match="already a base model own"):
        bench.maker.check(bench.listed(), bench.texts)
    listed = msgspec.structs.replace(bench.listed(), name="kl3m-170m")
    with pytest.raises(UsageError, match="already a base model kl3m-170m"):
        bench.maker.check(listed, bench.texts)


async def test_install__shipped_and_hub__each_its_own_way(bench: Bench) -> None:
    assert (await bench.install(SHIPPED_BASE)).base.name == SHIPPED_BASE
    assert (await bench.install(HUB_NAME)).base.name == HUB_NAME
    assert [type(order) for order in bench.trainer.orders] == [UnpackBase, InstallBase]


async def test_add__folder__is_handed_over_once_and_refused_where_the_name_is_taken(bench: Bench) -> None:
    order = AddBaseOrder("mine", FilePath(str(bench.texts)), "MIT")
    bench.maker.check_folder(order)
    built = await bench.maker.add(Job("j3", "base_add", JobState.RUNNING, order, 1, 1), lambda said: None)
    (told,) = bench.trainer.orders
    assert (built.base.name, built.base.license, told.source) == ("mine", "MIT", order.source)
    (bench.home / "bases/mine").mkdir(parents=True)
    for taken in ("mine", "kl3m-170m"):
        with pytest.raises(UsageError, match="already a base model"):
            bench.maker.check_folder(AddBaseOrder(taken, order.source, "MIT"))
    with pytest.raises(NotFoundError, match="there is no folder"):
        bench.maker.check_folder(AddBaseOrder("other", FilePath("/nowhere"), "MIT"))
