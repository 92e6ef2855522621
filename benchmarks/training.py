"""Training speed next to transformers.Trainer + PEFT and TRL, as they come and tuned, in tokens per CPU-second.

Run: python benchmarks/training.py [--base DIRECTORY | --wide] [--documents 64] [--rounds 1] [--without-trl].
All recipes train an NF4 QLoRA adapter of the same rank on the same base and the same documents in the same order, with
the same optimizer steps, rates and clipping; each runs in a process of its own with one thread, in turns. Padding is
not counted as tokens. The losses on held-out documents before and after show that the same was learnt. What each recipe
is: benchmarks/recipes.py. TRL brings 277 MB of other packages, so it is installed into an environment of its own, once
(build/benchmarks/trl).
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

from base_model import small_base, wide_base
from report import CACHE, ROOT, Row, describe_machine, parser, publish

RECIPES = ("viz-node", "Trainer", "Trainer, tuned", "TRL", "TRL, tuned")


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--base", type=Path, help="an installed base model; without it the small one is built, once")
    arguments.add_argument("--wide", action="store_true", help="a base model of 98 million weights instead")
    arguments.add_argument("--documents", type=int, default=64)
    arguments.add_argument("--rounds", type=int, default=1, help="the table shows medians")
    arguments.add_argument("--without-trl", action="store_true", help="install nothing")
    options = arguments.parse_args()
    base = options.base or (wide_base() if options.wide else small_base())
    machine, results = describe_machine(), measure_all(options, base)
    notes = ["TRL was not measured"] if options.without_trl else []
    publish(f"QLoRA training on {base.name}", to_rows(results), options.as_json, machine, notes)


def measure_all(options: argparse.Namespace, base: Path) -> dict[str, list[Row]]:
    """Results of every recipe that can run here, by its name."""
    rival_python = None if options.without_trl else trl_environment()
    results: dict[str, list[Row]] = {}
    for _ in range(options.rounds):
        for recipe in RECIPES:
            python = rival_python if recipe.startswith("TRL") else Path(sys.executable)
            if python is not None:
                results.setdefault(recipe, []).append(measure(python, recipe, base, options.documents))
    return results


def measure(python: Path, recipe: str, base: Path, documents: int) -> dict[str, Any]:
    """One training in a process of its own; ends the program with its words when it fails."""
    quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error"}
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    command = [str(python), str(ROOT / "benchmarks" / "recipes.py"), recipe, str(base), str(documents)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | quiet | threads)
    if done.returncode:
        raise SystemExit(
            f"{done.stderr}\nerror: {recipe} ended with status {done.returncode}\nnext: {shlex.join(command)}"
        )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def to_rows(results: dict[str, list[Row]]) -> list[Row]:
    """One row per recipe, medians over the rounds, with how much faster ours is."""
    own = _median(results[RECIPES[0]], "cpu_seconds")
    rows = []
    for recipe, measured in results.items():
        seconds, first = _median(measured, "cpu_seconds"), measured[0]
        rows.append(
            {
                "recipe": recipe,
                "tokens/CPU-s": round(first["tokens"] / seconds),
                "viz-node is": f"{seconds / own:.2f}x",
                "CPU s": seconds,
                "wall s": _median(measured, "wall_seconds"),
                "peak MB": round(_median(measured, "peak_mb")),
                "steps": first["steps"],
                "tokens": first["tokens"],
                "loss before": f"{first['before']:.4f}",
                "after": f"{first['after']:.4f}",
            }
        )
    return rows


def trl_environment() -> Path:
    """The Python of an environment that sees our packages and has TRL on top; ends the program if it cannot be made."""
    folder, requirements = CACHE / "trl", ROOT / "benchmarks" / "requirements-trl.txt"
    python, installed = folder / "bin" / "python", folder / "requirements.txt"
    if installed.exists() and installed.read_bytes() == requirements.read_bytes():
        return python
    print("installing TRL, once, into build/benchmarks/trl (--without-trl leaves it out)", file=sys.stderr)
    venv.create(folder, clear=True, with_pip=False)
    own_packages = next(entry for entry in sys.path if entry.endswith("site-packages"))
    site_packages = next(folder.glob("lib/python*/site-packages"))
    (site_packages / "viz_node_packages.pth").write_text(f"{own_packages}\n{ROOT}\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install", "--quiet"]
    done = subprocess.run([*pip, "--no-deps", "-r", str(requirements)], check=False, stdout=sys.stderr)
    if done.returncode:
        raise SystemExit("error: TRL could not be installed\nnext: run it again, or with --without-trl")
    installed.write_bytes(requirements.read_bytes())
    return python


def _median(measured: list[Row], key: str) -> float:
    return float(statistics.median(row[key] for row in measured))


if __name__ == "__main__":
    main()
