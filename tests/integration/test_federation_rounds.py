"""A real coordinator process and members with a small least-squares trainer, over real HTTP on loopback."""

import contextlib
import hashlib
import http.client
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from viz_node.domain.names import FilePath
from viz_node.domain.recipe import Recipe
from viz_node.domain.rounds import TakePart
from viz_node.domain.training import AdapterTrained, BaseModel
from viz_node.errors import RefusedError, VerificationError
from viz_node.federation.member import take_part

RUN_ID = "test-run"
BASE = BaseModel("small", FilePath("/bases/small"), "ab" * 32)
TERMS = "ab" * 32
SIZE = 500
CAP = 100


class LeastSquaresTrainer:
    """Half a step towards its own target per round: small, real, and exact to predict."""

    def __init__(self, target, tokens, layout="least squares"):
        self.target = target.astype(np.float32)
        self.tokens = tokens
        self.size = len(target)
        self.layout_digest = hashlib.sha256(layout.encode()).hexdigest()
        self.held_round = None
        self.is_held = threading.Event()
        self.go = threading.Event()
        self.calls = []

    def initial(self):
        return np.zeros(self.size, dtype=np.float32)

    def train_round(self, vector, round_number, rounds):
        if round_number == self.held_round:
            self.is_held.set()
            assert self.go.wait(60)
        self.calls.append(round_number)
        return vector + np.float32(0.5) * (self.target - vector), self.tokens, self.evaluate(vector)[0]

    def evaluate(self, vector):
        return float(np.mean((vector - self.target) ** 2)), self.tokens

    def save(self, vector, out_dir):
        out_dir.mkdir(parents=True)
        np.save(out_dir / "adapter.npy", vector)
        return AdapterTrained(FilePath(str(out_dir)), {}, {}, {})


class Coordinator:
    """The worker process as the daemon starts it."""

    def __init__(self, state_dir, **order):
        self.events = queue.Queue()
        self.seen = []
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "viz_node.daemon.federation_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        body = {
            "order": "coordinate",
            "run_id": RUN_ID,
            "terms_digest": TERMS,
            "state_dir": str(state_dir),
            "members": 2,
            "min_members": 2,
            "rounds": 3,
            "weight_cap": CAP,
            "closing_seconds": 20,
            **order,
        }
        self.process.stdin.write(json.dumps(body) + "\n")
        self.process.stdin.close()
        threading.Thread(target=self._read, daemon=True).start()
        self.fleet_port = self.wait_for(lambda event: event["event"] == "listening")["fleet_port"]

    def _read(self):
        for line in self.process.stdout:
            self.events.put(json.loads(line))

    def wait_for(self, wanted, seconds=60):
        limit = time.monotonic() + seconds
        while True:
            event = self.events.get(timeout=max(limit - time.monotonic(), 0.01))
            self.seen.append(event)
            assert event["event"] != "error", event
            if wanted(event):
                return event

    def done(self):
        return self.wait_for(lambda event: event["event"] == "done")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


class Member:
    """One member in a thread of its own."""

    def __init__(self, port, trainer, name, out_dir=None, rounds=3, terms=TERMS):
        self.result = None
        self.error = None
        order = TakePart(
            run_id=RUN_ID, terms_digest=terms, rounds=rounds, fleet_address=f"127.0.0.1:{port}", base=BASE, texts=(),
            eval_texts=(), recipe=Recipe(), run_seed="", name=name, out_dir=out_dir,
        )  # fmt: skip
        self.thread = threading.Thread(target=self._run, args=(order, trainer), daemon=True)
        self.thread.start()

    def _run(self, order, trainer):
        try:
            self.result = take_part(order, trainer, lambda event: None)
        except Exception as error:
            self.error = error

    def join(self, seconds=40):
        self.thread.join(seconds)
        assert not self.thread.is_alive()
        return self


@contextlib.contextmanager
def coordinator(state_dir, **order):
    running = Coordinator(state_dir, **order)
    try:
        yield running
    finally:
        running.process.terminate()
        try:
            running.process.wait(10)
        except subprocess.TimeoutExpired:
            running.process.kill()


def trainers():
    generator = np.random.default_rng(0)
    return [LeastSquaresTrainer(generator.normal(size=SIZE) * 0.5, tokens) for tokens in (30, 5000)]


def expected_vector(pair, rounds=3):
    vector = pair[0].initial()
    weights = [min(trainer.tokens, CAP) for trainer in pair]
    for _ in range(rounds):
        updates = [vector + np.float32(0.5) * (trainer.target - vector) for trainer in pair]
        total = sum(weight * update.astype(np.float64) for weight, update in zip(weights, updates, strict=True))
        vector = (total / sum(weights)).astype(np.float32)
    return vector


