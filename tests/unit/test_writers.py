"""Blocks as Markdown, plain text and HTML: nothing of the text is lost, and nothing of it becomes a mark or a tag."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.blocks import Block, BlockKind, Cell, TableGrid
from one_ocr_ray.policy.page.plain_text import plain_text
from one_ocr_ray.policy.writers.html import to_html
from one_ocr_ray.policy.writers.markdown import to_markdown
from one_ocr_ray.policy.writers.text import to_text

SPANNED = TableGrid(
    3,
    2,
    (Cell(0, 0, "both", 1, 2), Cell(1, 0, "tall & wide", 2, 1), Cell(1, 1, "b|c"), Cell(2, 1, "<i>d")),
    header_rows=1,
)
TABLE = Block(1, BlockKind.TABLE, "both\t\ntall & wide\tb|c\n\t<i>d", table=SPANNED)


def test_a_table_with_spans_is_html_in_markdown() -> None:
    """A pipe table has no spans. No blank line ends the HTML early, and a row without cells of its own stands."""
    assert to_markdown([TABLE]).split("\n") == [
        "<table>",
        '<tr><th colspan="2">both</th></tr>',
        '<tr><td rowspan="2">tall &amp; wide</td><td>b|c</td></tr>',
        "<tr><td>&lt;i&gt;d</td></tr>",
        "</table>",
    ]
    assert plain_text(to_markdown([TABLE])).strip() == "both\ntall & wide\tb|c\n<i>d"


def test_a_table_without_spans_has_pipes() -> None:
    """Line ends in a cell stay in it."""
    grid = TableGrid(2, 2, (Cell(0, 0, "a"), Cell(0, 1, "b|c"), Cell(1, 0, "two\nlines"), Cell(1, 1, "")))
    assert to_markdown([Block(1, BlockKind.TABLE, table=grid)]).split("\n") == [
        "| a | b\\|c |",
        "| --- | --- |",
        "| two<br>lines |  |",
    ]


PAGE = [
    Block(1, BlockKind.PAGE_HEADER, "The Running Head"),
    Block(2, BlockKind.HEADING, "A title #", level=2),
    Block(3, BlockKind.LIST_ITEM, "one", level=1, marker="1."),
    Block(4, BlockKind.PAGE_NUMBER, "17"),
    Block(5, BlockKind.LIST_ITEM, "nested", level=2, marker="(a)"),
    Block(6, BlockKind.CODE, "if a:\n    ```"),
    Block(7, BlockKind.FORMULA, "x = 3$"),
    Block(8, BlockKind.FIGURE, "axis [m]"),
    Block(9, BlockKind.CAPTION, "Figure 1"),
    Block(10, BlockKind.FOOTNOTE, "1. see there"),
    Block(11, BlockKind.PAGE_FOOTER, "Printed in May"),
]


def test_what_belongs_to_the_sheet_is_left_out() -> None:
    """Heads, feet and page numbers; what is around them stays together, and everything else is in its place."""
    assert to_markdown(PAGE, 3).split("\n\n") == [
        "## A title \\#",
        "1. one\n   - (a) nested",
        "````\nif a:\n    ```\n````",
        "$$\nx = 3\\$\n$$",
        "![axis \\[m\\]](figures/p3-8.png)",
        "Figure 1",
        "1\\. see there",
    ]
    assert to_text(PAGE).split("\n\n")[:2] == ["A title #", "1. one\n  (a) nested"]


class Seen(HTMLParser):
    """What a browser makes of HTML: its tags, its attributes, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen |= {tag, *(name for name, _ in attrs)}
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


HOSTILE = st.text(st.sampled_from("ab<>&\"'/= \n|*_`#$[]()!-"), min_size=1, max_size=30)
KINDS = [kind for kind in BlockKind if kind is not BlockKind.TABLE]
BLOCKS = st.lists(
    st.builds(
        Block,
        id=st.integers(1, 99),
        kind=st.sampled_from(KINDS),
        text=st.one_of(HOSTILE, st.sampled_from(["<script>alert(1)</script>", '"><img onerror="x">', "&lt;b&gt;"])),
        level=st.integers(1, 3),
        marker=st.sampled_from([None, "-", "3.", "(a)", "<b>"]),
    ),
    max_size=8,
)


@given(BLOCKS)
def test_no_text_becomes_a_tag(blocks: list[Block]) -> None:
    """Whatever a page says, its HTML has the writer's own tags, well nested, and the page's text."""
    seen = Seen()
    seen.feed(to_html(blocks))
    seen.close()
    own = {"p", "pre", "code", "div", "aside", "figure", "ul", "ol", "li", "br", "h1", "h2", "h3"}
    assert seen.seen <= own | {"class", "dir", "value"}
    assert seen.open == []
    said = "".join(block.text for block in blocks if not block.kind.is_furniture)
    markers = "".join(block.marker or "" for block in blocks)
    shown, counted = Counter(seen.text), Counter(said)
    assert all(counted[char] <= shown[char] <= counted[char] + markers.count(char) for char in "&<>\"'abt")


@given(st.lists(st.lists(st.text("ab |<>&*_`\\", max_size=8), min_size=2, max_size=2), min_size=1, max_size=4))
def test_cells_come_back_from_markdown(rows: list[list[str]]) -> None:
    """A reader of the Markdown sees the letters of each cell, in its row."""
    grid = TableGrid(
        len(rows), 2, tuple(Cell(at, col, text) for at, row in enumerate(rows) for col, text in enumerate(row))
    )
    lines = to_markdown([Block(1, BlockKind.TABLE, "x", table=grid)]).split("\n")
    assert [[c for c in line if c in "ab"] for line in (lines[0], *lines[2:])] == [
        [c for text in row for c in text if c in "ab"] for row in rows
    ]
