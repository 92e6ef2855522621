"""How one payment is divided, exactly, and what brings a recipient its part."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from viz_node.domain.ids import WHOLE, Account, BasisPoints, TokenAmount, parse_account
from viz_node.domain.plain_text import shortened
from viz_node.errors import InvalidSplitError, UsageError

MAX_RECIPIENTS = 1000
# A recipient below this is the number of another split, which nobody can hold the key of.
SPLIT_NUMBERS = 2**32
_PERCENT = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
_HOW = "write --split ACCOUNT=70,ACCOUNT=30"


@dataclass(frozen=True)
class RoyaltySplit:
    """Shares in basis points, ascending by account, that add up to 10 000."""

    shares: tuple[tuple[Account, BasisPoints], ...]

    def __post_init__(self) -> None:
        accounts = [account for account, _ in self.shares]
        if not 1 <= len(accounts) <= MAX_RECIPIENTS or accounts != sorted(set(accounts)):
            raise InvalidSplitError("a split needs 1 to 1000 distinct accounts, ascending", _HOW)
        if any(type(share) is not int or share < 1 for _, share in self.shares):
            raise InvalidSplitError("every share must be at least 0.01 percent", _HOW)
        total = sum(share for _, share in self.shares)
        if total != WHOLE:
            raise InvalidSplitError(f"the shares add up to {total / 100:g}, not 100", _HOW)

    def allocate(self, amount: TokenAmount) -> dict[Account, TokenAmount]:
        """Divide `amount` so that the parts add up to it exactly.

        Rounding down leaves fewer units over than there are accounts; they go to the largest remainders, ties by
        account, so that every node gets the same answer.
        """
        parts = {account: amount * share // WHOLE for account, share in self.shares}
        left = amount - sum(parts.values())
        by_remainder = sorted(self.shares, key=lambda item: (-(amount * item[1] % WHOLE), item[0]))
        for account, _ in by_remainder[:left]:
            parts[account] += 1
        return {account: TokenAmount(part) for account, part in parts.items()}

    def entitlement(self, account: Account, accrued: TokenAmount) -> TokenAmount:
        """The total that the contract owes `account` once `accrued` was paid in: the share, rounded down."""
        return TokenAmount(accrued * dict(self.shares).get(account, BasisPoints(0)) // WHOLE)


def parse_split(text: str) -> RoyaltySplit:
    """Read `0xA…=70,0xB…=30` (percent, at most two decimals). Raises: InvalidSplitError, UsageError."""
    shares: dict[Account, BasisPoints] = {}
    for item in text.split(","):
        name, equals, percent = item.strip().partition("=")
        if not equals:
            raise InvalidSplitError(f"{item.strip()!r} is not ACCOUNT=PERCENT", _HOW)
        share = parse_percent(percent, _HOW)
        account = parse_account(name.strip())
        if int(account, 16) < SPLIT_NUMBERS:
            raise InvalidSplitError(f"{account} names no account: the market takes so low a number for a split", _HOW)
        if account in shares:
            raise InvalidSplitError(f"{account} stands twice in the split", _HOW)
        shares[account] = share
    return split_from_shares(shares)


def parse_percent(text: str, how: str = "write it like 70 or 2.5") -> BasisPoints:
    """Read `70` or `2.5`; `how` is the next step if it is none. Raises: InvalidSplitError, with what is wrong."""
    match, told = _PERCENT.fullmatch(text.strip()), shortened(repr(text), 60)
    if match is None:
        raise InvalidSplitError(f"{told} is not a percentage", how)
    whole, fraction = match.group(1), match.group(2) or ""
    if len(fraction) > 2:
        raise InvalidSplitError(f"{told} has more than two decimals: shares are hundredths of a percent", how)
    if len(whole) > 3 or int(whole) * 100 + int(fraction.ljust(2, "0")) > WHOLE:
        raise InvalidSplitError(f"{told} is more than 100 percent", how)
    return BasisPoints(int(whole) * 100 + int(fraction.ljust(2, "0")))


def parse_parent(text: str) -> tuple[str, BasisPoints]:
    """Read `ADAPTER=10`: a parent and the percentage for it. Raises: UsageError, InvalidSplitError."""
    name, equals, percent = text.rpartition("=")
    if not equals or not name:
        parent = shortened(name or percent, 60) or "ADAPTER"
        raise UsageError(f"{shortened(repr(text), 60)} is not ADAPTER=PERCENT", f"write it like --parent {parent}=10")
    return name, parse_percent(percent, f"write it like --parent {shortened(name, 60)}=10")


def split_from_shares(shares: Mapping[Account, BasisPoints]) -> RoyaltySplit:
    """The split with these shares, in canonical order. Raises: InvalidSplitError."""
    return RoyaltySplit(tuple(sorted(shares.items())))


def with_platform(split: RoyaltySplit, platform: Account | None, fee: BasisPoints) -> RoyaltySplit:
    """The split that gives the platform at least its fee, the others in the proportions that they have.

    What rounding leaves over goes one by one to the account farthest below its part, and what it lacks, because nobody
    falls below 0.01 percent, comes from the account farthest above; ties by account. Raises: InvalidSplitError.
    """
    shares = dict(split.shares)
    if platform is None or shares.get(platform, 0) >= fee:
        return split
    left, whole = WHOLE - fee, WHOLE - shares.pop(platform, BasisPoints(0))
    if len(shares) > left:
        raise InvalidSplitError("so many recipients leave no room for the platform's fee", _HOW)
    parts = {account: max(1, share * left // whole) for account, share in shares.items()}

    def excess(account: Account) -> tuple[int, Account]:
        return parts[account] * whole - shares[account] * left, account

    while (over := sum(parts.values()) - left) != 0:
        if over < 0:
            parts[min(parts, key=excess)] += 1
        else:
            parts[max((account for account in parts if parts[account] > 1), key=excess)] -= 1
    return split_from_shares({account: BasisPoints(part) for account, part in parts.items()} | {platform: fee})


def split_recipient(split_id: int) -> Account:
    """How a split stands in the table of another one."""
    return Account(f"0x{split_id:040x}")


def with_lineage(split: RoyaltySplit, share_by_split: Mapping[int, BasisPoints]) -> RoyaltySplit:
    """The split that passes these shares on to splits of parents, the others in the proportions that they have.

    Raises: InvalidSplitError (no room).
    """
    total = sum(share_by_split.values())
    if not share_by_split:
        return split
    if not 0 < total < WHOLE:
        raise InvalidSplitError(f"the parents' shares add up to {total / 100:g} percent", "--parent ADAPTER=10")
    first = split_recipient(min(share_by_split))
    shares = dict(with_platform(split, first, BasisPoints(total)).shares)
    return split_from_shares(shares | {split_recipient(number): share for number, share in share_by_split.items()})


@dataclass(frozen=True)
class Royalty:
    """One recipient's part of one split: units paid into the split, and of them to the recipient."""

    split_id: int
    recipient: Account
    share: BasisPoints
    accrued: TokenAmount
    claimed: TokenAmount

    @property
    def due(self) -> TokenAmount:
        """Units that the recipient may claim now."""
        return self.due_after(0)

    def due_after(self, payment: int) -> TokenAmount:
        """Units that it may claim once the split gets `payment`; the two sums may be of different blocks."""
        return TokenAmount(max(0, (self.accrued + payment) * self.share // WHOLE - self.claimed))


@dataclass(frozen=True)
class Claim:
    """A payment that the contract makes when it is asked for; the recipient is another split if it only passes on."""

    split_id: int
    recipient: Account
    amount: int


def claims_for(account: Account, lineage: Iterable[Royalty]) -> dict[int, list[Claim]]:
    """For each split that has something for the account: the claims that bring it, each after those it rests on.

    `lineage` has the account's royalties, and those of every split that passes on to one of these, to any depth.
    """
    # A split passes on to earlier splits only, so that the latest comes first.
    rows = sorted(lineage, key=lambda row: row.split_id, reverse=True)
    incoming: dict[Account, int] = defaultdict(int)
    into: dict[Account, dict[Claim, None]] = defaultdict(dict)
    found = {}
    for row in rows:
        name = split_recipient(row.split_id)
        claim = Claim(row.split_id, row.recipient, row.due_after(incoming[name]))
        if not claim.amount:
            continue
        steps = [*into[name], claim]
        if row.recipient == account:
            found[row.split_id] = steps
        else:
            incoming[row.recipient] += claim.amount
            into[row.recipient].update(dict.fromkeys(steps))
    return dict(sorted(found.items()))
