"""From text lines on a page to Markdown in reading order."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from one_ocr_ray.blocks import Box
from one_ocr_ray.policy.layout import page_blocks
from one_ocr_ray.policy.layout.content import PageContent
from one_ocr_ray.policy.layout.geometry import TextLine, Word
from one_ocr_ray.policy.layout.places import printed_words, stood_up
from one_ocr_ray.policy.layout.text import without_leader
from one_ocr_ray.policy.page.plain_text import plain_text
from one_ocr_ray.policy.writers.markdown import to_markdown
from tests.page_lines import HEIGHT_PX, column, line

if TYPE_CHECKING:
    from collections.abc import Sequence


def page_markdown(lines: Sequence[TextLine]) -> str:
    """The Markdown of a page with `lines`."""
    return to_markdown(page_blocks(PageContent(1200, 1600, tuple(lines))))


PROSE = ["the first line of a paragraph that", "goes on over its second line and", "ends with the third one here now"]
OTHER = [
    "another column stands beside it and",
    "has lines of its own that belong all",
    "together and come after the first one",
]


def test_lines_of_a_paragraph_become_one() -> None:
    """Joined with a space, one paragraph."""
    assert page_markdown(column(PROSE, 100, 100)) == " ".join(PROSE)


def test_a_hyphenated_word_is_joined() -> None:
    """The hyphen that broke it goes."""
    text = page_markdown(
        column(["a paragraph whose last word is bro-", "ken by its line and goes on for long"], 100, 100)
    )
    assert "broken by its line" in text


RECEIPT = ["Corner Shop", "12 High Street", "London W1A 1AA", "Till 4 Receipt 0031", "Thank you for shopping"]


@pytest.mark.parametrize("is_centred", [False, True])
@pytest.mark.parametrize("with_prices", [False, True])
def test_the_lines_of_a_receipt_stay_lines(is_centred: bool, with_prices: bool) -> None:
    """Each is a line of its own in the Markdown, at the left or in the middle, alone or above a table of prices."""
    middle, letter = 260, HEIGHT_PX / 2
    lines = [
        line(text, middle - len(text) * letter / 2 if is_centred else 80, 100 + 26 * row)
        for row, text in enumerate(RECEIPT)
    ]
    if with_prices:
        for row, (name, price) in enumerate([("Milk", "1.20"), ("Bread", "0.95"), ("Eggs", "2.40"), ("Sum", "4.55")]):
            lines += [line(name, 80, 300 + 26 * row), line(price, 400, 300 + 26 * row)]
    assert page_markdown(lines).startswith("  \n".join(RECEIPT))


def test_labels_with_their_values_stay_lines() -> None:
    """The values stand below each other, however wide the lines are."""
    pairs = [
        ("Author:", "Tom Hammel of the Energy Systems Company in Town"),
        ("Editor:", "Bill Otting of the same one"),
    ]
    lines = [
        each
        for row, (a, b) in enumerate(pairs)
        for each in (line(a, 100, 100 + 26 * row), line(b, 250, 100 + 26 * row))
    ]
    assert page_markdown([*lines, *column(PROSE, 100, 300)]).startswith("  \n".join(f"{a} {b}" for a, b in pairs))


def test_a_title_in_the_middle_keeps_its_lines_apart_from_the_text() -> None:
    """Lines that are centred above running text are no paragraph of it, and the text has no line ends of theirs."""
    title = ["By the Committee", "printed in May", "and sent to all its members"]
    above = [line(text, 600 - 5 * len(text), 100 + 26 * row) for row, text in enumerate(title)]
    prose = "the first line of a paragraph that goes on over its second line and ends with a third one here"
    text = page_markdown([*above, *column([prose, prose, prose], 130, 300)])
    assert text == "  \n".join(title) + "\n\n" + " ".join([prose] * 3)


def test_a_title_at_the_right_margin_is_a_heading() -> None:
    """It ends where full lines end, and is none: it begins in the right half of the column."""
    prose = "the first line of a paragraph that goes on over its second line and ends with a third one here"
    right = 130 + 10 * len(prose)
    chapter, title = line("Chapter two", right - 110, 60), line("THE ARCHIVE", right - 154, 140, 28)
    assert "\n### THE ARCHIVE\n" in page_markdown([chapter, title, *column([prose, prose, prose], 130, 300)])


def test_an_index_in_two_columns_is_read_column_by_column() -> None:
    """Its entries stand side by side in rows, as cells do, and are words with the pages where they stand."""
    left, right = ([f"{letter}{'bcdefgh'[row]}, {row + 30}, 114" for row in range(7)] for letter in "am")
    text = page_markdown([*column(left, 100, 100), *column(right, 600, 100)])
    assert text == "  \n".join(left) + "\n\n" + "  \n".join(right)


def test_terms_above_what_explains_them_are_no_column() -> None:
    """They begin further left and stand between the lines of the text, however short they are."""
    words = ["Text", "Arcs", "Ellipses", "Focus"]
    explained = [f"{word.lower()} snap to the middle of the nearest side of the box around them" for word in words]
    lines = [line(word, 100, 100 + 60 * row) for row, word in enumerate(words)]
    lines += [line(text, 190, 128 + 60 * row) for row, text in enumerate(explained)]
    found = page_markdown(lines)
    assert [found.index(text) for pair in zip(words, explained, strict=True) for text in pair] == sorted(
        found.index(text) for text in (*words, *explained)
    )


@pytest.mark.parametrize(("numbers", "order"), [((1, 2, 3, 4), (1, 2, 3, 4)), ((1, 3, 2, 4), (1, 2, 3, 4))])
def test_numbers_say_how_columns_are_read(numbers: Sequence[int], order: Sequence[int]) -> None:
    """Cards that are numbered row by row are read so, others column by column."""
    text = ["some lines of text that fill the card from", "its one side to the other and to the end"]
    lines: list[TextLine] = []
    for at, number in enumerate(numbers):
        x, y = 100 + 550 * (at % 2), 100 + 200 * (at // 2)
        lines += [line(f"{number}. A title of its own", x, y), *column(text, x, y + 30)]
    found = page_markdown(lines)
    assert [found.index(f"{number}. A title") for number in order] == sorted(
        found.index(f"{n}. A title") for n in order
    )


def test_one_line_that_runs_out_of_its_column_changes_no_margin() -> None:
    """The lines of the paragraphs above it end where their words end, and are no lines of their own."""
    full = "the first line of a paragraph that goes on over its end and"
    above = [text for row in range(6) for text in column([full, "ends with the second one."], 100, 100 + 90 * row)]
    text = page_markdown([*above, line(f"a path that is too long {full}", 100, 700)])
    assert text.startswith(f"{full} ends with the second one.\n\n")


def test_chinese_lines_are_joined_without_a_space() -> None:
    """No space stands between two lines of Chinese."""
    lines = [
        "全年共布设监测断面二十六个采集水样一千二百四十八份监",
        "测项目包括水温酸碱度溶解氧高锰酸盐指数氨氮和总磷等等",
    ]
    found = [
        TextLine(((100, y), (900, y), (900, y + 28), (100, y + 28)), (Word(text, 0.0, 1.0),))
        for text, y in zip(lines, (100, 140), strict=True)
    ]
    assert page_markdown(found) == "".join(lines)


def test_two_columns_are_read_one_after_the_other() -> None:
    """However the engine orders its lines."""
    lines = column(PROSE, 100, 100) + column(OTHER, 600, 100)
    random.Random(1).shuffle(lines)
    text = " ".join(page_markdown(lines).split())
    assert text == " ".join(PROSE + OTHER)


def test_a_taller_short_line_is_a_heading() -> None:
    """By its height against the page's text."""
    lines = [line("A Heading", 100, 40, height=40), *column(PROSE, 100, 120)]
    assert page_markdown(lines).startswith("# A Heading\n\nthe first line")


