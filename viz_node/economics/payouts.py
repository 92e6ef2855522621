"""Rules that divide a catalogue's fees among its sellers, from a matrix of uses: a row per user, a column per seller.

Every user pays one fee of 1 per period, so payouts are in fees. Sources: pro-rata is what large platforms use;
user-centric and ScaledUserProp are UserProp and ScaledUserProp of Ghosh et al., "Fraud-Proof Revenue Division on
Subscription Platforms" (arXiv 2511.04465).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Uses = Any
Payouts = Any
PayoutRule = Callable[[Uses, float], Payouts]


def pro_rata(uses: Uses, sellers_share: float) -> Payouts:
    """Each seller's part of all uses, times the pool."""
    total = uses.sum()
    if total == 0:
        return np.zeros(uses.shape[1])
    return sellers_share * len(uses) * uses.sum(axis=0) / total


def user_centric(uses: Uses, sellers_share: float) -> Payouts:
    """Each user's fee divided by that user's own uses; the fee of a user who used nothing is held back."""
    return sellers_share * _tastes(uses).sum(axis=0)


def user_centric_shared_idle(uses: Uses, sellers_share: float) -> Payouts:
    """User-centric, but the fees of users who used nothing are spread over the others: the variant not to choose."""
    active = np.count_nonzero(uses.sum(axis=1))
    return user_centric(uses, sellers_share) * (len(uses) / active if active else 0.0)


def scaled_user_prop(uses: Uses, sellers_share: float) -> Payouts:
    """Users count by min(gamma x uses, 1), with gamma such that exactly the pool is paid out.

    Where fewer users are active than the pool has fees, no such gamma exists. The fallback is the limit of the rule:
    every active user counts as 1, and what is left of the pool is not paid out. No user then moves more than one fee.
    """
    return (user_weights(uses.sum(axis=1), sellers_share)[:, None] * _tastes(uses)).sum(axis=0)


def user_weights(totals: Any, sellers_share: float) -> Any:
    """min(gamma x total, 1) of each user, or 1 for every active user where no gamma exists."""
    pool = sellers_share * len(totals)
    active = totals > 0
    if np.count_nonzero(active) <= pool:
        return active.astype(float)
    return np.minimum(find_gamma(totals, pool) * totals, 1.0)


def find_gamma(totals: Any, pool: float) -> float:
    """The gamma with sum(min(gamma x total, 1)) = pool, for a pool below the number of active users.

    With the totals descending and the first k users at the cap, gamma = (pool - k) / (sum of the other totals); the
    right k is the first for which the next user stays below the cap.
    """
    ordered = np.sort(totals)[::-1]
    rest = np.cumsum(ordered[::-1])[::-1]
    capped = np.arange(len(ordered))
    possible = (pool - capped) * ordered <= rest
    first = int(np.argmax(possible & (rest > 0)))
    return float((pool - first) / rest[first])


def _tastes(uses: Uses) -> Any:
    totals = uses.sum(axis=1, keepdims=True)
    return np.divide(uses, totals, out=np.zeros(uses.shape), where=totals > 0)


POOL_RULES: dict[str, PayoutRule] = {
    "pro-rata": pro_rata,
    "user-centric": user_centric,
    "ScaledUserProp": scaled_user_prop,
}
