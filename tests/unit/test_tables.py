"""Tables of known cells: drawn lines found in the image, cells and spans found from lines and text."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw

from one_ocr_ray.blocks import Box
from one_ocr_ray.engines.ocr.rulings import page_rulings
from one_ocr_ray.policy.evaluation.table_similarity import teds
from one_ocr_ray.policy.layout import page_blocks
from one_ocr_ray.policy.layout.content import PageContent, Region, Ruling
from one_ocr_ray.policy.layout.geometry import TextLine, Word, straighten
from one_ocr_ray.policy.layout.kinds.labels import Labels
from one_ocr_ray.policy.layout.tables.ruled import with_ruled_tables
from tests.tables import KINDS, table_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.blocks import TableGrid
    from tests.tables import TablePage

HEIGHT_PX = 20.0
PROSE = (
    "the first line of a paragraph that goes",
    "on over its second line and then over a",
    "third one that has some more of the text",
    "before it ends with the fourth line here",
)


def rulings(page: TablePage) -> tuple[Ruling, ...]:
    """The lines drawn on the upright page."""
    upright = page.image.rotate(-page.turn_deg, expand=True)
    return page_rulings(np.ascontiguousarray(np.asarray(upright)[:, :, ::-1]))


def tables(lines: Sequence[TextLine], drawn: Sequence[Ruling] = (), pt_per_unit: float = 1.0) -> list[TableGrid]:
    """The tables on a page with these lines of text and drawn lines."""
    blocks = page_blocks(PageContent(1132, 1600, tuple(lines), pt_per_unit, rulings=tuple(drawn)))
    return [block.table for block in blocks if block.table is not None]


def line(text: str, x: float, y: float) -> TextLine:
    """`text` with its top left corner at (x, y), every letter half as wide as the line is high."""
    width = HEIGHT_PX / 2 * len(text)
    words, at = [], 0
    for word in text.split(" "):
        words.append(Word(f"{word} ", at / len(text), (at + len(word)) / len(text)))
        at += len(word) + 1
    return TextLine(((x, y), (x + width, y), (x + width, y + HEIGHT_PX), (x, y + HEIGHT_PX)), tuple(words))


def box(x0: float, y0: float, x1: float, y1: float) -> list[Ruling]:
    """The four sides of a rectangle."""
    return [Ruling(x0, y0, x1, y0), Ruling(x0, y1, x1, y1), Ruling(x0, y0, x0, y1), Ruling(x1, y0, x1, y1)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_is_read_as_it_was_drawn(kind: str) -> None:
    """One table, and nearly all of it: rows, columns, spans and the lines of each cell."""
    page = table_page(kind, 1)
    (found,) = tables(page.lines, rulings(page))
    assert teds(found, page.table) > 0.97


def test_places_in_points_give_the_same_table() -> None:
    """Nothing depends on the unit: the text layer comes in points, the image in pixels."""
    page = table_page("ruled-spans", 1)
    small = [
        replace(each, corners=tuple((0.3 * x, 0.3 * y) for x, y in each.corners))  # type: ignore[arg-type]
        for each in page.lines
    ]
    drawn = [Ruling(0.3 * r.x0, 0.3 * r.y0, 0.3 * r.x1, 0.3 * r.y1) for r in rulings(page)]
    (in_points,), (in_px,) = tables(small, drawn), tables(page.lines, rulings(page))
    assert teds(in_points, in_px) == 1.0


def test_each_word_of_the_page_is_in_one_block() -> None:
    """Those of the table are in its block and in no other."""
    page = table_page("ruled-lines", 2)
    blocks = page_blocks(PageContent(1132, 1600, page.lines, rulings=rulings(page)))
    words = sorted(word.text for block in blocks for each in block.lines or () for word in each.words)
    assert words == sorted(word.text.strip() for each in page.lines for word in each.words)


def test_the_box_of_a_drawn_table_is_its_frame() -> None:
    """In points of the page, where its lines and not where its words end."""
    cells = [line(text, x, y) for y in (200, 260) for x, text in ((120, "name"), (520, "value"))]
    drawn = [*box(100, 190, 800, 300), Ruling(100, 245, 800, 245), Ruling(500, 190, 500, 300)]
    (block,) = page_blocks(PageContent(1132, 1600, tuple(cells), 0.5, rulings=tuple(drawn)))
    assert block.table is not None
    assert block.box == Box(50, 95, 400, 150)


def test_the_type_of_a_drawn_table_is_that_of_its_first_line() -> None:
    """Whatever the order of its lines in memory, which had made a page's listing a paragraph in every other run."""
    cells = [line(f"cell {x}", x, y) for y in range(200, 560, 60) for x in (120, 320, 520, 720)]
    upright = [Ruling(x, 190, x, 550) for x in (300, 500, 700)]
    drawn = [*box(100, 190, 900, 550), *upright, *(Ruling(100, y, 900, y) for y in range(245, 545, 60))]
    content = PageContent(1132, 1600, tuple(cells), rulings=tuple(drawn))
    strips = with_ruled_tables(drawn, 0.0, straighten(content, 0.0), Labels.of(content))
    assert strips
    assert all(strip.line is cells[0] for strip in strips)


