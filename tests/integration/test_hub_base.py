"""A base model by the hub's own client from a hub on this machine; then trained on without a network."""

import json
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.tiny_model import write_tiny_model
from viz_node.daemon.config import hub_environment, worker_environment
from viz_node.daemon.processes import Workers
from viz_node.domain.assess_base import assess, entry_for
from viz_node.domain.base_catalogue import find_entry
from viz_node.domain.names import FilePath
from viz_node.domain.recipe import Recipe
from viz_node.domain.training import InstallBase, Train
from viz_node.errors import NotFoundError, StorageError, UnreachableError, UsageError, VerificationError
from viz_node.models.bases import base_digest, list_bases

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SOURCE = f"hf:elsin/tiny@{COMMIT}"


BESIDES = {
    "pytorch_model.bin": b"pickle", "modeling_evil.py": b"raise SystemExit", "README.md": b"# tiny",
    "consolidated.safetensors": b"again", "original/consolidated.safetensors": b"again", "onnx/model.onnx": b"again",
    "original/params.json": b"{}", "gguf/tiny.gguf": b"again", "model.fp16.safetensors": b"again",
    "chat_template.jinja": b"{{ messages }}",
}  # fmt: skip


class Hub:
    """What the client needs of a hub: facts of a commit, and its files; remembers what was asked for."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files, self.asked, self.repository, self.commit = files, list[str](), "elsin/tiny", COMMIT
        self.sha = COMMIT
        self.sizes = dict[str, int]()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                hub.asked.append(path)
                if path == f"/api/models/{hub.repository}/revision/{hub.commit}":
                    sizes = {name: len(body) for name, body in hub.files.items()} | hub.sizes
                    siblings = [{"rfilename": name, "size": size} for name, size in sizes.items()]
                    facts = {"id": hub.repository, "sha": hub.sha, "siblings": siblings}
                    self._answer(json.dumps(facts | {"cardData": {"license": "mit"}}).encode())
                elif path.startswith(f"/api/models/{hub.repository}/tree/{hub.commit}"):
                    rows = [
                        {"type": "file", "path": name, "size": len(body), "oid": sha256(body).hexdigest()[:40]}
                        for name, body in hub.files.items()
                    ]
                    self._answer(json.dumps(rows).encode())
                elif (
                    path.startswith(prefix := f"/{hub.repository}/resolve/{hub.commit}/")
                    and path[len(prefix) :] in hub.files
                ):
                    self._answer(hub.files[path[len(prefix) :]])
                else:
                    self.send_error(404)

            do_HEAD = do_GET  # noqa: N815

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("ETag", f'"{sha256(body).hexdigest()}"')
                self.send_header("X-Repo-Commit", hub.sha)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Silent."""

        return Handler


