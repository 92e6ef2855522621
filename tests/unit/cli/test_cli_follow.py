"""Following a job to its end."""

from typing import Any

import pytest

from viz_node.cli.follow import follow_job, job_error, measures_of
from viz_node.cli.output import Output
from viz_node.errors import LockedError, NotFoundError, TrainingError, VizNodeError

PROGRESS = {"phase": "train", "step": 3, "steps": 9, "loss": 2.51234, "tokens_per_second": 1234.5, "eta_seconds": 61}


class ScriptedNode:
    """A node whose job goes through the given states, one per call."""

    def __init__(self, states: list[dict[str, Any]]) -> None:
        self._states = states

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        """The next state."""
        assert (operation, params) == ("jobs_show", {"job": "j1"})
        return {"job_id": "j1", "kind": "train", **self._states.pop(0)}


def test_follow_job__done__returned_with_progress_lines(capsys: pytest.CaptureFixture[str]) -> None:
    node = ScriptedNode(
        [{"state": "queued"}, {"state": "running", "progress": PROGRESS}, {"state": "done", "result": {"text": "x"}}]
    )
    job = follow_job(node, Output(is_json=False), "j1", poll_seconds=0)
    assert job["result"] == {"text": "x"}
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["train: queued", "train: train 3/9  loss 2.512  1,234 tokens/s  ETA 1:01", "train: done"]


def test_follow_job__terminal__draws_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(is_json=False)
    output.has_live_progress = True
    follow_job(ScriptedNode([{"state": "running", "progress": PROGRESS}, {"state": "done"}]), output, "j1", 0)
    assert "train" in capsys.readouterr().err


def test_follow_job__json__silent(capsys: pytest.CaptureFixture[str]) -> None:
    follow_job(ScriptedNode([{"state": "running"}, {"state": "done"}]), Output(is_json=True), "j1", 0)
    assert capsys.readouterr() == ("", "")


def test_follow_job__failed__raises_the_class_that_the_job_names() -> None:
    node = ScriptedNode([{"state": "failed", "error": "NotFoundError: no such work\nviz-node content list"}])
    with pytest.raises(NotFoundError, match="no such work") as caught:
        follow_job(node, Output(is_json=False), "j1", 0)
    assert caught.value.hint == "viz-node content list"


def test_follow_job__cancelled__says_how_to_go_on() -> None:
    with pytest.raises(VizNodeError, match="was cancelled") as caught:
        follow_job(ScriptedNode([{"state": "cancelled"}]), Output(is_json=False), "j1", 0)
    assert caught.value.hint.endswith("viz-node jobs resume j1")


@pytest.mark.parametrize(
    ("ending", "cls", "message"),
    [
        ({"error": "out of memory"}, TrainingError, "out of memory"),
        ({"error": "SystemExit: 3"}, TrainingError, "SystemExit: 3"),
        ({"result": {"error": "LockedError", "message": "busy", "hint": ""}}, LockedError, "busy"),
        ({"error": ""}, TrainingError, "it gave no reason"),
    ],
)
def test_job_error__kinds_of_reasons__class_and_message(
    ending: dict[str, Any], cls: type[VizNodeError], message: str
) -> None:
    found = job_error({"job_id": "j1", "kind": "train", "state": "failed", **ending})
    assert type(found) is cls
    assert (found.message, found.hint) == (message, "mend the cause, then: viz-node jobs resume j1")


def test_measures_of__nothing_known__empty() -> None:
    assert measures_of({"phase": "load", "loss": None}) == ""
