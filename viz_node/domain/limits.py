"""Bounds of what people may ask for: the command line, the local API and the workers read each from here."""

from dataclasses import dataclass

from viz_node.errors import UsageError

_TEXT = "docs/reference/commands.md lists the options of `generate`"


@dataclass(frozen=True)
class Limit:
    """The numbers from `least` to `most`, only the whole ones if both are; above `least` where it `is_open`.

    `subject`, the bounds and `unit` make one sentence, which every door answers with; `hint` is the next step.
    """

    subject: str
    least: float
    most: float
    unit: str
    hint: str
    is_open: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it bounds whole numbers."""
        return isinstance(self.least, int) and isinstance(self.most, int)

    @property
    def message(self) -> str:
        """The allowed range in words."""
        span = f"above {self.least:g} and at most {self.most:g}" if self.is_open else self._bounds()
        return f"{self.subject} {span} {self.unit}".rstrip()

    def _bounds(self) -> str:
        return f"{self.least} to {self.most}" if self.is_whole else f"{self.least:g} to {self.most:g}"

    def check(self, value: object) -> None:
        """Raises: UsageError (it is not allowed)."""
        if type(value) is not int and (type(value) is not float or self.is_whole):
            raise UsageError(self.message, self.hint)
        # NaN is in no range, so this refuses it, too.
        if not self.least <= value <= self.most or (self.is_open and value == self.least):
            raise UsageError(self.message, self.hint)


CHANNEL_DAYS = Limit("a channel stays open for", 1, 366, "days", "--days 30")
POOL_DAYS = Limit("a pool's period has", 1, 366, "days", "--days 30")
GRACE_HOURS = Limit("a pool waits", 0, 720, "hours for statements of uses", "--grace-hours 24")
PERIODS = Limit("a subscription pays for", 1, 24, "periods", "--periods 1")
LICENSE_DAYS = Limit("a subscription license lasts", 1, 36_500, "days", "--days 30")
TARGET = Limit("the target is", 1, 32_767, "new licensees per day", "--ceiling 5.50 --target 20")
MEMBERS = Limit("a federation has", 2, 64, "members", "--members 2")
ROUNDS = Limit("a federation has", 1, 1000, "rounds", "--rounds 3")
PRETRAIN_STEPS = Limit("base recipe: a base model trains for", 1, 10_000_000, "steps", "docs/reference/pretraining.md")
CORES = Limit("a training uses", 0, 1024, "cores", "--cores 1; 0 leaves it to the node")
MEMORY = Limit("a training takes", 0.25, 100_000.0, "GB of memory", "--memory 16")
NEW_TOKENS = Limit("a text is", 1, 4096, "tokens long", _TEXT)
USE_TOKENS = Limit("one use writes", 1, 512, "tokens", "--max-new-tokens 512")
TEMPERATURE = Limit("the temperature is", 0, 5.0, "", _TEXT)
TOP_P = Limit("top-p is", 0, 1.0, "", _TEXT, is_open=True)
MIN_P = Limit("min-p is", 0, 1.0, "", _TEXT)
# JSON carries no larger whole number to every reader.
SEED = Limit("the seed is a whole number from", 0, 2**53 - 1, "", "--seed 1")
