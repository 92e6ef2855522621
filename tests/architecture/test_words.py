"""Documents, docstrings and comments use plain words; phrases that read translated do not return."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("contracts/*.md")])
MODULES = sorted(ROOT.glob("viz_node/**/*.py"))
QUOTED = re.compile(r'"[^"\n]*"|“[^”]*”|`[^`]*`|\]\([^)]*\)')
"""Texts, names and links that are not this project's own words."""

UNWANTED = {
    "for ever": re.compile(r"\bfor ever\b", re.IGNORECASE),
    "by itself": re.compile(r"\bby itself\b", re.IGNORECASE),
    "whoever": re.compile(r"\bwhoever\b", re.IGNORECASE),
    "licence": re.compile(r"\blicen[c]e[sd]?\b", re.IGNORECASE),
    "all the same": re.compile(r"\ball the same\b", re.IGNORECASE),
    "raises as": re.compile(r"\bRaises: as\b"),
    "he or his": re.compile(r"\b(?:he|his|himself)\b", re.IGNORECASE),
    "that of one": re.compile(r"(?:^|\. )That of\b"),
    "research page": re.compile(r"\bresearch, section\b", re.IGNORECASE),
}


def own_words(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers and texts: paragraphs of a page; docstrings, and blocks of comments, of a module."""
    source = path.read_text()
    if path.suffix == ".md":
        outside = re.sub(
            r"^```.*?^```", lambda code: "\n" * code[0].count("\n"), source, flags=re.DOTALL | re.MULTILINE
        )
        # Samples of models are quoted in blocks.
        outside = re.sub(r"^>.*", "", outside, flags=re.MULTILINE)
        for found in re.finditer(r"(?:.+\n?)+", outside):
            yield outside.count("\n", 0, found.start()) + 1, found[0]
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def unwanted(name: str, text: str) -> bool:
    return UNWANTED[name].search(" ".join(QUOTED.sub(" ", text).split())) is not None


@pytest.mark.parametrize("name", UNWANTED)
def test_words__unwanted_phrase__is_in_no_page_docstring_or_comment(name: str) -> None:
    places = [(path, path.relative_to(ROOT).as_posix()) for path in (*PAGES, *MODULES)]
    assert len(places) > 100
    wrong = [f"{place}:{line}" for path, place in places for line, text in own_words(path) if unwanted(name, text)]
    assert wrong == []


@pytest.mark.parametrize(
    ("name", "text", "is_wrong"),
    [
        ("for ever", "Sales stop for\never.", True),
        ("for ever", "A price for every use.", False),
        ("licence", "Read the licence first.", True),
        ("licence", 'The file says "MIT licence".', False),
        ("by itself", "See `is_disputed by itself`.", False),
        ("whoever", "Whoever pays gets the key.", True),
        ("raises as", "Sign it. Raises: as `sign`.", True),
        ("he or his", "An owner sells his work.", True),
        ("he or his", "The history is whole.", False),
        ("that of one", "That of one use.", True),
        ("that of one", "The price is that of one use.", False),
        ("research page", "See market research, section 3.", True),
    ],
)
def test_unwanted__examples__are_told_apart(name: str, text: str, is_wrong: bool) -> None:
    assert unwanted(name, text) is is_wrong
