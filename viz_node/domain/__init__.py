"""Facts and rules of the house: frozen dataclasses and pure functions; no I/O, no clock, no randomness."""
