"""How rows and facts are laid out in a terminal's width; knows no printer.

One rule for ids and everything else that is long: it is never cut. What does not fit into its row stands whole on a
line of its own below the row. The same goes for commands: they are never broken, so that they can be copied.
"""

import re
import unicodedata
from collections.abc import Sequence

GAP = 2
LEAST_WIDTH = 40
WIDEST_NAME = 44
LONGEST_WORD = 32
_COMMAND = re.compile(r"""(?:\b(?:next|fix): )?\bviz-node(?: +(?:"[^"]*"|'[^']*'|[^\s,;"'])+)+""")
_HELD = "\x00"


def table_lines(titles: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """A line of titles and one per row, each within `width`; the widest columns stand below their rows if need be."""
    widths = [max(map(columns_of, column)) for column in zip(titles, *rows, strict=True)]
    longest = [
        max((len(word) for row in rows for word in row[place].split()), default=0) for place in range(len(titles))
    ]
    inside = _that_fit(widths, [size > LONGEST_WORD for size in longest], width)
    below = [place for place in range(len(titles)) if place not in inside]
    lines = _in_columns(titles, inside, widths, width)
    for row in rows:
        lines += _in_columns(row, inside, widths, width)
        told = [(titles[place], row[place]) for place in below if row[place] not in ("", "-")]
        lines += [f"{'':{GAP}}{line}" for line in fact_lines(told, width - GAP)]
    return lines


def fact_lines(facts: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Names with their values beside them; a value that is too long for that stands below its name."""
    name_width = min(max((columns_of(name) for name, _ in facts), default=0), WIDEST_NAME)
    room = max(width - name_width - GAP, LEAST_WIDTH // 2)
    lines: list[str] = []
    for name, value in facts:
        parts = _wrapped(value, room)
        if columns_of(name) <= name_width and all(columns_of(part) <= room for part in parts):
            lines.append(f"{_filled(name, name_width + GAP)}{parts[0]}".rstrip())
            lines += [f"{'':{name_width + GAP}}{part}" for part in parts[1:]]
        else:
            lines += _wrapped(name, width) if name else []
            lines += [f"{'':{GAP}}{part}" for part in _wrapped(value, width - GAP)]
    return lines


def sentence_lines(text: str, width: int, deeper: int = GAP) -> list[str]:
    """A sentence within `width`; its further lines stand deeper than its first."""
    if columns_of(text) <= width:
        return [text]
    indent = len(text) - len(text.lstrip(" "))
    first, *others = _wrapped(text.lstrip(" "), max(width - indent - deeper, LEAST_WIDTH // 2))
    return [f"{'':{indent}}{first}", *(f"{'':{indent + deeper}}{part}" for part in others)]


def columns_of(text: str) -> int:
    """How many columns a terminal gives to the text."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF") for char in text)


def _that_fit(widths: Sequence[int], are_ids: Sequence[bool], width: int) -> list[int]:
    """The columns that stay in the row: all, but for those that make it too long, ids first, then the widest."""
    inside = list(range(len(widths)))
    while len(inside) > 1 and sum(widths[place] for place in inside) + GAP * (len(inside) - 1) > width:
        inside.remove(max(inside, key=lambda place: (are_ids[place], widths[place])))
    return inside


def _in_columns(row: Sequence[str], inside: Sequence[int], widths: Sequence[int], width: int) -> list[str]:
    line = "".join(_filled(row[place], widths[place] + GAP) for place in inside).rstrip()
    return _wrapped(line, width) if len(inside) == 1 else [line]


def _filled(text: str, width: int) -> str:
    return text + " " * (width - columns_of(text))


def _wrapped(text: str, room: int) -> list[str]:
    """The text in lines, broken at spaces only: a word or command that is too long keeps a line of its own."""
    if columns_of(text) <= room:
        return [text]
    lines = [""]
    for word in _COMMAND.sub(lambda found: found[0].replace(" ", _HELD), text).split():
        longer = f"{lines[-1]} {word}".lstrip()
        if lines[-1] and columns_of(longer) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return [line.replace(_HELD, " ") for line in lines]
