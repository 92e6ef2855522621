"""Checks of everything that a node needs, running or not: each problem comes with its fix.

A running node answers with what it watches in itself (`health`) and with all of this; without one, the same is checked
from outside, as far as it can be seen there.
"""

import importlib.util
import os
import platform
import resource
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from viz_node.chain.development.anvil import find_anvil
from viz_node.daemon.anvil_package import find_anvil_program
from viz_node.daemon.chain_checks import check_chain
from viz_node.daemon.chains import Chain, read_deployment
from viz_node.daemon.clock import now
from viz_node.daemon.config import Config, load_config
from viz_node.daemon.health import FEWEST_DESCRIPTORS, Probe, check_disk, run_checks
from viz_node.daemon.secrets import KEYSTORE, MACHINE_MADE, has_passphrase
from viz_node.domain.assess_base import assess
from viz_node.domain.health import Check, failed, warned, well
from viz_node.domain.ids import Account
from viz_node.domain.job import JobState
from viz_node.domain.peer_address import Neighbour
from viz_node.errors import (
    INSTALL_THE_REST,
    InsufficientFundsError,
    NotFoundError,
    RefusedError,
    UsageError,
    VizNodeError,
    class_named,
)
from viz_node.identity.keystore import read_names
from viz_node.models.bases import list_bases
from viz_node.storage.home import flags_of_last_start, peek_pid, was_started
from viz_node.storage.peek import NEWEST_SCHEMA, Glance, glance

_RECENT_SECONDS = 7 * 24 * 3600
_CLOCK_SLACK_SECONDS = 120
# Nobody but the owner may read these.
_PRIVATE = (".", "keys", "works", "keys/keystore.json", "keys/passphrase", "node.db", "api.json")
_OPEN = (JobState.QUEUED, JobState.RUNNING)
# How a job ends when the request was impossible: the person knows, and there is nothing to fix.
_ANSWERS = (UsageError, RefusedError, NotFoundError, InsufficientFundsError)


@dataclass(frozen=True)
class Running:
    """Facts that only a running node knows."""

    config: Config
    chain: Chain
    account: Account
    probes: Sequence[Probe]
    peers: Sequence[Neighbour]
    addresses: Sequence[str]


def check(home: Path, running: Running | None = None) -> list[Check]:
    """All findings; `running` comes from the node of this home. Never raises, whatever is wrong with the home."""
    parts: list[Callable[[], Sequence[Check]]] = [_machine, lambda: _local_chain(home, running)]
    if running:
        parts += [lambda: [well("node", "running")], lambda: run_checks(running.probes), lambda: _peers(running)]
    else:
        parts += [lambda: [_node(home)], lambda: [check_disk(home), _limit()]]
    parts += [lambda: _home(home), lambda: _contents(home), lambda: _chain(home, running)]
    return [item for part in parts for item in _surely(part)]


def _surely(part: Callable[[], Sequence[Check]]) -> Sequence[Check]:
    """A part's findings; a home that cannot be read is a finding, too."""
    try:
        return part()
    except VizNodeError as error:
        return [failed("self-check", error.message, error.hint or "see docs/reference/exit-codes.md")]
    except OSError as error:
        return [
            failed("self-check", f"cannot look at {error.filename}: {error.strerror}", "run it as the home's owner")
        ]


def _contents(home: Path) -> list[Check]:
    if not home.exists():
        return []
    state = _attempt("database", lambda: glance(home / "node.db"))
    if isinstance(state, Check):
        return [state]
    return [_schema(state), _base_models(home, state), *_jobs(state), _clock(home)]


def _machine() -> list[Check]:
    return [_python(), *_libraries()]


def _python() -> Check:
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return well("python", text)


def _libraries() -> list[Check]:
    wanted = {
        "libraries": ("aiohttp", "jinja2", "libp2p", "prometheus_client", "pypdf", "trio"),
        "training": ("torch", "bitsandbytes", "peft", "transformers"),
        "federation": ("flwr",),
    }
    found = []
    for name, modules in wanted.items():
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        told = f"missing: {', '.join(missing)}"
        found.append(warned(name, told, INSTALL_THE_REST) if missing else well(name, ", ".join(modules)))
    return found


def _local_chain(home: Path, running: Running | None) -> list[Check]:
    """Of a node for development, or of a home that may still become one."""
    is_dev = running.config.dev if running else not was_started(home) or "--dev" in flags_of_last_start(home)
    program = find_anvil_program(home)
    if not is_dev:
        return []
    if program is None:
        return [warned("development chain", "anvil is not installed", "viz-node start --dev --fetch-anvil")]
    return [well("development chain", str(program))]


def _node(home: Path) -> Check:
    pid = peek_pid(home)
    if pid is not None:
        fix = f"see viz-node logs; if it stays so, end process {pid} and start it again"
        return failed("node", f"process {pid} holds the home and does not answer", fix)
    fix = f"start it: viz-node start{flags_of_last_start(home)}"
    has_fallen = (home / "api.json").exists()
    return warned("node", "it ended without a stop; nothing is lost" if has_fallen else "not running", fix)


def _limit() -> Check:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FEWEST_DESCRIPTORS:
        return warned("descriptors", f"at most {soft}", "ulimit -n 4096 before the start")
    return well("descriptors", "no limit" if soft == resource.RLIM_INFINITY else f"at most {soft}")


