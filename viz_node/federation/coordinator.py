"""The coordinator of a federation: admits members, averages their vectors round by round, and hands out the result."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg

from viz_node.domain.counting import counted
from viz_node.domain.names import FilePath
from viz_node.domain.rounds import (
    Closing,
    Coordinate,
    Layout,
    Listening,
    MemberLoss,
    Resumed,
    RoundFacts,
    RoundsRun,
)
from viz_node.domain.worker import Progress, WorkerLine
from viz_node.errors import DeadlineError, VerificationError
from viz_node.federation.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, vector_path
from viz_node.federation.messages import make_config, make_content, read_metric, read_update
from viz_node.federation.roster import Roster
from viz_node.federation.superlink import EmbeddedGrid, SuperLink
from viz_node.federation.trainer import Vector
from viz_node.federation.vectors import Update, average, bounded_weight, check_distance, vector_digest

_log = logging.getLogger(__name__)

Report = Callable[[WorkerLine], None]

_RETRY_SECONDS = 1.0
_POLL_SECONDS = 0.2


class FlatFedAvg(FedAvg):
    """FedAvg over one checked flat vector per member, with capped weights."""

    def __init__(self, order: Coordinate, layout: Layout, roster: Roster) -> None:
        super().__init__(
            fraction_evaluate=1.0, min_train_nodes=order.min_members, min_available_nodes=order.min_members
        )
        self._order = order
        self._layout = layout
        self._roster = roster
        self._start: Vector = np.zeros(layout.size, dtype=np.float32)
        self.round_number = 1
        self.updates: list[Update] = []
        self.refused: dict[str, str] = {}
        self.average: Vector | None = None

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """One message with the whole vector to every member that is there."""
        self._start = next(iter(arrays.values())).numpy()
        self.updates, self.refused, self.average = [], {}, None
        settings = make_config(self._order.agreement, self._layout, round=self.round_number, rounds=self._order.rounds)
        content = make_content(settings, self._start)
        return list(self._construct_messages(content, self._roster.node_ids(), MessageType.TRAIN))

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """The weighted average of the updates that pass every check; nothing when they are too few.

        A member whose update fails a check is told why and takes no further part.
        """
        # By name, so that float64 sums do not depend on who was fastest.
        named = sorted(
            ((self._roster.name_of(reply.metadata.src_node_id), reply) for reply in replies), key=lambda p: p[0]
        )
        for name, reply in named:
            if reply.has_error():
                _log.warning("round %d: %s failed: %s", self.round_number, name, reply.error.reason)
                continue
            try:
                update = read_update(reply.content, self._order.agreement, self._layout, self.round_number, name)
                bounded_weight(update.tokens, self._order.weight_cap)
                check_distance(update.vector, self._start, self._order.max_rms_change)
                self.updates.append(update)
            except VerificationError as error:
                self.refused[name] = error.message
                self._roster.refuse(reply.metadata.src_node_id, error.message)
        if len(self.updates) < self._order.min_members:
            return None, None
        self.average = average(self.updates, self._order.weight_cap)
        return ArrayRecord([self.average]), MetricRecord({"loss": self.loss, "num-examples": self.tokens})

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """None between rounds: members evaluate the final vector, when the federation closes."""
        return []

    @property
    def tokens(self) -> int:
        """All tokens that the members of the round state."""
        return sum(update.tokens for update in self.updates)

    @property
    def loss(self) -> float:
        """Mean training loss by capped weight."""
        weights = [bounded_weight(update.tokens, self._order.weight_cap) for update in self.updates]
        pairs = zip(weights, self.updates, strict=True)
        return sum(weight * update.loss for weight, update in pairs) / sum(weights)


def coordinate(order: Coordinate, report: Report) -> RoundsRun:
    """Run the federation to its end, from its checkpoint when there is one.

    Reports `listening` with the port of the fleet door first. The result names the file of the final vector.

    Raises:
        VerificationError: the checkpoint is damaged or of another federation.
        DeadlineError: too few members for `patience_seconds`.
        LockedError: the port is taken.
    """
    checkpoint = load_checkpoint(Path(order.state_dir), order.agreement)
    if checkpoint is not None and order.layout not in (None, checkpoint.layout):
        raise VerificationError("the checkpoint has another layout", f"remove {order.state_dir} to start again")
    with SuperLink(order.fleet_port, Path(order.database) if order.database else None) as link:
        report(Listening(link.fleet_port))
        with link.open_run(order.min_members, order.straggler_seconds) as grid:
            return _Run(order, grid, report).run(checkpoint)


class _Run:
    """One start of the coordinator."""

    def __init__(self, order: Coordinate, grid: EmbeddedGrid, report: Report) -> None:
        self._order = order
        self._state_dir = Path(order.state_dir)
        self._grid = grid
        self._report = report
        self._roster = Roster(grid, order.agreement, order.members, report)

    def run(self, checkpoint: Checkpoint | None) -> RoundsRun:
        """All rounds that are left, then the closing."""
        if checkpoint is not None:
            self._roster.layout = checkpoint.layout
            self._report(Resumed(len(checkpoint.rounds)))
        else:
            self._roster.layout = self._order.layout
        if checkpoint is None or len(checkpoint.rounds) < self._order.rounds:
            self._wait_for_members(
                self._order.join_seconds if checkpoint is None else min(self._order.join_seconds, 60.0)
            )
        if checkpoint is None:
            layout = self._roster.layout
            if layout is None:
                raise VerificationError("no layout was agreed on")
            vector: Vector = np.zeros(layout.size, dtype=np.float32)
            checkpoint = Checkpoint(self._order.agreement, layout, vector, ())
            save_checkpoint(self._state_dir, checkpoint)
        strategy = FlatFedAvg(self._order, checkpoint.layout, self._roster)
        while len(checkpoint.rounds) < self._order.rounds:
            checkpoint = self._run_round(strategy, checkpoint)
            save_checkpoint(self._state_dir, checkpoint)
        evaluation = self._close(checkpoint)
        return RoundsRun(
            FilePath(str(vector_path(self._state_dir, self._order.rounds))),
            vector_digest(checkpoint.vector),
            checkpoint.layout.digest,
            checkpoint.layout.size,
            checkpoint.rounds,
            evaluation,
        )

    def _wait_for_members(self, all_seconds: float) -> None:
        started = time.monotonic()
        while True:
            self._roster.poll()
            count = len(self._roster.node_ids())
            seconds = time.monotonic() - started
            if count >= self._order.members or (count >= self._order.min_members and seconds >= all_seconds):
                return
            if seconds > self._order.patience_seconds:
                raise DeadlineError(
                    f"only {count} of at least {counted(self._order.min_members, 'member')} came",
                    "start again when they are there",
                )
            time.sleep(_POLL_SECONDS)

    def _run_round(self, strategy: FlatFedAvg, checkpoint: Checkpoint) -> Checkpoint:
        strategy.round_number = len(checkpoint.rounds) + 1
        started = time.monotonic()
        while True:
            self._wait_for_members(0.0)
            strategy.start(
                grid=self._grid,
                initial_arrays=ArrayRecord([checkpoint.vector]),
                num_rounds=1,
                timeout=self._order.round_seconds,
            )
            if strategy.average is not None:
                break
            _log.warning("round %d had too few updates and is repeated", strategy.round_number)
            if time.monotonic() - started > self._order.patience_seconds:
                raise DeadlineError(f"round {strategy.round_number} never had enough updates", "see the worker's log")
            time.sleep(_RETRY_SECONDS)
        seconds = time.monotonic() - started
        speed, left = strategy.tokens / max(seconds, 1e-6), seconds * (self._order.rounds - strategy.round_number)
        self._report(
            Progress("round", strategy.round_number, self._order.rounds, strategy.loss, round(speed, 1), round(left, 1))
        )
        entry = self._facts(strategy, seconds, strategy.average)
        return replace(checkpoint, vector=strategy.average, rounds=(*checkpoint.rounds, entry))

    def _facts(self, strategy: FlatFedAvg, seconds: float, vector: Vector) -> RoundFacts:
        updates = strategy.updates
        return RoundFacts(
            round_number=strategy.round_number,
            members=tuple(update.member for update in updates),
            tokens={update.member: update.tokens for update in updates},
            weights={update.member: bounded_weight(update.tokens, self._order.weight_cap) for update in updates},
            losses={update.member: update.loss for update in updates},
            refused=strategy.refused,
            loss=strategy.loss,
            seconds=round(seconds, 3),
            vector_digest=vector_digest(vector),
        )

    def _close(self, checkpoint: Checkpoint) -> Closing:
        """Give the final vector to every member; those that went away have `closing_seconds` to come back."""
        settings = make_config(self._order.agreement, checkpoint.layout, kind="closing", rounds=self._order.rounds)
        content = make_content(settings, checkpoint.vector)
        sent: dict[str, int] = {}
        closed: dict[str, MemberLoss] = {}
        limit = time.monotonic() + self._order.closing_seconds
        while checkpoint.closed + len(closed) < self._order.members and time.monotonic() < limit:
            self._roster.poll()
            fresh = [node for node in self._roster.node_ids() if node not in sent.values()]
            for node in fresh:
                message = Message(content=content, message_type=MessageType.EVALUATE, dst_node_id=node)
                sent[next(iter(self._grid.push_messages([message])))] = node
            for reply in self._grid.pull_messages(sent) if sent else ():
                node = sent.pop(reply.metadata.reply_to_message_id)
                name = self._roster.name_of(node)
                self._roster.forget(node)
                if reply.has_error():
                    _log.warning("%s did not take the final vector: %s", name, reply.error.reason)
                    continue
                closed[name] = _evaluation(reply)
                save_checkpoint(self._state_dir, replace(checkpoint, closed=checkpoint.closed + len(closed)))
                step = checkpoint.closed + len(closed)
                self._report(Progress("close", step, self._order.members))
            time.sleep(_POLL_SECONDS)
        return Closing(closed, checkpoint.closed + len(closed))


def _evaluation(reply: Message) -> MemberLoss:
    """What a member states about the final vector; nothing that is counted on."""
    try:
        loss, tokens = read_metric(reply.content, "loss"), read_metric(reply.content, "num-examples")
        return MemberLoss(float(loss), int(tokens))
    except VerificationError:
        return MemberLoss()
