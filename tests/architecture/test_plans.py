"""A plan cannot spend, by type: nothing that its constructor takes, at any depth, sends or signs a transaction."""

import importlib
import inspect
import pkgutil
import typing
from collections.abc import Iterator

import pytest

from viz_node import services
from viz_node.ports.money import Spending, TransactionSender
from viz_node.services.market.license_adapter import Buyer
from viz_node.services.market.plan_purchase import PurchasePlans
from viz_node.services.uses.open_channel import ChannelJobs

SPENDS = {
    (Spending, "execute"),
    (Spending, "submit"),
    (TransactionSender, "broadcast"),
    (TransactionSender, "sign_again"),
}


def classes() -> dict[str, type]:
    """The classes of the services, by name."""
    found = {}
    for item in pkgutil.walk_packages(services.__path__, "viz_node.services."):
        for name, kind in inspect.getmembers(importlib.import_module(item.name), inspect.isclass):
            if kind.__module__ == item.name:
                found[f"{item.name}.{name}"] = kind
    return found


def parts_of(hint: object) -> Iterator[type]:
    if isinstance(hint, type) and hint.__module__.startswith("viz_node."):
        yield hint
    for part in typing.get_args(hint):
        if not isinstance(part, list):
            yield from parts_of(part)


def given_to(kind: type) -> set[type]:
    """Whatever an object of this class is made of, and what that is made of."""
    seen: set[type] = set()
    ahead = [kind]
    while ahead:
        for hint in typing.get_type_hints(ahead.pop().__init__).values():
            new = set(parts_of(hint)) - seen
            seen |= new
            ahead += [item for item in new if not getattr(item, "_is_protocol", False)]
    return seen


def spenders(kind: type) -> set[str]:
    return {f"{item.__name__}.{verb}" for item in given_to(kind) for _, verb in SPENDS if hasattr(item, verb)}


PLANS = {name: kind for name, kind in classes().items() if name.endswith(("Plans", "Choice", "Quotes", "Orders"))}
PLANS = {name: kind for name, kind in PLANS.items() if not name.endswith("KeyOrders")}


@pytest.mark.parametrize("name", sorted(PLANS))
def test_plan__whatever_it_is_made_of__nothing_spends(name: str) -> None:
    assert spenders(PLANS[name]) == set()


def test_plan__any_class_that_plans__is_one_of_these() -> None:
    planning = {
        name
        for name, kind in classes().items()
        if not name.rpartition(".")[0].endswith(".part")
        for method in vars(kind)
        if method.startswith("plan") and callable(getattr(kind, method))
    }
    library = "viz_node.services.library"
    unpaid = {
        f"{library}.remove_adapter.Removals",
        f"{library}.manage_works.WorkShelf",
        f"{library}.make_base.BaseMaker",
        f"{library}.base_operations.BaseOperations",
        f"{library}.show_bases.BaseViews",
    }
    assert planning - PLANS.keys() == unpaid
    assert PurchasePlans in PLANS.values()
    assert len(PLANS) >= 14


@pytest.mark.parametrize("kind", [Buyer, ChannelJobs])
def test_job__what_it_is_made_of__spends(kind: type) -> None:
    assert all(hasattr(port, verb) for port, verb in SPENDS)
    assert {"Spending.execute", "Spending.submit"} <= spenders(kind)
