"""A chain on this machine, for development."""
