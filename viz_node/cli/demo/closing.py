"""The demo's last page: what was sold, who received what, and whether it holds; or all of it as JSON."""

from collections.abc import Sequence
from dataclasses import asdict

from viz_node.cli.demo.verdict import Check, Facts
from viz_node.cli.output import Output
from viz_node.domain.ids import format_amount, format_tokens


def print_closing(output: Output, facts: Facts, checks: Sequence[Check], seconds: float) -> None:
    """Print the tables and the verdict."""
    is_verified = all(check.ok for check in checks)
    if output.is_json:
        rows = [asdict(check) for check in checks]
        output.document({"verified": is_verified, "seconds": round(seconds, 1), **asdict(facts), "checks": rows})
        return
    output.heading(f"Sold: one license for {facts.adapter} at {format_tokens(facts.price)}. Who received what:")
    output.table(
        ("account", "share", "earned", "claimed", "due"),
        [
            (
                account,
                f"{facts.offered_shares.get(account, 0) / 100:g} %",
                format_amount(facts.earned[account]),
                format_amount(facts.claimed[account]),
                format_amount(facts.due[account]),
            )
            for account in facts.earned
        ],
    )
    output.heading("The auditor's verdict, and what else was checked:")
    output.table(("holds", "check", "seen"), [("yes" if c.ok else "NO", c.name, c.seen) for c in checks])
    verdict = "every step was verified" if is_verified else "NOT verified"
    output.heading(f"verdict: {verdict}, in {seconds:.0f} s")
