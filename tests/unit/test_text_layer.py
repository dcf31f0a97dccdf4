"""What is made of text layers: each case a small PDF that one writer or another would make."""

from __future__ import annotations

import json
import struct
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.blocks import Block, BlockKind, TextLayer
from one_ocr_ray.pdf.reader import PdfChild
from one_ocr_ray.policy.layout import page_blocks
from one_ocr_ray.policy.text_layer.bullets import drawn_bullets
from one_ocr_ray.policy.text_layer.features import areas_to_search, page_text
from one_ocr_ray.policy.text_layer.frames import content_of
from one_ocr_ray.policy.text_layer.layer import Glyph, LayerError, unpacked
from one_ocr_ray.policy.text_layer.lines import Mark, layer_lines
from one_ocr_ray.policy.text_layer.seen import image_share, seen_of
from one_ocr_ray.policy.text_layer.spelling import read_backwards
from one_ocr_ray.policy.writers.markdown import to_markdown
from tests import pdfs
from tests.children import opened
from tests.layers import layer_of, parse_list

if TYPE_CHECKING:
    from collections.abc import Iterator

    from one_ocr_ray.policy.text_layer.layer import Layer

BLACK_PICTURE = b"/Type/XObject/Subtype/Image/ColorSpace/DeviceGray/BitsPerComponent 8/Width 2/Height 2"
GRAY_PIXELS = b"\x20\xf0\xf0\x20"


@pytest.fixture(scope="module")
def child() -> Iterator[PdfChild]:
    with PdfChild() as child:
        yield child


def page_of(child: PdfChild, content: bytes, *, resources: bytes = b"", entries: bytes = b"", more: list = ()) -> Layer:  # type: ignore[type-arg, assignment]
    """The layer of a page with `content`; objects of `more` are numbered from 6."""
    objects = pdfs.page_objects([content], resources=resources, page_entries=[entries])
    opened(child, pdfs.write([*objects, *more]))
    return layer_of(child, 1, 1600)


def blocks_of(layer: Layer) -> tuple[Block, ...]:
    lines = layer_lines(layer, seen_of(layer).glyphs)
    return page_blocks(content_of(layer, lines, drawn_bullets(layer, lines)))


def at(text: bytes, x: float, y: float, size: float = 12, before: bytes = b"") -> bytes:
    return b"BT %s /F1 %g Tf %g %g Td (%s) Tj ET\n" % (before, size, x, y, text)


@pytest.mark.parametrize("spacing", [b"3", b"6"])
def test_letters_that_are_spaced_are_one_word(child: PdfChild, spacing: bytes) -> None:
    """Character spacing of a quarter and of half an em makes no spaces."""
    layer = page_of(child, b"%s Tc " % spacing + at(b"HELLO", 72, 700))
    assert parse_list(layer) == ["HELLO"]


def test_spaces_written_between_letters_are_taken_out(child: PdfChild) -> None:
    """A title whose letters are parted by real spaces is words again; a line of single letters stays."""
    layer = page_of(child, at(b"A N N U A L   R E P O R T", 72, 700) + at(b"a b c", 72, 650))
    assert parse_list(layer) == ["ANNUAL REPORT", "a b c"]


def test_signs_of_formulas_count_in_any_font(child: PdfChild) -> None:
    """A sum and an integral of an ordinary font are mathematics; a minus, a bullet and an arrow are not."""
    objects = pdfs.page_objects([at(rb"\345\362\243\055\267\256", 72, 700)])
    objects[2] = b"<</Type/Font/Subtype/Type1/BaseFont/Symbol>>"
    opened(child, pdfs.write(objects))
    layer = layer_of(child, 1, 1600)
    assert parse_list(layer) == ["∑∫≤−•→"]
    seen = seen_of(layer)
    assert page_text(layer, seen, layer_lines(layer, seen.glyphs)).math == 3


def test_text_painted_twice_counts_once(child: PdfChild) -> None:
    """A bold face or a shadow that is made by painting again, with other text painted in between."""
    between = b"".join(at(b"between", 72, 650 - 20 * row) for row in range(8))
    layer = page_of(child, at(b"Bold", 72, 700) + between + at(b"Bold", 72.4, 700))
    assert parse_list(layer) == ["Bold"] + ["between"] * 8
    assert seen_of(layer).doubled == 4


