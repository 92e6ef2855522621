"""One suite for two nodes that reach each other: in memory for tests, libp2p on loopback for nodes."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.peers import MemoryHub, MemoryNetwork
from tests.waiting import until
from viz_node.domain.ids import PeerId
from viz_node.errors import LicenseRequiredError, NotFoundError, PeerUnreachableError, RefusedError, VerificationError
from viz_node.p2p.core import Whereabouts
from viz_node.p2p.network import PeerNetwork

NOBODY = PeerId("12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN")


def check(raw: bytes) -> tuple[str, str, int]:
    """Announcements of these tests: a SHA-256 digest and a number of one digit."""
    if len(raw) != 33:
        raise VerificationError("not an announcement")
    return raw[:32].hex(), "author", raw[32]


@pytest.fixture(params=["memory", "libp2p"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Any, Any]]:
    if request.param == "memory":
        hub = MemoryHub()
        yield MemoryNetwork(hub, PeerId("one")), MemoryNetwork(hub, PeerId("two"))
        return
    first = PeerNetwork(os.urandom(32), Whereabouts("/ip4/127.0.0.1/tcp/0"), check, list)
    await first.runner.start()
    second = PeerNetwork(os.urandom(32), Whereabouts("/ip4/127.0.0.1/tcp/0", tuple(first.addresses)), check, list)
    await second.runner.start()
    try:
        await second.connect(first.addresses[0])
        yield first, second
    finally:
        await asyncio.gather(first.runner.stop(), second.runner.stop())


async def test_request__answered_or_refused__reply_or_the_same_error(pair: tuple[Any, Any]) -> None:
    first, second = pair

    async def answer(peer_id: PeerId, payload: bytes) -> bytes:
        if payload == b"no":
            raise LicenseRequiredError("no license", "buy one")
        return peer_id.encode() + payload

    first.serve("ask", answer)
    assert await second.request(first.peer_id, "ask", b"x", addresses=tuple(first.addresses)) == (
        second.peer_id.encode() + b"x"
    )
    with pytest.raises(LicenseRequiredError) as raised:
        await second.request(first.peer_id, "ask", b"no")
    assert (raised.value.message, raised.value.hint) == ("no license", "buy one")
    with pytest.raises(NotFoundError):
        await second.request(first.peer_id, "other", b"")
    with pytest.raises(PeerUnreachableError):
        await second.request(NOBODY, "ask", b"")


async def test_fetch__shared_blob__same_bytes_from_whoever_has_it(pair: tuple[Any, Any], tmp_path: Path) -> None:
    first, second = pair
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3_000_000))
    blob_id = await first.share(source)
    seen: list[tuple[int, int]] = []

    banned = await second.fetch(
        blob_id, 3_000_000, [NOBODY, first.peer_id], tmp_path / "got", lambda *pair: seen.append(pair)
    )

    assert (banned, (tmp_path / "got").read_bytes()) == ([], source.read_bytes())
    await until(lambda: seen and seen[-1] == (3_000_000, 3_000_000), 5)
    with pytest.raises(PeerUnreachableError):
        await second.fetch("ab" * 32, 5, [first.peer_id], tmp_path / "nothing")
    source.write_bytes(bytes(3_000_000))
    with pytest.raises(VerificationError):
        await second.fetch(blob_id, 3_000_000, [first.peer_id], tmp_path / "spoiled")
    assert not (tmp_path / "spoiled").exists()


async def test_announce__and_provide__found_by_the_other(pair: tuple[Any, Any]) -> None:
    first, second = pair
    blob_id = "cd" * 32
    raw = hashlib.sha256(b"one").digest() + b"\1"
    await first.announce(raw[:32].hex(), raw)
    await first.provide(blob_id)

    async def is_known() -> bool:
        return await second.find_announcement(raw[:32].hex()) == raw

    async def is_provided() -> bool:
        return bool(await second.find_providers(blob_id) == [first.peer_id])

    await until(is_known, 30)
    await until(is_provided, 30)
    assert await second.find_announcement("00" * 32) is None
    assert await first.find_providers(blob_id) == []


async def test_tunnel__open_to_some__refused_to_others_and_after_closing(pair: tuple[Any, Any]) -> None:
    first, second = pair
    with pytest.raises(RefusedError):
        await second.tunnels.open_tunnel(first.peer_id, "fleet")
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    first.tunnels.serve_tunnel("fleet", server.sockets[0].getsockname()[1], lambda peer: peer == second.peer_id)
    assert await second.tunnels.open_tunnel(first.peer_id, "fleet") > 0
    await second.tunnels.close_tunnel("fleet")
    await first.tunnels.close_tunnel("fleet")
    with pytest.raises(RefusedError):
        await second.tunnels.open_tunnel(first.peer_id, "fleet")
    with pytest.raises(PeerUnreachableError):
        await second.tunnels.open_tunnel(NOBODY, "fleet")
    await second.tunnels.close_tunnel("never opened")
    server.close()
