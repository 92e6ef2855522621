"""An audit's report for people: amounts with the token's unit, dates, adapters by name where one is known."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from viz_node.cli.output import Output
from viz_node.cli.words import cell, flattened
from viz_node.domain.counting import counted

SHORT_DIGITS = 12
# More rows than a person reads; JSON has them all.
MOST_LINES = 100
SUMS = (
    ("sales", "sold"),
    ("direct_sales", "  directly"),
    ("escrow_settlements", "  by escrow"),
    ("metered_redemptions", "  by use"),
    ("pool_credits", "  by pools"),
    ("passed_on", "passed on to other splits"),
    ("claims", "claimed"),
    ("unclaimed", "not claimed yet"),
    ("in_orders", "in escrow"),
    ("in_channels", "in channels"),
    ("in_pools", "in pools"),
    ("unbooked", "came in without an entry"),
    ("token_fees", "kept by the token"),
)
Lines = list[list[object]]


def print_report(output: Output, body: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """What the report rests on, sums, payments, payouts, each finding, and the verdict last."""
    shown = _Shown(body, names)
    output.facts(body, shown.facts())
    for title, columns, lines in shown.tables():
        if lines:
            output.heading(title)
            output.table(columns, [[cell(value) for value in line] for line in lines[-MOST_LINES:]])
        if len(lines) > MOST_LINES:
            output.line(f"these are the last {MOST_LINES} of {len(lines)}; --json gives all")
    if body["notes"]:
        output.line("")
    for note in body["notes"]:
        output.line(f"note: {note}")
    findings = body["findings"]
    if findings:
        output.heading("what does not hold")
        output.table(
            ("check", "entry", "message"),
            [[cell(row["check"]), cell(row["sequence"] or None), cell(row["message"])] for row in findings],
        )
    verdict = (
        "every sale, split and claim holds" if body["ok"] else f"{counted(len(findings), 'finding')}: it does NOT hold"
    )
    output.heading(f"verdict: {verdict}")


class _Shown:
    """The parts of a report as cells of text."""

    def __init__(self, body: Mapping[str, Any], names: Mapping[str, str]) -> None:
        self._body, self._names = body, names
        self._symbol, self._decimals = str(body["unit"]["symbol"]) or "units", int(body["unit"]["decimals"])
        self._numbers = {row["adapter_id"]: row["adapter_number"] for row in body["adapters"]}
        self._sellers: dict[int, list[str]] = {}
        for row in body["adapters"]:
            for split_id in row["split_ids"]:
                self._sellers.setdefault(split_id, []).append(row["adapter_id"])

    def facts(self) -> list[tuple[str, object]]:
        """Where, at which block, and what came in and went out."""
        body, proof = self._body, self._body["proof"]
        facts: list[tuple[str, object]] = [
            ("market", f"{body['market']} on chain {body['chain_id']}"),
            ("token", f"{body['token']} {self._symbol}"),
            ("block", f"{proof['block_number']} of {moment(proof['timestamp'])}"),
            ("block hash", proof["block_hash"]),
            ("entries", f"{proof['entries']}, {'proven' if proof['proven'] else 'NOT PROVEN'}"),
            ("since", body.get("since") and f"block {body['since']['block_number']}"),
            ("adapter", body["adapter"] and self.adapter(body["adapter"])),
        ]
        sums, counts = body["sums"], body["counts"]
        for name, title in SUMS:
            if sums[name] or name in ("sales", "claims"):
                times = f" in {counts[name]}" if name in counts else ""
                facts.append((title, f"{self.amount(sums[name])} {self._symbol}{times}"))
        for name in ("file", "checkpoint"):
            facts += flattened(body.get(name) or {}, f"{name} ")
        return facts

    def tables(self) -> list[tuple[str, Sequence[str], Lines]]:
        """Title, columns and lines of each table."""
        body, amount, split, unit = self._body, self.amount, self.split, self._symbol
        checks: Lines = [[row["check"], row["holds"], row["looked_at"], row["rule"]] for row in body["checks"]]
        adapters: Lines = [
            [f"#{row['adapter_number']}", row["adapter_id"], self._names.get(row["adapter_id"])]
            for row in body["adapters"]
        ]
        sales: Lines = [
            [date(row["time"]), row["kind"], self.adapter(row["adapter_id"]), amount(row["price"]), _until(row)]
            for row in body["sales"]
        ]
        passed: Lines = [
            [date(row["time"]), split(row["split_id"]), split(row["to_split_id"]), amount(row["amount"])]
            for row in body["passed_on"]
        ]
        splits: Lines = [
            [split(row["split_id"]), *(amount(row[name]) for name in ("sold", "passed_in", "paid")), len(row["shares"])]
            for row in body["splits"]
        ]
        claims: Lines = [[date(row["time"]), row["account"], amount(row["amount"])] for row in body["claims"]]
        totals: Lines = [
            [row["account"], *(amount(row[name]) for name in ("earned", "claimed", "due"))] for row in body["totals"]
        ]
        return [
            ("checks", ("check", "holds", "looked_at", "rule"), checks),
            ("adapters", ("number", "adapter id", "name"), adapters),
            (f"sales, {unit}", ("date", "kind", "adapter", "price", "license until"), sales),
            (f"passed on, {unit}", ("date", "split of", "to split of", "amount"), passed),
            (f"splits, {unit}", ("split of", "sold", "passed in", "paid", "recipients"), splits),
            (f"claims, {unit}", ("date", "account", "amount"), claims),
            (f"totals, {unit}", ("account", "earned", "claimed", "due"), totals),
        ]

    def amount(self, units: int) -> str:
        """Units as tokens, with at least two decimals where the token has them."""
        if not self._decimals:
            return str(units)
        whole, fraction = divmod(units, 10**self._decimals)
        return f"{whole}.{f'{fraction:0{self._decimals}d}'.rstrip('0').ljust(min(2, self._decimals), '0')}"

    def adapter(self, adapter_id: str | None) -> str | None:
        """Its name where the node of this home knows it; else its number on the chain and first digits."""
        if adapter_id is None:
            return None
        number = self._numbers.get(adapter_id)
        short = adapter_id[:SHORT_DIGITS]
        return self._names.get(adapter_id) or (short if number is None else f"#{number} {short}")

    def split(self, split_id: int) -> str:
        """The adapters whose offers pay into it; its number where there is none."""
        if split_id not in self._sellers:
            return f"split {split_id}"
        first, *others = self._sellers[split_id]
        return f"{self.adapter(first)}{f' and {len(others)} more' if others else ''}"


def date(seconds: int) -> str:
    """A day in UTC; the number where the calendar has none."""
    return moment(seconds)[:10]


def moment(seconds: int) -> str:
    """A time in UTC; the number where the calendar has none."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def _until(row: Mapping[str, Any]) -> str | None:
    if row["expiry"] is not None:
        return date(row["expiry"])
    return "perpetual" if row["term"] == "perpetual" else None
