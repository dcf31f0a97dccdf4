"""From Markdown to blocks: a model's answer, whatever it holds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.policy.page.markdown_blocks import MOST_CHARACTERS, MOST_SPAN, markdown_blocks

PAGE = """# Results *of 2025*

Sales **rose** in
most regions $a^2$ &amp; <b>abroad</b>.

- one
  - two
3. three

```py
code = 1
```

![a bar chart](chart.png)

$$
x = y
$$

Text[^1]

[^1]: the note
"""


def test_each_construct_becomes_its_kind_of_block() -> None:
    """Headings, paragraphs, nested lists, code, figures, formulas and footnotes, in the answer's order."""
    kinds = [(block.kind, block.text, block.level, block.marker) for block in markdown_blocks(PAGE)]
    assert kinds == [
        (BlockKind.HEADING, "Results of 2025", 1, None),
        (BlockKind.PARAGRAPH, "Sales rose in most regions a^2 & abroad.", None, None),
        (BlockKind.LIST_ITEM, "one", 1, "-"),
        (BlockKind.LIST_ITEM, "two", 2, "-"),
        (BlockKind.LIST_ITEM, "three", 1, "3."),
        (BlockKind.CODE, "code = 1", None, None),
        (BlockKind.FIGURE, "a bar chart", None, None),
        (BlockKind.FORMULA, "x = y", None, None),
        (BlockKind.PARAGRAPH, "Text", None, None),
        (BlockKind.FOOTNOTE, "the note", None, None),
    ]


def test_a_nested_item_names_the_one_above() -> None:
    """Blocks are numbered from 1, and an item's parent is the item that it is indented under."""
    blocks = markdown_blocks("- a\n  - b\n  - c\n- d\n")
    assert [(block.id, block.parent) for block in blocks] == [(1, None), (2, 1), (3, 1), (4, None)]


@pytest.mark.parametrize(
    "table",
    [
        "| H | X |\n|---|---|\n| 1 | 2\\|3 |\n",
        "<table><tr><th>H</th><th>X</th></tr><tr><td>1</td><td>2|3</td></tr></table>",
        "text before\n\n<table>\n<thead>\n<tr><th>H<th>X\n</thead><tr><td>1<td>2|3</table>",
    ],
    ids=["pipes", "html", "html without end tags"],
)
def test_a_table_has_its_cells(table: str) -> None:
    """GitHub's tables and HTML's are the same grid."""
    grid = markdown_blocks(table)[-1].table
    assert grid is not None
    assert (grid.rows, grid.cols, grid.header_rows) == (2, 2, 1)
    assert [cell.text for cell in grid.cells] == ["H", "X", "1", "2|3"]


def test_spans_keep_their_places() -> None:
    """A cell over two rows moves those of the next row to the right; what is left of a short row is empty."""
    (block,) = markdown_blocks(
        "<table><tr><th rowspan=2>H</th><th colspan=2>X</th></tr><tr><td>1<br>2</td></tr></table>"
    )
    assert block.table is not None
    places = {(cell.row, cell.col): (cell.text, cell.row_span, cell.col_span) for cell in block.table.cells}
    assert places == {(0, 0): ("H", 2, 1), (0, 1): ("X", 1, 2), (1, 1): ("1\n2", 1, 1), (1, 2): ("", 1, 1)}


def test_a_span_of_any_size_costs_no_memory() -> None:
    """A table that claims more places than a page can have is no table."""
    row = "<tr>" + "<td colspan=1000 rowspan=1000>x</td>" * 2 + "</tr>"
    assert markdown_blocks(f"<table>{row * 300}</table>") == ()
    (block,) = markdown_blocks(f"<table><tr><td colspan={'9' * 5000}>x</td></tr></table>")
    assert block.table is not None
    assert block.table.cols == MOST_SPAN


def test_a_text_that_is_too_long_to_parse_is_paragraphs() -> None:
    """Nothing of it is lost."""
    blocks = markdown_blocks("one two\n\n" + "*a* " * (MOST_CHARACTERS // 4))
    assert [block.kind for block in blocks] == [BlockKind.PARAGRAPH] * 2
    assert blocks[0].text == "one two"


@given(st.text(st.sampled_from('#-*1. |`$<>/tdrhable\n[]^!()&;="2x '), max_size=300))
@settings(deadline=None, max_examples=200)
def test_any_text_becomes_blocks_with_whole_grids(markdown: str) -> None:
    """Nothing raises; every place of a grid belongs to exactly one cell."""
    for number, block in enumerate(markdown_blocks(markdown), 1):
        assert block.id == number
        if block.table is not None:
            places = [
                (cell.row + down, cell.col + right)
                for cell in block.table.cells
                for down in range(cell.row_span)
                for right in range(cell.col_span)
            ]
            assert sorted(places) == [(r, c) for r in range(block.table.rows) for c in range(block.table.cols)]
