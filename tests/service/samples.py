"""Blocks as a reader gives them, for tests of the service and its pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.blocks import Block, BlockKind, Box, Cell, TableGrid

if TYPE_CHECKING:
    from one_ocr_ray.policy.tasks.task import TaskRecord

TABLE = TableGrid(
    rows=3,
    cols=3,
    header_rows=1,
    cells=(
        Cell(0, 0, "fruit", is_header=True),
        Cell(0, 1, "count and cost", col_span=2, is_header=True),
        Cell(1, 0, "=1+1 apples", row_span=2),
        Cell(1, 1, "3"),
        Cell(1, 2, "-4.50"),
        Cell(2, 1, "14"),
        Cell(2, 2, "<b>free</b>"),
    ),
)


def page_of_blocks(_record: TaskRecord, page_number: int) -> list[Block]:
    """A head, a heading, two paragraphs, a table with spans and a block whose place is not known."""
    return [
        Block(1, BlockKind.PAGE_HEADER, "Annual report", Box(60, 30, 552, 44)),
        Block(2, BlockKind.HEADING, f"Chapter {page_number}", Box(60, 60, 300, 84), level=1),
        Block(3, BlockKind.PARAGRAPH, "Plain words <script>alert(1)</script> & more.", Box(60, 100, 552, 160)),
        Block(4, BlockKind.TABLE, "fruit", Box(60, 200, 552, 400), table=TABLE),
        Block(5, BlockKind.PARAGRAPH, "Its place is not known."),
    ]
