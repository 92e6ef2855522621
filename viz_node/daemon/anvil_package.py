"""Where the development chain's program comes from: the PATH, this checkout, or a package that npm fetches if told to.

Version and digest pin the package for each platform; npm refuses any other. Nothing is fetched without a request.
"""

import json
import shutil
import subprocess
from pathlib import Path

from viz_node.daemon.config import ANVIL, npm_environment, platform_name, program_in
from viz_node.errors import NotFoundError, StorageError, UnreachableError, VerificationError
from viz_node.storage.home import private_directory

VERSION = "1.7.1"
FETCH_SECONDS = 300
DIGESTS = {
    "linux-amd64": "+XmShybEaxfCrr0OUUZwYEy2OnYZt5pHH9TzBtLv3+VrK0O/ANuNSVEahqNhKHlgX7GRJ59383ofNhxkRWIYTg==",
    "linux-arm64": "ykHJmFOGdBR8+9smOKBm9ZZDCCCkLQctiHOAddLvmYx9mPeBDMfq6jP51hKYsO5MG8ClPLSlWe+JpiXPjoXgBQ==",
    "darwin-amd64": "OgwzwY+FsGrsPyDv4mmbhOwARO8s37YHrm2qaNzgSH4VlKnXgJCrnoT7bpgOhLyBPtxXjBT8L2E3b79deesXRg==",
    "darwin-arm64": "JNeu3+A3f/npXLn8SR8EahVcqE7BpO9VQZMcPvSIy27/RNc1GsoEBvSLR99aSvt8sGKWAgNg/EzrtjAPq6mxcA==",
}


def find_anvil_program(home: Path) -> Path | None:
    """The PATH's, else this checkout's, else the one fetched into the home."""
    on_path = shutil.which("anvil")
    if on_path is not None:
        return Path(on_path)
    candidates = (ANVIL, program_in(home / "tools"))
    return next((path for path in candidates if path.is_file()), None)


def need_anvil_program(home: Path) -> Path:
    """The path from `find_anvil_program`. Raises: NotFoundError (none is installed)."""
    found = find_anvil_program(home)
    if found is None:
        raise NotFoundError(
            "the development chain needs Anvil, which is not installed",
            "viz-node start --dev --fetch-anvil fetches it with npm, or install Foundry",
        )
    return found


def fetch_anvil(home: Path) -> Path:
    """Have npm fetch the package of this platform into `HOME/tools`, verified by its digest.

    Raises: NotFoundError (no npm, no package for this platform), UnreachableError, VerificationError, StorageError.
    """
    name = platform_name()
    if name not in DIGESTS:
        raise NotFoundError(f"there is no Anvil package for {name}", "install Foundry from its sources")
    npm = shutil.which("npm")
    if npm is None:
        raise NotFoundError("npm is not installed", "install Node.js, or put anvil of Foundry on the PATH")
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory = private_directory(home, "tools")
    package = f"@foundry-rs/anvil-{name}"
    root = {"name": "viz-node-tools", "version": "1.0.0", "dependencies": {package: VERSION}}
    pinned = {"version": VERSION, "integrity": f"sha512-{DIGESTS[name]}"}
    lock = {**root, "lockfileVersion": 3, "packages": {"": root, f"node_modules/{package}": pinned}}
    try:
        (directory / "package.json").write_text(json.dumps(root | {"private": True}))
        (directory / "package-lock.json").write_text(json.dumps(lock))
        _run_npm(npm, directory)
    except OSError as error:
        raise StorageError(f"cannot write {directory}: {error.strerror}", "check the disk") from error
    program = program_in(directory)
    if not program.is_file():
        raise VerificationError(f"the package holds no {program.name}", "install Foundry instead")
    return program


def _run_npm(npm: str, directory: Path) -> None:
    command = [npm, "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(
            command, cwd=directory, env=npm_environment(), capture_output=True, text=True, check=False,
            timeout=FETCH_SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise UnreachableError(f"npm did not end within {FETCH_SECONDS} s", "try again") from error
    if done.returncode == 0:
        return
    said = next((line for line in done.stderr.splitlines() if line.strip()), f"status {done.returncode}")
    if "EINTEGRITY" in done.stderr:
        raise VerificationError("npm gave another package than the pinned one", "use another npm registry or cache")
    raise UnreachableError(f"npm could not fetch Anvil: {said[:200]}", "check the network, then try again")
