"""The worker's side of the edge: strict orders, and not too much progress."""

import io
import json

import pytest

from viz_node.domain.training import BaseModel, Generate, Train
from viz_node.domain.worker import Progress
from viz_node.errors import UsageError
from viz_node.workers import serve
from viz_node.workers.serve import LineWriter, read_order

BASE = {"name": "small", "path": "/b\udcff", "digest": ""}


def test_read_order__path_that_is_not_utf8__arrives_as_it_is() -> None:
    raw = json.dumps({"order": "generate", "base": BASE, "prompt": "In"}).encode()
    assert read_order(io.BytesIO(raw), Train | Generate) == Generate(base=BaseModel(**BASE), prompt="In")


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"order": "delete"},
        {"order": "generate", "base": BASE},
        {"order": "generate", "base": BASE, "prompt": 1},
        {"order": "generate", "base": BASE, "prompt": "In", "more": 1},
        {"order": "generate", "base": BASE | {"more": 1}, "prompt": "In"},
        {"order": "train", "base": BASE, "texts": [], "out_dir": "", "checkpoint_dir": "", "recipe": {"rank": 0}},
    ],
)
def test_read_order__not_of_the_kinds__is_a_usage_error(body: object) -> None:
    with pytest.raises(UsageError):
        read_order(io.BytesIO(json.dumps(body).encode()), Train | Generate)


def test_read_order__not_json_nested_or_too_long__is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "MAX_ORDER_BYTES", 200_000)
    for raw in (b"", b"{", b"\xff", b"[" * 150_000, b" " * 200_001):
        with pytest.raises(UsageError):
            read_order(io.BytesIO(raw), Train | Generate)


def test_unforeseen__out_of_memory__said_so_with_the_place() -> None:
    import torch

    with pytest.raises(RuntimeError) as refused:
        torch.empty(1 << 50)
    errors = [refused.value, MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")]
    told = [serve.unforeseen(error) for error in errors]
    assert [failure.message.removeprefix("not enough memory on ") for failure in told] == [
        "this machine",
        "this machine",
        "the GPU",
    ]
    assert serve.unforeseen(ValueError("no")).message == "ValueError: no"


def test_line_writer__fast_progress__first_and_last_only() -> None:
    stream = io.BytesIO()
    write = LineWriter(stream)
    for step in range(1, 101):
        write(Progress("train", step, 100))
    steps = [json.loads(line)["step"] for line in stream.getvalue().splitlines()]
    assert (steps[0], steps[-1]) == (1, 100)
    assert len(steps) < 10


def test_line_writer__loss_that_is_no_number__is_null() -> None:
    stream = io.BytesIO()
    LineWriter(stream)(Progress("train", 1, 1, loss=float("nan")))
    assert json.loads(stream.getvalue()) == {"event": "progress", "phase": "train", "step": 1, "steps": 1, "loss": None}