def test_rows_that_share_columns_are_a_table() -> None:
    """A Markdown table with its cells in place."""
    cells = [["Month", "Water", "Power"], ["January", "12", "340"], ["February", "15", "360"], ["March", "9", "310"]]
    lines = [
        line(text, 100 + 200 * place, 100 + 30 * row)
        for row, texts in enumerate(cells)
        for place, text in enumerate(texts)
    ]
    rows = [row for row in page_markdown(lines).splitlines() if row.startswith("|")]
    assert [[cell.strip() for cell in row.strip("|").split("|")] for row in (rows[0], *rows[2:])] == cells


WIDE = [
    "the harbour was measured by the teacher in the spring of that year",
    "and the council of the town had nothing against it as long as no",
    "ship was kept waiting at the quay which is why the letters of the",
    "owners speak of a quiet time and of a small garden near the mill",
    "that was closed when the northern bridge had been painted and the",
    "surveyors went home with their books and with the keys of the old",
]


@pytest.mark.parametrize("x", [20, 800], ids=["left", "right"])
def test_notes_in_the_margin_come_after_the_text_beside_them(x: float) -> None:
    """Their lines are closer than those of the text; two paragraphs, each with its note."""
    first, second = column(WIDE, 110, 100), column(WIDE[::-1], 110, 320)
    notes = [
        line(text, x, y + 14 * number, 13)
        for y in (105.0, 352.0)
        for number, text in enumerate(["see also", "page 4", "of book 2"])
    ]
    text = page_markdown([*first, *second, *notes])
    note = "see also page 4 of book 2"
    assert text.split("\n\n") == [" ".join(WIDE), note, " ".join(WIDE[::-1]), note]


