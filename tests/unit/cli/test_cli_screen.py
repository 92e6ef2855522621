"""The screen of `viz-node start`: what it names, and that its bar ends."""

import threading
from typing import Any

import pytest

from tests.waiting import until_blocking
from viz_node.cli.output import Output
from viz_node.cli.screen import StartScreen

READY: dict[str, Any] = {
    "home": "/h",
    "peer": "12D3Koo",
    "account": "0xaa",
    "addresses": "/ip4/127.0.0.1/tcp/1",
    "dashboard": "http://127.0.0.1:2/login/x",
    "chain": "http://127.0.0.1:3",
    "dev": True,
}
SAMPLE = {"name": "sample", "price": "1.00", "evaluation": {"perplexity_before": "90.00", "perplexity_after": "5.00"}}


def job(job_id: str, kind: str, state: str, **progress: Any) -> dict[str, Any]:
    return {"job_id": job_id, "kind": kind, "state": state, "progress": progress}


def test_screen__plain__says_who_where_and_what_next(capsys: pytest.CaptureFixture[str]) -> None:
    with StartScreen(Output(False, "/h")) as screen:
        screen.ready(READY)
        screen.progress(job("1", "base_build", "running", phase="build", step=3, steps=9))
        screen.progress(job("1", "base_build", "done", phase="build", step=9, steps=9))
        screen.progress(job("2", "train", "running", phase="train", step=1, steps=2))
        screen.sample(SAMPLE)
    printed = capsys.readouterr()
    for text in ("12D3Koo", "0xaa", "http://127.0.0.1:2/login/x", "test money only", "content add"):
        assert text in printed.out
    assert "90.00 before, 5.00 after" in printed.out
    assert "viz-node --home /h generate sample" in printed.out
    assert "base_build: build 3/9" in printed.err
    assert "train: train 1/2" in printed.err


def test_screen__no_development__names_no_test_chain(capsys: pytest.CaptureFixture[str]) -> None:
    StartScreen(Output(False)).ready(READY | {"dev": False})
    assert "test money" not in capsys.readouterr().out


def live_bars() -> int:
    return sum(type(thread).__name__ == "_RefreshThread" for thread in threading.enumerate())


@pytest.mark.parametrize("end", ["done", "trouble", "left"])
def test_screen__live_bar__ends_with_its_job_with_trouble_or_with_the_node(end: str) -> None:
    output = Output(False)
    output.has_live_progress = True
    with StartScreen(output) as screen:
        screen.progress(job("1", "train", "running", phase="train", step=1, steps=2))
        assert live_bars() == 1
        if end == "done":
            screen.progress(job("1", "train", "done", phase="train", step=2, steps=2))
        elif end == "trouble":
            screen.trouble("the chain is down")
        if end != "left":
            until_blocking(live_bars, lambda count: count == 0, 5)
        else:
            assert live_bars() == 1
    until_blocking(live_bars, lambda count: count == 0, 5)
