"""One training of `benchmarks/training.py`, in this process: recipes.py RECIPE BASE DOCUMENTS prints one JSON line.

viz-node         the product's own step: packed documents, fused functions, 32-bit sums, fused AdamW
Trainer          transformers.Trainer with the usual QLoRA settings: bf16, gradient checkpointing, paged 8-bit AdamW,
                 batches padded to their longest document
Trainer, tuned   32 bits, no checkpointing, fused AdamW, all documents of a step in one row without padding
TRL, TRL, tuned  the same two on TRL's SFTTrainer; as it comes it chooses its own optimizer, and it keeps the adapter in
                 bf16, which tuned puts back to 32 bits

Every step takes BATCH documents. The libraries choose bf16; on processors without AMX it is slower than 32 bits.
"""

import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    DataCollatorWithFlattening,
    Trainer,
    TrainingArguments,
)
from transformers import DataCollatorForLanguageModeling as PaddingCollator

from viz_node.domain.recipe import Recipe
from viz_node.models.base_text import write_paragraphs
from viz_node.models.documents import tokenize
from viz_node.models.fused import TokenizedDocument
from viz_node.models.loading import attach_adapter, guard, load_base, load_tokenizer
from viz_node.models.stepping import new_optimizer, set_rate, take_step
from viz_node.models.targets import choose_targets

BATCH, RATE, RANK, MAX_TOKENS, HELD_OUT = 8, 2e-3, 16, 512, 16
Documents = Sequence[TokenizedDocument]


def main(recipe: str, directory: Path, count: int) -> None:
    tokenizer = load_tokenizer(directory)
    documents = write_documents(tokenizer, count + HELD_OUT)
    held_out, documents = documents[:HELD_OUT], documents[HELD_OUT:]
    prepare = prepare_own if recipe == "viz-node" else prepare_rival
    model, run = prepare(recipe, directory, tokenizer, documents)
    before = mean_loss(model, held_out)
    wall, cpu = time.perf_counter(), time.process_time()
    steps = run()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    result = {
        "recipe": recipe,
        "tokens": sum(len(document.ids) for document in documents),
        "steps": steps,
        "cpu_seconds": cpu,
        "wall_seconds": wall,
        "peak_mb": peak,
        "before": before,
        "after": mean_loss(model, held_out),
    }
    print(json.dumps(result))


def write_documents(tokenizer: Any, count: int) -> list[TokenizedDocument]:
    """Generated texts whose lengths vary as those of real ones do (log-normal); none is cut."""
    rng, paragraphs = random.Random(11), write_paragraphs(99)
    texts = []
    while len(texts) < count:
        text = " ".join(islice(paragraphs, 12))
        texts.append(text[: int(rng.lognormvariate(5.8, 0.7))])
    return tokenize(tokenizer, texts, MAX_TOKENS)[:count]


def prepare_own(_: str, directory: Path, __: Any, documents: Documents) -> tuple[Any, Callable[[], int]]:
    """Our model and the run of all steps on it."""
    base = load_base(directory)
    model = attach_adapter(base, choose_targets(base, "base"), Recipe(rank=RANK, alpha=2 * RANK), 0, "base")
    optimizer = new_optimizer([p for p in model.parameters() if p.requires_grad], RATE)

    def run() -> int:
        starts = range(0, len(documents), BATCH)
        for step, start in enumerate(starts):
            set_rate(optimizer, RATE * (1 - step / len(starts)))
            take_step(model, optimizer, documents[start : start + BATCH])
        return len(starts)

    return model, run


def prepare_rival(recipe: str, directory: Path, tokenizer: Any, documents: Documents) -> tuple[Any, Callable[[], int]]:
    """The model of a library's trainer, and its run."""
    tuned = recipe.endswith("tuned")
    model = load_rival(directory, torch.float32 if tuned else torch.bfloat16, checkpointing=not tuned)
    rows = [{"input_ids": list(document.ids)} for document in documents]
    make = make_trl if recipe.startswith("TRL") else make_trainer
    trainer = make(model, tokenizer, rows, tuned)
    if tuned:
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()

    def run() -> int:
        trainer.train()
        return int(trainer.state.global_step)

    return model, run


def load_rival(directory: Path, dtype: torch.dtype, checkpointing: bool) -> Any:
    """Base and fresh adapter as the libraries' manuals load them."""
    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    base = AutoModelForCausalLM.from_pretrained(
        directory, quantization_config=quantization, dtype=dtype, device_map={"": "cpu"}
    )
    base = guard(prepare_model_for_kbit_training(base, use_gradient_checkpointing=checkpointing))
    torch.manual_seed(0)
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(base, config).train()


def common_settings(tuned: bool) -> dict[str, Any]:
    """What both trainers are told; the rest is as they come."""
    job = {
        "output_dir": tempfile.mkdtemp(),
        "num_train_epochs": 1,
        "learning_rate": RATE,
        "train_sampling_strategy": "sequential",
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
    }
    if not tuned:
        return job | {"per_device_train_batch_size": BATCH // 2, "gradient_accumulation_steps": 2}
    batches = {"per_device_train_batch_size": BATCH, "gradient_accumulation_steps": 1}
    return job | batches | {"bf16": False, "gradient_checkpointing": False, "optim": "adamw_torch_fused"}


def make_trainer(model: Any, tokenizer: Any, rows: list[Any], tuned: bool) -> Any:
    """transformers.Trainer; as it comes means the settings of the usual QLoRA recipe."""
    settings = common_settings(tuned)
    if not tuned:
        settings |= {"bf16": True, "gradient_checkpointing": True, "optim": "paged_adamw_8bit"}
    collator = DataCollatorWithFlattening() if tuned else PaddingCollator(tokenizer, mlm=False)
    return Trainer(model=model, args=TrainingArguments(**settings), train_dataset=rows, data_collator=collator)


def make_trl(model: Any, tokenizer: Any, rows: list[Any], tuned: bool) -> Any:
    """TRL's SFTTrainer, with its own defaults or without padding."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    settings = common_settings(tuned)
    if tuned:
        # the documents are short enough already
        settings |= {"padding_free": True, "max_length": None}
    config = SFTConfig(**settings)
    return SFTTrainer(model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)


def mean_loss(model: Any, documents: Documents) -> float:
    """Mean loss per token by the plain forward pass, the same for every recipe."""
    total, count = 0.0, 0
    with torch.no_grad():
        for document in documents:
            ids = torch.tensor([document.ids])
            logits = model(input_ids=ids).logits[0, :-1].float()
            total += float(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum"))
            count += ids.shape[1] - 1
    return total / count


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
