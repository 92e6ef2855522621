"""The figures of the whole tree that tell how liveable it is: `python -m tests.architecture.figures [TREE …]`.

Every import counts: those under TYPE_CHECKING, and those inside functions. The floors are those of the `layers`
contracts in pyproject.toml; what a contract ignores for now is counted here all the same.
"""

import ast
import itertools
import statistics
import sys
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "viz_node"
LONGEST_MODULE, LONGEST_FUNCTION, LONG_FUNCTION = 400, 50, 25
MOST_PARAMETERS, MOST_METHODS, MOST_VERBS = 6, 15, 10
BAGS = {"dict", "Dict", "Mapping", "MutableMapping"}

Function = ast.FunctionDef | ast.AsyncFunctionDef
Arrow = tuple[str, str]


@dataclass(frozen=True)
class Module:
    """One module: its dotted name, how many lines it has, and what it says."""

    name: str
    lines: int
    tree: ast.Module

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @cached_property
    def room(self) -> str:
        """The package directly below the root that it is in, or its own name there."""
        return self.name.split(".")[1] if "." in self.name else self.name

    @cached_property
    def imported(self) -> dict[str, str]:
        """The whole name of each name that it imports from somewhere."""
        return {
            item.asname or item.name: f"{node.module}.{item.name}"
            for node in self.nodes
            if isinstance(node, ast.ImportFrom)
            for item in node.names
        }

    def whole(self, name: str) -> str:
        """The dotted name of what `name` means in it."""
        first, dot, rest = name.partition(".")
        return self.imported.get(first, f"{self.name}.{first}") + dot + rest

    def functions(self) -> Iterator[Function]:
        return (node for node in self.nodes if isinstance(node, Function))

    def classes(self) -> Iterator[ast.ClassDef]:
        return (node for node in self.nodes if isinstance(node, ast.ClassDef))


ClassAt = tuple[Module, ast.ClassDef]


@dataclass
class Figure:
    """A number, and by name what makes it so large."""

    value: float
    offenders: list[str] = field(default_factory=list)


def read_modules(root: Path) -> dict[str, Module]:
    """The modules of the package, by name."""
    modules = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text()
        modules[name] = Module(name, len(text.splitlines()), ast.parse(text))
    return modules


