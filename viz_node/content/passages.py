"""The signature of a text's passages, by which near-duplicates are found: MinHash over runs of words (Broder 1997)."""

import re

from viz_node.domain.similar import SIGNATURE_SIZE

RUN = 5
_SEED = 1
_AT_ONCE = 10_000
_WORD = re.compile(r"\w+")


def signature_of(text: str) -> tuple[int, ...]:
    """`SIGNATURE_SIZE` numbers below 2^32, equal in as large a share as two texts share runs of words.

    Case, punctuation and line ends do not count. Empty for a text of fewer than RUN words.
    """
    # Imported here: only a reading worker needs it.
    from rensa import RMinHash

    words = _WORD.findall(text.lower())
    if len(words) < RUN:
        return ()
    hashed = RMinHash(SIGNATURE_SIZE, _SEED)
    for start in range(0, len(words) - RUN + 1, _AT_ONCE):
        places = range(start, min(start + _AT_ONCE, len(words) - RUN + 1))
        hashed.update([" ".join(words[place : place + RUN]) for place in places])
    return tuple(hashed.digest())
