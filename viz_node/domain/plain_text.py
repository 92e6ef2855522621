"""Foreign text made plain, for terminals and logs: nothing in it moves a cursor, hides, reorders or begins a line.

What peers, manifests, endpoints, files and jobs say may hold escape sequences (C0, C1, OSC 8), bidirectional overrides,
line separators, lone surrogates or a megabyte of anything. `tests/unit/cli/test_hostile_answers.py` sends all of these
through every command.
"""

LINE_LIMIT = 4_000
TEXT_LIMIT = 10_000_000
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def one_line(text: str, limit: int = LINE_LIMIT) -> str:
    """The text as one line of at most `limit` characters, with a word on how much was left out.

    Every kind of space and line end becomes a space; controls, format characters (bidirectional ones among them),
    surrogates and unassigned characters become U+FFFD.
    """
    return "".join(map(_plain_character, shortened(text, limit)))


def several_lines(text: str, limit: int = TEXT_LIMIT) -> str:
    """The same for a text whose line ends are its own; a tab goes on to the next stop."""
    lines = shortened(text, limit).replace("\r\n", "\n").expandtabs().split("\n")
    return "\n".join("".join(map(_plain_character, line)) for line in lines)


def shortened(text: str, limit: int = LINE_LIMIT) -> str:
    """The first `limit` characters, and how many more there are."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit:,} more characters)"


def plain_json(document: str) -> str:
    """A JSON document with the same meaning, in which whatever `one_line` replaces is escaped."""
    return "".join(char if char.isprintable() or char == "\n" else _escaped(char) for char in document)


def _plain_character(char: str) -> str:
    if char.isprintable():
        return char
    return " " if char.isspace() else REPLACEMENT


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))
