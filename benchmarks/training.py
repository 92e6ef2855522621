"""Training speed against transformers.Trainer + PEFT (and TRL if installed) on one job, in tokens per CPU-second.

Run: python benchmarks/training.py --base DIRECTORY [--documents 64]. Needs an installed base model; set
OMP_NUM_THREADS=1 and OMP_WAIT_POLICY=PASSIVE. Each recipe runs in its own process; padding is not counted as tokens.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

RECIPES = ("lean", "trainer-default", "trainer-tuned", "trl-default", "trl-tuned")
BATCH, RATE, RANK = 8, 2e-4, 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", required=True, type=Path)
    parser.add_argument("--documents", type=int, default=64)
    parser.add_argument("--only", choices=RECIPES)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.only, arguments.base, arguments.documents)))
        return
    results = []
    for recipe in RECIPES:
        if recipe.startswith("trl") and importlib.util.find_spec("trl") is None:
            print(f"{recipe:16} not measured: trl is not installed")
            continue
        command = [sys.executable, __file__, "--base", str(arguments.base), "--documents", str(arguments.documents)]
        output = subprocess.run([*command, "--only", recipe], check=True, capture_output=True, text=True).stdout
        result = json.loads(output.splitlines()[-1])
        results.append(result)
        ratio = results[0]["tokens_per_cpu_second"] / result["tokens_per_cpu_second"]
        print(f"{recipe:16} {result['tokens_per_cpu_second']:9.0f} tokens/CPU-s   lean is {ratio:4.2f}x   {result}")


def measure(name: str, directory: Path, documents: int) -> dict[str, Any]:
    import random

    import torch
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    from viz_node.models.base_text import write_paragraphs
    from viz_node.models.loading import attach_adapter, load_base, load_tokenizer
    from viz_node.models.training import new_optimizer, set_rate, take_step, tokenize

    rng = random.Random(11)
    texts = [text[: int(rng.lognormvariate(5.8, 0.7))] for text in islice(write_paragraphs(99), documents)]
    tokenizer = load_tokenizer(directory)
    tokenized = tokenize(tokenizer, texts, 512)
    tokens = sum(len(document.ids) for document in tokenized)
    if name == "lean":
        model = attach_adapter(load_base(directory), RANK, 2 * RANK, 0, "base")
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = new_optimizer(parameters, RATE)

        def run() -> float:
            loss = 0.0
            for start in range(0, len(tokenized), BATCH):
                set_rate(optimizer, RATE * (1 - start / len(tokenized)))
                loss = take_step(model, optimizer, tokenized[start : start + BATCH])
            return loss
    else:
        dtype = torch.float32 if name.endswith("tuned") else torch.bfloat16
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
        base = AutoModelForCausalLM.from_pretrained(directory, quantization_config=quantization, dtype=dtype)
        checkpointing = name.endswith("default")
        base = prepare_model_for_kbit_training(base, use_gradient_checkpointing=checkpointing)
        config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM")
        run = _rival(name, get_peft_model(base, config), tokenizer, tokenized)
    wall, cpu = time.perf_counter(), time.process_time()
    loss = run()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "recipe": name,
        "tokens": tokens,
        "cpu_seconds": round(cpu, 2),
        "wall_seconds": round(wall, 2),
        "tokens_per_cpu_second": round(tokens / cpu, 1),
        "loss": round(loss, 3),
    }


def _rival(name: str, model: Any, tokenizer: Any, tokenized: list[Any]) -> Any:
    from transformers import DataCollatorForLanguageModeling, Trainer, TrainingArguments

    default = name.endswith("default")
    settings: dict[str, Any] = {
        "output_dir": tempfile.mkdtemp(),
        "per_device_train_batch_size": BATCH // 2,
        "gradient_accumulation_steps": 2,
        "num_train_epochs": 1,
        "learning_rate": RATE,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "bf16": default,
        "gradient_checkpointing": default,
        "optim": "paged_adamw_8bit" if default else "adamw_torch_fused",
    }
    rows = [{"input_ids": list(document.ids)} for document in tokenized]
    if name.startswith("trl"):
        from datasets import Dataset
        from trl import SFTConfig, SFTTrainer

        config = SFTConfig(**settings, packing=not default, max_length=512)
        trainer = SFTTrainer(
            model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer
        )
    else:
        collator = DataCollatorForLanguageModeling(tokenizer, mlm=False)
        arguments = TrainingArguments(**settings)
        trainer = Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collator)

    def run() -> float:
        trainer.train()
        return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry][-1]

    return run


if __name__ == "__main__":
    main()