def test_coordinate__two_members__gives_both_the_exact_weighted_average(tmp_path):
    pair = trainers()
    with coordinator(tmp_path / "state") as running:
        members = [
            Member(running.fleet_port, trainer, name, tmp_path / name)
            for trainer, name in zip(pair, ("alice", "bob"), strict=True)
        ]
        result = running.done()
        assert running.process.wait(10) == 0
    expected = expected_vector(pair)
    assert np.array_equal(np.load(result["vector_path"]), expected)
    assert [entry["weights"] for entry in result["rounds"]] == [{"alice": 30, "bob": CAP}] * 3
    assert result["evaluation"]["delivered"] == 2
    for member, name in zip(members, ("alice", "bob"), strict=True):
        assert member.join().error is None
        assert member.result.rounds_trained == (1, 2, 3)
        assert np.array_equal(np.load(tmp_path / name / "adapter.npy"), expected)


def test_coordinate__killed_mid_round__resumes_from_its_checkpoint(tmp_path):
    pair = trainers()
    pair[0].held_round = 2
    with coordinator(tmp_path / "state") as first:
        port = first.fleet_port
        members = [Member(port, trainer, name) for trainer, name in zip(pair, ("alice", "bob"), strict=True)]
        first.wait_for(lambda event: event.get("phase") == "round" and event["step"] == 1)
        assert pair[0].is_held.wait(20)
        first.kill()
        pair[0].go.set()
    with coordinator(tmp_path / "state", fleet_port=port) as second:
        result = second.done()
        assert {"event": "resumed", "rounds": 1} in second.seen
    assert np.array_equal(np.load(result["vector_path"]), expected_vector(pair))
    assert [entry["round"] for entry in result["rounds"]] == [1, 2, 3]
    for member, trainer in zip(members, pair, strict=True):
        assert member.join().error is None
        assert trainer.calls.count(1) == 1


def test_coordinate__member_with_another_layout__is_refused_and_the_rest_goes_on(tmp_path):
    pair = trainers()
    stranger = LeastSquaresTrainer(np.ones(SIZE), 10, layout="another base model")
    digest = pair[0].layout_digest
    with coordinator(tmp_path / "state", layout_digest=digest, vector_size=SIZE) as running:
        outsider = Member(running.fleet_port, stranger, "mallory").join()
        assert isinstance(outsider.error, VerificationError)
        members = [Member(running.fleet_port, trainer, name) for trainer, name in zip(pair, "ab", strict=True)]
        result = running.done()
    assert stranger.calls == []
    assert np.array_equal(np.load(result["vector_path"]), expected_vector(pair))
    assert all(member.join().error is None for member in members)


def test_take_part__coordinator_of_other_terms__is_refused(tmp_path):
    with coordinator(tmp_path / "state") as running:
        member = Member(running.fleet_port, trainers()[0], "alice", terms="00" * 32).join()
    assert isinstance(member.error, VerificationError)


def test_coordinate__update_that_moves_too_far__is_refused(tmp_path):
    pair = trainers()
    attacker = LeastSquaresTrainer(np.full(SIZE, 100.0), 10)
    with coordinator(tmp_path / "state", members=3, min_members=2, rounds=2) as running:
        members = [
            Member(running.fleet_port, trainer, name, rounds=2) for trainer, name in zip(pair, "ab", strict=True)
        ]
        outsider = Member(running.fleet_port, attacker, "mallory", rounds=2)
        running.wait_for(lambda event: event.get("phase") == "round" and event["step"] == 2)
        assert isinstance(outsider.join().error, RefusedError)
        assert all(member.join().error is None for member in members)
        result = running.done()
    assert list(result["rounds"][0]["refused"]) == ["mallory"]
    assert np.array_equal(np.load(result["vector_path"]), expected_vector(pair, rounds=2))


@pytest.mark.parametrize(
    "path",
    [
        "/v1/control/start-run",
        "/v1/control/list-runs",
        "/v1/runtime/pull-task-input",
        "/docs",
        "/v1/fleet/../control/x",
        "/",
    ],
)
def test_fleet_door__path_outside_the_fleet_api__is_not_found(fleet_port, path):
    connection = http.client.HTTPConnection("127.0.0.1", fleet_port, timeout=10)
    connection.request("POST", path, body=b"")
    assert connection.getresponse().status == 404


@pytest.fixture(scope="module")
def fleet_port(tmp_path_factory):
    with coordinator(tmp_path_factory.mktemp("door")) as running:
        yield running.fleet_port
