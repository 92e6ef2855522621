"""A base model for tests: a Llama of random weights with one token per letter, made in a moment."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.bases import listed_sources
from viz_node.models.bases import base_digest

LETTERS = "abcdefghijklmnopqrstuvwxyz. "


def write_tiny_model(folder: Path) -> None:
    """Configuration, safetensors and tokenizer, as hubs hold them."""
    torch.manual_seed(0)
    words = {word: number for number, word in enumerate(["<s>", "</s>", "<unk>", *LETTERS])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>").save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=64, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)


def install_tiny_base(home: Path) -> None:
    """As a base model of the node on this home."""
    folder = home / "bases" / "tiny"
    folder.mkdir(parents=True)
    write_tiny_model(folder)
    facts = {
        "name": "tiny",
        "digest": base_digest(folder),
        "license": "CC0-1.0",
        "parameters": 1,
        "sources": listed_sources()["sources"],
    }
    (folder / "provenance.json").write_text(json.dumps(facts))
