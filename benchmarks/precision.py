"""How an adapter that was trained on 4-bit weights writes on the base model in full precision.

    python benchmarks/precision.py --home HOME --adapter NAME --text FILE

Both models are those of a node's home; the text is one that the adapter may be judged by.
"""

import argparse
import json
import math
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from viz_node.models.loading import load_base, load_tokenizer

PROMPTS = (
    "The harbour was", "In the year two, the old sailor", "A letter came", "She said", "The ship", "On the wall",
    "Nobody in the town", "The merchant", "When it rained", "At night the builder",
)  # fmt: skip
NEW_TOKENS = 64
PIECE = 250


def main() -> None:
    """Print bits per character of both, and from which token their likeliest texts differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--adapter", required=True)
    parser.add_argument("--text", type=Path, required=True)
    asked = parser.parse_args()
    adapter = asked.home / "adapters" / asked.adapter
    name = json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"]
    base = next(path.parent for path in asked.home.glob("bases/*/provenance.json") if _name_of(path) == name)
    tokenizer, text = load_tokenizer(base), asked.text.read_text()[:8000]
    whole = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    models = {
        "4 bits": PeftModel.from_pretrained(load_base(base, "cpu", torch.float32), adapter).eval(),
        "full precision": PeftModel.from_pretrained(whole, adapter).eval(),
    }
    for label, model in models.items():
        print(f"{label}: {bits_per_character(model, tokenizer, text):.3f} bits/char")
    texts = [[likeliest(model, tokenizer, prompt) for prompt in PROMPTS] for model in models.values()]
    firsts = [first_difference(*pair) for pair in zip(*texts, strict=True)]
    print("equal tokens before the first difference, of", NEW_TOKENS, ":", *firsts)


def _name_of(provenance: Path) -> str:
    return str(json.loads(provenance.read_text())["name"])


def bits_per_character(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str) -> float:
    """Over pieces of `PIECE` tokens, each after the begin token."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    total = 0.0
    for start in range(0, len(ids), PIECE):
        part = torch.tensor([[tokenizer.bos_token_id, *ids[start : start + PIECE]]])
        with torch.no_grad():
            total += float(model(input_ids=part, labels=part).loss) * (part.shape[1] - 1)
    return total / math.log(2) / len(text)


def likeliest(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """The tokens that greedy search writes."""
    ids = torch.tensor([[tokenizer.bos_token_id, *tokenizer.encode(prompt, add_special_tokens=False)]])
    written = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS, do_sample=False
    )
    return [int(token) for token in written[0][ids.shape[1] :]]


def first_difference(left: list[int], right: list[int]) -> int:
    """How many tokens are equal."""
    pairs = zip(left, right, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right)))


if __name__ == "__main__":
    main()
