"""Base models, QLoRA training, evaluation, generation and adapter files; torch runs in child processes only."""
