"""Use cases, one a module: the only places where two stages of the flow meet."""
