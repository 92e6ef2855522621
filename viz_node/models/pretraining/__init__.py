"""Pre-training of a base model from scratch on cleared text."""
