"""The node as a whole: what it is, how it does, and its first start."""