def test_text_in_columns_with_lines_between_them_is_no_table() -> None:
    """A newspaper has rules between its columns and above them."""
    lines = [line(text, x, 200 + 26 * at) for x in (100, 560) for at, text in enumerate(PROSE * 5)]
    drawn = [Ruling(100, 180, 960, 180), Ruling(100, 740, 960, 740), Ruling(530, 180, 530, 740)]
    assert tables(lines, drawn) == []


def test_text_between_rules_is_no_table() -> None:
    """A page head and a page foot stand under and over a line as wide as the text."""
    lines = [line(text, x, 200 + 26 * at) for x in (100, 560) for at, text in enumerate(PROSE * 5)]
    lines += [line("A journal", 100, 100), line("Number 7", 880, 100)]
    assert tables(lines, [Ruling(100, 130, 960, 130), Ruling(100, 760, 960, 760)]) == []


def test_a_box_around_a_paragraph_is_no_table() -> None:
    """Nor is a box in a box."""
    lines = [line(text, 120, 200 + 26 * at) for at, text in enumerate(PROSE)]
    assert tables(lines, [*box(100, 190, 540, 320), *box(90, 180, 550, 330)]) == []


def test_a_list_in_a_box_is_no_table() -> None:
    """Its numbers are no column, though a line parts them from the text."""
    lines = [
        each
        for at, text in enumerate(PROSE)
        for each in (line(f"{at + 1}.", 110, 200 + 26 * at), line(text, 180, 200 + 26 * at))
    ]
    assert tables(lines, [*box(100, 190, 600, 320), Ruling(160, 190, 160, 320)]) == []


def test_the_grid_of_a_chart_is_no_table() -> None:
    """Its labels stand outside, and little within."""
    lines = [line(f"{20 * at}", 60, 590 - 100 * at) for at in range(5)]
    lines += [line(f"{2000 + at}", 150 + 120 * at, 620) for at in range(6)]
    lines += [line("Peak", 420, 240), line("Low", 180, 540)]
    drawn = [Ruling(100, 600 - 100 * at, 820, 600 - 100 * at) for at in range(5)]
    drawn += [Ruling(160 + 120 * at, 200, 160 + 120 * at, 600) for at in range(6)]
    assert tables(lines, drawn) == []


def test_an_address_is_no_table() -> None:
    """Two of them beside each other are three lines that share two columns."""
    left = ("Ada Lovelace", "12 St James Square", "London SW1Y")
    lines = [line(text, 100, 200 + 26 * at) for at, text in enumerate(left)]
    assert tables(lines, [Ruling(100, 190, 400, 190), Ruling(100, 290, 400, 290)]) == []


