"""A wheel in a clean environment is a full node, without the checkout; the light audit needs fewer dependencies.

Here its dependencies are those of this environment. `make wheel-check` (VIZ_TEST_REGISTRY) has pip install them anew
from the package registry, for the whole node and for the audit alone, and waits until the node has trained its sample.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import urllib.request
from pathlib import Path

import pytest

from tests.tiny_model import install_tiny_base
from viz_node.daemon import anvil_package
from viz_node.daemon.config import ANVIL
from viz_node.errors import UnreachableError, VerificationError

ROOT = Path(__file__).parents[2]
OF_THE_EXTRAS = (
    "aiohttp",
    "jinja2",
    "libp2p",
    "trio",
    "torch",
    "transformers",
    "peft",
    "flwr",
    "prometheus_client",
    "pypdf",
)
needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")


IS_ANEW = "VIZ_TEST_REGISTRY" in os.environ
from_registry = pytest.mark.skipif(not IS_ANEW, reason="takes minutes and gigabytes: make wheel-check")


class Installed:
    """The wheel in an environment of its own, whose dependencies are those of this one or installed anew."""

    def __init__(self, folder: Path, extras: str = "[node,train]", is_anew: bool = IS_ANEW) -> None:
        self.folder, self.home = folder, folder / "home"
        wheels, environment, source = folder / "wheels", folder / "environment", folder / "source"
        # A copy, because a build leaves files behind, and takes in what an earlier one left.
        for name in ("viz_node", "configs"):
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, source / name)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        run([*pip, "wheel", str(source), "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels)], folder)
        run([sys.executable, "-m", "venv", "--without-pip", str(environment)], folder)
        self.python = environment / "bin" / "python"
        (self.wheel,) = wheels.glob("*.whl")
        if is_anew:
            pinned = ["-c", str(ROOT / "constraints.txt"), f"{self.wheel}{extras}"]
            run([*pip, "--python", str(self.python), "install", *pinned], folder)
            return
        run([*pip, "--python", str(self.python), "install", "--no-deps", str(self.wheel)], folder)
        site = Path(
            run([str(self.python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder).strip()
        )
        # Not a .pth of that folder, which would bring this checkout back in.
        dependencies = [path for path in sys.path if path.endswith("site-packages")] or [sysconfig.get_path("purelib")]
        (site / "dependencies.pth").write_text("\n".join(dependencies) + "\n")

    def run(self, *arguments: str) -> str:
        return run([str(self.python.parent / "viz-node"), "--home", str(self.home), *arguments], self.folder)

    def environment(self) -> dict[str, str]:
        return clean_environment() | {"PATH": f"{ANVIL.parent}:{os.environ['PATH']}"}


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIZ_NODE", "VIRTUAL"))}


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("wheel"))


def test_wheel__beside_the_checkouts_files__holds_every_one_that_is_no_program(installed: Installed) -> None:
    tracked = run(["git", "-C", str(ROOT), "ls-files", "viz_node", "configs"], installed.folder).split()
    listed = run([sys.executable, "-m", "zipfile", "-l", str(installed.wheel)], installed.folder)
    missing = [name for name in tracked if name not in listed]
    assert missing == []


@pytest.mark.skipif(not ANVIL.exists(), reason="contracts/node_modules is not installed")
def test_wheel__started_elsewhere__is_a_full_node_and_audits_with_little(installed: Installed) -> None:
    installed.home.mkdir(mode=0o700)
    install_tiny_base(installed.home)
    where = "import viz_node, pathlib; print(pathlib.Path(viz_node.__file__).parents[1])"
    assert run([str(installed.python), "-c", where], installed.folder).strip().startswith(str(installed.folder))
    command = [
        str(installed.python.parent / "viz-node"),
        "--home",
        str(installed.home),
        "start",
        "--dev",
        "--no-sample",
    ]
    with subprocess.Popen(
        command, cwd=installed.folder, env=installed.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            installed.run("wait", "--timeout", "60")
            status = json.loads(installed.run("status", "--json"))
            assert status["chain"]["ok"] is True
            login = urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(status["dashboard"])
            page = login.read().decode()
            assert "viz-node" in page and "Sales and royalties" in page
            assert "rank = 8" in installed.run("config", "example", "small")
            audit = json.loads(audit_with_little(installed, status["chain"]["rpc_url"]))
            assert audit["ok"] is True
        finally:
            process.terminate()
            process.wait(20)


def with_little(installed: Installed, *arguments: str) -> list[str]:
    """A command line with what `pipx install` of the wheel gives: the base dependencies and nothing of the extras."""
    blocked = f"import sys; sys.modules.update(dict.fromkeys({OF_THE_EXTRAS}))"
    program = f"{blocked}; from viz_node.cli.main import run; sys.exit(run(sys.argv[1:]))"
    return [str(installed.python), "-c", program, *arguments]


def audit_with_little(installed: Installed, rpc_url: str) -> str:
    deployment = str(installed.home / "chain" / "deployment.json")
    arguments = ["audit", "--rpc-url", rpc_url, "--deployment", deployment, "--block", "latest", "--json"]
    return run(with_little(installed, *arguments), installed.folder)


def test_wheel__without_its_extras__says_that_a_node_needs_them(installed: Installed) -> None:
    command = with_little(installed, "--home", str(installed.folder / "light"), "start", "--dev")
    done = subprocess.run(command, cwd=installed.folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "is not installed: this installation is not the whole program" in done.stderr
    assert "[node,train" in done.stderr


@from_registry
def test_wheel__dependencies_anew__trains_sells_its_sample_and_is_audited_by_a_light_one(
    installed: Installed, tmp_path: Path
) -> None:
    run([sys.executable, "-m", "pip", "--python", str(installed.python), "check"], tmp_path)
    light = Installed(tmp_path / "light", extras="")
    assert "torch" not in run([sys.executable, "-m", "pip", "--python", str(light.python), "freeze"], tmp_path)
    assert sum(path.stat().st_size for path in light.folder.rglob("*") if path.is_file()) < 150 << 20
    home = ["--home", str(tmp_path / "home")]
    program = str(installed.python.parent / "viz-node")
    log = tmp_path / "start.log"
    with (
        log.open("w") as out,
        subprocess.Popen(
            [program, *home, "start", "--dev"], cwd=tmp_path, env=installed.environment(), stdout=out, stderr=out
        ) as process,
    ):
        try:
            run([program, *home, "wait", "--timeout", "120"], tmp_path)
            deadline = time.monotonic() + 900
            while "A sample adapter is trained and published" not in log.read_text():
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(1)
            assert "sample-harbour" in run([program, *home, "search"], tmp_path)
            assert run([program, *home, "generate", "sample-harbour", "In the year two"], tmp_path).strip()
            rpc_url = json.loads(run([program, *home, "status", "--json"], tmp_path))["chain"]["rpc_url"]
            audit = [str(light.python.parent / "viz-node"), "audit", "--rpc-url", rpc_url]
            deployment = str(tmp_path / "home" / "chain" / "deployment.json")
            assert json.loads(run([*audit, "--deployment", deployment, "--json"], tmp_path))["ok"] is True
        finally:
            process.terminate()
            assert process.wait(20) == 0


@needs_npm
def test_fetch_anvil__told_to__npm_brings_the_pinned_one_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        program = anvil_package.fetch_anvil(tmp_path / "home")
    except UnreachableError as error:
        pytest.skip(error.message)
    assert run([str(program), "--version"], tmp_path).startswith(f"anvil Version: {anvil_package.VERSION}")
    digests = dict.fromkeys(anvil_package.DIGESTS, "A" * 86 + "==")
    monkeypatch.setattr(anvil_package, "DIGESTS", digests)
    with pytest.raises(VerificationError, match="another package"):
        anvil_package.fetch_anvil(tmp_path / "other")
    assert not (tmp_path / "other" / "tools" / "node_modules").exists()
