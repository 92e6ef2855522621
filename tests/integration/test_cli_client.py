"""The command line against a real HTTP server on loopback that speaks the local API."""

import json
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from viz_node.cli.client import NodeClient
from viz_node.cli.main import run
from viz_node.errors import LicenseRequiredError, NodeNotRunningError, StorageError, VizNodeError

TOKEN = "0123456789abcdef"
CALLS: list[tuple[str, dict[str, Any]]] = []
ANSWERS: dict[str, tuple[int, object]] = {
    "content_list": (200, [{"work_id": "ab" * 32, "title": "T", "author": "A", "rights": "owned"}]),
    "train": (200, {"job_id": "j1"}),
    "jobs_show": (200, {"job_id": "j1", "kind": "train", "state": "done", "result": {"evaluation": {}}}),
    "fetch": (402, {"error": "LicenseRequiredError", "message": "no license", "hint": "viz-node license x"}),
    "export": (500, {"error": "SystemExit", "message": "strange", "hint": ""}),
    "doctor": (200, [{"check": "disk", "state": "fail", "detail": "full", "fix": "make room"}]),
    "content_add": (200, {"added": [], "refused": [{"path": "x.bin", "error": "not a text"}]}),
}


class Api(BaseHTTPRequestHandler):
    """Answers from `ANSWERS`, for the right token only."""

    def do_GET(self) -> None:
        """Ready."""
        self._answer(200, {"ready": True})

    def do_POST(self) -> None:
        """One operation."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = self.path.removeprefix("/v1/call/")
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._answer(401, {"error": "RefusedError", "message": "wrong token", "hint": ""})
            return
        CALLS.append((name, body))
        self._answer(*ANSWERS[name])

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def _answer(self, status: int, body: object) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home whose api.json names a living server."""
    CALLS.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    (tmp_path / "api.json").write_text(json.dumps({"url": url, "token": TOKEN, "pid": 1}))
    yield tmp_path
    server.shutdown()
    thread.join()
    server.server_close()


def test_train__all_works__leaves_the_choice_to_the_node_and_follows_the_job(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text("[recipe]\nrank = 4\n")
    assert run(["--home", str(home), "train", "poems", "--content", "all", "--recipe", str(recipe)]) == 0
    assert CALLS[0] == (
        "train",
        {"name": "poems", "content": ["all"], "base": None, "recipe": {"rank": 4}, "cores": 0, "between": ""},
    )
    assert CALLS[1] == ("jobs_show", {"job": "j1"})
    assert "poems" in capsys.readouterr().out


def test_train__detached_json__the_job_id_only(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--home", str(home), "train", "poems", "--content", "ab,cd", "--detach", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"job_id": "j1"}
    assert CALLS[0][1]["content"] == ["ab", "cd"]


def test_call__error_body__raised_as_its_class(home: Path) -> None:
    with pytest.raises(LicenseRequiredError) as caught:
        NodeClient(home).call("fetch", adapter="x")
    assert caught.value.hint == "viz-node license x"


def test_call__error_of_a_foreign_class__is_a_plain_error(home: Path) -> None:
    with pytest.raises(VizNodeError, match="strange") as caught:
        NodeClient(home).call("export", adapter="x", directory="/x")
    assert type(caught.value) is VizNodeError


def test_call__server_gone__not_running(tmp_path: Path) -> None:
    (tmp_path / "api.json").write_text('{"url": "http://127.0.0.1:1", "token": "t", "pid": 1}')
    with pytest.raises(NodeNotRunningError):
        NodeClient(tmp_path).call("status")


@pytest.mark.parametrize(
    "body",
    ["", "[]", "{}", '{"url": "http://198.51.100.7:80", "token": "t"}', '{"url": "http://127.0.0.1", "token": "t"}'],
)
def test_call__damaged_or_foreign_address__refused_without_sending_the_token(tmp_path: Path, body: str) -> None:
    (tmp_path / "api.json").write_text(body)
    with pytest.raises(StorageError):
        NodeClient(tmp_path).call("status")


def test_wait__ready__status_0(home: Path) -> None:
    assert run(["--home", str(home), "wait", "--timeout", "2"]) == 0


def test_wait__nobody_there__deadline_status(tmp_path: Path) -> None:
    assert run(["--home", str(tmp_path), "wait", "--timeout", "0.1"]) == 8


def test_doctor__failed_check__status_1_and_its_fix(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--home", str(home), "doctor"]) == 1
    assert "fix: make room" in capsys.readouterr().out


def test_content_add__nothing_readable__status_2_with_reasons(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(Path(__file__))
    assert run(["--home", str(home), "content", "add", path, "--rights", "owned", "--author", "A"]) == 2
    assert "x.bin: not a text" in capsys.readouterr().err
    assert CALLS[0][1]["paths"] == [path]


@pytest.mark.parametrize(
    ("raw", "records", "says"),
    [
        (b"", [], ""),
        (b'{"text":"In"}\n{"text":" the year"}\n', [{"text": "In"}, {"text": " the year"}], ""),
        (b'{"text":"In"}\nnonsense\n', [{"text": "In"}], "malformed"),
        (b'{"text":"In"}\n[1]\n', [{"text": "In"}], "malformed"),
        (b'{"text":"In"}\n{"text":"cut', [{"text": "In"}], "malformed"),
        (b'{"text":"' + b"x" * 1_100_000 + b'"}\n', [], "malformed"),
    ],
)
def test_stream__records_of_a_node__each_as_it_comes_and_nonsense_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, raw: bytes, records: list[dict[str, Any]], says: str
) -> None:
    monkeypatch.setitem(ANSWERS, "generate_follow", (200, raw))
    heard: list[dict[str, Any]] = []
    with pytest.raises(VizNodeError, match=says) if says else nullcontext():
        for record in NodeClient(home).stream("generate_follow", job="j1"):
            heard.append(record)
    assert heard == records
    assert CALLS == [("generate_follow", {"job": "j1"})]


def test_stream__refused__the_node_s_own_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ANSWERS, "generate_follow", ANSWERS["fetch"])
    with pytest.raises(LicenseRequiredError, match="no license"):
        next(NodeClient(home).stream("generate_follow", job="j1"))
