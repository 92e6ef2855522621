"""The commands of base models: what they ask the node, and what they show of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from viz_node.cli.commands.base import base_command
from viz_node.cli.terminal import Terminal
from viz_node.errors import StorageError, UsageError

ROW = {
    "name": "kl3m-170m",
    "verdict": "certified",
    "state": "available",
    "parameters": 170_000_000,
    "memory_bytes": 1_278_911_247,
    "tokens_per_second": 150,
    "license": "CC-BY-4.0",
    "base": f"hf:alea-institute/kl3m-002-170m@{'c' * 40}",
    "digest": "",
    "reason": "somebody examined it",
    "accepted": "",
}
OWN = ROW | {"name": "own", "verdict": "unknown", "state": "default", "digest": "dd" * 32, "accepted": "I made it"}
PLAN = {"name": "own", "license": "CC0-1.0", "steps": 7, "tokens": 28672}
PLAN["sources"] = [{"title": "Night", "authors": "A", "license": "CC0-1.0", "use": "train"}]
SAID = [{"about": "opt-outs", "text": "none are named", "source": "model card"}]


class Bases:
    """A node that has one base and knows of another."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.installed: dict[str, Any] | None = None
        self.row = ROW
        self.curve = ""

    def call(self, operation: str, **params: Any) -> Any:
        self.asked.append((operation, params))
        answers = {
            "plan_base_train": PLAN,
            "plan_base_install": ROW
            | {"download_bytes": 680_000_000, "memory_here_bytes": 8 << 30, "access": "sign it"},
            "base_show": {
                "row": self.row,
                "installed": self.installed,
                "statements": SAID,
                "commit_source": "a page",
                "curve": self.curve,
            },
            "base_accept": {"name": "own", "accepted": params.get("reason")},
        }
        return answers.get(operation, {"name": "chosen", "job_id": "j1"})

    def call_list(self, operation: str, **params: Any) -> Any:
        rows = {"base_catalogue": [OWN, ROW | {"tokens_per_second": None}], "jobs_list": []}
        return rows[operation]


def run(home: Path, *words: str, node: Bases | None = None) -> list[tuple[str, dict[str, Any]]]:
    terminal = Terminal(home)
    terminal.__dict__["client"] = node = node or Bases()
    base_command.main(list(words), obj=terminal, standalone_mode=False, help_option_names=["-h", "--help"])
    return node.asked


def test_base_list__installed_and_catalogue__in_eighty_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "list")
    head, own, other = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "verdict", "weights", "memory", "tokens/s", "state"]
    assert own.split() == ["own", "unknown", "170", "M", "1.2", "GiB", "150", "default,", "accepted"]
    assert other.split() == ["kl3m-170m", "certified", "170", "M", "1.2", "GiB", "-", "available"]
    assert max(map(len, (head, own, other))) <= 80
    run(tmp_path, "list", "--json")
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["own", "kl3m-170m"]


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("running", "one is on its way: viz-node jobs show j7 --follow"),
        ("queued", "one is on its way: viz-node jobs show j7 --follow"),
        ("failed", "install the one of this package: viz-node base install"),
    ],
)
def test_base_list__none_yet__says_whether_one_is_being_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, state: str, told: str
) -> None:
    rows = {"base_catalogue": [ROW], "jobs_list": [{"job_id": "j7", "kind": "base_install", "state": state}]}
    monkeypatch.setattr(Bases, "call_list", lambda self, operation, **_: rows[operation])
    run(tmp_path, "list")
    assert capsys.readouterr().out.endswith(f"no base model yet; {told}\n")


def test_base_use__name_or_digits__node_finds_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "use", "aaaaaa") == [("base_use", {"base": "aaaaaa"})]
    assert "the default base model is chosen now" in capsys.readouterr().out


def test_base_accept__reason_or_withdrawal__exactly_one_is_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "accept", "own", "I made it") == [("base_accept", {"base": "own", "reason": "I made it"})]
    assert "manifests will say: I made it" in capsys.readouterr().out
    assert run(tmp_path, "accept", "own", "--withdraw") == [("base_accept", {"base": "own", "reason": ""})]
    for words in (["own"], ["own", "because", "--withdraw"]):
        with pytest.raises(UsageError, match="give a reason, or --withdraw"):
            run(tmp_path, "accept", *words)


def test_base_add__folder_and_sources__are_sent_whole(tmp_path: Path) -> None:
    (tmp_path / "sources.toml").write_text('format = "viz-node/base-sources/1"\n')
    words = ["add", str(tmp_path), "--license", "MIT", "--sources", str(tmp_path / "sources.toml"), "--detach"]
    ((operation, asked),) = run(tmp_path, *words)
    assert (operation, asked["directory"], asked["license_name"]) == ("base_add", str(tmp_path), "MIT")
    assert (asked["sources"], asked["name"]) == ({"format": "viz-node/base-sources/1"}, "")
    ((_, asked),) = run(tmp_path, "add", str(tmp_path), "--license", "MIT", "--name", "x", "--detach")
    assert (asked["sources"], asked["name"]) == (None, "x")