def test_the_same_word_below_is_no_double(child: PdfChild) -> None:
    """Equal lines under each other stay."""
    assert parse_list(page_of(child, at(b"ditto", 72, 700) + at(b"ditto", 72, 688))) == ["ditto", "ditto"]


def test_a_raised_digit_is_a_superscript_on_its_line(child: PdfChild) -> None:
    """By text rise, and by a smaller type that is moved up; what follows stays on the line."""
    risen = b"BT /F1 12 Tf 72 700 Td (E=mc) Tj 5 Ts /F1 7 Tf (2) Tj 0 Ts /F1 12 Tf ( holds) Tj ET\n"
    moved = at(b"word", 72, 650) + at(b"12", 98.2, 655, 7) + at(b"next", 110, 650)
    assert parse_list(page_of(child, risen + moved)) == ["E=mc² holds", "word¹² next"]


def formula_of(blocks: tuple[Block, ...]) -> list[str]:
    return [block.text for block in blocks if block.kind is BlockKind.FORMULA]


@pytest.mark.parametrize("size", [12, 8.5])
def test_a_fraction_is_written_as_one(child: PdfChild, size: float) -> None:
    """What stands above and below a bar, in any size, beside a sign of its formula. The block holds all of it."""
    content = b"100 703.5 40 0.5 re f\n" + at(b"f = a", 72, 700) + at(b"n + 1", 103, 707, size)
    content += at(b"2k", 112, 703 - size, size) + at(b"- b = 0", 143, 700)
    found = blocks_of(page_of(child, content))
    assert formula_of(found) == [r"f = a\frac{n + 1}{2k}- b = 0"]
    assert found[0].box is not None
    assert found[0].box.y1 - found[0].box.y0 > 2 * size


def test_limits_belong_to_their_sum(child: PdfChild) -> None:
    """Small type right above and below a large operator, which is a letter of the font Symbol here."""
    symbol = b"/XObject<<>>/ExtGState<<>>"
    fonts = [b"<</Type/Font/Subtype/Type1/BaseFont/Symbol>>"]
    content = at(b"s = ", 72, 700) + b"BT /F2 18 Tf 96 698 Td (\xe5) Tj ET\n" + at(b"x + y", 112, 700)
    content += at(b"n", 101, 717, 7) + at(b"i=0", 98, 688, 7)
    objects = pdfs.page_objects([content], resources=symbol)
    objects[3] = objects[3].replace(b"/F1 3 0 R", b"/F1 3 0 R/F2 6 0 R")  # type: ignore[union-attr]
    opened(child, pdfs.write([*objects, *fonts]))
    assert formula_of(blocks_of(layer_of(child, 1, 1600))) == [r"s = \sum_{i=0}^{n}x + y"]