def _home(home: Path) -> list[Check]:
    if not home.exists():
        return [warned("home", f"{home} is not there yet", "the first start makes it: viz-node start --dev")]
    found = []
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        return [failed("home", f"{home} is not yours to read and write", f"chown -R it to you: {home}")]
    present = [home / name for name in _PRIVATE if os.path.lexists(home / name)]
    exposed = [path for path in present if stat.S_IMODE(path.lstat().st_mode) & 0o077 and not path.is_symlink()]
    if exposed:
        names = ", ".join(str(path) for path in exposed)
        found.append(failed("home is private", f"others may read {names}", f"chmod go= {names}"))
    else:
        found.append(well("home is private", f"{home}: yours alone"))
    found.append(_readable("configuration", lambda: load_config(home)))
    if not os.path.lexists(home / KEYSTORE):
        return [*found, warned("keystore", "there is none yet", "the first start makes it: viz-node start")]
    keystore = _readable("keystore", lambda: read_names(home / KEYSTORE))
    if keystore.fix == "" and not has_passphrase(home):
        keystore = failed("keystore", f"its passphrase is not in {home / MACHINE_MADE}", "set VIZ_NODE_PASSPHRASE_FILE")
    return [*found, keystore]


def _readable(name: str, action: Callable[[], object]) -> Check:
    answer = _attempt(name, action)
    return answer if isinstance(answer, Check) else well(name, "readable")


def _attempt(name: str, action: Callable[[], Any]) -> Any:
    """The result of the action, or the finding that it failed."""
    try:
        return action()
    except VizNodeError as error:
        return failed(name, error.message, error.hint or "see docs/reference/exit-codes.md")


def _schema(state: Glance | None) -> Check:
    if state is None:
        return well("home's version", "no database yet")
    if state.schema < NEWEST_SCHEMA:
        detail = f"schema {state.schema}, this program writes {NEWEST_SCHEMA}"
        return warned("home's version", detail, "back it up; the next start brings it up to date")
    return well("home's version", f"schema {state.schema}, the newest")


def _base_models(home: Path, state: Glance | None) -> Check:
    bases = _attempt("base model", lambda: list_bases(home / "bases"))
    if isinstance(bases, Check):
        return bases
    kinds = ("base_install", "base_build", "base_add", "base_train")
    coming = [job for kind in kinds for job in state.jobs_in(*_OPEN, kind=kind)] if state else []
    if bases:
        return well("base model", ", ".join(f"{base.name} ({assess(base).verdict})" for base in bases))
    if coming:
        return well("base model", f"on its way: viz-node jobs show {coming[0].job_id} --follow")
    return warned("base model", "none, and none is on its way", "viz-node base install")


def _jobs(state: Glance | None) -> list[Check]:
    """Failures that need attention: not old ones, ones that succeeded since, or refusals that a person has seen."""
    jobs = state.jobs_in(JobState.FAILED) if state else []
    recent = [job for job in jobs if state and _needs_attention(state, state.jobs.index(job))]
    if not recent:
        return [well("jobs", "none needs attention" if jobs else "none failed")]
    latest = recent[0]
    cause = latest.error.partition("\n")[0][:200]
    detail = f"{len(recent)} failed in the last week and not done since, the latest: {latest.kind}, {cause}"
    return [warned("jobs", detail, f"mend the cause, then: viz-node jobs resume {latest.job_id}")]


def _needs_attention(state: Glance, number: int) -> bool:
    job, newer = state.jobs[number], state.jobs[:number]
    if job.updated <= now() - _RECENT_SECONDS or issubclass(class_named(job.fault) or object, _ANSWERS):
        return False
    same = [other for other in newer if (other.kind, other.subject) == (job.kind, job.subject)]
    return not any(other.state in (*_OPEN, JobState.DONE) for other in same)


def _clock(home: Path) -> Check:
    """Without asking anybody: nothing in the home may come from the future. The chain's time is compared elsewhere."""
    newest = max((path.stat().st_mtime for path in home.iterdir()), default=0.0)
    ahead = newest - now()
    if ahead > _CLOCK_SLACK_SECONDS:
        return failed("clock", f"{ahead:.0f} s behind the home's newest file", "set the clock; keep NTP running")
    return well("clock", "not behind the home's files")


def _chain(home: Path, running: Running | None) -> list[Check]:
    if not home.exists():
        return []
    if running is not None:
        return check_chain(running.chain.rpc_urls, running.chain.deployment, running.account)
    try:
        config = load_config(home)
        account = read_names(home / KEYSTORE)[0] if os.path.lexists(home / KEYSTORE) else None
        if config.rpc_urls and config.deployment:
            return check_chain(config.rpc_urls, read_deployment(home / config.deployment), account)
        living = find_anvil(home / "chain")
        if living is not None:
            return check_chain((living.rpc_url,), read_deployment(home / "chain" / "deployment.json"), account)
    except VizNodeError as error:
        return [failed("chain", error.message, error.hint or "compare it with the deployment file")]
    if (home / "chain").exists():
        return [well("chain", "the development chain runs when the node does")]
    fix = "set rpc_urls and deployment (viz-node config example), or use viz-node start --dev"
    return [warned("chain", "none is configured", fix)]


def _peers(running: Running) -> list[Check]:
    connected = sum(peer.connected for peer in running.peers)
    found = []
    if connected:
        found.append(well("peers", f"{connected} connected, {len(running.peers)} known"))
    else:
        fix = "give the address of one in bootstrap (viz-node id prints it there), or start --join HOME"
        found.append(warned("peers", f"none connected, {len(running.peers)} known", fix))
    local = [text for text in running.addresses if text.startswith(("/ip4/127.", "/ip6/::1/"))]
    if running.addresses and len(local) == len(running.addresses):
        fix = (
            "set listen to /ip4/0.0.0.0/tcp/4001 and open the port; behind a router or in a container, set announce too"
        )
        detail = "only from this machine"
        found.append(well("reachable", detail) if running.config.dev else warned("reachable", detail, fix))
    else:
        found.append(well("reachable", f"peers are told {len(running.addresses)} addresses"))
    return found