def test_short_lines_of_a_column_are_no_notes() -> None:
    """Full lines of their column stand between them, whatever begins elsewhere on the page."""
    full = "the water of the river covers the meadows in winter"
    left = column(["1. Introduction", *[full] * 4, "as before.", "2. Methods", *[full] * 4, "as ever."], 100, 200)
    right = column(["another column tells of the farms on the hills"] * 12, 640, 209)
    text = page_markdown([line("An Author of It", 420, 100), *left, *right])
    words = ("Introduction", "as before.", "Methods", "as ever.", "another column")
    assert sorted(words, key=text.index) == list(words)


def test_three_columns_above_two_are_read_each_in_its_own() -> None:
    """The gutter of the upper ones runs through lines below, whose words belong together."""
    above = [f"column {name} has lines of this width" for name in "ABC"]
    below = [f"the broader column {name} below has lines of nearly this width" for name in "DE"]
    lines = [each for at, text in enumerate(above) for each in column([text] * 12, 40 + 390 * at, 100)]
    lines += [each for at, text in enumerate(below) for each in column([text] * 7, 40 + 600 * at, 520)]
    assert page_markdown(lines).split("\n\n") == [
        *(" ".join([text] * 12) for text in above),
        *(" ".join([text] * 7) for text in below),
    ]


def test_terms_beside_their_explanations_are_no_notes() -> None:
    """They stand in its lines and are read before it."""
    terms = [line(term, 20, 100 + 1.3 * HEIGHT_PX * row) for term, row in (("alpha", 0), ("beta", 2), ("gamma", 3))]
    text = page_markdown([*column(WIDE, 110, 100), *terms])
    words = ("alpha", "harbour", "beta", "ship", "gamma", "owners")
    assert sorted(words, key=text.index) == list(words)


def test_a_row_of_dots_is_no_text_and_makes_no_column() -> None:
    """Though it was read as a letter: a table of contents has titles and pages, and no dots between them."""
    rows = [
        (
            line(f"{number}. Of the harbour {number}", 40, 30.0 * number),
            line("m" * 19, 350, 30.0 * number + 6, 10),
            line(str(10 * number), 700, 30.0 * number),
        )
        for number in range(1, 6)
    ]
    text = page_markdown([each for row in rows for each in row])
    assert "mm" not in text
    assert text.splitlines()[-1] == "| 5. Of the harbour 5 | 50 |"
    assert page_markdown([line("hmmmmm is a word", 40, 40)]) == "hmmmmm is a word"
    assert without_leader("2.3 Of Debian . . . . . . .") == "2.3 Of Debian"
    assert [without_leader(text) for text in ("and so on ...", "......", "12.")] == ["and so on ...", "......", "12."]


def test_a_turned_line_is_no_heading() -> None:
    """However tall its box is beside the lines of the page."""
    turned = [
        TextLine(((x, 300), (x + 25, 300), (x + 25, 370), (x, 370)), (Word(text, 0.0, 1.0),))
        for x, text in ((300, "Note"), (340, "te"), (380, "Row"))
    ]
    text = page_markdown([*column(PROSE, 100, 100), *turned])
    assert "#" not in text
    assert {"Note", "te", "Row"} <= set(text.split())


