"""The container files against this machine: what they copy, install, run and name exists. Images are not built here."""

import json
import os
import re
import shlex
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from viz_node.daemon.config import load_config
from viz_node.domain.peer_address import parse_listen

ROOT = Path(__file__).parents[2]
PROGRAM = str(Path(sys.executable).with_name("viz-node"))


def _instructions() -> list[tuple[str, str]]:
    text = (ROOT / "docker" / "Dockerfile").read_text()
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def _last(word: str) -> str:
    return [rest for name, rest in _instructions() if name == word][-1]


def _health_command() -> list[str]:
    return list(json.loads(_last("HEALTHCHECK").partition(" CMD ")[2]))


def _compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text()))


def _run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    words = [PROGRAM, *command[1:]] if command[0] == "viz-node" else command
    return subprocess.run(
        words, check=False, capture_output=True, text=True, env={**os.environ, **environment}, timeout=60
    )


def test_copies__every_source__is_tracked_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    sources = [word for name, rest in _instructions() if name == "COPY" and "--from" not in rest
               for word in rest.split()[:-1]]  # fmt: skip
    assert sources
    for source in sources:
        assert any(path == source or path.startswith(f"{source}/") for path in tracked), source
        assert not any(fnmatch(source, pattern) for pattern in ignored), source


def test_stages__what_is_copied_from_one__is_what_it_makes() -> None:
    (copied,) = [rest.split() for name, rest in _instructions() if name == "COPY" and "--from=chain" in rest]
    stage = {name: rest for name, rest in _instructions() if name == "WORKDIR"}
    assert stage["WORKDIR"] == "/viz-node"
    assert copied[1] == "/viz-node/contracts/node_modules"
    assert (ROOT / copied[2] / "@foundry-rs").is_dir()


def test_images__every_base__has_a_fixed_release() -> None:
    bases = [rest.split()[0] for name, rest in _instructions() if name == "FROM"]
    assert len(bases) == 2
    assert all(re.search(r":\d+(\.\d+)*-", base) for base in bases), bases
    python = next(base for base in bases if base.startswith("python:"))
    assert python.startswith("python:3.11")


def test_user__of_the_running_node__is_not_root() -> None:
    names = [name for name, _ in _instructions()]
    assert _last("USER") not in ("root", "0")
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert f"--uid 10001 {_last('USER')}" in next(rest for name, rest in _instructions() if "useradd" in rest)


def test_install__same_command_on_this_machine__wants_nothing_more() -> None:
    (line,) = [rest for name, rest in _instructions() if name == "RUN" and "'.[node,train]'" in rest]
    words = shlex.split(line)
    assert words[:2] == ["pip", "install"]
    offline = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--no-build-isolation"]
    done = subprocess.run([*offline, *words[2:]], check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    wanted = re.findall(r"Would install (.*)", done.stdout)
    assert [name for name in " ".join(wanted).split() if not name.startswith("viz-node-")] == []


def test_constraints__every_dependency_that_the_image_installs__is_pinned() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    pinned = {
        line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().split() if "==" in line
    }
    block = text[text.index("dependencies = [") : text.index("dev = [")]
    names = {name.lower() for name in re.findall(r'^    "([A-Za-z0-9_.-]+)', block, re.MULTILINE)}
    assert len(names) > 15
    assert names <= pinned


def test_command__entry_point_and_health_check__are_commands_of_this_program() -> None:
    start = json.loads(_last("ENTRYPOINT")) + json.loads(_last("CMD"))
    for command in (start, _health_command()):
        done = _run([*command, "--help"])
        assert done.returncode == 0, done.stderr
        assert "Usage:" in done.stdout


def test_compose__three_nodes__start_with_commands_and_homes_that_exist() -> None:
    services = _compose()["services"]
    assert len(services) == 3
    homes = {service["environment"]["VIZ_NODE_HOME"] for service in services.values()}
    assert len(homes) == 3
    for name, service in services.items():
        assert _run(["viz-node", *service["command"], "--help"]).returncode == 0, name
        assert all(home.startswith("/homes/") for home in homes)
        joined = service["command"][service["command"].index("--join") + 1] if "--join" in service["command"] else None
        assert joined is None or joined in homes - {service["environment"]["VIZ_NODE_HOME"]}
        assert (joined is None) == (name == "holder")
        assert service["volumes"] == ["homes:/homes"]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert not service.get("privileged") and "ports" not in service
        assert (ROOT / "docker" / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def test_environment__names_in_the_container_files__are_read_by_the_program() -> None:
    named = {match for path in ("Dockerfile", "compose.yaml")
             for match in re.findall(r"VIZ_NODE_\w+", (ROOT / "docker" / path).read_text())}  # fmt: skip
    code = "".join(path.read_text() for path in (ROOT / "viz_node").rglob("*.py"))
    assert named == {"VIZ_NODE_HOME"}
    assert all(name in code for name in named)


@pytest.mark.slow
def test_health_check__of_a_real_node__follows_it(tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    assert _run(_health_command(), VIZ_NODE_HOME=home).returncode != 0
    start = json.loads(_last("ENTRYPOINT")) + json.loads(_last("CMD"))
    environment = {**os.environ, "VIZ_NODE_HOME": home}
    node = subprocess.Popen([PROGRAM, *start[1:]], env=environment, stdout=subprocess.DEVNULL)
    try:
        assert _run(["viz-node", "wait", "--timeout", "60"], VIZ_NODE_HOME=home).returncode == 0
        assert _run(_health_command(), VIZ_NODE_HOME=home).returncode == 0
    finally:
        node.terminate()
        assert node.wait(20) == 0


def test_compose__public_node__listens_on_the_published_port_and_announces_what_it_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service = yaml.safe_load((ROOT / "docker" / "compose.public.yaml").read_text())["services"]["node"]
    given = {"PUBLIC_ADDRESS": "/dns4/node.example.org/tcp/4001", "RPC_URL": "http://127.0.0.1:1", "DEPLOYMENT": "x"}
    for name, text in service["environment"].items():
        needed = re.fullmatch(r"\$\{(\w+):\?.+\}", text)
        monkeypatch.setenv(name, given[needed[1]] if needed else text)
    config = load_config(tmp_path)
    assert (config.announce, config.rpc_urls) == ((given["PUBLIC_ADDRESS"],), (given["RPC_URL"],))
    assert service["ports"] == [f"{parse_listen(config.listen).port}:4001"]
    assert any(volume.endswith(f":{config.deployment}:ro") for volume in service["volumes"])
    assert _run(["viz-node", *service["command"], "--help"]).returncode == 0
