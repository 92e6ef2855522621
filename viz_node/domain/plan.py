"""What a person is shown before anything is spent."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class PlanStep:
    """One step: `amount` in payment tokens, `gas` in the chain's coin, estimated; as text, empty for none."""

    what: str
    amount: str
    gas: str
    consequence: str


@dataclass(frozen=True)
class GasOnlyStep(PlanStep):
    """A step that costs gas alone; `is_test_gas`: on a development chain that is nothing."""

    is_test_gas: bool


def gas_only(steps: Iterable[PlanStep], is_test_gas: bool) -> list[GasOnlyStep]:
    """The steps of a plan of which nobody but the chain is paid."""
    return [GasOnlyStep(step.what, step.amount, step.gas, step.consequence, is_test_gas) for step in steps]
