"""Base models, QLoRA training, evaluation, generation and adapter files; everything with torch runs in child processes."""
