# SPDX-License-Identifier: Apache-2.0
"""Changes the market's sources in thousands of small ways and counts the changes that no test notices.

Runs in copies of the project under build/mutation and can be killed at any time: what is done is kept there, and the
next run goes on, as long as the sources under src stay; tests may be added. `--fresh` forgets it. The result is written
to contracts/MUTATION.md and contracts/mutation/results.tsv; what no test can notice is answered, one mutant at a time,
in contracts/mutation/answers.toml.
"""

import argparse
import hashlib
import json
import os
import queue
import re
import runpy
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from mutants import MONEY_PATHS, Mutant, generate
from mutation_report import LEAST_SCORE, Report, load_answers, stale_answers

CONTRACTS = Path(__file__).resolve().parent.parent
WORK = CONTRACTS.parent / "build" / "mutation"
EXPORT = runpy.run_path(str(CONTRACTS / "script" / "export_abi.py"))
# Gas and size are those of the optimized code, which is not what mutants are compiled to. The invariants take longer
# than all other tests together; without them the score is a lower bound.
LEFT_OUT = ("*Gas.t.sol", "Deployment.t.sol", "*Invariants.t.sol")
# Of forge's own processor time, not of the clock: a busy machine must not look like an endless loop. A run takes two.
CPU_SECONDS = 60
SEED = 1
ROUND = 10
RESTART_COMPILER_AFTER = 500
FAILED_TEST = re.compile(r"\[FAIL[^\n]*?\] ([A-Za-z_0-9]+)\(")


class Tree:
    """A copy of the project, with the tests that judge a mutant."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for part in ("src", "test", "bin"):
            shutil.rmtree(root / part, ignore_errors=True)
            shutil.copytree(CONTRACTS / part, root / part)
        shutil.copy(CONTRACTS / "foundry.toml", root)
        if not (root / "node_modules").exists():
            (root / "node_modules").symlink_to(CONTRACTS / "node_modules")
        for pattern in LEFT_OUT:
            for test in root.glob(f"test/{pattern}"):
                test.unlink()

    def test(self, socket: Path) -> tuple[str, str]:
        """Returns ("passed" | "failed" | "uncompilable" | "timeout", what failed).

        Raises:
            RuntimeError: forge stopped for another reason.
        """
        # Forge would try the counterexamples of earlier mutants first.
        shutil.rmtree(self.root / "cache" / "mutation" / "failures", ignore_errors=True)
        code, output = run_forge(self.root, "test", "--fail-fast", "--threads", "1", socket=socket)
        if code == 0:
            return "passed", ""
        if code is None:
            return "timeout", ""
        failed = FAILED_TEST.search(output)
        if failed:
            return "failed", failed.group(1)
        if "Compiler run failed" in output:
            return "uncompilable", ""
        raise RuntimeError(f"forge stopped without a verdict in {self.root}:\n{output[-2000:]}")


class Compiler:
    """A compiler that stays warm. It is started again now and then, because its memory only grows."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "solc.socket"
        self._used = 0
        self._process: subprocess.Popen[bytes] | None = None

    def use(self) -> Path:
        if self._process is None or self._process.poll() is not None or self._used >= RESTART_COMPILER_AFTER:
            self.stop()
            self.socket.unlink(missing_ok=True)
            self._process = subprocess.Popen(
                [CONTRACTS / "bin" / "solc", "--serve", self.socket], stdin=subprocess.PIPE
            )
            self._used = 0
            ready = threading.Event()
            while not self.socket.exists() and self._process.poll() is None:
                ready.wait(0.02)
        self._used += 1
        return self.socket

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Worker:
    """Judges one mutant after another, in its own copy of the project."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._compiler = Compiler(folder)
        self._tree = Tree(folder / "project")

    def check(self) -> None:
        """Raises RuntimeError if the tests fail without any change: every mutant would look killed."""
        verdict, test = self._tree.test(self._compiler.use())
        if verdict != "passed":
            raise RuntimeError(f"unchanged sources: {verdict} {test} in {self._tree.root}")

    def judge(self, mutant: Mutant) -> tuple[str, str]:
        """Returns ("killed" | "survived" | "uncompilable" | "timeout", the test that noticed)."""
        source = self._tree.root / mutant.path
        original = source.read_bytes()
        source.write_bytes(mutant.apply(original))
        try:
            verdict, test = self._test()
        finally:
            source.write_bytes(original)
        return {"passed": "survived", "failed": "killed"}.get(verdict, verdict), test

    def _test(self) -> tuple[str, str]:
        try:
            return self._tree.test(self._compiler.use())
        except RuntimeError:
            # A mutant can make the compiler itself crash; the next one starts with a new compiler.
            self._compiler.stop()
            return self._tree.test(self._compiler.use())

    def stop(self) -> None:
        self._compiler.stop()


class Outcomes:
    """What is known of each mutant, in an append-only file that outlives a kill."""

    def __init__(self, path: Path, sources: str) -> None:
        self.by_id: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        if not lines or lines[0] != f"{sources}\n":
            path.write_text(f"{sources}\n")
        for line in lines[1:] if lines and lines[0] == f"{sources}\n" else []:
            fields = line.rstrip("\n").split("\t")
            if line.endswith("\n") and len(fields) == 3:
                self.by_id[fields[0]] = (fields[1], fields[2])
        self._file = path.open("a")
        self._file.write("\n")  # ends a line that a kill cut short

    def add(self, mutant: Mutant, outcome: str, test: str) -> None:
        with self._lock:
            self.by_id[mutant.id] = (outcome, test)
            self._file.write(f"{mutant.id}\t{outcome}\t{test}\n")
            self._file.flush()


def run_forge(folder: Path, *arguments: str, socket: Path) -> tuple[int | None, str]:
    """Returns forge's exit status, None if it used up its processor time, and what it printed."""
    environment = os.environ | {"FOUNDRY_PROFILE": "mutation", "SOLC_SERVER": str(socket)}
    limited = ["sh", "-c", f'ulimit -t {CPU_SECONDS}; exec "$@"', "sh", EXPORT["forge_binary"](), *arguments]
    done = subprocess.run(
        limited, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    code = None if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL) else done.returncode
    return code, done.stdout.decode(errors="replace")


