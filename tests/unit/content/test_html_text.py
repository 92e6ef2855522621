"""Web pages and chapters: what a reader sees, no two words in one, and a note on everything else."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.content.html_text import text_of_chapter, text_of_page
from viz_node.content.readers import clean_text
from viz_node.content.reading import Reading
from viz_node.errors import VerificationError

PAGE = """<!doctype html><html><head><title>The lamp</title><style>p{}</style><script>'<p>no</p>'</script></head>
<body class="menu"><nav><a>Home</a><a>Shop</a></nav><div class="cookie-banner">We use cookies.</div>
<div id="sidebar">Links<div>more</div></div><main><article><header><h1>The lamp</h1></header>
<p>One <b>t</b>wo<br>three</p>
<p hidden>secret</p><footer>First printed 1911.</footer></article><aside>Related</aside></main>
<footer>All rights reserved</footer></body></html>"""


TAGS = ("<p>", "</p>", "<nav>", "</nav>", "<td>", "<br>", "<rt>", "<div hidden>", "</div>", "<article>", "</article>",
        "word ", "<script>", "</script>", "<![CDATA[", "]]>")  # fmt: skip


def page(markup: str) -> tuple[str, list[str]]:
    reading = Reading()
    return clean_text(text_of_page(markup, reading)[1]), reading.notes


def test_text_of_page__furniture__left_out_and_counted() -> None:
    text, notes = page(PAGE)
    assert text == "The lamp\n\nOne two\nthree\n\nFirst printed 1911."
    assert notes == [
        "left out: menus, side bars and footers of the page (58 characters)",
        "left out: hidden text (6 characters)",
    ]


def test_text_of_chapter__same_markup__keeps_what_a_book_has() -> None:
    text = clean_text(text_of_chapter(PAGE, Reading()))
    assert "Related" in text
    assert "All rights reserved" in text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("one<div>two</div>three", "one\n\ntwo\n\nthree"),
        ("<h2>Head</h2>text<summary>more</summary>", "Head\n\ntext\n\nmore"),
        ("<caption>Ships</caption><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr>", "Ships\n\na\tb\nc"),
        ("<ul><li>one<li>two</ul>end", "one\ntwo\n\nend"),
        ("<dl><dt>word<dd>meaning</dl>", "word\nmeaning"),
        ("<my-box>one</my-box><my-box>two</my-box>", "one\n\ntwo"),
        ("<b>Th</b>e <i>sea</i>,<wbr>calm", "The sea,calm"),
        ("line<br/>line", "line\nline"),
        ("<p>a</p> <p> b  c\n d </p>", "a\n\nb c d"),
        ("<s>12</s> <del>9</del> coins", "12 9 coins"),
        ("<ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp></ruby>字", "漢字"),
        ("<p>&lt;s&gt; &amp;c</p>", "<s> &c"),
        ("<pre>a\n  b</pre>", "a\nb"),
        ("<x><![CDATA[kept < so]]></x>", "kept < so"),
        ("<nav>only menu</nav>", "only menu"),
        ("<nav>menu without end<p>story", "menu without end\n\nstory"),
        ("<p>a<svg><title>x</title></svg>b</p>", "ab"),
    ],
)
def test_text_of_page__boundaries__words_apart_and_nothing_lost(markup: str, text: str) -> None:
    assert page(markup)[0] == text


def test_text_of_page__hidden_part_without_end__refused() -> None:
    with pytest.raises(VerificationError, match="<textarea> has no end"):
        page("<p>one<textarea>two<p>three")


@given(st.lists(st.sampled_from(TAGS)))
def test_text_of_page__any_tags__text_or_refusal(parts: list[str]) -> None:
    try:
        text, _ = page("".join(parts))
    except VerificationError:
        return
    assert "wordword" not in text


def test_text_of_page__a_million_nested__quick() -> None:
    start = time.process_time()
    page("<div>" * 200_000 + "deep" + "<b>" * 200_000)
    assert time.process_time() - start < 5
