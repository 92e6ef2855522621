"""viz-node: sell what a model learns from a work instead of giving the work away."""

__version__ = "0.1.0"
