"""The nouns of what stands on a page: words, lines, tables, blocks and their places. No behaviour of their own.

Boxes are in points of the page as displayed (after its turn and its crop box), origin at the top left, y downwards.
Kinds and names are those of the dataset's column `blocks`, which is part of the public contract.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class BlockKind(StrEnum):
    """What a block is. The value is what stands in the dataset."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST_ITEM = "list_item"
    CODE = "code"
    TABLE = "table"
    CAPTION = "caption"
    FIGURE = "figure"
    FORMULA = "formula"
    FOOTNOTE = "footnote"
    MARGIN_NOTE = "margin_note"
    PAGE_HEADER = "page_header"
    PAGE_FOOTER = "page_footer"
    PAGE_NUMBER = "page_number"

    @property
    def is_furniture(self) -> bool:
        """True if it belongs to the sheet and not to the text. Such blocks stay out of `markdown`."""
        return self in _FURNITURE


_FURNITURE = frozenset({BlockKind.PAGE_HEADER, BlockKind.PAGE_FOOTER, BlockKind.PAGE_NUMBER})


class BlockSource(StrEnum):
    """Which reader a block comes from. The value is what stands in the dataset."""

    TEXT_LAYER = "text-layer"
    OCR = "ocr"
    LLM = "llm"


class Positions(StrEnum):
    """What the dataset keeps of the places on a page: the setting `--positions`."""

    NONE = "none"
    BLOCKS = "blocks"
    WORDS = "words"  # blocks with their lines and words


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle in points: x0 <= x1, y0 <= y1."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class PageBox:
    """A page as displayed, in points. `rotate` is the clockwise turn in degrees: the file's own and the one found."""

    width: float
    height: float
    rotate: int = 0


@dataclass(frozen=True, slots=True)
class BlockWord:
    """A word of a line. `space`: a blank follows, as it does not between CJK words."""

    text: str = field(repr=False)
    box: Box
    confidence: float | None = None  # 0-1
    space: bool = True


@dataclass(frozen=True, slots=True)
class BlockLine:
    """A printed line of a block. `angle` is its direction in degrees, clockwise from the page's x axis."""

    box: Box
    words: tuple[BlockWord, ...]
    angle: float = 0.0


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table. `row` and `col` count from 0 and name its top left place in the grid."""

    row: int
    col: int
    text: str = field(repr=False)
    row_span: int = 1
    col_span: int = 1
    box: Box | None = None
    is_header: bool = False


@dataclass(frozen=True, slots=True)
class TableGrid:
    """A table as a grid. Each place belongs to exactly one of `cells`, which are in row order."""

    rows: int
    cols: int
    cells: tuple[Cell, ...]
    header_rows: int = 0

    @property
    def has_spans(self) -> bool:
        return any(cell.row_span > 1 or cell.col_span > 1 for cell in self.cells)

    def texts(self) -> list[list[str]]:
        """The text of each place, row by row. That of a cell over several places stands in the first of them."""
        places = [[""] * self.cols for _ in range(self.rows)]
        for cell in self.cells:
            places[cell.row][cell.col] = cell.text
        return places


@dataclass(frozen=True, slots=True)
class Block:
    """One thing on a page, in reading order. Field names are those of the dataset's column `blocks`."""

    id: int  # 1.. on the page
    kind: BlockKind
    text: str = field(default="", repr=False)  # plain; a table's cells joined by tab and newline; a formula's LaTeX
    box: Box | None = None  # None: its place is not known
    level: int | None = None  # of a heading 1-6, of a list item its depth 1..
    marker: str | None = None  # of a list item: "-", "3.", "(a)"
    table: TableGrid | None = None
    parent: int | None = None  # id: of a caption what it names, of a list item the item above, of a note its text
    continues: bool = False  # goes on from the last block of its kind on the page before
    lines: tuple[BlockLine, ...] | None = None  # only where words with places are asked for
    source: BlockSource = BlockSource.OCR
    confidence: float | None = None  # 0-1


@dataclass(frozen=True, slots=True)
class PackedBlocks:
    """The blocks of a page in little memory, as rows carry them. `policy/dataset/packing.py` packs and unpacks."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TextLayer:
    """A page's text layer and its image's ink, as the PDF process packs them.

    `policy/text_layer` unpacks them.
    """

    data: bytes = field(repr=False)
    ink: bytes = field(repr=False)  # rows of bits, a cell of 4 px each
    ink_columns: int
    document_id: str = ""  # whose fonts these are: what was found of them holds for its other pages