def test_a_numbered_list_stays_a_list() -> None:
    """One item a line, with its own number."""
    items = ["1. the first of the items", "2. the second of the items", "3. the third of the items"]
    assert page_markdown(column(items, 100, 100)) == "\n".join(items)


def test_lettered_clauses_are_no_table() -> None:
    """Their letters stand apart from the text, as the first cells of a table would."""
    clauses = [("(a)", "the house of the tenant;"), ("(b)", "an office at home, and"), ("(c)", "nothing else.")]
    lines = [
        line(text, 100 if at == 0 else 160, 100 + 40 * row)
        for row, c in enumerate(clauses)
        for at, text in enumerate(c)
    ]
    assert page_markdown(lines) == "\n\n".join(" ".join(clause) for clause in clauses)


@pytest.mark.parametrize(
    "text", ["# not a heading", "> not a quote", "a <b>tag</b> in text", "1958 was a year", "five * six = thirty"]
)
def test_text_that_looks_like_markdown_stays_text(text: str) -> None:
    """What is on the page is what a reader of the Markdown sees."""
    assert plain_text(page_markdown([line(text, 100, 100)])).strip() == text


def test_an_empty_page_is_empty() -> None:
    """No lines, no text."""
    assert page_markdown([]) == ""


WORDS = st.text("abcdefghij", min_size=3, max_size=8)
PLACED = st.lists(st.tuples(WORDS, st.integers(0, 3), st.integers(0, 20)), max_size=25, unique_by=lambda each: each[1:])


@given(PLACED)
def test_nothing_on_the_page_is_lost_or_doubled(placed: list[tuple[str, int, int]]) -> None:
    """Every letter stands in the Markdown as often as on the page."""
    lines = [line(text, 80 + 300 * x, 80 + 30 * y) for text, x, y in placed]
    text = plain_text(page_markdown(lines))
    assert sorted(filter(str.isalpha, text)) == sorted("".join(text for text, _, _ in placed))


def words(low: int, high: int) -> st.SearchStrategy[str]:
    """From `low` to `high` words, each number as often as another."""
    return st.integers(low, high).flatmap(lambda count: st.lists(WORDS, min_size=count, max_size=count).map(" ".join))


SHAKEN = st.integers(-4, 4)
IN_COLUMNS = st.tuples(
    st.tuples(words(1, 5), st.just(100), SHAKEN),
    st.tuples(words(1, 5), st.sampled_from([440, 480, 500, 520]), SHAKEN),
)
ACROSS = st.tuples(st.tuples(words(5, 10), st.sampled_from([100, 100, 150, 200]), SHAKEN))
ALONE = st.tuples(st.tuples(words(1, 5), st.sampled_from([100, 500]), SHAKEN))
PAGE = st.integers(6, 14).flatmap(
    lambda rows: st.lists(st.one_of(IN_COLUMNS, IN_COLUMNS, IN_COLUMNS, ACROSS, ALONE), min_size=rows, max_size=rows)
)


# Its last long line, cut at the gutter, would make one band of the rows, and that is none of columns.
UNDONE_BY_A_CUT = [
    [("long long words", 500, 0)],
    [("columnar a in", 100, 0)],
    [("long paragraph columnar", 100, 0), ("words of x x columnar long long", 500, 0)],
    [("x a paragraph of in a long", 100, 0), ("sentence long of columnar sentence", 500, 0)],
    [("sentence the a long columnar columnar a words paragraph", 100, 0)],
    [("of a the long", 500, 0)],
]


def test_terms_and_what_explains_them_are_paragraphs_of_their_own() -> None:
    """A term in bold type hangs out of the lines that go on with its explanation; within a paragraph it parts none."""
    terms = [
        line("rules", 200, 100, bold=True),
        line("what is done to build all of it, step by step", 262, 100, bold=False),
        line("and in which order this is done", 230, 126, bold=False),
        line("control", 200, 152, bold=True), line("what it is and needs", 282, 152, bold=False),
        line("changelog", 200, 178, bold=True), line("what was new in it", 302, 178, bold=False),
    ]  # fmt: skip
    assert page_markdown(terms).split("\n\n") == [
        "rules what is done to build all of it, step by step and in which order this is done",
        "control what it is and needs",
        "changelog what was new in it",
    ]
    running = [
        line("this paragraph names files such as the one below, and", 200, 100, bold=False),
        line("rules", 200, 126, bold=True),
        line("is one of these names, as others are, too", 262, 126, bold=False),
    ]  # fmt: skip
    assert len(page_markdown(running).split("\n\n")) == 1


