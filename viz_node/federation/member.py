"""A member of a federation: its own Fleet connection around a resident `ClientApp`; runs no code from the network."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
from flwr.app import Context, Error, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.clientapp import ClientApp
from flwr.common.serde import message_from_proto, message_to_proto, run_from_proto
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    DeactivateNodeRequest,
    PullMessagesRequest,
    PushMessagesRequest,
    RegisterNodeFleetRequest,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest
from flwr.proto.node_pb2 import Node
from flwr.proto.run_pb2 import GetRunRequest
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_pull_object_fn_protobuf,
    make_push_object_fn_protobuf,
)
from flwr.supercore.inflatable.inflatable_utils import (
    ObjectPullError,
    ObjectPushError,
    inflate_object_from_contents,
    pull_objects,
    push_object_contents_from_iterable,
)
from flwr.supercore.interceptors.http.runtime_version import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import generate_key_pairs, public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from viz_node.domain.rounds import Layout, PartTaken, TakePart
from viz_node.domain.worker import Progress
from viz_node.errors import PeerUnreachableError, RefusedError, VerificationError, VizNodeError
from viz_node.federation.heartbeat import Heartbeat
from viz_node.federation.messages import (
    HELLO,
    REFUSED,
    STUB_DIGEST,
    make_config,
    make_content,
    read_config,
    read_layout,
    read_round,
    read_vector,
)
from viz_node.federation.trainer import Trainer, Vector

_log = logging.getLogger(__name__)

_Reply = TypeVar("_Reply")

_HEARTBEAT_SECONDS = 10.0
"""The least that Flower allows; it gives a node up after two, so a killed member costs a round about twenty seconds."""

_SHORT_CUT_SECONDS = 20.0
"""A tunnel that comes back within this time does not cost the member its place."""

_POLL_SECONDS = (0.05, 0.5)
_REJOIN_SECONDS = (0.5, 5.0)


class _FleetConnection:
    """One registered node at one coordinator; every call is retried over a short cut of the line."""

    def __init__(self, address: str) -> None:
        # A new key each time: who may connect is the tunnel's decision, and Flower refuses a key that it knows.
        private_key, public_key = generate_key_pairs()
        self._public_key = public_key_to_bytes(public_key)
        self._client = FleetHttpClient.from_server_address(
            address,
            True,
            None,
            interceptors=[
                RuntimeVersionHttpInterceptor(component_name="SuperNode"),
                NodeAuthHttpInterceptor(private_key, public_key),
            ],
        )
        self._client.__enter__()
        self.node = Node()

    def join(self) -> None:
        """Register and activate. Raises: httpx.HTTPError."""
        self._client.RegisterNode(RegisterNodeFleetRequest(public_key=self._public_key))
        reply = self._client.ActivateNode(
            ActivateNodeRequest(public_key=self._public_key, heartbeat_interval=_HEARTBEAT_SECONDS)
        )
        self.node = Node(node_id=reply.node_id)

    def beat(self) -> None:
        """Tell the coordinator that this node lives."""
        self._client.SendNodeHeartbeat(SendNodeHeartbeatRequest(node=self.node, heartbeat_interval=_HEARTBEAT_SECONDS))

    def receive(self) -> Message | None:
        """The next message, whole, or None. Raises: VerificationError for a run that would ship code."""
        reply = self._call(self._client.PullMessages, PullMessagesRequest(node=self.node))
        if not reply.messages_list:
            return None
        tree = reply.message_object_trees[0]
        run_id = message_from_proto(reply.messages_list[0]).metadata.run_id
        run = run_from_proto(self._call(self._client.GetRun, GetRunRequest(node=self.node, run_id=run_id)).run)
        if run.fab_hash != STUB_DIGEST:
            raise VerificationError("the coordinator asks to run shipped code", "leave this federation")
        pull = make_pull_object_fn_protobuf(
            lambda request: self._call(self._client.PullObject, request), self.node, run_id
        )
        contents = pull_objects([part.object_id for part in iterate_object_tree(tree)], pull_object_fn=pull)
        confirmation = ConfirmMessageReceivedRequest(node=self.node, run_id=run_id, message_object_id=tree.object_id)
        self._call(self._client.ConfirmMessageReceived, confirmation)
        message = inflate_object_from_contents(tree.object_id, contents)
        if not isinstance(message, Message):
            raise VerificationError("the coordinator sent something that is no message")
        message.metadata.__dict__["_message_id"] = tree.object_id
        return message

    def send(self, reply: Message, seconds: float) -> None:
        """Deliver a reply with all its parts."""
        run_id = reply.metadata.run_id
        reply.metadata.__dict__["_message_id"] = reply.object_id
        with no_object_id_recompute():
            tree = get_object_tree(reply)
            parts = get_all_nested_objects(reply)
            bare = remove_content_from_message(reply) if reply.has_content() else reply
            answer = self._call(
                self._client.PushMessages,
                PushMessagesRequest(
                    node=self.node,
                    messages_list=[message_to_proto(bare)],
                    message_object_trees=[tree],
                    clientapp_runtime_list=[seconds],
                ),
            )
            wanted = set(answer.objects_to_push)
            push = make_push_object_fn_protobuf(
                lambda request: self._call(self._client.PushObject, request), self.node, run_id, answer.session_id
            )
            push_object_contents_from_iterable(
                ((name, part.deflate()) for name, part in parts.items() if name in wanted), push_object_fn=push
            )

    def leave(self, has_answered: bool) -> None:
        """Close the connection; say goodbye unless the last answer is still to be read.

        Flower drops the unread answers of a node that said goodbye.
        """
        try:
            if self.node.node_id and not has_answered:
                self._client.DeactivateNode(DeactivateNodeRequest(node_id=self.node.node_id))
        except (httpx.HTTPError, RuntimeError) as error:
            _log.info("goodbye was not heard: %s", error)
        finally:
            self._client.__exit__(None, None, None)

    def _call(self, method: Callable[[Any], _Reply], request: Any) -> _Reply:
        limit = time.monotonic() + _SHORT_CUT_SECONDS
        while True:
            try:
                return method(request)
            except httpx.TransportError:
                if time.monotonic() > limit:
                    raise
                time.sleep(_REJOIN_SECONDS[0])


class _Participation:
    """What the member knows of the run; its methods are the `ClientApp`'s functions."""

    def __init__(self, order: TakePart, trainer: Trainer, report: Callable[[Progress], None]) -> None:
        self._order = order
        self._trainer = trainer
        self._report = report
        self._layout = Layout(trainer.layout_digest, trainer.size)
        self.error: VizNodeError | None = None
        self.final: Vector | None = None
        self.final_loss: float | None = None
        self.final_tokens = 0
        self.rounds_trained: list[int] = []

    def make_app(self) -> ClientApp:
        """The resident application."""
        app = ClientApp()
        app.query()(self._on_query)
        app.train()(self._on_train)
        app.evaluate()(self._on_closing)
        return app

    def answer(self, app: ClientApp, message: Message, context: Context) -> Message:
        """The app's reply; a raised error is kept in `error` and told to the coordinator by class only."""
        try:
            return app(message=message, context=context)
        except VizNodeError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - whatever the trainer raises ends this member, not silently
            _log.exception("the member's part failed")
            self.error = VizNodeError(f"the federated round failed: {error}", "see the worker's log")
        return Message(Error(code=2, reason=type(self.error).__name__), reply_to=message)

    def _config(self, **values: str | int) -> Any:
        return make_config(self._order.agreement, self._layout, member=self._order.name, **values)

    def _check(self, message: Message) -> dict[str, Any]:
        config = read_config(message.content, self._order.agreement)
        stated = read_layout(config)
        if stated is not None and stated != self._layout:
            raise VerificationError(
                f"the federation's vectors have another layout ({stated.size} numbers, this member has "
                f"{self._layout.size})",
                "every member needs the same base model and recipe",
            )
        return config

    def _on_query(self, message: Message, context: Context) -> Message:
        if read_config(message.content, self._order.agreement).get("kind") == REFUSED:
            reason = str(message.content.config_records["config"].get("reason", ""))[:300]
            self.error = RefusedError(f"the coordinator refused this member: {reason}", "compare terms and base model")
        else:
            self._check(message)
            self._report(Progress("join", 1, 1))
        return Message(make_content(self._config(kind=HELLO)), reply_to=message)

    def _on_train(self, message: Message, context: Context) -> Message:
        config = self._check(message)
        number = read_round(config)
        if number > self._order.rounds or config.get("rounds") != self._order.rounds:
            raise VerificationError(f"the coordinator asks for round {number} of {config.get('rounds')}")
        vector = read_vector(message.content, self._layout.size)
        started = time.monotonic()
        trained, tokens, loss = self._trainer.train_round(vector, number, self._order.rounds)
        seconds = max(time.monotonic() - started, 1e-6)
        self.rounds_trained.append(number)
        speed, left = tokens / seconds, seconds * (self._order.rounds - number)
        self._report(Progress("train", number, self._order.rounds, loss, round(speed, 1), round(left, 1)))
        content = make_content(self._config(round=number), trained, num_examples=tokens, loss=loss)
        return Message(content, reply_to=message)

    def _on_closing(self, message: Message, context: Context) -> Message:
        self._check(message)
        final = read_vector(message.content, self._layout.size)
        self._report(Progress("evaluate", 0, 1))
        self.final_loss, self.final_tokens = self._trainer.evaluate(final)
        self.final = final
        content = make_content(self._config(), None, num_examples=max(self.final_tokens, 1), loss=self.final_loss)
        return Message(content, reply_to=message)


