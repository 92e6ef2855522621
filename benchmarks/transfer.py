"""Verified transfer over loopback: viz-node next to a raw socket, aiohttp and libp2p as it comes, in one run.

Run: python benchmarks/transfer.py [--megabytes 256] [--rounds 3]; rows take turns within a round, the table shows
medians, and the best speed, which other programs disturbed least. Every row moves the same random file from one process
to another, which checks SHA-256 while it arrives and writes it to disk; this program then reads the result once more,
at nobody's expense. The time starts with an open connection and ends with a verified file. CPU time is that of both
processes meanwhile; on the receiving side it holds the start of the network too. Not counted: imports, and what is done
once per file before anybody asks for it (viz-node hashes it then). Only the two libp2p rows encrypt and authenticate.
"""

import argparse
import asyncio
import hashlib
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from report import describe_machine, parser, publish

ROWS = ("raw socket", "aiohttp", "libp2p defaults", "viz-node")
DEFAULT_PROTOCOL = "/bench/1.0.0"
PIECE = 1 << 16


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def network() -> Any:
    """A node of the peer network that knows no announcements."""
    from viz_node.p2p.core import Whereabouts
    from viz_node.p2p.network import PeerNetwork

    return PeerNetwork(secrets.token_bytes(32), Whereabouts("/ip4/127.0.0.1/tcp/0"), lambda _: ("", "", 0), list)


def wait_for_end() -> None:
    """Block until the parent closes our standard input."""
    sys.stdin.buffer.read()


