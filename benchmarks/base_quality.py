"""What an owner's text costs the base that comes with viz-node, without and with an adapter, in bits per character.

Run: python benchmarks/base_quality.py --texts DIR [--base DIRECTORY] [--without-adapters].
Each .txt file in DIR is one owner. A tenth of it is held out, as `viz-node train` does; the adapter is trained on the
rest with the default recipe. The text also comes as people type it (straight quotes, lines wrapped at 72), since files
of owners are not typeset. Fewer bits are better: `zlib -9` is there to compare with. None of the texts should be among
those that the base was trained on: `viz-node base show` names them.
"""

import argparse
import math
import tempfile
import textwrap
import zlib
from pathlib import Path
from typing import Any

import torch
from report import Row, describe_machine, parser, publish
from transformers import AutoModelForCausalLM, AutoTokenizer

from viz_node.content.datasets import split_texts
from viz_node.domain.recipe import DEFAULT_RECIPE, parse_recipe
from viz_node.models.bases import ResolvedBase, base_digest
from viz_node.models.packed import SHIPPED, unpack
from viz_node.models.pretraining.as_typed import straight_quotes
from viz_node.models.pretraining.loop import bits_per_character
from viz_node.models.training import TrainOrder, train

HELD_OUT_SHARE = 0.1


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--texts", type=Path, required=True, help="a folder of .txt files")
    arguments.add_argument("--base", type=Path, help="an installed base model; without it the one of the package")
    arguments.add_argument("--without-adapters", action="store_true", help="measure the base alone; a minute")
    arguments.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as folder:
        base = options.base or Path(folder) / "base"
        if options.base is None:
            unpack(SHIPPED, base)
        rows = [measure(path, base, Path(folder), options) for path in sorted(options.texts.glob("*.txt"))]
    publish("Bits per character of held-out text", rows, options.as_json, machine)


def measure(path: Path, base: Path, folder: Path, options: argparse.Namespace) -> Row:
    """One owner's row."""
    train_texts, held_out = split_texts({path.stem: path.read_text(encoding="utf-8")}, HELD_OUT_SHARE, 1)
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    model: Any = AutoModelForCausalLM.from_pretrained(base, local_files_only=True, dtype=torch.float32)
    joined = "\n\n".join(held_out)
    row = {
        "text": path.stem[:32],
        "kB": round(path.stat().st_size / 1000),
        "zlib -9": len(zlib.compress(joined.encode(), 9)) * 8 / len(joined),
        "tokens/word": len(tokenizer(joined)["input_ids"]) / len(joined.split()),
        "base": bits_per_character(model, tokenizer, held_out),
        "as typed": bits_per_character(model, tokenizer, [as_typed(text) for text in held_out]),
    }
    if not options.without_adapters:
        resolved = ResolvedBase("base", base, base_digest(base))
        order = TrainOrder(
            resolved, train_texts, held_out, parse_recipe(DEFAULT_RECIPE), folder / path.stem, folder / "checkpoint"
        )
        trained = train(order, lambda line: None)
        row |= with_adapter(trained.evaluation, sum(map(len, held_out)))
    return row


def with_adapter(evaluation: Any, characters: int) -> Row:
    """What `viz-node train` says of it: pieces of at most 256 tokens, on the base in four bits."""
    tokens = int(evaluation["tokens"])
    before, after = (math.log(float(evaluation[f"perplexity_{when}"])) for when in ("before", "after"))
    share = tokens / characters / math.log(2)
    return {"4 bits, by 256": before * share, "with adapter": after * share}


def as_typed(text: str) -> str:
    """Straight quotes, and prose wrapped at 72 characters."""
    return "\n\n".join(
        paragraph if "\n" in paragraph else textwrap.fill(paragraph, 72)
        for paragraph in straight_quotes(text).split("\n\n")
    )


if __name__ == "__main__":
    main()
