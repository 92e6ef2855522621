"""Text out of HTML and XHTML: words of different blocks never run together, and skipped text is counted.

We wrote this small reader because trafilatura loses text that we need (ADR 20).
"""

import re
from collections import Counter
from html.parser import HTMLParser

from viz_node.content.reading import Reading
from viz_node.domain.counting import counted
from viz_node.errors import VerificationError

# Every other element is a block: what a browser starts on a line of its own must not join two words.
_INLINE = frozenset(
    (
        *("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "br", "cite", "code", "data", "del", "dfn", "em", "font"),
        *("i", "img", "ins", "kbd", "label", "mark", "meter", "nobr", "output", "progress", "q", "rb", "rtc", "ruby"),
        *("s", "samp", "slot", "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr"),
    )
)
_LINES = {"br": "\n", "tr": "\n", "li": "\n", "dt": "\n", "dd": "\n", "td": "\t", "th": "\t"}
_NO_END = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
)
_NO_TEXT = frozenset(("script", "style", "template", "noscript", "iframe", "object", "svg", "datalist", "title", "rp"))
_FORMS = "buttons and form fields"
_LEFT_OUT = {"math": "formulas", "rt": "readings beside characters (ruby)", "button": _FORMS, "select": _FORMS,
             "textarea": _FORMS}  # fmt: skip
_FURNITURE = "menus, side bars and footers of the page"
_FURNITURE_ROLES = frozenset(("navigation", "contentinfo", "complementary", "search"))
_FURNITURE_NAMES = frozenset(
    (
        *("nav", "navbar", "navigation", "topnav", "site-nav", "menu", "main-menu", "sidebar", "footer", "site-footer"),
        *("page-footer", "breadcrumb", "breadcrumbs", "cookie-banner", "cookie-notice", "cookie-consent", "skip-link"),
        *("share", "sharing", "social", "newsletter", "pagination", "related-posts"),
    )
)
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_SPACES = re.compile("[ \t\n\r\f\xa0]+")
_Attributes = dict[str, str | None]


def text_of_page(markup: str, reading: Reading) -> tuple[str, str]:
    """Title and text of a web page without its menus, side bars and footers, which are noted.

    Raises: VerificationError (an element that hides text has no end).
    """
    parser = _TextOfHtml(is_page=True)
    parser.read(markup)
    if parser.lost or not parser.text().strip():
        parser = _TextOfHtml(is_page=False)
        parser.read(markup)
    parser.tell(reading)
    return "".join(parser.title), parser.text()


def text_of_chapter(markup: str, reading: Reading) -> str:
    """The text of a book's part, all of it. Raises: VerificationError (an element that hides text has no end)."""
    parser = _TextOfHtml(is_page=False)
    parser.read(markup)
    parser.tell(reading)
    return parser.text()


class _TextOfHtml(HTMLParser):
    """Counts the open elements that decide something; the nesting depth costs no recursion."""

    def __init__(self, is_page: bool) -> None:
        super().__init__(convert_charrefs=True)
        self.title: list[str] = []
        self.lost = ""
        self._is_page = is_page
        self._pieces: list[str] = []
        self._skipped, self._skipped_depth, self._reason, self._skipped_characters = "", 0, "", 0
        self._left_out: Counter[str] = Counter()
        self._open: Counter[str] = Counter()

    def read(self, markup: str) -> None:
        """Take in all of it; `lost` is then the element that was to be skipped and has no end."""
        self.feed(markup)
        self.close()
        self.lost = self._skipped if self._skipped_characters else ""

    def text(self) -> str:
        """The text that was taken."""
        return re.sub(r"[ \t]*\n[ \t]*", "\n", "".join(self._pieces))

    def tell(self, reading: Reading) -> None:
        """Note what was left out. Raises: VerificationError (an element that hides text has no end)."""
        if self.lost:
            raise VerificationError(f"its <{self.lost}> has no end, so the text after it would be lost; mend the file")
        for reason, characters in self._left_out.items():
            reading.note(f"left out: {reason} ({counted(characters, 'character')})")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._skipped:
            self._skipped_depth += tag == self._skipped
            return
        reason = self._reason_to_skip(tag, dict(attrs))
        if reason and tag not in _NO_END:
            self._skipped, self._skipped_depth, self._reason, self._skipped_characters = tag, 1, reason, 0
            if reason != "-":
                self._break(tag)
            return
        self._open[tag] += tag not in _NO_END
        self._break(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # XHTML's <script/> and <title/> have no end tag, so they must not begin a skipped part.
        if not self._skipped and not self._reason_to_skip(tag, dict(attrs)):
            self.handle_starttag(tag, attrs)
            if tag not in _NO_END:
                self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._skipped:
            self._skipped_depth -= tag == self._skipped
            if self._skipped_depth:
                return
            if self._reason != "-":
                self._left_out[self._reason] += self._skipped_characters
                self._break(tag)
            self._skipped, self._skipped_characters = "", 0
            return
        self._open[tag] -= self._open[tag] > 0
        if tag not in _LINES:
            self._break(tag)

    def handle_data(self, data: str) -> None:
        if self._skipped == "title":
            self.title.append(data)
        if self._skipped:
            self._skipped_characters += len(data.strip())
        elif self._open["pre"]:
            self._pieces.append(data)
        else:
            text = _SPACES.sub(" ", data)
            is_at_start = not self._pieces or self._pieces[-1].endswith(("\n", " ", "\t"))
            self._pieces.append(text.lstrip(" ") if is_at_start else text)

    def unknown_decl(self, data: str) -> None:
        """XHTML's CDATA is text."""
        if data.startswith("CDATA["):
            self.handle_data(data[len("CDATA[") :])

    def _break(self, tag: str) -> None:
        if tag in _LINES:
            is_first_cell = tag in {"td", "th"} and (not self._pieces or self._pieces[-1].endswith("\n"))
            self._pieces.append("" if is_first_cell else _LINES[tag])
        elif tag not in _INLINE and tag not in {"rt", "rp"}:
            self._pieces.append("\n\n")

    def _reason_to_skip(self, tag: str, attributes: _Attributes) -> str:
        """Why the element's text is not taken: `-` when nobody would call it text; empty when it is."""
        if tag in _NO_TEXT:
            return "-"
        if tag in _LEFT_OUT:
            return _LEFT_OUT[tag]
        if "hidden" in attributes or _HIDDEN.search(attributes.get("style") or ""):
            return "hidden text"
        return _FURNITURE if self._is_page and self._is_furniture(tag, attributes) else ""

    def _is_furniture(self, tag: str, attributes: _Attributes) -> bool:
        if tag == "nav":
            return True
        if self._open["article"]:
            return False
        if tag in {"aside", "footer"}:
            return True
        names = f"{attributes.get('id') or ''} {attributes.get('class') or ''}".lower().split()
        is_named = not _FURNITURE_NAMES.isdisjoint(names) or (attributes.get("role") or "") in _FURNITURE_ROLES
        return is_named and tag in {"div", "section", "ul", "ol", "header", "form"}