def test_light_lines_on_dark_and_lines_aslant_are_found() -> None:
    """A scanner lays a page a little aslant; a table may be drawn in white on a colour."""
    image = Image.new("RGB", (800, 800), "white")
    pen = ImageDraw.Draw(image)
    pen.line((100, 100, 700, 109), (60, 60, 60), 2)
    pen.rectangle((100, 300, 700, 500), (40, 60, 120))
    pen.line((100, 400, 700, 400), "white", 2)
    found = page_rulings(np.ascontiguousarray(np.asarray(image)[:, :, ::-1]))
    aslant = [r for r in found if abs(r.y0 - 100) < 3 and abs(r.y1 - 109) < 3 and r.x1 - r.x0 > 590]
    light = [r for r in found if abs(r.y0 - 400) < 3 and r.x1 - r.x0 > 580]
    assert len(aslant) == 1
    assert len(light) == 1


def test_a_picture_of_noise_has_few_lines_and_takes_little_time() -> None:
    """What is no page is bounded too."""
    noise = np.random.default_rng(1).integers(0, 255, (3000, 3000, 3), np.uint8)
    assert len(page_rulings(noise)) < 100


def test_a_page_of_nothing_but_lines_is_bounded() -> None:
    """A grid of hairlines gives no table of a million cells."""
    drawn = [Ruling(0, at, 1100, at) for at in range(0, 1600, 2)] + [
        Ruling(at, 0, at, 1600) for at in range(0, 1100, 2)
    ]
    lines = [line(text, 120, 200 + 26 * at) for at, text in enumerate(PROSE)]
    assert tables(lines, drawn) == []


def test_a_legend_in_a_figure_is_no_table() -> None:
    """Where the layout model is sure of a figure, two rows of two cells are not enough."""
    lines = [line(text, x, y) for text, x, y in (("Ours", 120, 210), ("Open", 420, 210), ("Mine", 120, 260))]
    lines.append(line("Closed", 420, 260))
    drawn = [*box(100, 200, 600, 300), Ruling(100, 250, 600, 250), Ruling(350, 200, 350, 300)]
    content = PageContent(1132, 1600, tuple(lines), rulings=tuple(drawn))
    figure = Region("figure", 50, 100, 700, 800, 0.97)
    assert [block.table is not None for block in page_blocks(content)] == [True]
    assert not any(block.table for block in page_blocks(replace(content, regions=(figure,))))


def test_answers_to_choose_from_are_no_table() -> None:
    """A fraction beside each letter stands in columns, and says too little for cells."""
    cells = (("A", 100, 0), ("2", 150, -13), ("17", 145, 13), ("C", 400, 0), ("5", 450, -13), ("17", 445, 13))
    lines = [line(text, x, 300 + y + 80 * at) for at in range(3) for text, x, y in cells]
    assert tables(lines) == []


def test_text_that_edges_run_through_is_no_table() -> None:
    """The lines of a chart cut its words; those of a table do not."""
    lines = [line("words of a label that are anywhere", 120, 210 + 50 * at) for at in range(6)]
    drawn = [Ruling(100, 200 + 50 * at, 600, 200 + 50 * at) for at in range(7)]
    drawn += [Ruling(100 + 50 * at, 200, 100 + 50 * at, 500) for at in range(11)]
    assert tables(lines, drawn) == []


def test_two_heads_beside_each_other_span_their_columns() -> None:
    """Also where both are as far left as the first column below them: a drawn line parts the one from the other."""
    upright = [(100, 400), (260, 440), (360, 400), (480, 440), (600, 400)]
    drawn = [Ruling(100, y, 600, y) for y in (400, 440, 480, 520)] + [Ruling(x, top, x, 520) for x, top in upright]
    texts = ["Electricity", "Heating"], ["kWh", "EUR", "kWh", "EUR"], ["120", "24", "419", "37"]
    lefts = [108, 368], [108, 268, 368, 488], [108, 268, 368, 488]
    lines = [line(text, x, 410 + 40 * row) for row in range(3) for text, x in zip(texts[row], lefts[row], strict=True)]
    (table,) = tables(lines, drawn)
    heads = [(cell.row, cell.col, cell.col_span, cell.text) for cell in table.cells if cell.row == 0]
    assert heads == [(0, 0, 2, "Electricity"), (0, 2, 2, "Heating")]