@pytest.fixture(scope="module")
def model_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A tiny Llama that was made here, with what hubs also hold and nobody should fetch."""
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_model(folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return files | BESIDES


@pytest.fixture
def hub(model_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub(dict(model_files))
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    yield hub
    hub.close()


def runner(folder: Path) -> Workers:
    """After `hub`, whose address it takes from the environment."""
    return Workers(worker_environment(1, folder / "flower"), folder / "workers.log", hub_environment())


async def install(folder: Path, source: str = SOURCE) -> Path:
    folder.mkdir(exist_ok=True)
    out = folder / "bases" / "tiny"
    await runner(folder).install_base(InstallBase(source=source, out_dir=FilePath(str(out))), lambda _: None)
    return out


async def test_install_base__pinned__only_model_files_with_provenance(hub: Hub, tmp_path: Path) -> None:
    out = await install(tmp_path)
    (row,) = list_bases(tmp_path / "bases")
    assert row.name == SOURCE
    assert row.digest == base_digest(out)
    assert row.license == "mit"
    assert row.parameters > 10_000
    (source,) = row.provenance["sources"]
    assert source["commit"] == COMMIT
    fetched = {path.name for path in out.iterdir()} - {"provenance.json"}
    assert fetched == set(hub.files) - set(BESIDES) | {"chat_template.jinja"}
    asked = {path.partition(f"resolve/{COMMIT}/")[2] for path in hub.asked}
    assert asked - {""} == fetched
    assert row.provenance["chat_template"] == sha256(b"{{ messages }}").hexdigest()
    (out / "chat_template.jinja").unlink()
    assert row.digest == base_digest(out)


async def test_train__installed_base__needs_no_hub_any_more(hub: Hub, tmp_path: Path) -> None:
    out = await install(tmp_path)
    hub.close()
    (row,) = list_bases(tmp_path / "bases")
    order = Train(
        base=row.reference(),
        texts=("the tide mill and the lamp. " * 9,) * 4,
        eval_texts=("lamp.",),
        recipe=Recipe(epochs=1, rank=2, max_tokens=64),
        out_dir=FilePath(str(tmp_path / "adapter")),
        checkpoint_dir=FilePath(str(tmp_path / "checkpoint")),
    )
    result = await runner(tmp_path).train(order, lambda _: None)
    assert int(result.training["steps"]) > 0
    (out / "generation_config.json").write_text("{}")
    with pytest.raises(VerificationError, match="has digest"):
        await runner(tmp_path).train(order, lambda _: None)


@pytest.mark.parametrize("source", ["hf:elsin/tiny", "hf:elsin/tiny@main", f"hf:../tiny@{COMMIT}"])
async def test_install_base__not_pinned__refused_before_anything_is_asked(
    hub: Hub, tmp_path: Path, source: str
) -> None:
    with pytest.raises(UsageError, match="is not a pinned model"):
        await install(tmp_path, source)
    assert hub.asked == []


async def test_install_base__other_commit_or_no_weights__nothing_installed(hub: Hub, tmp_path: Path) -> None:
    hub.sha = "f" * 40
    with pytest.raises(VerificationError):
        await install(tmp_path)
    hub.sha = COMMIT
    del hub.files["model.safetensors"]
    with pytest.raises(VerificationError, match="safetensors"):
        await install(tmp_path / "second")
    assert list_bases(tmp_path / "bases") == list_bases(tmp_path / "second" / "bases") == []


async def test_install_base__unknown_or_down__named(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="the hub has no hf:elsin/other@"):
        await install(tmp_path, f"hf:elsin/other@{COMMIT}")
    hub.close()
    with pytest.raises(UnreachableError, match="cannot download"):
        await install(tmp_path)


def without_weights(hub: Hub) -> bool:
    return not any(path.endswith(".safetensors") for path in hub.asked)


async def test_install_base__configuration_of_an_unknown_kind__refused_before_its_weights(
    hub: Hub, tmp_path: Path
) -> None:
    config = json.loads(hub.files["config.json"])
    hub.files["config.json"] = json.dumps(config | {"model_type": "klingon"}).encode()
    with pytest.raises(VerificationError, match="'klingon'"):
        await install(tmp_path)
    assert without_weights(hub)
    hub.files["config.json"] = json.dumps(config | {"num_hidden_layers": 3}).encode()
    with pytest.raises(VerificationError, match=r"other weights than its configuration says: model\.layers\.2\."):
        await install(tmp_path)
    assert list((tmp_path / "bases").iterdir()) == []


async def test_install_base__larger_than_the_disk__refused_before_anything_is_fetched(hub: Hub, tmp_path: Path) -> None:
    hub.sizes["model.safetensors"] = 1 << 60
    with pytest.raises(StorageError, match=r"needs 1073741825\.0 GiB of disk"):
        await install(tmp_path)
    assert not any("resolve" in path for path in hub.asked)


@pytest.mark.parametrize(("commit", "verdict"), [("", "documented"), ("c" * 40, "claimed")])
async def test_install_base__entry_of_the_catalogue__has_its_verdict_at_the_revision_that_was_looked_up(
    hub: Hub, tmp_path: Path, commit: str, verdict: str
) -> None:
    entry = find_entry("pleias-350m")
    assert entry is not None
    hub.repository, hub.sha = entry.repository, commit or entry.commit
    hub.commit = hub.sha
    await install(tmp_path, entry.full_name(commit))
    (base,) = list_bases(tmp_path / "bases")
    assert entry_for(base) == entry
    assert (assess(base).verdict, base.name) == (verdict, f"hf:{entry.repository}@{hub.sha}")
    other = InstallBase(source=SOURCE, out_dir=FilePath(str(tmp_path / "bases" / "stranger")))
    hub.repository, hub.commit, hub.sha = "elsin/tiny", COMMIT, COMMIT
    await runner(tmp_path).install_base(other, lambda _: None)
    (stranger,) = [base for base in list_bases(tmp_path / "bases") if base.name == SOURCE]
    assert (stranger.license, assess(stranger).verdict) == ("mit", "unknown")