def load_mutants(sources: str) -> list[Mutant]:
    """Returns the mutants of the current sources, listed once and then kept."""
    lister = hashlib.sha256((CONTRACTS / "script" / "mutants.py").read_bytes()).hexdigest()
    kept = WORK / f"mutants-{sources[:12]}-{lister[:12]}.json"
    if not kept.exists():
        tree = Tree(WORK / "slither")
        os.environ["PATH"] = f"{EXPORT['forge_binary']().parent}:{os.environ['PATH']}"
        os.environ["FOUNDRY_PROFILE"] = "mutation"
        mutants = generate(tree.root)
        partial = kept.with_suffix(".partial")
        partial.write_text(json.dumps([asdict(mutant) for mutant in mutants]))
        partial.replace(kept)
    return [Mutant(**fields) for fields in json.loads(kept.read_text())]


def in_order(mutants: list[Mutant]) -> list[Mutant]:
    """Returns the mutants in a repeatable order of which every beginning holds a random sample of each contract.

    A round has up to 10 of each contract, so that the compiler seldom has to go from one source to another.
    """
    shuffled = sorted(mutants, key=lambda mutant: hashlib.sha256(f"{SEED}{mutant.id}".encode()).digest())
    seen: Counter[str] = Counter()
    places: dict[str, tuple[int, int]] = {}
    for mutant in shuffled:
        places[mutant.id] = (seen[mutant.contract] // ROUND, MONEY_PATHS.index(mutant.contract))
        seen[mutant.contract] += 1
    return sorted(shuffled, key=lambda mutant: places[mutant.id])


def judge_all(todo: list[Mutant], outcomes: Outcomes, count: int) -> None:
    """Judges the mutants by `count` workers side by side."""
    waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    for mutant in todo:
        waiting.put(mutant)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        worker = Worker(WORK / f"worker-{number}")
        try:
            worker.check()
            while not failures:
                mutant = waiting.get_nowait()
                outcome, test = worker.judge(mutant)
                outcomes.add(mutant, outcome, test)
                where = f"{mutant.contract}:{mutant.line}"
                sys.stdout.write(
                    f"{waiting.qsize():5} {outcome:12} {where:16} {mutant.old!r} => {mutant.new!r} {test}\n"
                )
                sys.stdout.flush()
        except queue.Empty:
            pass
        except (RuntimeError, OSError) as error:
            failures.append(error)
        finally:
            worker.stop()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1, help="mutants judged side by side (default 1)")
    parser.add_argument("--contracts", default=",".join(MONEY_PATHS), help="only these, comma-separated")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs found")
    parser.add_argument("--again", action="store_true", help="judge survivors again, after tests were added")
    parser.add_argument("--report", action="store_true", help="only write the report of what is known")
    options = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    sources = EXPORT["source_digest"]()
    mutants = load_mutants(sources)
    known = WORK / "outcomes.tsv"
    if options.fresh:
        known.unlink(missing_ok=True)
    outcomes = Outcomes(known, sources)
    if not options.report:
        done = {one for one, found in outcomes.by_id.items() if not (options.again and found[0] == "survived")}
        wanted = options.contracts.split(",")
        todo = [one for one in in_order(mutants) if one.contract in wanted and one.id not in done]
        todo.sort(key=lambda one: one.id not in outcomes.by_id)  # survivors first
        judge_all(todo, outcomes, options.workers)
    report = Report(mutants, outcomes.by_id, load_answers(CONTRACTS))
    report.write(CONTRACTS, facts(sources))
    return verdict(report)


def facts(sources: str) -> dict[str, str]:
    """Returns what the page says of the run."""
    forge = subprocess.run([EXPORT["forge_binary"](), "--version"], check=True, capture_output=True, text=True).stdout
    solc = subprocess.run([CONTRACTS / "bin" / "solc", "--version"], check=True, capture_output=True, text=True).stdout
    return {
        "Date": datetime.now(UTC).date().isoformat(),
        "Sources": f"SHA-256 `{sources[:16]}…` (`source_digest` of script/export_abi.py)",
        "Tools": f"slither {version('slither-analyzer')}, forge {forge.split()[2]}, solc {solc.split()[-1]}",
        "Order": f"random, seed {SEED}, by rounds of {ROUND} of each contract",
    }


def verdict(report: Report) -> int:
    """Prints the score and returns the exit status: 1 below the least score, or with an answer that answers nothing."""
    total = report.total()
    stale = stale_answers(report)
    sys.stdout.write(
        f"{total.judged} of {total.mutants} judged, {total.killed} noticed, {total.survived} not, of which "
        f"{len(total.answered)} are answered: score {total.score:.1%} (raw {total.raw_score:.1%}), "
        f"least {LEAST_SCORE:.0%}\n"
    )
    if stale:
        sys.stdout.write(f"remove from mutation/answers.toml, since they answer nothing: {', '.join(stale)}\n")
    return 0 if not stale and total.score >= LEAST_SCORE else 1


if __name__ == "__main__":
    sys.exit(main())
