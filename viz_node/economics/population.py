"""One seeded market: holders with different audiences, developers who derive, copycats who republish, and users.

Every figure is an assumption, chosen once and stated here; the experiments compare rules on the same markets.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

HOLDERS = 30
DEVELOPERS = 12
COPYCATS = 6
USERS = 1_000
GENRES = 6
IDLE_SHARE = 0.05
VALUE_SCALE = 40.0
MEDIAN_BUDGET = 45.0
SECOND_CHOICE = 0.7

ORIGINALS = HOLDERS + DEVELOPERS
ADAPTERS = ORIGINALS + COPYCATS


@dataclass(frozen=True)
class Market:
    """Columns are adapters: holders' first, then developers', then copies.

    `parent` names the adapter that one derives from, or -1; `original` names the one it offers, itself unless a copy.
    """

    value: Any
    is_known: Any
    budget: Any
    intensity: Any
    parent: Any
    original: Any

    def wanted(self) -> Any:
        """The value of each adapter to each user who knows it, a copy only to those who do not know the original."""
        wanted = np.where(self.is_known, self.value, 0.0)
        copies = np.arange(ORIGINALS, ADAPTERS)
        wanted[:, copies] *= ~self.is_known[:, self.original[copies]]
        return wanted


def make_market(rng: Any) -> Market:
    """Draw one market."""
    fame = 0.9 / np.arange(1, HOLDERS + 1) ** 0.6
    quality = rng.lognormal(0, 0.3, HOLDERS)
    genres = rng.dirichlet([0.6] * GENRES, HOLDERS)
    parents = rng.choice(HOLDERS, DEVELOPERS, p=fame / fame.sum())
    derived_quality = quality[parents] * rng.lognormal(0.15, 0.15, DEVELOPERS)
    derived_genres = 0.7 * genres[parents] + 0.3 * rng.dirichlet([0.6] * GENRES, DEVELOPERS)
    derived_fame = rng.uniform(0.1, 0.6, DEVELOPERS)
    copied = np.arange(COPYCATS)
    all_fame = np.concatenate([fame, derived_fame, 0.5 * fame[copied]])
    all_quality = np.concatenate([quality, derived_quality, quality[copied]])
    all_genres = np.vstack([genres, derived_genres, genres[copied]])
    tastes = rng.dirichlet([0.5] * GENRES, USERS)
    value = VALUE_SCALE * all_quality * (tastes @ all_genres.T) * rng.lognormal(0, 0.3, (USERS, ADAPTERS))
    value[:, ORIGINALS:] = value[:, copied]
    intensity = rng.lognormal(np.log(20), 0.95, USERS) * (rng.random(USERS) >= IDLE_SHARE)
    return Market(
        value=value,
        is_known=rng.random((USERS, ADAPTERS)) < all_fame,
        budget=rng.lognormal(np.log(MEDIAN_BUDGET), 0.6, USERS),
        intensity=intensity,
        parent=np.concatenate([np.full(HOLDERS, -1), parents, np.full(COPYCATS, -1)]),
        original=np.concatenate([np.arange(ORIGINALS), copied]),
    )
