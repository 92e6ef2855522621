"""Values as people read them: amounts with their unit, dates, sizes, lists; JSON has them as the node gives them."""

import re
from collections.abc import Mapping
from typing import Any

from viz_node.domain.ids import FOR_EVER, format_span, format_time
from viz_node.domain.plain_text import one_line

_UNITS = {
    "tokens": "allowance price max_price floor ceiling derived paid fee fees deposit spent amount accrued claimed due "
    "earned taken added divided rest units in_derived in_escrow in_pools balances.token",
    "coins": "gas",
    "%": "share adapters_share",
}
UNIT_BY_NAME = {name: unit for unit, names in _UNITS.items() for name in names.split()}
_TIMES = "added created updated started expires expiry close_at deadline time until adoptable_at timestamp"
TIMES = frozenset(_TIMES.split())
NUMBERS = frozenset(("period", "periods", "paid_periods", "skipped"))
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
        return ", ".join(f"{title(str(key))} {cell(item, str(key))}" for key, item in value.items())
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


def title(name: str) -> str:
    """The name of a field as people read it; its unit stands with its value."""
    return without_unit(name, 0).replace("_", " ")


def without_unit(name: str, value: object) -> str:
    """The name of a field whose value, a whole number, has the unit beside it."""
    return name.removesuffix("_bytes").removesuffix("_seconds") if isinstance(value, int) else name


def tokens(amount: object) -> str:
    """An amount of the payment token, with its unit."""
    return cell(amount, "price")


def _with_unit(value: object, name: str) -> str:
    last = name.rpartition(".")[2]
    unit = UNIT_BY_NAME.get(name) or UNIT_BY_NAME.get(last, "")
    if isinstance(value, int) and last in TIMES and value > LEAST_TIME:
        time = format_time(value)
        return time if time == FOR_EVER else _with_unit(time, "")
    if isinstance(value, int) and last.endswith("_bytes"):
        return f"{value:,} bytes"
    if isinstance(value, int) and last.endswith("_seconds"):
        return format_span(value)
    if isinstance(value, int) and last in NUMBERS:
        return f"#{value}"
    # Whole numbers of tokens are a contract's smallest units, which have no name.
    if isinstance(value, int | float):
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        return f"{text} %" if unit == "%" else text
    text = str(value)
    if match := _TIME.fullmatch(text):
        return f"{match[1]} {match[2]} UTC"
    return f"{text} {unit}" if unit and _NUMBER.fullmatch(text) else text