@example(UNDONE_BY_A_CUT)
@given(PAGE)
def test_lines_across_the_columns_cost_no_letter(page: Sequence[Sequence[tuple[str, int, int]]]) -> None:
    """Titles stand across a gutter, and a detector draws lines over it: every letter is still there, once."""
    placed = [(text, x, 80 + 26 * row + shaken) for row, lines in enumerate(page) for text, x, shaken in lines]
    text = plain_text(page_markdown([line(*each) for each in placed]))
    assert sorted(filter(str.isalpha, text)) == sorted(filter(str.isalpha, "".join(text for text, _, _ in placed)))


@given(PLACED, st.integers(0, 500), st.sampled_from([0.5, 2.0]))
def test_place_and_size_of_the_image_make_no_difference(
    placed: list[tuple[str, int, int]], shift_px: int, scale: float
) -> None:
    """The same page further right and at another resolution reads the same."""
    lines = [line(text, 80 + 300 * x, 80 + 30 * y) for text, x, y in placed]
    moved = [
        TextLine(tuple(((x + shift_px) * scale, (y + shift_px) * scale) for x, y in each.corners), each.words)  # type: ignore[arg-type]
        for each in lines
    ]
    assert page_markdown(moved) == page_markdown(lines)


def contains(outer: Box | None, inner: Box) -> bool:
    """Whether `inner` lies in `outer`, of which there is one."""
    return (
        outer is not None
        and outer.x0 <= inner.x0
        and outer.y0 <= inner.y0
        and outer.x1 >= inner.x1
        and outer.y1 >= inner.y1
    )


@given(PAGE, st.sampled_from([1.0, 0.36]), st.floats(-0.05, 0.05))
def test_every_word_stands_in_one_block_that_contains_it(
    page: Sequence[Sequence[tuple[str, int, int]]], pt_per_unit: float, slope: float
) -> None:
    """With its own place, however the page is turned; and the block's text has its letters."""
    placed = [(text, x, 80 + 26 * row + shaken) for row, lines in enumerate(page) for text, x, shaken in lines]
    lines = [
        replace(each, corners=tuple((x - slope * y, y + slope * x) for x, y in each.corners))  # type: ignore[arg-type]
        for each in (line(*each) for each in placed)
    ]
    blocks = page_blocks(PageContent(1200, 1600, tuple(lines), pt_per_unit))
    found = [word for block in blocks for each in block.lines or () for word in each.words]
    expected = [word for each in lines for word in printed_words(each, pt_per_unit)]
    assert Counter((word.text, word.box) for word in found) == Counter((word.text, word.box) for word in expected)
    for block in blocks:
        words = [word for each in block.lines or () for word in each.words]
        assert all(contains(block.box, word.box) for word in words)
        assert all(contains(each.box, word.box) for each in block.lines or () for word in each.words)
        letters = Counter(filter(str.isalpha, "".join(word.text for word in words)))
        assert Counter(filter(str.isalpha, block.text)) == letters
    assert [block.id for block in blocks] == list(range(1, len(blocks) + 1))


def test_text_written_downwards_stands_where_it_is_printed() -> None:
    """Read on the page laid on its left side: its first line is the one on the right, and runs from top to bottom."""
    laid = page_blocks(PageContent(1600, 1200, tuple(column(PROSE, 100, 50))))
    (block,) = stood_up(laid, 1200)
    assert laid[0].box is not None
    box = laid[0].box
    assert block.box == Box(round(1200 - box.y1, 2), box.x0, round(1200 - box.y0, 2), box.x1)
    first, *others = block.lines or ()
    assert all(first.box.x0 > each.box.x1 for each in others)
    assert first.words[0].box.y1 < first.words[-1].box.y0
    assert all(contains(block.box, word.box) for each in block.lines or () for word in each.words)
