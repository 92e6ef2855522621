"""Values as people read them: amounts with their unit, dates, sizes, lists; JSON has them as the node gives them."""

import re
from collections.abc import Mapping
from typing import Any

from viz_node.domain.ids import FOR_EVER, format_time
from viz_node.domain.plain_text import one_line

_UNITS = {
    "tokens": "allowance price floor ceiling derived paid fee fees deposit spent amount accrued claimed due earned "
    "taken added divided rest units in_derived in_escrow in_pools balances.token",
    "coins": "gas",
    "%": "share adapters_share",
}
UNIT_BY_NAME = {name: unit for unit, names in _UNITS.items() for name in names.split()}
TIMES = frozenset(("added", "created", "started", "expires", "expiry", "close_at", "time", "until", "adoptable_at"))
BYTES = frozenset(("size_bytes", "sealed_size_bytes"))
LEAST_TIME = 10**9
_NUMBER = re.compile(r"[+-]?\d[\d,]*(\.\d+)?")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d(?::\d\d)?)(?:\.\d+)?(?:\+00:00|Z)")


def cell(value: object, name: str = "") -> str:
    """The value of the field `name` as one line of text."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(cell(item, name) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{str(key).replace('_', ' ')} {cell(item, str(key))}" for key, item in value.items())
    return one_line(_with_unit(value, name))


def flattened(data: Mapping[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    """The facts of nested objects in order, as dotted names."""
    pairs: list[tuple[str, object]] = []
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            pairs += flattened(value, f"{name}.")
        else:
            pairs.append((name, value))
    return pairs


def tokens(amount: object) -> str:
    """An amount of the payment token, with its unit."""
    return cell(amount, "price")


def _with_unit(value: object, name: str) -> str:
    last = name.rpartition(".")[2]
    unit = UNIT_BY_NAME.get(name) or UNIT_BY_NAME.get(last, "")
    if isinstance(value, int) and last in TIMES and value > LEAST_TIME:
        time = format_time(value)
        return time if time == FOR_EVER else _with_unit(time, "")
    if isinstance(value, int) and last in BYTES:
        return f"{value:,} bytes"
    # Whole numbers of tokens are a contract's smallest units, which have no name.
    if isinstance(value, int | float):
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        return f"{text} %" if unit == "%" else text
    text = str(value)
    if match := _TIME.fullmatch(text):
        return f"{match[1]} {match[2]} UTC"
    return f"{text} {unit}" if unit and _NUMBER.fullmatch(text) else text
