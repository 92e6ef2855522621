"""The peer library as it comes, without this project's mends: what the tests of each mend show the fault of."""

import importlib.util
import secrets
from types import ModuleType
from typing import Any

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.peer.id import ID


def unmended(module: ModuleType) -> Any:
    """A second copy of a library's module, with the values and classes that no mend has touched."""
    spec = importlib.util.spec_from_file_location(f"{module.__name__}_unmended", str(module.__file__))
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    return copy


def new_keys() -> Any:
    return create_new_key_pair(secrets.token_bytes(32))


def new_peer() -> ID:
    return ID.from_pubkey(new_keys().public_key)


def raw_host(**options: Any) -> Any:
    """A host as the library makes it, not running."""
    return new_host(key_pair=new_keys(), **options)


class Connection:
    """A connection, secured or not, whose other end the test holds."""

    def __init__(self, stream: Any, is_initiator: bool = False) -> None:
        self.is_initiator = is_initiator
        self.reads = 0
        self._stream = stream

    async def read(self, size: int) -> bytes:
        self.reads += 1
        data = b""
        while len(data) < size and (more := await self._stream.receive_some(size - len(data))):
            data += more
        return data

    async def write(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def close(self) -> None:
        await self._stream.aclose()

    def get_remote_address(self) -> tuple[str, int]:
        return "192.0.2.1", 4001


class Stream:
    """A stream of a peer that sends nothing, and at the same time what it has below it; remembers how it ended."""

    send_closed = False

    def __init__(self, peer: ID) -> None:
        self.muxed_conn = type("Conn", (), {"peer_id": peer})()
        self.muxed_stream = self
        self.was_reset = self.is_unread = False

    async def read(self, _size: int | None = None) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    async def reset(self) -> None:
        self.was_reset = True

    async def close(self) -> None:
        return

    def end_reading(self) -> None:
        self.is_unread = True
