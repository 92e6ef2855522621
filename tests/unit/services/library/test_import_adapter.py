"""Foreign adapters with a trainer in memory: which base model is meant, what is kept, and what is refused."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.bases import listed_sources
from tests.fakes.files import read_files
from tests.fakes.store import MemoryStore
from tests.fakes.trainer import MemoryTrainer
from tests.fakes.world import keys_of
from viz_node.daemon.secrets import Sealing
from viz_node.domain.importing import ImportAdapter
from viz_node.domain.job import Job, JobState
from viz_node.domain.names import FilePath
from viz_node.domain.orders import ImportOrder, order_body, parse_order, subject_of
from viz_node.domain.records import AdapterRecord
from viz_node.domain.training import FileFacts, InstalledBase
from viz_node.errors import NotFoundError, RefusedError, TrainingError, UsageError
from viz_node.services.library.import_adapter import ImportedAdapter, Imports
from viz_node.services.library.manage_works import WorkShelf
from viz_node.services.library.report_training import Reports
from viz_node.services.library.train_adapter import ModelTools, Workshop

COMMIT, OTHER = "c" * 40, "d" * 40
BASES = [
    InstalledBase("small", "aa" * 32, "CC0-1.0", 1, FilePath("/bases/small"), listed_sources()),
    InstalledBase(f"hf:Org/model@{COMMIT}", "bb" * 32, "mit", 1, FilePath("/bases/model"), {}),
    InstalledBase(f"hf:org/twice@{COMMIT}", "cc" * 32, "mit", 1, FilePath("/bases/one"), {}),
    InstalledBase(f"hf:org/twice@{OTHER}", "dd" * 32, "mit", 1, FilePath("/bases/two"), {}),
]
SOURCE = FilePath("/somewhere/adapter")


class Bench:
    """A workshop with one work, and imports."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store, self.trainer = MemoryStore(), MemoryTrainer(list(BASES))
        works = WorkShelf(self.store, directory, Sealing(keys_of("owner")), read_files, lambda: 1)
        shop = Workshop(
            self.store,
            works,
            Reports(self.store.adapters, directory, Sealing(keys_of("owner"))),
            directory,
            ModelTools(self.trainer, lambda: self.trainer.bases, lambda texts, seed: ([], sorted(texts.values()))),
        )
        self.works = works
        self.imports = Imports(self.store.adapters, works, shop, directory, self.trainer)

    def names(self, base_name: str, revision: str = "") -> None:
        changes = {"base_name": base_name, "revision": revision}
        self.trainer.inspected = msgspec.structs.replace(self.trainer.inspected, **changes)

    async def order(self, base: str | None = None, content: list[str] | None = None, name: str = "new") -> ImportOrder:
        return (await self.imports.prepare(SOURCE, name, base, content or []))[1]

    async def take_in(self, order: ImportOrder, job_id: str = "j1") -> ImportedAdapter:
        return await self.imports.take_in(Job(job_id, order.kind, JobState.RUNNING, order, 1, 1), lambda said: None)

    def has_fetched(self, name: str, weights: bytes) -> None:
        folder = self.directory / "adapters" / name
        folder.mkdir(parents=True)
        (folder / "adapter_model.safetensors").write_bytes(weights)
        self.store.adapters.save_adapter(AdapterRecord(name, None, "small", "aa" * 32, str(folder), "fetched"))


@pytest.fixture
async def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    text = tmp_path / "sea.txt"
    text.write_text("The sea. " * 50)
    await made.works.add([FilePath(str(text))], "owned", "Ann")
    return made


@pytest.mark.parametrize(
    ("named", "revision", "base", "chosen"),
    [
        ("small", "", None, "small"),
        ("org/model", "", None, f"hf:Org/model@{COMMIT}"),
        ("Org/model", "main", None, f"hf:Org/model@{COMMIT}"),
        (f"hf:org/model@{COMMIT}", "", None, f"hf:Org/model@{COMMIT}"),
        ("org/twice", OTHER, None, f"hf:org/twice@{OTHER}"),
        ("unsloth/model-bnb-4bit", "", "small", "small"),
        ("", "", "small", "small"),
        ("org/model", "", "aa" * 32, "small"),
    ],
)
async def test_prepare__base_named_or_chosen__found(
    bench: Bench, named: str, revision: str, base: str | None, chosen: str
) -> None:
    bench.names(named, revision)
    plan, order = await bench.imports.prepare(SOURCE, "new", base, [])
    assert (plan.base, plan.named_base, order.base.name) == (chosen, named, chosen)


