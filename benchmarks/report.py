"""What the benchmark programs share: the machine they ran on, and their result as a table or as JSON."""

import argparse
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / "build" / "benchmarks"

Row = dict[str, Any]


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the program's own docstring, with the option that every program has."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", action="store_true", dest="as_json", help="print one JSON document")
    return made


def describe_machine() -> dict[str, Any]:
    """Processor, cores, versions, and how busy the machine was: a figure means little without them."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def publish(title: str, rows: Sequence[Row], as_json: bool, before: dict[str, Any], notes: Sequence[str] = ()) -> None:
    """Print the rows and the machine; `before` is `describe_machine()` from before the measurement."""
    if as_json:
        print(json.dumps({"benchmark": title, "machine": before, "rows": list(rows), "notes": list(notes)}, indent=1))
        return
    print(title)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [[_cell(row.get(name)) for name in columns] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(columns, *lines, strict=True)]
    for line in [columns, *lines]:
        first, rest = line[0].ljust(widths[0]), [cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True)]
        print("  ".join([first, *rest]).rstrip())
    for note in notes:
        print(note)
    load = ", ".join(str(value) for value in before["load_average"])
    print(f"{before['processor']}, {before['cores']} cores, Python {before['python']}; load average before: {load}\n")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
