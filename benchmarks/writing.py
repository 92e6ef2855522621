"""How soon a text begins and ends: the writer that stays, next to transformers' own `generate`, turn by turn.

Run: python benchmarks/writing.py [--runs 7]. Both write 64 tokens with the base model of this package from the same
prompt. The writer is ordered as the node does, in its own process, and holds the model in 4 bits; transformers holds it
in full precision in this process, loaded before. The first text of the writer is told apart: its process starts then.
"""

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from report import Row, describe_machine, parser, publish
from transformers import AutoModelForCausalLM, AutoTokenizer

from viz_node.daemon.config import worker_environment
from viz_node.daemon.processes import Workers
from viz_node.domain.names import FilePath
from viz_node.domain.sampling import Sampling
from viz_node.domain.training import BaseModel, Generate
from viz_node.domain.worker import TextPiece
from viz_node.models.packed import SHIPPED, unpack

PROMPT = "In the year two, the old sailor"
NEW_TOKENS = 64


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--runs", type=int, default=7)
    options = arguments.parse_args()
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        unpack(SHIPPED, base)
        rows = asyncio.run(measure(base, Path(folder), options.runs))
    publish("seconds until a text begins, and until 64 tokens are written", rows, options.as_json, machine)


async def measure(base: Path, folder: Path, runs: int) -> list[Row]:
    """The first text of the writer, then medians of both."""
    torch.set_num_threads(2)
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    ids = AutoTokenizer.from_pretrained(base)(f"<s>{PROMPT}", add_special_tokens=False, return_tensors="pt")
    workers = Workers(worker_environment(2, folder / "flower"), folder / "workers.log", device="cpu")
    first = await written(workers, base, 1)
    kept, plain = [], []
    for seed in range(2, runs + 2):
        kept.append(await written(workers, base, seed))
        started = time.perf_counter()
        model.generate(**ids, max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, do_sample=True, temperature=0.8)
        plain.append(time.perf_counter() - started)
    await workers.writer.close()
    return [
        {"writer": "viz-node, its first text", "begins": first[0], "ends": first[1]},
        {
            "writer": "viz-node, later texts",
            "begins": statistics.median(begins for begins, _ in kept),
            "ends": statistics.median(ends for _, ends in kept),
        },
        {"writer": "transformers generate", "begins": None, "ends": statistics.median(plain)},
    ]


async def written(workers: Workers, base: Path, seed: int) -> tuple[float, float]:
    """Seconds until the first piece and until the end."""
    begun: list[float] = []
    order = Generate(
        BaseModel("base", FilePath(os.fspath(base)), ""),
        PROMPT,
        max_new_tokens=NEW_TOKENS,
        sampling=Sampling(seed=seed),
    )
    started = time.perf_counter()
    done = await workers.writer.generate(
        order, lambda line: begun.append(time.perf_counter()) if isinstance(line, TextPiece) else None
    )
    took = time.perf_counter() - started
    # A text that ends early is taken for as long as its rest would have lasted.
    return begun[0] - started, took * NEW_TOKENS / done.tokens


if __name__ == "__main__":
    main()
