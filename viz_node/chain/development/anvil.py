"""A development chain on this machine: Anvil, detached, its state kept in a file; loopback only.

Anvil writes its state in place, every two seconds: killed meanwhile, it leaves a torn file. `keep_copy` keeps a whole
one beside it, from which the next start goes on. Blocks that are in no file yet end with the process: `saved_block`
says which one no kill takes back, and only up to there a transaction may be booked.
"""

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from viz_node.chain.node.rpc import JsonRpc, RpcRefusedError, to_int
from viz_node.errors import ChainUnavailableError, DeadlineError
from viz_node.files import write_whole
from viz_node.tcp import choose_port, is_free

CHAIN_ID = 31337
START_SECONDS = 30
STOP_SECONDS = 10
SAVE_SECONDS = 2
RECORD, STATE, COPY, SAVED = "anvil.json", "state.json", "state.copy.json", "saved.json"
# Past states are for audits that run while blocks are made. Without a limit Anvil writes each of them to the disk, and
# leaves them there when it is killed: 672 MB for 3,000 blocks.
PAST_STATES = 100

log = logging.getLogger(__name__)


class _State(msgspec.Struct):
    """The parts of a state that are read."""

    best_block_number: int | str | None = None


@dataclass(frozen=True)
class DevChain:
    """A running Anvil and where it answers."""

    rpc_url: str
    pid: int


def start_anvil(directory: Path, binary: Path, port: int = 0, save_seconds: int = SAVE_SECONDS) -> DevChain:
    """Start Anvil in its own session with the state in `directory`, saved as often; port 0 takes a free one.

    Raises: ChainUnavailableError, DeadlineError.
    """
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    _mend_state(directory)
    port = port or choose_port()
    command = [str(binary), "--host", "127.0.0.1", "--port", str(port), "--chain-id", str(CHAIN_ID), "--silent"]
    command += ["--state", str(directory / STATE), "--state-interval", str(save_seconds)]
    command += ["--prune-history", str(PAST_STATES)]
    try:
        with (directory / "anvil.log").open("ab") as output:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd=directory
            )
    except OSError as error:
        raise ChainUnavailableError(f"anvil does not start: {error}", "run `npm ci` in contracts/") from error
    chain = DevChain(f"http://127.0.0.1:{port}", child.pid)
    deadline = time.monotonic() + START_SECONDS
    while not _answers(chain):
        if child.poll() is not None:
            raise ChainUnavailableError(f"anvil ended with status {child.returncode}", f"see {directory}/anvil.log")
        if time.monotonic() > deadline:
            child.kill()
            raise DeadlineError("anvil does not answer", f"see {directory}/anvil.log")
        time.sleep(0.05)
    _write_record(directory, chain)
    return chain


def adopt_or_start(directory: Path, binary: Path, port: int = 0) -> DevChain:
    """The Anvil that runs on `directory` already, else a new one on the same port as before if that is free.

    Raises: ChainUnavailableError, DeadlineError.
    """
    running = find_anvil(directory)
    if running is not None:
        return running
    known = _read_record(directory)
    if known is not None:
        earlier = int(known.rpc_url.rpartition(":")[2])
        port = port or (earlier if is_free(earlier) else 0)
    return start_anvil(directory, binary, port)


def find_anvil(directory: Path) -> DevChain | None:
    """The Anvil that runs on `directory` and answers, if any."""
    known = _read_record(directory)
    return known if known is not None and _is_ours(known, directory) and _answers(known) else None


def is_running(directory: Path) -> bool:
    """Whether the process of `directory`'s Anvil lives; one that hangs does."""
    known = _read_record(directory)
    if known is not None:
        _reap(known.pid)
    return known is not None and _is_ours(known, directory)


def keep_copy(directory: Path) -> None:
    """Copy the state if its file is there, and whole now. Raises: OSError, StorageError."""
    try:
        state = (directory / STATE).read_bytes()
    except FileNotFoundError:  # Anvil has not written it yet
        return
    block = _block_of(state)
    if block is not None:
        write_whole(directory / COPY, state)
        write_whole(directory / SAVED, json.dumps({"block": block}).encode())


def saved_block(directory: Path) -> int:
    """The latest block that `directory`'s chain still has after any kill; -1 while there is none."""
    try:
        return int(json.loads((directory / SAVED).read_bytes())["block"])
    except (OSError, ValueError, KeyError, TypeError):
        return -1


def stop_anvil(directory: Path) -> bool:
    """Stop the Anvil of `directory`, which then writes its state; False when none ran. Raises: DeadlineError."""
    known = _read_record(directory)
    if known is None or not _is_ours(known, directory):
        return False
    os.kill(known.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _is_ours(known, directory):
        if time.monotonic() > deadline:
            raise DeadlineError(f"anvil (process {known.pid}) does not stop", f"kill {known.pid}")
        _reap(known.pid)
        time.sleep(0.05)
    return True


def _mend_state(directory: Path) -> None:
    """Put the copy in the place of a torn state. Raises: ChainUnavailableError (there is none)."""
    state, copy = directory / STATE, directory / COPY
    try:
        if not state.exists() or _block_of(state.read_bytes()) is not None:
            return
        if not copy.exists():
            raise ChainUnavailableError(f"{state} is torn", f"start it anew without its sales: rm -r {directory}")
        write_whole(state, copy.read_bytes())
    except OSError as error:
        raise ChainUnavailableError(f"cannot read {state}: {error.strerror}", f"mend {directory}") from error
    log.error("anvil was killed while it wrote its state: the chain goes on from the copy")


def _block_of(state: bytes) -> int | None:
    """The latest block in a state, 0 if it names none; None unless it is whole."""
    try:
        return int(str(msgspec.json.decode(state, type=_State).best_block_number or 0), 0)
    except (msgspec.MsgspecError, ValueError):
        return None


def _answers(chain: DevChain) -> bool:
    rpc = JsonRpc(chain.rpc_url, timeout_seconds=2)
    try:
        return to_int(rpc.call("eth_chainId")) == CHAIN_ID
    except (ChainUnavailableError, RpcRefusedError):
        return False
    finally:
        rpc.close()


def _is_ours(chain: DevChain, directory: Path) -> bool:
    # A process id may be in use again by somebody else after a restart of the machine; the command line tells.
    command = command_line(chain.pid)
    port, state = chain.rpc_url.rpartition(":")[2], str(directory.resolve() / STATE)
    return f" --port {port} " in command and f" {state} " in command


def command_line(pid: int, has_proc: bool = sys.platform == "linux") -> str:
    """The words of a process's command line between single spaces; nothing if there is no such process."""
    if has_proc:
        try:
            raw = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        except OSError:
            return ""
    else:
        raw = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, check=False).stdout
    return f" {raw.decode(errors='surrogateescape').strip()} "


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _write_record(directory: Path, chain: DevChain) -> None:
    write_whole(directory / RECORD, json.dumps(asdict(chain)).encode())


def _read_record(directory: Path) -> DevChain | None:
    try:
        body = json.loads((directory / RECORD).read_bytes())
        return DevChain(str(body["rpc_url"]), int(body["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def pass_time(rpc_url: str, seconds: int) -> None:
    """Mine a block of a development chain that many seconds later. Raises: ChainUnavailableError."""
    rpc = JsonRpc(rpc_url)
    try:
        rpc.call("evm_increaseTime", seconds)
        rpc.call("evm_mine")
    finally:
        rpc.close()
