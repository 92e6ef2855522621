"""What a licensee may do with an adapter, as a document that machines read; its digest stands on the chain.

The fields can be compared with those of other machine-readable licenses: commercial use, attribution, derivatives and
the share of their income, territory, training use, a link to a longer text. All of them are in every document.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from viz_node.domain.ids import WHOLE
from viz_node.domain.plain_text import shortened
from viz_node.errors import UsageError

LONGEST_TEXT = 4000
LONGEST_URI = 500
MOST_TERRITORIES = 250
SHOWN_TERRITORIES = 3
DEFAULT_TEXT = (
    "The licensee may run and adapt the model with this adapter for its own purposes, commercial ones included. "
    "It may not pass on the adapter or its key."
)


@dataclass(frozen=True)
class Permissions:
    """`derivative_share` is in basis points of a derived adapter's income after the platform's fee; no
    `territories` means everywhere.

    `training_use`: whether what the adapter writes may train other models. Raises: UsageError.
    """

    commercial_use: bool = True
    attribution: bool = False
    derivatives: bool = False
    derivative_share: int = 0
    training_use: bool = False
    territories: tuple[str, ...] = ()
    uri: str = ""
    text: str = DEFAULT_TEXT

    def __post_init__(self) -> None:
        flags = self.commercial_use, self.attribution, self.derivatives, self.training_use
        if not all(type(flag) is bool for flag in flags):
            raise UsageError("commercial_use, attribution, derivatives and training_use are true or false")
        if type(self.derivative_share) is not int or not 0 <= self.derivative_share < WHOLE:
            raise UsageError("derivative_share is 0 to 9999 basis points", "derivative_share = 500 is five percent")
        if self.derivative_share and not self.derivatives:
            raise UsageError("a share of derivatives needs derivatives = true")
        codes = self.territories
        if type(codes) is not tuple or len(codes) > MOST_TERRITORIES or list(codes) != sorted(set(codes)):
            raise UsageError("territories are country codes, ascending, each once", 'territories = ["AT", "DE"]')
        if not all(isinstance(code, str) and len(code) == 2 and code.isascii() and code.isupper() for code in codes):
            raise UsageError("a territory is a country code of two capitals (ISO 3166)", 'territories = ["AT", "DE"]')
        _check_text(self.text, LONGEST_TEXT)
        _check_text(self.uri, LONGEST_URI)
        if self.uri and not self.uri.startswith("https://"):
            raise UsageError("the uri of the terms does not begin with https://")

    def summary(self) -> str:
        """A licensee's rights and duties in a few words."""
        allowed = {
            "commercial": self.commercial_use,
            "derivatives": self.derivatives,
            "training": self.training_use,
        }
        words = [name if is_allowed else f"no {name}" for name, is_allowed in allowed.items()]
        words += ["attribution"] * self.attribution
        if self.derivative_share:
            words[1] += f" for {self.derivative_share / 100:g} %"
        if self.territories:
            words.append("only in " + " ".join(self.territories[:SHOWN_TERRITORIES]))
            words[-1] += " …" * (len(self.territories) > SHOWN_TERRITORIES)
        return ", ".join(words)

    def sentences(self) -> dict[str, str]:
        """Every field as people read it."""
        share = f", for {self.derivative_share / 100:g} % of what they earn" if self.derivative_share else ""
        return {
            "commercial use": "allowed" if self.commercial_use else "not allowed",
            "attribution": "required" if self.attribution else "not required",
            "derived adapters": f"allowed{share}" if self.derivatives else "not allowed",
            "training on what it writes": "allowed" if self.training_use else "not allowed",
            "territory": ", ".join(self.territories) or "everywhere",
            "more at": self.uri or "-",
            "in words": self.text,
        }

    def body(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self) | {"territories": list(self.territories)}


def parse_permissions(body: object, is_whole: bool = False) -> Permissions:
    """Read a document; what is left out has its default unless it must be whole. Raises: UsageError."""
    known = {field.name for field in fields(Permissions)}
    may_hold = f"they may hold {', '.join(sorted(known))}"
    if not isinstance(body, Mapping):
        raise UsageError("the terms are no table of names and values", may_hold)
    for name in sorted(map(str, set(body) - known)):
        raise UsageError(f"the terms hold {shortened(repr(name), 60)}, which is unknown", may_hold)
    if is_whole and set(body) != known:
        raise UsageError(f"the terms do not say {', '.join(sorted(known - set(body)))}")
    values = dict(body)
    if "territories" in values:
        if not isinstance(values["territories"], list) or not all(isinstance(c, str) for c in values["territories"]):
            raise UsageError("territories are a list of country codes", 'territories = ["AT", "DE"]')
        values["territories"] = tuple(values["territories"])
    return Permissions(**values)


def _check_text(text: object, longest: int) -> None:
    is_text = isinstance(text, str) and len(text) <= longest
    if not is_text or not all(char.isprintable() or char == "\n" for char in str(text)):
        raise UsageError(f"text and uri hold at most {LONGEST_TEXT} and {LONGEST_URI} printable characters")
