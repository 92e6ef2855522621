"""How the next token is drawn when a model writes; knows no torch."""

import msgspec

from viz_node.domain.counting import counted
from viz_node.domain.limits import MIN_P, SEED, TEMPERATURE, TOP_P
from viz_node.errors import UsageError

MAX_STOPS, MAX_STOP_CHARACTERS = 8, 200
_HINT = "docs/reference/commands.md lists the options of `generate`"


class Sampling(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`temperature` 0 takes the likeliest token each time; higher ones surprise more.

    Of the rest only tokens are drawn that are among the likeliest with the joint probability `top_p`, and have at least
    `min_p` times the probability of the likeliest (Nguyen et al. 2024): a small model gives each of many wrong tokens a
    little, and together they derail its text. The same `seed` draws the same text. Writing ends before the first of the
    texts in `stop`. Raises: UsageError (out of range).
    """

    temperature: float = 0.8
    top_p: float = 1.0
    min_p: float = 0.1
    seed: int = 1
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        TEMPERATURE.check(self.temperature)
        TOP_P.check(self.top_p)
        MIN_P.check(self.min_p)
        SEED.check(self.seed)
        if len(self.stop) > MAX_STOPS or not all(0 < len(text) <= MAX_STOP_CHARACTERS for text in self.stop):
            raise UsageError(
                f"give at most {counted(MAX_STOPS, 'stop text')} of 1 to {MAX_STOP_CHARACTERS} characters", _HINT
            )
