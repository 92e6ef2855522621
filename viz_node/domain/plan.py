"""What a person is shown before anything is spent."""

from collections.abc import Iterable
from dataclasses import dataclass

from viz_node.domain.answer import UNSET, UnsetType
from viz_node.domain.ids import Account


@dataclass(frozen=True)
class PlanStep:
    """One step: `amount` in payment tokens, `gas` in the chain's coin, estimated; as text, empty for none."""

    what: str
    amount: str
    gas: str
    consequence: str


@dataclass(frozen=True)
class PaidPart:
    """One account's part of a payment, as text; `who` names its role, empty if it has none."""

    account: Account
    share: str
    who: str
    amount: str


@dataclass(frozen=True)
class PurchaseStep(PlanStep):
    """A step whose amount goes to `paid_to`, or that costs gas alone: with `is_test_gas` that is worth nothing."""

    paid_to: list[PaidPart] | UnsetType = UNSET
    is_test_gas: bool | UnsetType = UNSET


def gas_only(steps: Iterable[PlanStep], is_test_gas: bool) -> list[PurchaseStep]:
    """The steps of a plan of which nobody but the chain is paid; on a development chain that is nothing."""
    return [PurchaseStep(**{**vars(step), "is_test_gas": is_test_gas}) for step in steps]
