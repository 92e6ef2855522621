"""Works, base models and adapters of this node."""