def arrows(modules: Mapping[str, Module]) -> set[Arrow]:
    """Who imports whom within the package."""
    found = set()
    for module in modules.values():
        for node in module.nodes:
            if isinstance(node, ast.Import):
                names = [item.name for item in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                whole = [f"{node.module}.{item.name}" for item in node.names]
                names = [name if name in modules else node.module for name in whole]
            else:
                continue
            found |= {(module.name, name) for name in names if name in modules and name != module.name}
    return found


def circles(pairs: Collection[Arrow]) -> list[set[str]]:
    """The sets of more than one node of which each reaches each other."""
    beyond: dict[str, set[str]] = {}
    for start, end in pairs:
        beyond.setdefault(start, set()).add(end)
        beyond.setdefault(end, set())
    while True:  # what nothing leads to, or what leads nowhere, is in no circle
        reached = set().union(*beyond.values()) if beyond else set()
        kept = {node: ends & beyond.keys() for node, ends in beyond.items() if ends & beyond.keys() and node in reached}
        if kept == beyond:
            break
        beyond = kept
    reach = {node: _reachable(node, beyond) for node in beyond}
    found: list[set[str]] = []
    for node in beyond:
        circle = {other for other in reach[node] if node in reach[other]}
        if circle and circle not in found:
            found.append(circle)
    return found


def _reachable(start: str, beyond: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        new = beyond[ahead.pop()] - seen
        seen |= new
        ahead += new
    return seen


def sibling_arrows(pairs: Collection[Arrow], package: str) -> set[Arrow]:
    """The arrows between what lies directly below a package."""
    below, depth = f"{package}.", package.count(".") + 2
    inside = [(start, end) for start, end in pairs if start.startswith(below) and end.startswith(below)]
    short = {(".".join(start.split(".")[:depth]), ".".join(end.split(".")[:depth])) for start, end in inside}
    return {(start, end) for start, end in short if start != end}


def read_floors(root: Path) -> dict[str, int]:
    """The floor of each package that a `layers` contract names, counted from the ground."""
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    floors = {}
    for contract in contracts:
        if contract["type"] == "layers":
            for (height, layer), container in itertools.product(
                enumerate(reversed(contract["layers"])), contract["containers"]
            ):
                floors |= {f"{container}.{name.strip()}": height for name in layer.split("|")}
    return floors


def rising(pairs: Collection[Arrow], floors: Mapping[str, int]) -> list[Arrow]:
    """The arrows that run up, or to a neighbour on the same floor."""
    found = []
    for start, end in sorted(pairs):
        for depth in range(2, min(start.count("."), end.count(".")) + 2):
            low, high = (".".join(name.split(".")[:depth]) for name in (start, end))
            if low != high and low in floors and high in floors and floors[low] <= floors[high]:
                found.append((start, end))
    return found


def public_methods(classes: Mapping[str, ClassAt], name: str, inherited: bool) -> set[str]:
    """The methods and properties that a class offers, those of its bases in the package counted if `inherited`."""
    module, node = classes[name]
    own = {item.name for item in node.body if isinstance(item, Function) and not item.name.startswith("_")}
    bases = [
        base for written in node.bases if (base := module.whole(ast.unparse(written).partition("[")[0])) in classes
    ]
    return own.union(*(public_methods(classes, base, True) for base in bases)) if inherited else own


def is_protocol(node: ast.ClassDef) -> bool:
    return any(ast.unparse(base).partition("[")[0] == "Protocol" for base in node.bases)


def parameters(function: Function) -> int:
    """How many a caller may give; `self` and `cls` are no one's to give."""
    asked = function.args
    listed = [*asked.posonlyargs, *asked.args]
    own = bool(listed) and listed[0].arg in ("self", "cls")
    return len(listed) - own + len(asked.kwonlyargs) + (asked.vararg is not None) + (asked.kwarg is not None)


def is_bag(node: ast.AST) -> bool:
    """Whether a type is a mapping from text to anything."""
    if not (isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in BAGS):
        return False
    key_and_value = node.slice
    return isinstance(key_and_value, ast.Tuple) and ast.unparse(key_and_value) in ("(str, Any)", "(str, object)")


def bag_aliases(modules: Mapping[str, Module]) -> set[str]:
    """The dotted names that stand for a bag, or for a collection of bags."""
    aliases = set()
    for module in modules.values():
        for node in module.tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and _is_bags(node.value):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                aliases.add(f"{module.name}.{ast.unparse(target)}")
    return aliases


def _is_bags(value: ast.AST) -> bool:
    """Whether an assigned value is a type with a bag in it; a function that takes one is none."""
    is_type = isinstance(value, ast.Subscript) and not ast.unparse(value).startswith("Callable")
    return is_type and any(is_bag(node) for node in ast.walk(value))


def bags(modules: Mapping[str, Module], room: str) -> list[str]:
    """Where a room says `dict[str, Any]`, the like, or a name that stands for it."""
    aliases, found = bag_aliases(modules), []
    for module in [module for module in modules.values() if module.room == room]:
        imported = module.imported
        for node in module.nodes:
            is_name = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
            if is_bag(node) or (is_name and imported.get(node.id, f"{module.name}.{node.id}") in aliases):
                found.append(f"{module.name}:{node.lineno} {ast.unparse(node)}")
    return found


def anythings(modules: Mapping[str, Module]) -> Counter[str]:
    """How often each room says `Any`."""
    return Counter(
        module.room
        for module in modules.values()
        for node in module.nodes
        if isinstance(node, ast.Name) and node.id == "Any" and isinstance(node.ctx, ast.Load)
    )


def lines_below(folder: Path) -> int:
    return sum(len(path.read_bytes().splitlines()) for path in folder.rglob("*.py"))


def measure(root: Path = ROOT) -> dict[str, Figure]:
    """All figures of a tree; its floors are those of this one."""
    modules = read_modules(root)
    return _flow(modules) | _sizes(modules) | _doors(modules) | _types(modules) | _tests(root)


def _flow(modules: Mapping[str, Module]) -> dict[str, Figure]:
    pairs = arrows(modules)
    packages = sorted({name.rpartition(".")[0] for name in modules if "." in name})
    between = {package: circles(sibling_arrows(pairs, package)) for package in packages}
    up = rising(pairs, read_floors(ROOT))
    found = [sorted(circle) for circle in circles(pairs)]
    return {
        "circles of modules": Figure(len(found), [" ".join(circle) for circle in found]),
        "circles of packages": Figure(
            sum(map(len, between.values())), [" ".join(sorted(circle)) for all_ in between.values() for circle in all_]
        ),
        "arrows that run up": Figure(len(up), [f"{start} -> {end}" for start, end in up]),
    }


def _sizes(modules: Mapping[str, Module]) -> dict[str, Figure]:
    long = [f"{module.name} {module.lines}" for module in modules.values() if module.lines > LONGEST_MODULE]
    every = [(module.name, function) for module in modules.values() for function in module.functions()]
    sizes = {f"{name}.{one.name}:{one.lineno}": (one.end_lineno or 0) - one.lineno + 1 for name, one in every}
    longest = [f"{name} {size}" for name, size in sizes.items() if size > LONGEST_FUNCTION]
    broad = [f"{name}.{one.name} {parameters(one)}" for name, one in every if parameters(one) > MOST_PARAMETERS]
    share = 100 * sum(size > LONG_FUNCTION for size in sizes.values()) / max(1, len(sizes))
    return {
        f"modules over {LONGEST_MODULE} lines": Figure(len(long), long),
        "median lines of a module": Figure(statistics.median(module.lines for module in modules.values())),
        f"functions over {LONGEST_FUNCTION} lines": Figure(len(longest), longest),
        f"functions over {LONG_FUNCTION} lines, in percent": Figure(round(share, 1)),
        f"functions with over {MOST_PARAMETERS} parameters": Figure(len(broad), broad),
    }


def _doors(modules: Mapping[str, Module]) -> dict[str, Figure]:
    classes = {f"{module.name}.{node.name}": (module, node) for module in modules.values() for node in module.classes()}
    figures = {}
    for title, inherited in (("", False), (", with inherited ones", True)):
        counts = {name: len(public_methods(classes, name, inherited)) for name in classes}
        large = [f"{n} {c}" for n, c in counts.items() if c > MOST_METHODS and not is_protocol(classes[n][1])]
        wide = [f"{n} {c}" for n, c in counts.items() if c > MOST_VERBS and is_protocol(classes[n][1])]
        figures[f"classes with over {MOST_METHODS} methods{title}"] = Figure(len(large), large)
        figures[f"ports with over {MOST_VERBS} verbs{title}"] = Figure(len(wide), wide)
    return figures


def _types(modules: Mapping[str, Module]) -> dict[str, Figure]:
    untyped = bags(modules, "services")
    said = anythings(modules)
    rooms = sorted(module.room for module in modules.values())
    return {
        "untyped bags in services": Figure(len(untyped), untyped),
        "Any": Figure(said.total()),
        **{f"Any in {room}": Figure(said[room]) for room in dict.fromkeys(rooms) if said[room]},
    }


def _tests(root: Path) -> dict[str, Figure]:
    source, tests = lines_below(root / PACKAGE), lines_below(root / "tests")
    return {
        "lines of source": Figure(source),
        "lines of tests per line of source": Figure(round(tests / source, 3)),
    }


def show(trees: list[Path], names_offenders: bool) -> Iterator[str]:
    """The table, one column per tree; below it what makes the figures of the first tree so large."""
    measured = [measure(tree) for tree in trees]
    titles = list(dict.fromkeys(title for figures in measured for title in figures))
    width = max(map(len, titles))
    for title in titles:
        cells = (f"{figures[title].value:>10g}" if title in figures else f"{0:>10}" for figures in measured)
        yield f"{title:<{width}}{''.join(cells)}"
    for title, figure in measured[0].items() if names_offenders else ():
        if figure.offenders:
            yield ""
            yield f"{title}:"
            yield from (f"  {offender}" for offender in figure.offenders)


if __name__ == "__main__":
    given = [argument for argument in sys.argv[1:] if argument != "-v"]
    for line in show([Path(tree).resolve() for tree in given] or [ROOT], "-v" in sys.argv):
        print(line)