def ready(address: str) -> None:
    """Tell the parent where to connect."""
    sys.stdout.write(json.dumps({"address": address, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()


def serve_raw(path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ready(str(server.getsockname()[1]))
        connection, _ = server.accept()
        with connection, path.open("rb") as file:
            connection.sendfile(file)
    wait_for_end()


def fetch_raw(address: str, destination: Path) -> tuple[float, str]:
    start, digest = time.perf_counter(), hashlib.sha256()
    with socket.create_connection(("127.0.0.1", int(address))) as connection, destination.open("wb") as file:
        while data := connection.recv(1 << 20):
            digest.update(data)
            file.write(data)
    return time.perf_counter() - start, digest.hexdigest()


async def serve_aiohttp(path: Path) -> None:
    from aiohttp import web

    async def send(_: web.Request) -> web.FileResponse:
        return web.FileResponse(path)

    app = web.Application()
    app.router.add_get("/", send)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ready(str(runner.addresses[0][1]))
    await asyncio.to_thread(wait_for_end)
    await runner.cleanup()


async def fetch_aiohttp(address: str, destination: Path) -> tuple[float, str]:
    import aiohttp

    start, digest = time.perf_counter(), hashlib.sha256()
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{address}/") as response:
        with destination.open("wb") as file:
            async for data in response.content.iter_chunked(1 << 20):
                digest.update(data)
                file.write(data)
    return time.perf_counter() - start, digest.hexdigest()


async def serve_defaults(path: Path) -> None:
    import trio
    from libp2p import new_host
    from libp2p.custom_types import TProtocol
    from multiaddr import Multiaddr

    host = new_host()

    async def send(stream: Any) -> None:
        with path.open("rb") as file:
            while data := file.read(PIECE):
                await stream.write(data)
        await stream.close()

    host.set_stream_handler(TProtocol(DEFAULT_PROTOCOL), send)
    async with host.run(listen_addrs=[Multiaddr("/ip4/127.0.0.1/tcp/0")]):
        ready(str(host.get_addrs()[0]))
        await trio.to_thread.run_sync(wait_for_end)


async def fetch_defaults(address: str, destination: Path) -> tuple[float, str]:
    from libp2p import new_host
    from libp2p.custom_types import TProtocol
    from libp2p.peer.peerinfo import info_from_p2p_addr
    from multiaddr import Multiaddr

    host, digest = new_host(), hashlib.sha256()
    async with host.run(listen_addrs=[Multiaddr("/ip4/127.0.0.1/tcp/0")]):
        info = info_from_p2p_addr(Multiaddr(address))
        await host.connect(info)
        start = time.perf_counter()
        stream = await host.new_stream(info.peer_id, [TProtocol(DEFAULT_PROTOCOL)])
        with destination.open("wb") as file:
            try:
                while data := await stream.read(PIECE):
                    digest.update(data)
                    file.write(data)
            except EOFError:
                pass
        return time.perf_counter() - start, digest.hexdigest()


async def serve_viz(path: Path) -> None:
    node = network()
    await node.runner.start()
    blob_id = await node.share(path)
    ready(f"{node.addresses[0]} {blob_id} {path.stat().st_size}")
    await asyncio.to_thread(wait_for_end)
    await node.runner.stop()


async def fetch_viz(address: str, destination: Path) -> tuple[float, str]:
    """Every chunk is verified inside `fetch`, so there is no digest to hand back."""
    multiaddr, blob_id, size = address.split()
    node = network()
    await node.runner.start()
    peer = await node.connect(multiaddr)
    start = time.perf_counter()
    await node.fetch(blob_id, int(size), [peer], destination)
    seconds = time.perf_counter() - start
    await node.runner.stop()
    return seconds, ""


def run_child(row: str, role: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, __file__, "--child", row, role, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def read_line(child: subprocess.Popen[bytes]) -> dict[str, Any]:
    if child.stdout is None:
        raise RuntimeError("the child has no output")
    result: dict[str, Any] = json.loads(child.stdout.readline())
    return result


def measure(row: str, path: Path, destination: Path, digest: str) -> tuple[float, float]:
    """(MB/s, CPU ms per MB) of one transfer. Raises: RuntimeError when the file arrived wrong."""
    size = path.stat().st_size / 1e6
    server = run_child(row, "serve", str(path))
    try:
        hello = read_line(server)
        before = cpu_seconds(hello["pid"])
        client = run_child(row, "fetch", hello["address"], str(destination))
        result = read_line(client)
        client.communicate()
        served = cpu_seconds(hello["pid"]) - before
    finally:
        server.communicate()
    with destination.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != digest or result["digest"] not in ("", digest):
            raise RuntimeError(f"{row}: the file arrived damaged")
    destination.unlink()
    return size / result["seconds"], (served + result["cpu"]) * 1000 / size


def child(row: str, role: str, arguments: list[str]) -> None:
    """One end of one transfer, in a process of its own."""
    path = Path(arguments[-1])
    if role == "serve":
        if row == "raw socket":
            serve_raw(path)
        elif row == "libp2p defaults":
            run_trio(serve_defaults, path)
        else:
            asyncio.run((serve_aiohttp if row == "aiohttp" else serve_viz)(path))
        return
    import_for(row)
    before = time.process_time()
    if row == "raw socket":
        seconds, digest = fetch_raw(arguments[0], path)
    elif row == "libp2p defaults":
        seconds, digest = run_trio(fetch_defaults, arguments[0], path)
    else:
        seconds, digest = asyncio.run((fetch_aiohttp if row == "aiohttp" else fetch_viz)(arguments[0], path))
    line = {"seconds": seconds, "digest": digest, "cpu": time.process_time() - before}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def import_for(row: str) -> None:
    """Load what the row needs before its CPU time is counted."""
    if row == "aiohttp":
        import aiohttp  # noqa: F401
    elif row == "libp2p defaults":
        # and nothing of ours: our network module replaces classes of the library
        import libp2p  # noqa: F401
    elif row == "viz-node":
        import viz_node.p2p.network  # noqa: F401


def run_trio(function: Callable[..., Awaitable[Any]], *arguments: object) -> Any:
    import trio

    return trio.run(function, *arguments)


def main(options: argparse.Namespace) -> None:
    """Measure every row and print the table."""
    machine, results = describe_machine(), measure_all(options.megabytes, options.rounds)
    medians = {
        row: [statistics.median(column) for column in zip(*values, strict=True)] for row, values in results.items()
    }
    speed, cpu = medians["viz-node"]
    rows = [
        {
            "transfer": row,
            "MB/s": row_speed,
            "best": max(one for one, _ in results[row]),
            "CPU ms/MB": row_cpu,
            "viz-node is": f"{speed / row_speed:.2f}x as fast",
            "and takes": f"{cpu / row_cpu:.2f}x the CPU",
        }
        for row, (row_speed, row_cpu) in medians.items()
    ]
    publish(f"transfer of {options.megabytes} MB, {options.rounds} round(s)", rows, options.as_json, machine)


def measure_all(megabytes: int, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """(MB/s, CPU ms per MB) of every row in every round."""
    results: dict[str, list[tuple[float, float]]] = {row: [] for row in ROWS}
    with tempfile.TemporaryDirectory() as directory:
        path, destination = Path(directory, "source"), Path(directory, "got")
        data = os.urandom(megabytes * 1_000_000)
        path.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        del data
        for _ in range(rounds):
            for row in ROWS:
                results[row].append(measure(row, path, destination, digest))
    return results


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3], sys.argv[4:])
    else:
        arguments = parser(__doc__)
        arguments.add_argument("--megabytes", type=int, default=256)
        arguments.add_argument("--rounds", type=int, default=3)
        main(arguments.parse_args())
