"""The edge to child processes that do heavy or risky work: one JSON order in, JSON lines out."""
