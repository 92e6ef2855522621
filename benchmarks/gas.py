"""Gas of whole transactions next to published designs, from the snapshots that the contracts' tests keep true.

Run: python benchmarks/gas.py [--all]. Ours: contracts/snapshots/*.json, written by `forge test`, which fails above the
limits. The others were measured once with Foundry on a local chain (base cost of 21,000 included, storage that was
touched before): 0xSplits v2 at splits-contracts-monorepo 71f09d3, with the payment of 34,500 into its wallet
in sales, and no license recorded; Story at protocol-core-v1 1e80201 (v1.3.2), the license not included. The floor is a
hand-written contract that only moves the token, writes one license slot and one accumulator, and logs one event.
"""

import json
from itertools import chain

from report import ROOT, Row, describe_machine, parser, publish

SNAPSHOTS = ROOT / "contracts" / "snapshots"
FLOOR, PUSH, PULL, STORY = "floor", "0xSplits v2 push", "0xSplits v2 pull", "Story v1.3.2"
# what is bought -> (our snapshot, limit, published figures)
COMPARISONS: dict[str, tuple[str, int | None, dict[str, int]]] = {
    "sale, 1 recipient": ("sale, 1 recipient", 88_000, {FLOOR: 68_966, STORY: 144_012}),
    "sale, 5 recipients": ("sale, 1 recipient", 88_000, {FLOOR: 68_966, PUSH: 133_197, PULL: 146_798}),
    "sale, 100 recipients": ("sale, 1000 recipients", 88_000, {FLOOR: 68_966, PUSH: 1_113_562, PULL: 1_021_377}),
    "sale, 1000 recipients": ("sale, 1000 recipients", 88_000, {FLOOR: 68_966}),
    "renewal": ("renewal", 71_000, {}),
    "claim, 5 recipients": ("claim, 5 recipients, steady", 70_000, {PULL: 51_488, STORY: 101_796}),
    "claim, 1000 recipients": ("claim, 1000 recipients, steady", 70_000, {PULL: 51_488, STORY: 101_796}),
}
NOTES = (
    "A sale costs the same for any number of recipients: the rows for 5 and 100 repeat our snapshots for 1 and 1000.",
    "Ours, pull and Story let each recipient claim later; push delivers to each at once,",
    "and fits about 610 recipients that hold nothing yet into one transaction (2^24 gas).",
)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--all", action="store_true", help="also every other snapshot of ours")
    options = arguments.parse_args()
    snapshots = read_snapshots()
    rows = [compare(name, snapshots) for name in COMPARISONS]
    if options.all:
        shown = {snapshot for snapshot, _, _ in COMPARISONS.values()}
        rows += [{"transaction": name, "viz-node": gas} for name, gas in snapshots.items() if name not in shown]
    publish("gas per transaction", rows, options.as_json, describe_machine(), NOTES)


def read_snapshots() -> dict[str, int]:
    """Gas by name from every snapshot file."""
    files = (json.loads(path.read_bytes()) for path in sorted(SNAPSHOTS.glob("*.json")))
    return {name: int(gas) for name, gas in chain.from_iterable(body.items() for body in files)}


def compare(name: str, snapshots: dict[str, int]) -> Row:
    """One row: our figure, its limit, and who else does this."""
    snapshot, limit, others = COMPARISONS[name]
    if snapshot not in snapshots:
        raise SystemExit(f"error: no snapshot is called {snapshot!r}\nnext: make contracts, or mend {__file__}")
    published = {rival: others.get(rival) for rival in (FLOOR, PUSH, PULL, STORY)}
    return {"transaction": name, "viz-node": snapshots[snapshot], "limit": limit, **published}


if __name__ == "__main__":
    main()