def test_a_page_full_of_operators_and_bars_takes_no_long_time(child: PdfChild) -> None:
    """All in one place or spread, each beside the others: the work for them is bounded."""
    fonts = [b"<</Type/Font/Subtype/Type1/BaseFont/CMEX10>>"]
    heap = b"BT /F2 12 Tf 96 700 Td 0 TL " + b"(X) Tj T* " * 3000 + b"ET\n"
    rules = b"".join(b"%d %d 8 0.4 re f\n" % (60 + 9 * (at % 50), 60 + 8 * (at // 50)) for at in range(3000))
    objects = pdfs.page_objects([heap + rules + at(b"a = b", 72, 650)])
    objects[3] = objects[3].replace(b"/F1 3 0 R", b"/F1 3 0 R/F2 6 0 R")  # type: ignore[union-attr]
    opened(child, pdfs.write([*objects, *fonts]))
    layer = layer_of(child, 1, 1600)
    started = time.process_time()
    assert any("a = b" in text for text in parse_list(layer))
    assert time.process_time() - started < 60


def test_the_codes_of_an_extension_font_are_signs(child: PdfChild) -> None:
    """TeX's CMEX10 has a sum in the place of X; the X of another font is a letter."""
    fonts = [b"<</Type/Font/Subtype/Type1/BaseFont/CMEX10>>"]
    content = at(b"s = ", 72, 700) + b"BT /F2 12 Tf 96 700 Td (X) Tj ET\n" + at(b"+ X", 106, 700)
    objects = pdfs.page_objects([content])
    objects[3] = objects[3].replace(b"/F1 3 0 R", b"/F1 3 0 R/F2 6 0 R")  # type: ignore[union-attr]
    opened(child, pdfs.write([*objects, *fonts]))
    assert parse_list(layer_of(child, 1, 1600)) == ["s = ∑ + X"]


def test_a_rule_in_a_text_or_a_table_makes_no_fraction(child: PdfChild) -> None:
    """An underlined word above a line, and the rule below a column's head."""
    underlined = at(b"it is an important word", 72, 700) + b"122 697.5 52 0.5 re f\n" + at(b"of the text here", 72, 686)
    table = at(b"Year", 72, 600) + b"70 596 30 0.5 re f\n" + at(b"2026", 72, 584) + at(b"= x", 104, 600)
    layer = page_of(child, underlined + table)
    assert parse_list(layer) == ["it is an important word", "of the text here", "Year = x", "2026"]


def test_a_line_in_the_type_of_formulas_is_one(child: PdfChild) -> None:
    """Exponents stand in their place though they were painted last; in upright letters it is text."""
    content = b"".join(at(*each) for each in [
        (b"a", 72, 700), (b"+ b", 86, 700), (b"= c", 112, 700), (b"2", 78.5, 706, 8), (b"2", 102, 706, 8),
        (b"i", 130, 706, 8), (b"x = 12", 72, 650),
    ])  # fmt: skip
    objects = pdfs.page_objects([content])
    objects[2] = b"<</Type/Font/Subtype/Type1/BaseFont/Times-Italic>>"
    opened(child, pdfs.write(objects))
    found = blocks_of(layer_of(child, 1, 1600))
    assert [(block.kind, block.text) for block in found] == [
        (BlockKind.FORMULA, "a^{2} + b^{2} = c^{i}"),
        (BlockKind.PARAGRAPH, "x = 12"),
    ]
    assert all(block.kind is not BlockKind.FORMULA for block in blocks_of(page_of(child, content)))


def test_a_star_in_larger_type_makes_no_superscripts(child: PdfChild) -> None:
    """It says nothing of the line's size: the letters after it stand where letters do."""
    star = at(b"*", 72, 690, 18) + at(b"in Section 3.5", 83.5, 692, 12)
    layer = page_of(child, star)
    (line,) = layer_lines(layer, layer.glyphs)
    assert "".join(word.text for word in line.line.words) == "* in Section 3.5"
    assert line.line.height < 15


def test_columns_painted_row_by_row_are_read_one_after_the_other(child: PdfChild) -> None:
    """The order of painting is no order of reading."""
    left = [b"The left column has a text that runs on", b"over some lines of its own and comes", b"to its end here."]
    right = [b"The right column tells of other things", b"in lines that stand beside those, and", b"it ends as well."]
    body = b"".join(
        at(a, 72, 700 - 14 * row, 10) + at(b, 330, 700 - 14 * row, 10)
        for row, (a, b) in enumerate(zip(left * 3, right * 3, strict=True))
    )
    layer = page_of(child, body)
    text = to_markdown(blocks_of(layer))
    assert text.rindex("left column") < text.index("right column")


def test_words_of_a_justified_line_belong_together(child: PdfChild) -> None:
    """Browsers paint each word as an object of its own; equal spaces part no columns, those between numbers may."""
    helvetica = {"T": 0.611, "r": 0.333, "i": 0.222, "v": 0.5, "c": 0.5, "s": 0.5, "t": 0.278, "w": 0.722}
    body = b""
    for row, text in enumerate(["The river covers it", "in winter and spring", "10 20 30 40"]):
        x = 72.0
        for word in text.split():
            body += at(word.encode() + b" ", x, 700 - 14 * row, 10)
            x += 10 * sum(helvetica.get(letter, 0.556) for letter in word) + 9
    layer = page_of(child, body)
    lines = [each.line for each in layer_lines(layer, seen_of(layer).glyphs)]
    assert sorted("".join(word.text for word in line.words) for line in lines) == [
        "10", "20", "30", "40", "The river covers it", "in winter and spring"
    ]  # fmt: skip
    gaps = [(b.start - a.end) * line.width for line in lines for a, b in pairwise(line.words)]
    assert max(gaps) < 0.6 * lines[0].height


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_turned_page_is_read_as_displayed(child: PdfChild, turn: int) -> None:
    """Characters that are turned against the page's own turn stand upright: the lines come from top to bottom."""
    matrix = {0: b"1 0 0 1 100 700", 90: b"0 1 -1 0 100 100", 180: b"-1 0 0 -1 500 100", 270: b"0 -1 1 0 500 700"}[turn]
    body = b"BT %s Tm /F1 12 Tf 14 TL (first line) Tj T* (second line) Tj ET" % matrix
    layer = page_of(child, body, entries=b"/Rotate %d" % turn)
    lines = layer_lines(layer, seen_of(layer).glyphs)
    content = content_of(layer, lines)
    first, second = sorted(content.lines, key=lambda line: line.words[0].text)
    assert parse_list(layer) == ["first line", "second line"]
    assert content.rotate == 0
    assert first.corners[0][1] < second.corners[0][1]


@pytest.mark.parametrize(("turn", "rotate"), [(90, 90), (180, 180), (270, 270)])
def test_text_on_its_side_turns_the_page(child: PdfChild, turn: int, rotate: int) -> None:
    """A page whose text is displayed sideways is laid out upright, and says by how much it was turned."""
    layer = page_of(child, at(b"first line", 72, 700) + at(b"second line", 72, 686), entries=b"/Rotate %d" % turn)
    content = content_of(layer, layer_lines(layer, seen_of(layer).glyphs))
    first, second = sorted(content.lines, key=lambda line: line.words[0].text)
    assert content.rotate == (360 - rotate) % 360
    assert first.corners[0][0] < first.corners[1][0]
    assert first.corners[0][1] < second.corners[0][1]
    assert 0 <= first.corners[0][0] < content.width


HIDDEN = {
    "mode 3": (at(b"hidden", 72, 650, before=b"3 Tr"), b"", "invisible"),
    "mode 7": (b"q " + at(b"hidden", 72, 650, before=b"7 Tr") + b" Q", b"", "invisible"),
    "alpha 0": (b"q /G gs " + at(b"hidden", 72, 650) + b" Q", b"/ExtGState<</G<</ca 0>>>>", "invisible"),
    "white": (b"1 g " + at(b"hidden", 72, 650) + b" 0 g", b"", "invisible"),
    "under a box": (at(b"hidden", 72, 650) + b"0 g 60 640 200 30 re f", b"", "no_ink"),
    "clipped": (b"q 0 0 10 10 re W n " + at(b"hidden", 72, 650) + b" Q", b"", "no_ink"),
    "off the page": (at(b"hidden", 72, 900), b"", "off_page"),
    "under a picture": (
        at(b"hidden", 72, 650) + b"q 200 0 0 40 60 640 cm /X Do Q",
        b"/XObject<</X 6 0 R>>",
        "covered",
    ),
}


@pytest.mark.parametrize("case", HIDDEN)
def test_what_nobody_sees_is_dropped(child: PdfChild, case: str) -> None:
    """However text is hidden, the layer has it; the picture of the page does not."""
    content, resources, reason = HIDDEN[case]
    picture = pdfs.Stream(BLACK_PICTURE, GRAY_PIXELS)
    layer = page_of(child, at(b"seen", 72, 700) + content, resources=resources, more=[picture])
    assert parse_list(layer) == ["seen"]
    assert getattr(seen_of(layer), reason) == len("hidden")


def test_white_text_on_a_dark_box_is_seen(child: PdfChild) -> None:
    """It is the contrast that counts, not the colour."""
    layer = page_of(child, b"0 g 60 640 200 30 re f 1 g " + at(b"reversed", 72, 650))
    assert parse_list(layer) == ["reversed"]


def test_a_picture_behind_text_covers_nothing(child: PdfChild) -> None:
    """A background is painted first; how much of the page pictures cover is known."""
    picture = pdfs.Stream(BLACK_PICTURE, b"\xf0\xf0\xf0\xf0")
    body = b"q 306 0 0 792 0 0 cm /X Do Q 0 g " + at(b"on a background", 72, 700)
    layer = page_of(child, body, resources=b"/XObject<</X 6 0 R>>", more=[picture])
    assert parse_list(layer) == ["on a background"]
    assert image_share(layer) == pytest.approx(0.5, abs=0.02)


def test_places_inside_of_forms_are_those_of_the_page(child: PdfChild) -> None:
    """A picture in a form that is moved and made larger has its box on the page."""
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 100 100]/Resources<</XObject<</X 7 0 R>>>>"
    more = [pdfs.Stream(form, b"10 0 0 10 5 5 cm /X Do"), pdfs.Stream(BLACK_PICTURE, GRAY_PIXELS)]
    layer = page_of(child, b"q 2 0 0 2 100 100 cm /Y Do Q", resources=b"/XObject<</Y 6 0 R>>", more=more)
    (picture,) = layer.pictures
    assert picture.box == pytest.approx((110, 792 - 130, 130, 792 - 110), abs=0.1)


def test_where_a_page_may_show_more_than_its_layer(child: PdfChild) -> None:
    """Neither where characters stand nor where lines are drawn; what is far apart is looked at apart."""
    rule = b"1 w 72 720 m 540 720 l S "
    layer = page_of(child, at(b"one line of words", 72, 700) + rule)
    assert areas_to_search(layer, layer_lines(layer, layer.glyphs)) == []
    boxes = b"0 g 200 300 9 9 re 280 290 9 9 re 400 100 90 9 re f"
    layer = page_of(child, at(b"one line of words", 72, 700) + rule + boxes)
    upper, lower = areas_to_search(layer, layer_lines(layer, layer.glyphs))
    assert upper == pytest.approx((200 - 24, 792 - 309 - 24, 289 + 24, 792 - 290 + 24), abs=4)
    assert lower == pytest.approx((400 - 24, 792 - 109 - 24, 490 + 24, 792 - 100 + 24), abs=4)


def test_drawn_lines_are_told(child: PdfChild) -> None:
    """Stroked lines, thin filled boxes, and the sides of a grid in one path; no shades and no curves."""
    lines = b"72 700 m 300 700 l S 72 600 228 0.5 re f "
    grid = b"100 300 m 300 300 l 100 300 m 100 400 l 100 400 m 300 400 l S "
    others = b"72 500 100 50 re f 400 400 m 450 450 500 450 550 400 c S"
    found = {tuple(round(v) for v in (r.x0, r.y0, r.x1, r.y1)) for r in page_of(child, lines + grid + others).rulings}
    assert found == {
        (72, 92, 300, 92), (72, 192, 300, 192), (100, 492, 300, 492), (100, 392, 100, 492), (100, 392, 300, 392),
    }  # fmt: skip


def test_drawn_dots_before_lines_are_bullets(child: PdfChild) -> None:
    """Browsers draw them as round paths or squares; points of a chart and dots between words are none."""

    def disc(x: float, y: float) -> bytes:
        return b"%g %g m %g %g %g %g %g %g c %g %g %g %g %g %g c f " % (
            *(x, y), *(x, y + 2.7, x + 4, y + 2.7, x + 4, y), *(x + 4, y - 2.7, x, y - 2.7, x, y)
        )  # fmt: skip

    items = [(b"Milk and eggs", 90), (b"Bread", 90), (b"white", 114), (b"brown", 114), (b"Salt", 90)]
    content = b"".join(
        at(text, x, 700 - 16 * row)
        + (disc(x - 12, 704 - 16 * row) if x == 90 else b"%g %g 4 4 re f " % (x - 12, 702 - 16 * row))
        for row, (text, x) in enumerate(items)
    )
    content += at(b"Left and", 72, 500) + disc(124, 504) + at(b"right", 134, 500) + disc(400, 300) + disc(420, 320)
    markdown = to_markdown(blocks_of(page_of(child, content)))
    assert markdown.startswith("- Milk and eggs\n- Bread\n  - white\n  - brown\n- Salt\n")
    assert "Left and right" in markdown
    assert "•" not in markdown


def test_values_of_a_form_are_added(child: PdfChild) -> None:
    """They are drawn and do not stand in the text of the page."""
    opened(child, pdfs.filled_form_pdf())
    layer = layer_of(child, 1)
    content = content_of(layer, layer_lines(layer, seen_of(layer).glyphs))
    assert [word.text for line in content.lines for word in line.words] == ["FILLED IN"]
    assert layer.annotations == 1


def test_a_font_that_is_not_drawn_keeps_its_text(child: PdfChild) -> None:
    """Without any font for it the picture is empty, and the layer is all there is."""
    layer = page_of(child, at(b"x", 72, 700))
    glyphs_missing = [font.embedded for font in layer.fonts] == [False]
    white = page_of(child, at(b"lost", 72, 700) + b"1 g 60 690 200 30 re f")
    assert glyphs_missing
    assert parse_list(white, glyphs_missing=True) == ["lost"]
    assert seen_of(white, glyphs_missing=True).undrawn == 4
    assert parse_list(white) == []


def test_letters_of_a_ligature_stand_side_by_side(child: PdfChild) -> None:
    """A glyph that stands for two letters gives both, in parts of its box; the second is no double of the first."""
    unicode_map = b"begincmap 1 begincodespacerange <00> <ff> endcodespacerange 1 beginbfchar <58> <00660066> endbfchar"
    objects = pdfs.page_objects([b"BT /F1 12 Tf 72 700 Td (staX) Tj ET"])
    objects[2] = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 6 0 R>>"
    opened(child, pdfs.write([*objects, pdfs.Stream(b"", unicode_map + b" endcmap")]))
    layer = layer_of(child, 1, 1600)
    assert parse_list(layer) == ["staff"]
    first, second = layer.glyphs[-2:]
    assert first.box[2] == pytest.approx(second.box[0])


def test_arabic_is_in_the_order_of_reading(child: PdfChild) -> None:
    """A line that runs to the left is one word of the layout, its characters in the order of the layer."""
    opened(child, pdfs.unembedded_pdf("שלום עולם", pdfs.IDENTITY))
    (line,) = parse_list(layer_of(child, 1, 1600), glyphs_missing=True)
    assert set(line.split()) == {"שלום", "עולם"} or set(line[::-1].split()) == {"שלום", "עולם"}


@pytest.mark.parametrize("painted", ["as read", "from the left"])
def test_words_to_the_left_are_read_by_their_places(painted: str) -> None:
    """Writers differ in the order of letters and words; numbers and foreign words run to the right."""
    words = ["שלום", "בשנת", "-1250.5,", "עולם", "old", "town"]
    from_right = [word if word.isascii() and word.isalpha() else word[::-1] for word in words]
    from_right[2] = ",1250.5-"
    on_page = " ".join(["old town", *from_right[3::-1]])
    letters = [(letter, 10.0 * at) for at, letter in enumerate(on_page)]
    if painted == "as read":
        letters.reverse()
    marks, spaced = [], True
    for place, (letter, left) in enumerate(letters):
        box = (left, 0.0, left + 10, 12.0)
        if letter != " ":
            marks.append(Mark(Glyph(letter, box, box, 0, place, unmapped=False), *box, spaced))
        spaced = letter == " "
    (word,) = read_backwards(marks)
    assert word.text == " ".join(words)


@pytest.mark.parametrize("data", [b"", b"\0\0\0\2{}", b"\xff\xff\xff\xff", struct.pack(">I", 4) + b"null"])
def test_what_is_no_layer_is_refused(data: bytes) -> None:
    """The process that packs it has read a hostile file."""
    with pytest.raises(LayerError):
        unpacked(TextLayer(data, b"", 0))


def test_a_layer_of_wrong_lengths_is_refused(child: PdfChild) -> None:
    """Arrays that are shorter than the head says, and boxes that are no numbers."""
    opened(child, pdfs.text_pdf())
    page = child.render(1, 400, layer=True)
    packed = page.layer  # type: ignore[union-attr]
    assert packed is not None
    (length,) = struct.unpack_from(">I", packed.data)
    head = json.loads(packed.data[4 : 4 + length])
    assert head["characters"] == len(pdfs.identity("document", 1, 1))
    for broken in (packed.data[:-1], packed.data + b"\0", packed.data[:-4] + struct.pack("<f", float("nan"))):
        with pytest.raises(LayerError):
            unpacked(TextLayer(broken, packed.ink, packed.ink_columns))


def test_a_page_of_very_many_characters_is_cut(child: PdfChild) -> None:
    """Its layer is not read, and says so: it takes no more time and memory than the bounds allow."""
    line = b"(" + b"x" * 1000 + b") Tj T* "
    opened(child, pdfs.content_pdf(b"BT /F1 1 Tf 1 TL 10 780 Td " + line * 60 + b" ET", b""))
    layer = layer_of(child, 1)
    assert layer.cut
    assert layer.glyphs == ()
