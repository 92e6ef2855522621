# SPDX-License-Identifier: Apache-2.0
"""Lists the mutants of the market's sources, by the operators of slither-mutate. Nothing is tested here."""

import hashlib
import inspect
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Where money is received, booked, priced and paid.
MONEY_PATHS = (
    "Splits",
    "Offers",
    "Licenses",
    "Books",
    "Ledger",
    "Channels",
    "Escrow",
    "Pools",
    "Pricing",
    "Catalogue",
    "Registry",
    "Permits",
    "ShareTable",
    "Secp256k1",
    "Stewardship",
)
BINARY = {
    "AOR": ("+", "-", "*", "/", "%"),
    "BOR": ("<<", ">>", "&", "|", "^"),
    "LOR": ("&&", "||"),
    "ROR": ("<", "<=", ">", ">=", "==", "!="),
}
# No number here is signed: one and the same condition.
SAME_AT_ZERO = {("!=", ">"), ("==", "<=")}
Patch = tuple[str, int, int, str]  # operator, start, end, new
WORD = re.compile(rb"[\w<>=!&|^+*/%-]")


@dataclass(frozen=True)
class Mutant:
    """One change of one source: the bytes from `start` to `end` become `new`.

    `id` is made of the changed line and not of its number, so that it outlives changes elsewhere in the file.
    """

    id: str
    contract: str
    path: str
    line: int
    operator: str
    start: int
    end: int
    old: str
    new: str

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.new.encode() + source[self.end :]


def generate(tree: Path) -> list[Mutant]:
    """Returns every mutant of the money paths in `tree`, a project that forge can build; none of them twice.

    Raises:
        RuntimeError: slither found no mutants of a contract, or an operator of it failed.
    """
    mutants: list[Mutant] = []
    patches = _patches(tree)
    for contract in MONEY_PATHS:
        if contract not in patches:
            raise RuntimeError(f"slither found no contract {contract}; does forge build {tree}?")
        path, found = patches[contract]
        mutants += _distinct(contract, path, (tree / path).read_bytes(), found)
    return mutants


def _patches(tree: Path) -> dict[str, tuple[str, list[Patch]]]:
    """Returns per contract its source and the patches that slither has for it."""
    # Here, because only the run of mutants needs slither: a report can be made without it.
    from slither import Slither

    patches: dict[str, tuple[str, list[Patch]]] = {}
    for unit in Slither(str(tree)).compilation_units:
        for contract in unit.contracts:
            source = Path(contract.source_mapping.filename.absolute)
            if contract.name in MONEY_PATHS and tree / "src" in source.parents:
                found = [*_of_operators(unit, contract, source, tree), *_of_binary_expressions(contract, source)]
                patches[contract.name] = (source.relative_to(tree).as_posix(), found)
    return patches


def _of_operators(unit: Any, contract: Any, source: Path, tree: Path) -> Iterator[Patch]:
    """Yields the patches of slither's operators.

    Slither's own loop around them also compiles, tests and skips, and cannot be stopped and continued.
    """
    from slither.tools.mutator.mutators import all_mutators
    from slither.tools.mutator.mutators.abstract_mutator import AbstractMutator

    for operator in vars(all_mutators).values():
        if not (inspect.isclass(operator) and issubclass(operator, AbstractMutator)) or operator is AbstractMutator:
            continue
        if operator.NAME in BINARY:
            continue
        answer = operator(unit, 0, "", "", contract, None, False, tree, [])._mutate()
        for patch in answer.get("patches", {}).get(str(source), []):
            new = patch["new_string"]
            if operator.NAME == "FHR":
                # The range is a function's head; slither 0.11.6 puts head and body there, which never compiles.
                new = new.split("{", 1)[0]
            yield operator.NAME, patch["start"], patch["end"], new


def _of_binary_expressions(contract: Any, source: Path) -> Iterator[Patch]:
    """Yields every replacement of the operator of an expression with two sides.

    In the place of slither's AOR, BOR, LOR and ROR (0.11.6), which write a condition's whole statement into the
    condition, or lose what follows a second operator of the same kind: most of what they make does not compile.
    """
    from slither.slithir.operations import Binary

    text = source.read_bytes()
    nodes = [node for function in contract.functions_and_modifiers_declared for node in function.nodes]
    nodes += [variable.node_initialization for variable in contract.state_variables_declared]
    for node in nodes:
        for expression in [ir.expression for ir in node.irs if isinstance(ir, Binary)] if node else []:
            left, right = getattr(expression, "expression_left", None), getattr(expression, "expression_right", None)
            if left is None or right is None or node.source_mapping.filename.absolute != str(source):
                continue
            after = left.source_mapping.start + left.source_mapping.length
            symbol = text[after : right.source_mapping.start].decode().strip(" \n()")
            start = text.index(symbol.encode(), after)
            compared = text[right.source_mapping.start :][: right.source_mapping.length]
            for kind, symbols in BINARY.items():
                for other in symbols if symbol in symbols else ():
                    if (symbol, other) not in SAME_AT_ZERO or compared not in (b"0", b"address(0)"):
                        yield kind, start, start + len(symbol), other


def _distinct(contract: str, path: str, source: bytes, found: list[Patch]) -> Iterator[Mutant]:
    seen: set[tuple[int, int, bytes]] = set()
    twins: Counter[tuple[object, ...]] = Counter()
    for operator, first, last, replacement in sorted(found, key=lambda patch: patch[1:3]):
        start, end, new = _smallest(source, first, last, replacement.encode())
        if source[start:end] == new or (start, end, new) in seen or _is_same(source, start, end, new):
            continue
        seen.add((start, end, new))
        line_start = source.rfind(b"\n", 0, start) + 1
        text = source[line_start:].split(b"\n", 1)[0].strip()
        change = (text, start - line_start, source[start:end], new)
        twins[change] += 1
        identity = hashlib.sha256(repr((contract, *change, twins[change])).encode()).hexdigest()[:10]
        line = source.count(b"\n", 0, start) + 1
        old = source[start:end].decode()
        yield Mutant(identity, contract, path, line, operator, start, end, old, new.decode())


def _is_same(source: bytes, start: int, end: int, new: bytes) -> bool:
    """Whether it is no change: a word that only the compiler reads, or `i++` for `++i` where nobody reads the value."""
    old = source[start:end]
    if (old, new) in ((b"constant", b"immutable"), (b"pure", b"view"), (b"internal", b"private")):
        return True
    alone = source[:start].rstrip()[-1:] in (b";", b"{", b"}")
    return alone and old.startswith(b"++") and new == old[2:] + b"++"


def _smallest(source: bytes, start: int, end: int, new: bytes) -> tuple[int, int, bytes]:
    """Returns the patch without the words at both ends that stay: some patches repeat a whole function."""
    old = source[start:end]
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    while head > 0 and WORD.match(old[head - 1 : head]):
        head -= 1
    while tail > 0 and WORD.match(old[len(old) - tail : len(old) - tail + 1]):
        tail -= 1
    return start + head, end - tail, new[head : len(new) - tail]