def statement(y: float) -> list[TextLine]:
    """The rows of a statement: a name and the amounts of two years, each after the sign of its currency."""
    amounts = [("Rent", "120", "110"), ("Food and drink", "340", "2,310"), ("Total", "535", "2,420")]
    return [
        each
        for row, (name, this, last) in enumerate(amounts)
        for each in (
            line(name, 100, y + 26 * row),
            *([line("$", 480, y + 26 * row), line("$", 680, y + 26 * row)] if row != 1 else []),
            line(this, 620 - 10 * len(this), y + 26 * row),
            line(last, 820 - 10 * len(last), y + 26 * row),
        )
    ]


HEADS = (line("Year", 630, 400), line("May-2026", 510, 426), line("May-2025", 710, 426), line("USD", 635, 452))


@pytest.mark.parametrize("drawn", [(), (Ruling(100, 499, 820, 499), Ruling(100, 525, 820, 525))])
def test_heads_above_all_columns_but_the_first_span_them(drawn: Sequence[Ruling]) -> None:
    """Each in a row of its own, also above a table with some rules; a title above the whole table is no head."""
    (table,) = tables([*HEADS, *statement(478)], drawn)
    heads = [(cell.row, cell.col, cell.col_span, cell.text) for cell in table.cells if cell.row < 3 and cell.text]
    assert heads == [(0, 1, 4, "Year"), (1, 1, 2, "May-2026"), (1, 3, 2, "May-2025"), (2, 1, 4, "USD")]
    assert table.header_rows == 2
    assert [cell.text for cell in table.cells if cell.row == 3] == ["Rent", "$", "120", "$", "110"]
    (untitled,) = tables([line("Statement", 415, 452), *statement(478)], drawn)
    assert untitled.rows == 3


def test_a_sign_that_is_found_a_little_too_tall_stays_in_its_row() -> None:
    """Boxes of lines that were read from an image overlap: both cells of its row reach into the one below."""
    lines = statement(478)

    def taller(each: TextLine, by: float) -> TextLine:
        (a, b, (x, y), (left, bottom)) = each.corners
        return replace(each, corners=(a, b, (x, y + by), (left, bottom + by)))

    (table,) = tables([*(taller(each, 9.0) for each in lines[:5]), *lines[5:]])
    assert all(cell.row_span == 1 for cell in table.cells)


def test_the_lines_of_an_invoice_are_rows_between_few_rules() -> None:
    """A rule under the head and one above the sum part no rows; cells stand in the middle of a cell of two lines."""
    rows = [("1", "Shackle of steel", "120", "504.00"), ("2", "", "300", "645.00"), ("3", "Pump", "4", "359.60")]
    lines = [line("Unit", 660, 181), line("No.", 100, 194), line("Goods", 180, 194), line("Sum", 860, 194)]
    lines.append(line("count", 650, 203))
    for row, cells in enumerate(rows):
        lines += [line(text, x, 240 + 40 * row) for text, x in zip(cells, (100, 180, 680, 840), strict=True) if text]
    lines += [line("Braided rope, twelve millimetres,", 180, 269), line("cut to length", 180, 292)]
    lines += [line("Total", 180, 370), line("1,508.60", 820, 370)]
    drawn = [Ruling(90, y, 910, y) for y in (228, 355, 400)]
    (grid,) = tables(lines, drawn)
    texts = [[cell.text.replace("\n", " ") for cell in grid.cells if cell.row == row] for row in range(grid.rows)]
    assert texts[0] == ["No.", "Goods", "Unit count", "Sum"]
    assert texts[2] == ["2", "Braided rope, twelve millimetres, cut to length", "300", "645.00"]
    assert (grid.rows, texts[3][1], texts[4][3]) == (5, "Pump", "1,508.60")