def take_part(order: TakePart, trainer: Trainer, report: Callable[[Progress], None]) -> PartTaken:
    """Train rounds until the closing message; evaluate and save the final vector.

    Joins again whenever the coordinator went away, with the trainer still in memory.

    Raises:
        RefusedError: the coordinator does not want this member.
        VerificationError: the coordinator speaks for another run, other terms or another layout, or ships code.
        PeerUnreachableError: no coordinator answered for `patience_seconds`.
    """
    part = _Participation(order, trainer, report)
    app = part.make_app()
    limit = time.monotonic() + order.patience_seconds
    pause = _REJOIN_SECONDS[0]
    while part.final is None:
        connection = _FleetConnection(order.fleet_address)
        try:
            connection.join()
            with Heartbeat(connection.beat, _HEARTBEAT_SECONDS / 2):
                pause = _REJOIN_SECONDS[0]
                limit = time.monotonic() + order.patience_seconds
                _serve(connection, part, app)
        except (httpx.HTTPError, ObjectPullError, ObjectPushError, RuntimeError) as error:
            _log.info("no coordinator now: %s", error)
            if time.monotonic() > limit:
                raise PeerUnreachableError(
                    "no coordinator answered", "ask whether the federation still runs"
                ) from error
            time.sleep(pause)
            pause = min(pause * 1.5, _REJOIN_SECONDS[1])
        finally:
            connection.leave(has_answered=part.final is not None or part.error is not None)
    return _finish(order, trainer, part, report)


def _serve(connection: _FleetConnection, part: _Participation, app: ClientApp) -> None:
    context: Context | None = None
    pause = _POLL_SECONDS[0]
    while part.final is None:
        message = connection.receive()
        if message is None:
            time.sleep(pause)
            pause = min(pause * 1.5, _POLL_SECONDS[1])
            continue
        pause = _POLL_SECONDS[0]
        if context is None or context.run_id != message.metadata.run_id:
            context = Context(
                run_id=message.metadata.run_id,
                node_id=connection.node.node_id,
                node_config={},
                state=RecordDict(),
                run_config={},
            )
        started = time.monotonic()
        reply = part.answer(app, message, context)
        try:
            connection.send(reply, time.monotonic() - started)
        finally:
            if part.error is not None:
                raise part.error


def _finish(order: TakePart, trainer: Trainer, part: _Participation, report: Callable[[Progress], None]) -> PartTaken:
    saved = None
    if order.out_dir and part.final is not None:
        report(Progress("save", 0, 1))
        saved = trainer.save(part.final, Path(order.out_dir))
    return PartTaken(tuple(part.rounds_trained), part.final_loss, part.final_tokens, saved)
