"""Pages with one table each whose cells are known, because they are drawn here from a seed.

Every kind of table that is common in print: with all rulings, with a few, with none; with spans, cells of several
lines, Chinese text; laid on its side; as a scanner gives it. A line of text stands above the table and one below it.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from one_ocr_ray.blocks import Cell, TableGrid
from one_ocr_ray.pdf.fonts import cjk_folders
from one_ocr_ray.policy.layout.geometry import TextLine, Word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from one_ocr_ray.policy.layout.geometry import Point

WIDTH_PX, HEIGHT_PX = 1132, 1600  # A4 as the embedded engine gets it
LEFT_PX, TOP_PX = 90, 130
SIZE_PX = 19  # 10 pt
MOST_WIDTH_PX = WIDTH_PX - 2 * LEFT_PX

RULED = (
    "ruled",
    "ruled-spans",
    "ruled-lines",
    "ruled-gray",
    "ruled-cjk",
    "ruled-turned",
    "ruled-scanned",
    "open-sides",
)
HALF_RULED = ("booktabs", "booktabs-spans", "rows-ruled")
UNRULED = ("plain", "plain-spans", "plain-lines", "plain-cjk", "plain-striped", "plain-scanned")
KINDS = (*RULED, *HALF_RULED, *UNRULED)

_WORDS = (
    "river storage engine basin yearly income market garden office water total report energy carbon record winter "
    "north coastal forest rural budget quality signal vessel copper annual harbour motor timber survey region"
)
_CJK = (
    "数量",
    "合計",
    "名称",
    "地区",
    "年度",
    "収入",
    "東部",
    "西部",
    "面積",
    "長度",
    "平均",
    "品質",
    "人口",
    "工業",
    "農業",
    "教育",
)


@dataclass(frozen=True, slots=True)
class TablePage:
    """A page image, the table on it, and the lines that a perfect reader finds on the upright page, in px."""

    kind: str
    seed: int
    image: Image.Image
    table: TableGrid
    lines: tuple[TextLine, ...]
    turn_deg: int = 0  # clockwise, to make the image upright


def corpus(seeds: range = range(5)) -> Iterator[TablePage]:
    """A page of each kind for each seed."""
    for kind in KINDS:
        for seed in seeds:
            yield table_page(kind, seed)


def table_page(kind: str, seed: int) -> TablePage:
    """The page of this kind and seed; the same each time."""
    drawn = _Drawing(kind, random.Random(f"{kind} {seed}"))
    drawn.draw()
    page, turn = drawn.image, 0
    if kind.endswith("turned"):
        turn = 90 if seed % 2 else 270
        page = page.rotate(turn, expand=True)
    lines = tuple(drawn.lines)
    if kind.endswith("scanned"):
        page, lines = _scanned(page, lines, seed)
    return TablePage(kind, seed, page, drawn.table, lines, turn)


@cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    if name == "latin":
        return ImageFont.load_default(size)
    (folder,) = cjk_folders()
    return ImageFont.truetype(str(next(Path(folder).rglob("*.[ot]t[fc]"))), size)


class _Drawing:
    """One page while it is drawn."""

    def __init__(self, kind: str, rng: random.Random) -> None:
        self.kind = kind
        self.rng = rng
        self.image = Image.new("RGB", (WIDTH_PX, HEIGHT_PX), "white")
        self.pen = ImageDraw.Draw(self.image)
        self.font = _font("cjk" if kind.endswith("cjk") or rng.random() < 0.5 else "latin", SIZE_PX)
        self.lines: list[TextLine] = []
        self.table = _table(kind, rng)
        self.padding = rng.randint(8, 16), rng.randint(4, 11)  # of a cell, px
        if kind.startswith(("plain", "booktabs")):
            self.padding = rng.randint(14, 28), rng.randint(2, 6)

    def draw(self) -> None:
        leading = SIZE_PX * 1.3
        self._line("The survey of the region gives the record of each year in the table below.", LEFT_PX, TOP_PX)
        self.xs = self._columns()
        self.ys = self._rows(TOP_PX + 2.5 * leading, leading)
        if self.kind == "plain-striped":
            for top, bottom in list(zip(self.ys, self.ys[1:], strict=False))[::2]:
                self.pen.rectangle((self.xs[0], top, self.xs[-1], bottom - 1), (226, 234, 240))
        if self.kind == "ruled-gray":
            self.pen.rectangle((self.xs[0], self.ys[0], self.xs[-1], self.ys[1]), (70, 90, 130))
        for cell in self.table.cells:
            self._cell(cell, leading)
        self._rulings()
        self._line(
            "What the garden office counts as income is told in the report of the market.",
            LEFT_PX,
            self.ys[-1] + 2 * leading,
        )

    def _columns(self) -> list[float]:
        """The edges of the columns: each as wide as its cells of one column, and spread where a head is wider."""
        widths = [4 * SIZE_PX] * self.table.cols
        for cell in self.table.cells:
            wanted = max(self.font.getlength(line) for line in cell.text.split("\n")) + 2 * self.padding[0]
            part = range(cell.col, cell.col + cell.col_span)
            lacking = wanted - sum(widths[col] for col in part)
            for col in part:
                widths[col] += max(0, math.ceil(lacking / cell.col_span))
        left = LEFT_PX + self.rng.randint(0, max(0, MOST_WIDTH_PX - sum(widths)) // 2)
        return list(accumulate(widths, initial=left))

    def _rows(self, top: float, leading: float) -> list[float]:
        heights = [0.0] * self.table.rows
        for cell in sorted(self.table.cells, key=lambda c: c.row_span):
            wanted = (cell.text.count("\n") + 1) * leading + 2 * self.padding[1]
            part = range(cell.row, cell.row + cell.row_span)
            lacking = wanted - sum(heights[row] for row in part)
            for row in part:
                heights[row] += max(0.0, lacking / cell.row_span)
        return [round(y) for y in accumulate(heights, initial=top)]

    def _cell(self, cell: Cell, leading: float) -> None:
        left, right = self.xs[cell.col] + self.padding[0], self.xs[cell.col + cell.col_span] - self.padding[0]
        top, bottom = self.ys[cell.row], self.ys[cell.row + cell.row_span]
        lines = cell.text.split("\n") if cell.text else []
        first = (
            (top + bottom - len(lines) * leading) / 2
            if cell.row_span > 1 or self.kind.startswith("ruled")
            else top + self.padding[1]
        )
        for number, line in enumerate(lines):
            length = self.font.getlength(line)
            x = left
            if cell.col_span > 1 or (cell.is_header and self.kind.startswith("ruled")):
                x = (left + right - length) / 2
            elif cell.col and self.kind not in ("plain-lines", "ruled-lines"):
                x = right - length
            white = self.kind == "ruled-gray" and cell.row == 0
            self._line(line, x, first + number * leading, "white" if white else "black")

    def _line(self, text: str, x: float, y: float, colour: str = "black") -> None:
        self.pen.text((x, y), text, colour, self.font)
        length = self.font.getlength(text)
        right, bottom = x + length, y + SIZE_PX * 1.2
        words, at = [], 0
        for word in text.split(" "):
            end = at + len(word)
            start = self.font.getlength(text[:at]) / length
            words.append(Word(text[at : end + 1], start, self.font.getlength(text[:end]) / length))
            at = end + 1
        self.lines.append(TextLine(((x, y), (right, y), (right, bottom), (x, bottom)), tuple(words)))

    def _rulings(self) -> None:
        last_row, last_col = self.table.rows, self.table.cols
        colour = self.rng.choice(("black", "black", (90, 90, 90), (20, 70, 150)))
        thick = self.rng.choice((1, 2, 2, 3))
        for cell in self.table.cells:
            end_row, end_col = cell.row + cell.row_span, cell.col + cell.col_span
            left, right = self.xs[cell.col], self.xs[end_col]
            top, bottom = self.ys[cell.row], self.ys[end_row]
            if self.kind.startswith(("ruled", "open", "rows")):
                sides = [(left, bottom, right, bottom)] + [(left, top, right, top)] * (cell.row == 0)
                if not self.kind.startswith("rows"):
                    sides += [(right, top, right, bottom)] * (end_col < last_col or self.kind != "open-sides")
                    sides += [(left, top, left, bottom)] * (cell.col == 0 and self.kind != "open-sides")
                for side in sides:
                    self.pen.line(side, colour, thick)
            elif self.kind.startswith("booktabs") and cell.col_span > 1 and end_row < self.table.header_rows:
                self.pen.line((left + self.padding[0] / 2, bottom, right - self.padding[0] / 2, bottom), colour, 1)
        if self.kind.startswith("booktabs"):
            for row, width in ((0, 2), (self.table.header_rows, 1), (last_row, 2)):
                self.pen.line((self.xs[0], self.ys[row], self.xs[-1], self.ys[row]), colour, width)


def _table(kind: str, rng: random.Random) -> TableGrid:
    """A table of this kind: which cells it has and what they say."""
    rows, cols = rng.randint(5, 9), rng.randint(3, 5)
    lines = kind.endswith("lines")
    if lines:
        rows, cols = rng.randint(4, 6), 3
    cjk = kind.endswith("cjk")
    spans = kind.endswith(("spans", "cjk", "turned")) and kind != "plain-cjk"
    cells: list[Cell] = []
    header_rows = 1
    if spans:
        header_rows, cols = 2, 5
        cells += [Cell(0, 0, _words(rng, cjk), 2, 1, is_header=True)]
        cells += [Cell(0, col, _words(rng, cjk, 2), 1, 2, is_header=True) for col in (1, 3)]
        cells += [Cell(1, col, _words(rng, cjk), is_header=True) for col in range(1, 5)]
    else:
        cells += [Cell(0, col, _words(rng, cjk), is_header=True) for col in range(cols)]
    row = header_rows
    while row < rows:
        down = 2 if kind in ("ruled-spans", "ruled-cjk") and row + 2 <= rows and rng.random() < 0.4 else 1
        cells.append(Cell(row, 0, _body(rng, cjk, lines, 0), down))
        cells += [Cell(row + at, col, _body(rng, cjk, lines, col)) for at in range(down) for col in range(1, cols)]
        row += down
    return TableGrid(rows, cols, tuple(sorted(cells, key=lambda c: (c.row, c.col))), header_rows)


def _words(rng: random.Random, cjk: bool, count: int = 1) -> str:
    if cjk:
        return "".join(rng.choices(_CJK, k=count + 1))
    return " ".join(rng.sample(_WORDS.split(), k=count)).capitalize()


def _body(rng: random.Random, cjk: bool, lines: bool, col: int) -> str:
    if lines and col == 1:
        return "\n".join(
            _words(rng, cjk, rng.randint(3, 4)) if n == 0 else " ".join(rng.sample(_WORDS.split(), 3))
            for n in range(rng.randint(2, 3))
        )
    if col == 0:
        return _words(rng, cjk, rng.randint(1, 2))
    if rng.random() < 0.08 and not lines:
        return "" if rng.random() < 0.5 else "-"
    return rng.choice((f"{rng.randint(1, 9999):,}", f"{rng.uniform(0, 99):.1f}", f"{rng.uniform(0, 100):.2f}%"))


def _scanned(page: Image.Image, lines: tuple[TextLine, ...], seed: int) -> tuple[Image.Image, tuple[TextLine, ...]]:
    """The page a little aslant, with the noise of a scanner."""
    degrees = (-0.8, 0.5, 1.2, -0.3, 0.7)[seed % 5]
    page = page.rotate(degrees, Image.Resampling.BICUBIC, fillcolor="white")
    noise = np.random.default_rng(seed).normal(-6, 7, (page.height, page.width, 1))
    page = Image.fromarray(np.clip(np.asarray(page) * 0.92 + 10 + noise, 0, 255).astype(np.uint8))
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    middle_x, middle_y = (WIDTH_PX - 1) / 2, (HEIGHT_PX - 1) / 2

    def moved(point: Point) -> Point:
        x, y = point[0] - middle_x, point[1] - middle_y
        return middle_x + x * cos + y * sin, middle_y - x * sin + y * cos

    turned = (
        TextLine((moved(a), moved(b), moved(c), moved(d)), line.words)
        for line in lines
        for a, b, c, d in [line.corners]
    )
    return page, tuple(turned)