@pytest.mark.parametrize(
    ("named", "revision", "base", "error", "hint"),
    [
        ("org/unknown", "", None, NotFoundError, "--base"),
        ("model", "", None, NotFoundError, "--base"),
        ("org/model", OTHER, None, NotFoundError, "--base"),
        ("", "", None, UsageError, "--base"),
        ("org/twice", "", None, UsageError, "--base"),
        ("small", "", "unknown", NotFoundError, "base"),
        ("small", "", f"hf:org/else@{COMMIT}", NotFoundError, "viz-node base install"),
    ],
)
async def test_prepare__no_one_base__refused_with_the_next_step(
    bench: Bench, named: str, revision: str, base: str | None, error: type[Exception], hint: str
) -> None:
    bench.names(named, revision)
    with pytest.raises(error) as caught:
        await bench.order(base)
    assert hint in getattr(caught.value, "hint", "")


async def test_prepare__name_that_is_taken_or_no_name__refused_before_anything_is_read(bench: Bench) -> None:
    await bench.take_in(await bench.order())
    bench.trainer.orders.clear()
    for name in ("new", "../new", ""):
        with pytest.raises(UsageError):
            await bench.order(name=name)
    assert bench.trainer.orders == []


async def test_take_in__works_stated__recorded_as_imported_with_origin_and_evaluation(bench: Bench) -> None:
    order = await bench.order(content=["all"])
    imported = await bench.take_in(order)
    record = bench.store.adapters.find_adapter("new")
    assert record.origin == "imported"
    assert record.works == order.works != ()
    assert record.training["origin"] == "imported, training not witnessed"
    assert record.evaluation == {"tokens": 5}
    assert imported.notes == ("a note",)
    (given,) = [told for told in bench.trainer.orders if isinstance(told, ImportAdapter)]
    assert given.eval_texts and given.weights_digest == order.weights_digest


async def test_take_in__no_works__no_evaluation(bench: Bench) -> None:
    await bench.take_in(await bench.order())
    record = bench.store.adapters.find_adapter("new")
    assert (record.works, record.evaluation) == ((), {})


async def test_take_in__again_after_a_crash__done_once(bench: Bench) -> None:
    order = await bench.order()
    await bench.take_in(order)
    told = len(bench.trainer.orders)
    assert (await bench.take_in(order)).name == "new"
    assert len(bench.trainer.orders) == told


async def test_take_in__worker_refuses__nothing_recorded(bench: Bench) -> None:
    order = await bench.order()
    bench.trainer.failure = TrainingError("no", "never")
    with pytest.raises(TrainingError):
        await bench.take_in(order)
    assert bench.store.adapters.list_adapters() == []


async def test_weights_of_a_fetched_adapter__refused_before_and_after_rewriting(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = b"weights that somebody sells"
    digest = hashlib.sha256(weights).hexdigest()
    order = await bench.order()
    bench.has_fetched("bought", weights)
    bench.has_fetched("gone", b"")
    (bench.directory / "adapters" / "gone" / "adapter_model.safetensors").unlink()
    write = bench.trainer.import_adapter

    async def rewritten(*arguments: Any) -> Any:
        (bench.directory / "adapters" / "new").mkdir()
        return msgspec.structs.replace(await write(*arguments), files={"w": FileFacts(1, digest)})

    monkeypatch.setattr(bench.trainer, "import_adapter", rewritten)
    with pytest.raises(RefusedError, match="bought"):
        await bench.take_in(order)
    assert not (bench.directory / "adapters" / "new").exists()
    bench.trainer.inspected = msgspec.structs.replace(bench.trainer.inspected, weights_digest=digest)
    with pytest.raises(RefusedError, match="bought"):
        await bench.order()
    assert "new" not in [record.name for record in bench.store.adapters.list_adapters()]


async def test_order__written_and_read_again__the_same(bench: Bench) -> None:
    order = replace(await bench.order(content=["all"]), source=FilePath("/a/b"))
    assert parse_order(order.kind, order_body(order)) == order
    assert subject_of(order) == "new"
