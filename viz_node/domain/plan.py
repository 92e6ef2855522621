"""What a person is shown before anything is spent."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PlanStep:
    """One step: `amount` in payment tokens, `gas` in the chain's coin, estimated; as text, empty for none."""

    what: str
    amount: str
    gas: str
    consequence: str
