"""What an adapter was published with, against what is asked for now, in words; knows no chain."""

from viz_node.domain.counting import counted
from viz_node.domain.ids import format_amount
from viz_node.domain.terms import DAY_SECONDS, PublicationTerms

_PRICE = ("price", "max_rise", "target")
_FIXED = {
    "another license": ("kind", "duration_seconds", "is_metered"),
    "another split": ("split",),
    "other parents": ("parents",),
    "other license terms": ("permissions",),
    "another delivery": ("is_escrowed",),
}
_OPTIONS = {
    "another license": "--license",
    "another split": "--split",
    "other parents": "--parent",
    "other license terms": "--terms",
    "another delivery": "--escrow or --direct",
}


def differences(published: PublicationTerms, asked: PublicationTerms) -> str:
    """Every difference, with the published value: `at another price (5.00) and with another split (…)`."""
    found = [f"with {what} ({_shown(what, published, asked)})" for what in _fixed_differences(published, asked)]
    if _differ(published, asked, _PRICE):
        found.insert(0, f"at another price ({_price(published)})")
    return " and ".join(found)


def next_step(name: str, published: PublicationTerms, asked: PublicationTerms) -> str:
    """How to get what is asked for: a price is set anew; all else is signed in the manifest or kept by each offer."""
    fixed = _fixed_differences(published, asked)
    if not fixed:
        moving = " --ceiling TOKENS --target N" if asked.max_rise else ""
        return f"viz-node pricing set {name} --price {format_amount(asked.price)}{moving}"
    options = ", ".join(_OPTIONS[what] for what in fixed)
    return (
        f"leave {options} as it was: that stays; to sell on other terms, train it under another name: "
        "viz-node train NAME --content WORK"
    )


def _fixed_differences(published: PublicationTerms, asked: PublicationTerms) -> list[str]:
    found = [what for what, names in _FIXED.items() if _differ(published, asked, names)]
    # Whether there is an escrow follows from a metered license.
    return [what for what in found if what != "another delivery" or published.is_metered == asked.is_metered]


def _differ(published: PublicationTerms, asked: PublicationTerms, names: tuple[str, ...]) -> bool:
    return any(getattr(published, name) != getattr(asked, name) for name in names)


def _price(terms: PublicationTerms) -> str:
    moves = f", moving by a target of {terms.target} a day" if terms.max_rise else ""
    return f"{format_amount(terms.price)}{moves}"


def _shown(what: str, terms: PublicationTerms, asked: PublicationTerms) -> str:
    if what == "another license":
        days = terms.duration_seconds // DAY_SECONDS
        return f"{terms.kind}, {counted(days, 'day')}" if days else terms.kind
    if what == "another split":
        return ",".join(f"{account}={share / 100:g}" for account, share in terms.split.items())
    if what == "other parents":
        return ",".join(f"{item.adapter_id[:12]}={item.share / 100:g}" for item in terms.parents) or "none"
    if what == "other license terms":
        both = terms.permissions.body(), asked.permissions.body()
        return "in " + ", ".join(name for name in both[0] if both[0][name] != both[1].get(name))
    return "escrow" if terms.is_escrowed else "direct"