LIST = """
format = "viz-node/sources/1"
name = "own"
license = "CC0-1.0"
[[sources]]
title = "Night"
"""


def test_base_install__needs_are_shown__and_then_it_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = {"base": "viz-base-english-1", "revision": ""}
    assert run(tmp_path, "install", "--detach") == [("plan_base_install", asked), ("base_install", asked)]
    told = capsys.readouterr().err
    assert "0.7 GB to download, about 1.2 GiB of memory to train (8.0 GiB here), 150 tokens/s here" in told
    assert "certified: somebody examined it" in told
    assert "first, sign it" in told
    assert run(tmp_path, "install", "x", "--revision", "a" * 40, "--dry-run") == [
        ("plan_base_install", {"base": "x", "revision": "a" * 40})
    ]


@pytest.mark.parametrize("accepted", ["", "I made it myself"])
def test_base_add__unknown_base__next_step_is_to_accept_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, accepted: str
) -> None:
    node, job = Bases(), {"result": {"base": {"name": "own", "digest": "dd" * 32, "parameters": 7, "license": "MIT"}}}
    node.row = OWN | {"accepted": accepted}
    monkeypatch.setattr(Terminal, "run_job", lambda self, answer, detach: job)
    run(tmp_path, "add", str(tmp_path), "--license", "MIT", node=node)
    told = capsys.readouterr().out
    assert "own is installed: 7 weights, license MIT" in told
    assert ("viz-node base accept own" in told) == (not accepted)
    assert ("--base own" in told) == bool(accepted)


def test_base_train__list_and_recipe__are_sent_whole_and_steps_win(tmp_path: Path) -> None:
    (tmp_path / "list.toml").write_text(LIST)
    (tmp_path / "recipe.toml").write_text("layers = 3\nsteps = 9\n")
    files = [str(tmp_path / "list.toml"), "--recipe", str(tmp_path / "recipe.toml")]
    asked = run(tmp_path, "train", *files, "--steps", "5", "--detach")
    assert [name for name, _ in asked] == ["plan_base_train", "base_train"]
    assert asked[0][1] == asked[1][1]
    assert asked[1][1]["recipe"] == {"layers": 3, "steps": 5}
    assert asked[1][1]["texts"] == str(tmp_path)
    assert asked[1][1]["sources"]["sources"] == [{"title": "Night"}]


def test_base_train__dry_run__only_plans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "list.toml").write_text(LIST)
    asked = run(tmp_path, "train", str(tmp_path / "list.toml"), "--texts", str(tmp_path), "--dry-run")
    assert [name for name, _ in asked] == ["plan_base_train"]
    assert "own under CC0-1.0: 1 source, 7 steps, 28672 tokens" in capsys.readouterr().out


@pytest.mark.parametrize("raw", [b"x = ", b"\xff", b"a" * 600_000])
def test_base_train__list_that_is_no_toml__asks_no_node(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "list.toml").write_bytes(raw)
    with pytest.raises(UsageError):
        run(tmp_path, "train", str(tmp_path / "list.toml"))


def test_base_show__installed__card_first_then_the_first_sources_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node, sources = Bases(), [{"title": f"Book {number}"} for number in range(60)]
    node.installed = {"path": "/x", "provenance": {"sources": sources, "losses": [[1, "2.0"]], "seed": 1}}
    run(tmp_path, "show", "own", node=node)
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.index("opt-outs none are named [model card]") < shown.index("As it is installed")
    assert "revision looked up: a page" in shown
    assert "Book 4; and 55 more" in shown
    assert "losses" not in shown
    assert "seed 1" in shown
    run(tmp_path, "show", "own", "--json", node=node)
    assert "Book 59" in capsys.readouterr().out


def test_base_show__output__writes_provenance_and_picture_of_an_installed_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node, out = Bases(), tmp_path / "out"
    with pytest.raises(UsageError, match="only an installed base model has a provenance"):
        run(tmp_path, "show", "own", "--output", str(out), node=node)
    node.installed = {"path": "/x", "provenance": {"seed": 1}}
    run(tmp_path, "show", "own", "--output", str(out), node=node)
    assert [path.name for path in out.iterdir()] == ["provenance.json"]
    node.curve = "<svg/>"
    run(tmp_path, "show", "own", "--output", str(out), node=node)
    assert ((out / "loss.svg").read_text(), json.loads((out / "provenance.json").read_text())) == (
        "<svg/>",
        {"seed": 1},
    )
    assert f"written to {out}: provenance.json, loss.svg" in " ".join(capsys.readouterr().err.split())
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        run(tmp_path, "show", "own", "--output", str(tmp_path / "file" / "x"), node=node)
