"""The figures of the tree may only get better: whoever lowers one lowers its limit here."""

import ast
import math
from pathlib import Path

import pytest

from tests.architecture.figures import (
    MOST_PARAMETERS,
    ROOT,
    Figure,
    Module,
    arrows,
    bags,
    circles,
    measure,
    parameters,
    public_methods,
    read_floors,
    read_modules,
    rising,
    sibling_arrows,
)

LIMITS = {
    "circles of modules": 0,
    "circles of packages": 0,
    "arrows that run up": 0,
    "modules over 400 lines": 0,
    "median lines of a module": 98,
    "functions over 50 lines": 0,
    "functions over 25 lines, in percent": 2,
    "functions with over 6 parameters": 0,
    "classes with over 15 methods": 0,
    "ports with over 10 verbs": 0,
    "classes with over 15 methods, with inherited ones": 5,
    "ports with over 10 verbs, with inherited ones": 4,
    "untyped bags in services": 1,
    "Any": 487,
    "Any in services": 9,
}
LEAST = {"lines of tests per line of source": 0.735}


@pytest.fixture(scope="module")
def figures() -> dict[str, Figure]:
    return measure()


def test_measure__this_tree__every_figure_within_its_limit(figures: dict[str, Figure]) -> None:
    reached = {title: figures.get(title, Figure(0)) for title in LIMITS}
    beyond = {
        f"{title}: {figure.value:g}, at most {LIMITS[title]:g}": figure.offenders
        for title, figure in reached.items()
        if figure.value > LIMITS[title]
    }

    assert not beyond


def test_measure__this_tree__as_many_lines_of_tests_as_before(figures: dict[str, Figure]) -> None:
    assert {title: figures[title].value for title, least in LEAST.items() if figures[title].value < least} == {}


@pytest.mark.parametrize("room", ["audit", "chain"])
def test_rooms_of_a_verdict__each_module__is_short_and_simple(room: str) -> None:
    modules = [module for module in read_modules(ROOT).values() if module.room == room]

    assert [module.name for module in modules if module.lines > 300] == []
    assert [one.name for module in modules for one in module.functions() if parameters(one) > MOST_PARAMETERS] == []


def module(name: str, text: str) -> Module:
    return Module(name, len(text.splitlines()), ast.parse(text))


def tree(**texts: str) -> dict[str, Module]:
    names = {name.replace("__", "."): text for name, text in texts.items()}
    return {f"viz_node.{name}": module(f"viz_node.{name}", text) for name, text in names.items()}


def test_arrows__imports_for_types_and_in_functions__count() -> None:
    modules = tree(
        a="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from viz_node.b import B\n",
        b="def f():\n    import viz_node.c\n",
        c="from viz_node import a\n",
    )

    assert arrows(modules) == {(f"viz_node.{a}", f"viz_node.{b}") for a, b in ("ab", "bc", "ca")}
    assert circles(arrows(modules)) == [{"viz_node.a", "viz_node.b", "viz_node.c"}]


def test_circles__what_leads_to_and_from_one__is_in_none() -> None:
    assert circles({("in", "a"), ("a", "b"), ("b", "a"), ("b", "out")}) == [{"a", "b"}]


def test_sibling_arrows__two_packages__circle_without_a_circle_of_modules() -> None:
    modules = tree(p__a="import viz_node.q.a\n", q__a="", q__b="import viz_node.p.b\n", p__b="")

    assert circles(arrows(modules)) == []
    assert circles(sibling_arrows(arrows(modules), "viz_node")) == [{"viz_node.p", "viz_node.q"}]


def test_rising__floors_of_the_contracts__tell_up_from_down() -> None:
    chain, services = "viz_node.chain", "viz_node.services"
    down = {(f"{chain}.gateway.market", f"{chain}.node.rpc"), (f"{services}.market.x", f"{services}.jobs.runner")}
    up = {
        (f"{chain}.node.rpc", f"{chain}.contract.ledger"),
        (f"{chain}.account.sending", f"{chain}.replay.book"),
        ("viz_node.domain.ids", f"{chain}.node.rpc"),
    }

    assert rising(down | up, read_floors(ROOT)) == sorted(up)


def test_bags__aliases_and_mappings__count_where_they_are_used() -> None:
    modules = tree(
        services__jobs="from typing import Any\nfrom collections.abc import Callable\n"
        "Rows = list[dict[str, Any]]\nReport = Callable[[dict[str, Any]], None]\n",
        services__a="from viz_node.services.jobs import Report, Rows\n"
        "def f(x: Mapping[str, Any], y: dict[str, int], z: Report) -> Rows: ...\n",
        domain__b="def g(Rows: int) -> dict[str, Any]: ...\n",
    )

    assert len(bags(modules, "services")) == 4


def test_parameters__self_and_cls__do_not_count() -> None:
    program = "def f(self, a, /, b, *c, d, **e): ...\ndef g(a): ...\ndef h(cls): ..."

    assert [parameters(node) for node in ast.parse(program).body if isinstance(node, ast.FunctionDef)] == [5, 1, 0]


def test_public_methods__of_bases__count_when_asked_for() -> None:
    program = "class A:\n    def a(self): ...\nclass B(A, C):\n    def b(self): ...\n    def _c(self): ..."
    modules = [module("a", program), module("b", "from a import B as A\nclass B(A[int]):\n    def d(self): ...")]
    classes = {f"{one.name}.{node.name}": (one, node) for one in modules for node in one.classes()}

    assert public_methods(classes, "b.B", False) == {"d"}
    assert public_methods(classes, "b.B", True) == {"a", "b", "d"}


def test_measure__empty_tree__has_no_offenders(tmp_path: Path) -> None:
    (tmp_path / "viz_node").mkdir()
    (tmp_path / "viz_node" / "__init__.py").write_text('"""Nothing."""\n')

    found = measure(tmp_path)

    assert not any(figure.offenders for figure in found.values())
    assert all(math.isfinite(figure.value) for figure in found.values())
