"""Reading and writing libp2p streams: exact reads with a deadline, frames, full-size writes, window grants, ends."""

from typing import Final

import trio
from libp2p.abc import INetStream
from libp2p.exceptions import BaseLibp2pError
from libp2p.host.exceptions import HostException
from libp2p.network.exceptions import SwarmException
from libp2p.network.stream.exceptions import StreamError

from viz_node.domain.ids import PeerId
from viz_node.p2p.wire import MAX_FRAME_BYTES, frame, parse_length

# One write of this size is one Yamux frame, one Noise message and one send (65 535 - 16 - 12); halves the CPU per byte.
WRITE_BYTES: Final = 65_507
READ_SECONDS: Final = 20.0

# What an honest network can do to a stream at any moment; everything else is a defect of ours and must be seen.
STREAM_FAILURES: Final = (
    BaseLibp2pError,
    HostException,
    StreamError,
    SwarmException,
    EOFError,
    OSError,
    trio.TooSlowError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
)


async def read_exact(stream: INetStream, size: int, seconds: float = READ_SECONDS) -> bytes:
    """Exactly `size` bytes. Raises: EOFError, trio.TooSlowError, or the stream's own error."""
    parts: list[bytes] = []
    missing = size
    with trio.fail_after(seconds):
        while missing:
            data = await stream.read(missing)
            if not data:
                raise EOFError("the stream ended early")
            parts.append(data)
            missing -= len(data)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def read_frame(stream: INetStream, seconds: float = READ_SECONDS, max_bytes: int = MAX_FRAME_BYTES) -> bytes:
    """One frame's body; the window opens for what the frame announces, and only then.

    Raises: EOFError, trio.TooSlowError, the stream's own error, VerificationError (a frame over the limit).
    """
    length = parse_length(await read_exact(stream, 4, seconds), max_bytes)
    await grant_window(stream, length)
    return await read_exact(stream, length, seconds) if length else b""


async def write_frame(stream: INetStream, body: bytes, seconds: float = READ_SECONDS) -> None:
    """Send a frame. Raises: UsageError (over 1 MiB), trio.TooSlowError, or the stream's own error."""
    data = frame(body)
    with trio.fail_after(seconds):
        await write_all(stream, data)


async def write_all(stream: INetStream, data: bytes | memoryview) -> None:
    """Send in pieces that each fill one frame."""
    view = memoryview(data)
    for start in range(0, len(view), WRITE_BYTES):
        await stream.write(bytes(view[start : start + WRITE_BYTES]))


async def grant_window(stream: INetStream, size: int) -> None:
    """Let the other side have `size` bytes on their way to us at any time; 256 KiB are granted from the start.

    So much of the peer's may lie in our memory from now on: grant it to a peer that was asked or let in, not before.
    """
    await stream.muxed_stream.grant(size)


async def abandon(stream: INetStream) -> None:
    """Reset a stream, whatever state it is in, within two seconds."""
    with trio.CancelScope(shield=True), trio.move_on_after(2):
        try:
            await stream.reset()
        except STREAM_FAILURES:
            return


async def finish(stream: INetStream) -> None:
    """Close a stream in good order, within two seconds; what still comes is dropped."""
    with trio.CancelScope(shield=True), trio.move_on_after(2):
        try:
            await stream.close()
        except STREAM_FAILURES:
            return


def peer_of(stream: INetStream) -> PeerId:
    """The authenticated peer at the other end."""
    return PeerId(str(stream.muxed_conn.peer_id))
