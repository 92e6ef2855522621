"""Derives the root of a pool again from the division that was published with it, by docs/protocol.md alone.

Knows nothing of `viz_node`, as `rederive.py`, which calls it: the page, plain web3.py and the account library under it.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from itertools import pairwise
from typing import Any

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_utils.exceptions import ValidationError
from web3 import Web3
from web3.exceptions import ContractLogicError, Web3RPCError

Uses = list[dict[int, int]]
WORD_OF_YES = bytes.fromhex("1626ba7e").ljust(32, b"\0")
GAS_OF_A_QUESTION = 3_000_000
FIELDS = ["format", "members", "periods", "place", "rules", "statements", "totals", "wallets_block"]


def canonical(body: Any) -> bytes:
    """JSON as it is hashed."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def apportion(amount: int, weights: dict[int, int]) -> dict[int, int]:
    """Each part rounded down; what is left goes to the largest remainders, ties to the lowest key."""
    whole = sum(weights.values())
    parts = {key: amount * weight // whole for key, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda key: (whole - amount * weights[key] % whole, key))
    for key in by_remainder[: amount - sum(parts.values())]:
        parts[key] += 1
    return parts


def directed(rule: str, fee: int, share: int, uses: Uses) -> dict[int, int]:
    """What each subscriber that used anything directs, by position."""
    weights = {at: sum(used.values()) for at, used in enumerate(uses) if used}
    if rule == "user-centric":
        return dict.fromkeys(weights, fee * share // 10_000)
    target, capped = len(uses) * fee * share // 10_000, 0
    if len(weights) * fee <= target:
        return dict.fromkeys(weights, fee)
    rest = dict(weights)
    for at in sorted(weights, key=lambda at: (-weights[at], at)):
        if weights[at] * (target - fee * capped) <= fee * sum(rest.values()):
            break
        del rest[at]
        capped += 1
    return dict.fromkeys(weights.keys() - rest.keys(), fee) | apportion(target - fee * capped, rest)


def totals_of(division: dict[str, Any], fee: int, subscribers: dict[int, list[str]]) -> dict[int, int]:
    """Units by split of all periods, ascending; a split with nothing has none."""
    rules, totals = division["rules"], defaultdict[int, int](int)
    splits = {row["adapter"]: row["split_id"] for row in division["members"]}
    stated = {(row["period"], row["holder"]): row["uses"] for row in division["statements"]}
    for period, holders in subscribers.items():
        uses: Uses = [defaultdict[int, int](int) for _ in holders]
        for used, holder in zip(uses, sorted(holders), strict=True):
            for adapter, times in stated.get((period, holder), {}).items():
                if int(adapter) in splits:
                    used[splits[int(adapter)]] += times
        left = fee * len(holders)
        for at, amount in directed(rules["rule"], fee, rules["adapters_share"], uses).items():
            for split, part in apportion(amount, uses[at]).items():
                totals[split] += part
            left -= amount
        totals[rules["reserve_split"]] += left
    return {split: units for split, units in sorted(totals.items()) if units}


def signed(w3: Web3, account: str, lines: list[str], signature: str, block: int) -> bool:
    """Whether the account signed the lines: by its key, or as a contract asked at a block."""
    message, raw = encode_defunct(text="\n".join(lines)), bytes.fromhex(signature.removeprefix("0x"))
    try:
        if Account.recover_message(message, signature=raw).lower() == account:
            return True
    except (ValueError, ValidationError):
        pass
    digest = bytes(Web3.keccak(b"\x19" + message.version + message.header + message.body))
    question = Web3.keccak(text="isValidSignature(bytes32,bytes)")[:4] + w3.codec.encode(
        ["bytes32", "bytes"], [digest, raw]
    )
    asked: Any = {"to": Web3.to_checksum_address(account), "data": question, "gas": GAS_OF_A_QUESTION}
    try:
        return block != 0 and bytes(w3.eth.call(asked, block)) == WORD_OF_YES
    except (ContractLogicError, Web3RPCError):
        return False


def merkle(rows: dict[int, int]) -> bytes:
    """The root over pairs of words in their order: accounts and shares, or splits and units."""
    level = [
        bytes(Web3.keccak(Web3.keccak(key.to_bytes(32, "big") + value.to_bytes(32, "big"))))
        for key, value in rows.items()
    ]
    while len(level) > 1:
        pairs = [sorted(level[at : at + 2]) for at in range(0, len(level), 2)]
        level = [bytes(Web3.keccak(b"".join(pair))) if len(pair) == 2 else pair[0] for pair in pairs]
    return level[0] if level else bytes(32)


def faults_of_data(raw: bytes, root: Any, place: str, offered: set[tuple[int, str, int]], w3: Web3) -> list[str]:
    """What in a published division does not follow from the chain, its signatures and the rule.

    `root` has `root`, `rules`, `fee`, `first`, `last` and `subscribers` by period, as the chain tells them, and
    `offered` has adapter, owner and split of each offer.
    """
    division = json.loads(raw)
    if canonical(division) != raw or sorted(division) != FIELDS or division["format"] != "viz-node/pool-division/2":
        return ["not a division in canonical form"]
    rules, block = division["rules"], division["wallets_block"]
    faults = [] if division["place"] == place else ["another pool"]
    if hashlib.sha256(canonical(rules)).digest() != root.rules or rules["format"] != "viz-node/pool-rules/1":
        faults.append("other rules than the chain's")
    if division["periods"] != [root.first, root.last]:
        faults.append("other periods")
    rows = [row["adapter"] for row in division["members"]]
    stated = [(row["period"], row["holder"]) for row in division["statements"]]
    if any(one >= other for keys in (rows, stated) for one, other in pairwise(keys)):
        faults.append("a row stands twice or out of order")
    for row in division["members"]:
        adapter, account, split = row["adapter"], row["account"], row["split_id"]
        lines = ["viz-node/pool-member/1", place, str(adapter), account, str(split)]
        if (adapter, account, split) not in offered or not signed(w3, account, lines, row["signature"], block):
            faults.append(f"the membership of adapter {adapter} does not count")
    for row in division["statements"]:
        period, holder, uses = row["period"], row["holder"], row["uses"]
        counts = [f"{adapter} {uses[adapter]}" for adapter in sorted(uses, key=int)]
        lines = ["viz-node/pool-uses/1", place, str(period), holder, *counts]
        counted = holder in root.subscribers.get(period, ()) and 1 <= len(uses) <= 512 and all(uses.values())
        if not counted or not signed(w3, holder, lines, row["signature"], block):
            faults.append(f"the statement of {holder} for period {period} does not count")
    derived = totals_of(division, root.fee, root.subscribers)
    if {int(split): units for split, units in division["totals"].items()} != derived:
        faults.append(f"the totals are not {derived}")
    if merkle(derived) != root.root:
        faults.append("the root is not that of the derived totals")
    return faults
