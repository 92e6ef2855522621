"""Gossip messages that cannot be read."""

from typing import Any

import pytest
import trio
from google.protobuf.message import DecodeError
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V12, GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.tools.anyio_service import background_trio_service
from libp2p.utils.varint import encode_varint_prefixed

from tests.raw_libp2p import Stream, new_peer, raw_host
from viz_node.p2p.mends.gossip import SafePubsub

BAD_KEY = rpc_pb2.Message(from_id=b"\xff", data=b"x", topicIDs=["t"], key=b"\xff", signature=b"s")


class BadStream(Stream):
    """A message of two bytes that is no message."""

    metric_send_channel = None

    def __init__(self) -> None:
        super().__init__(new_peer())
        self._left = encode_varint_prefixed(b"\xff\xff")

    async def read(self, size: int | None = None) -> bytes:
        data, self._left = self._left[:size], self._left[size:]
        return data or await super().read(size)


async def push(pubsub_class: type[Pubsub], message: Any) -> None:
    pubsub = pubsub_class(raw_host(), GossipSub([PROTOCOL_ID_V12], 5, 4, 8))
    await pubsub.push_msg(new_peer(), message)


async def read(pubsub_class: type[Pubsub], stream: Any) -> None:
    pubsub = pubsub_class(raw_host(), GossipSub([PROTOCOL_ID_V12], 5, 4, 8))
    with trio.fail_after(10):
        async with background_trio_service(pubsub):
            await pubsub.continuously_read_stream(stream)


def test_upstream__message_with_a_malformed_key__raises_in_a_task_of_the_host() -> None:
    with pytest.raises(DecodeError):
        trio.run(push, Pubsub, BAD_KEY)


def test_upstream__bytes_that_are_no_message__raise_in_the_handler_of_the_stream() -> None:
    with pytest.raises(BaseException) as raised:  # noqa: PT011 - in a group, or plain
        trio.run(read, Pubsub, BadStream())
    assert "DecodeError" in repr(raised.value)


def test_push_msg__message_with_a_malformed_key__is_dropped() -> None:
    trio.run(push, SafePubsub, BAD_KEY)


def test_continuously_read_stream__bytes_that_are_no_message__end_the_stream_only() -> None:
    stream = BadStream()
    trio.run(read, SafePubsub, stream)
    assert stream.was_reset
