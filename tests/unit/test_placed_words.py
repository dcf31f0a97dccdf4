"""hOCR and ALTO: every word with its place, from blocks with words, from blocks alone, from Markdown alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from lxml import etree

from one_ocr_ray.blocks import (
    Block,
    BlockKind,
    BlockLine,
    BlockSource,
    BlockWord,
    Box,
    Cell,
    PageBox,
    Positions,
    TableGrid,
)
from one_ocr_ray.policy.dataset.export import ExportFormat, placed_text_of
from one_ocr_ray.policy.dataset.packing import pack
from one_ocr_ray.policy.writers.placed import placed_page, spread
from one_ocr_ray.storage.dataset.export import export
from tests import datasets
from tests.values import TIMED_OUT, document, page

if TYPE_CHECKING:
    from pathlib import Path

    from one_ocr_ray.model import PageResult

ALTO = {"a": "http://www.loc.gov/standards/alto/ns-v4#"}
HTML = {"h": "http://www.w3.org/1999/xhtml"}
HOSTILE = '<script>alert("1")</script>&\x00\x07\ufffe'
# What ALTO 4.4 allows in each of these elements, as a pattern of names with a blank after each.
ALTO_CHILDREN = {
    "alto": "Description (Tags )?(ReadingOrder )?Layout ",
    "Description": "MeasurementUnit (sourceImageInformation )?(Processing )*",
    "Layout": "(Page )+",
    "Page": "(PrintSpace )?",
    "ComposedBlock": "(TextBlock )*",
    "TextBlock": "(TextLine )*",
    "TextLine": "(String (SP )?)+(HYP )?",
    "String": "",
    "Illustration": "",
}


def words_line(*texts: str, y: float = 100.0, angle: float = 0.0) -> BlockLine:
    """A line from x = 72 with a word every 50 points, the second of which is less sure."""
    words = tuple(
        BlockWord(text, Box(72 + 50 * n, y, 112 + 50 * n, y + 12), 0.99 if n else 0.5) for n, text in enumerate(texts)
    )
    return BlockLine(Box(72, y, 62 + 50 * len(texts), y + 12), words, angle)


def placed_pages(**changes: object) -> list[PageResult]:
    """A page with words, a page with blocks alone, a page without places, a failed page."""
    source = document(1, page_count=4)
    grid = TableGrid(2, 2, (Cell(0, 0, "a"), Cell(0, 1, "b"), Cell(1, 0, "c"), Cell(1, 1, "d")))
    blocks = [
        Block(1, BlockKind.HEADING, "Head line", Box(72, 100, 162, 112), lines=(words_line("Head", "line"),)),
        Block(2, BlockKind.FIGURE, "", Box(72, 200, 300, 300), lines=()),
        Block(3, BlockKind.TABLE, "a\tb\nc\td", Box(72, 400, 272, 440), table=grid),
        Block(4, BlockKind.PARAGRAPH, HOSTILE, Box(72, 500, 300, 512), lines=(words_line(HOSTILE, "hyphen-", y=500),)),
    ]
    sized = {"page_box": PageBox(612, 792), "image_width": 1224, "image_height": 1584, **changes}
    plain = Block(
        1, BlockKind.PARAGRAPH, "one two three four five six seven eight nine ten " * 8, Box(72, 72, 540, 144)
    )
    return [
        page(source, 1, blocks=pack(blocks, Positions.WORDS), **sized),
        page(source, 2, blocks=pack([plain], Positions.BLOCKS), **sized),
        page(source, 3, markdown="# Title\n\nSome text.\n\n| a | b |\n| --- | --- |\n| 1 | 2 |"),
        page(source, 4, failure=TIMED_OUT),
    ]


def test_hocr_is_xml_with_the_place_of_each_word() -> None:
    """In pixels of the picture that was read: here two for a point."""
    root = etree.fromstring(placed_text_of('a "b".pdf', placed_pages(), ExportFormat.HOCR).encode())
    pages = root.findall(".//h:div[@class='ocr_page']", HTML)
    assert [each.get("title", "").partition(";")[2] for each in pages[:2]] == [
        f" bbox 0 0 1224 1584; ppageno {n}; scan_res 144 144" for n in range(2)
    ]
    assert pages[0].get("title", "").startswith("image \"a 'b'.pdf\";")
    line = pages[0].find(".//h:div[@class='ocr_carea']/h:p[@class='ocr_par']/h:span[@class='ocr_line']", HTML)
    assert line is not None
    assert line.get("title") == "bbox 144 200 324 224; baseline 0 -5; x_size 24"
    words = line.findall("h:span[@class='ocrx_word']", HTML)
    assert [word.get("title") for word in words] == [
        "bbox 144 200 224 224; x_wconf 50", "bbox 244 200 324 224; x_wconf 99",
    ]  # fmt: skip
    assert "".join(line.itertext()) == "Head line"
    assert len(root.xpath("//*[@class='ocr_photo']")) == 1
    ids = root.xpath("//@id")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("kind", [ExportFormat.HOCR, ExportFormat.ALTO])
def test_what_a_page_says_is_only_text(kind: ExportFormat) -> None:
    """Tags and quotes are escaped; what XML cannot hold becomes U+FFFD."""
    root = etree.fromstring(placed_text_of(HOSTILE, placed_pages(), kind).encode())
    texts = root.xpath("//@CONTENT") if kind is ExportFormat.ALTO else root.xpath("//*[@class='ocrx_word']/text()")
    assert next(text for text in texts if "script" in text).endswith("</script>&\ufffd\ufffd\ufffd")
    assert not root.xpath("//*[local-name() = 'script']")
    assert b"page 4 failed: render_timeout" in etree.tostring(root)


def test_alto_keeps_to_the_order_of_its_schema() -> None:
    """Each element holds what ALTO 4.4 allows in it; ids are unique and references known."""
    root = etree.fromstring(placed_text_of("a.pdf", placed_pages(), ExportFormat.ALTO).encode())
    for name, children in ALTO_CHILDREN.items():
        for element in root.iter(f"{{{ALTO['a']}}}{name}"):
            found = "".join(f"{etree.QName(child).localname} " for child in element.iterchildren("*"))
            assert re.fullmatch(children, found), (name, found)
    ids = root.xpath("//@ID")
    assert len(ids) == len(set(ids))
    assert set(" ".join(root.xpath("//@TAGREFS | //@PROCESSINGREFS")).split()) <= set(ids)
    first = root.find(".//a:String", ALTO)
    assert first is not None
    place = {"HPOS": "144.0", "VPOS": "200.0", "WIDTH": "80.0", "HEIGHT": "24.0"}
    assert dict(first.attrib) == {"ID": "word_1_1_1_1", "CONTENT": "Head", **place, "WC": "0.5"}
    assert root.xpath("//a:HYP/preceding-sibling::a:String[1]/@CONTENT", namespaces=ALTO) == ["hyphen"]


def test_words_without_places_are_spread_over_their_block() -> None:
    """In as many lines as fill it, in order, none outside of it; cells each in their part of the table."""
    words, blocks, bare, failed = (placed_page(each) for each in placed_pages())
    (paragraph,) = blocks.blocks
    assert [word.text for line in paragraph.lines for word in line.words][:3] == ["one", "two", "three"]
    assert 4 <= len(paragraph.lines) <= 6  # 72 points hold about five lines of 400 characters over 468 points
    for line in paragraph.lines:
        assert 72 <= line.box.x0 < line.box.x1 <= 540.01
        assert 72 <= line.box.y0 < line.box.y1 <= 144.01
    cells = [line.words[0].box for line in words.blocks[2].lines]
    assert [(box.x0, box.y0) for box in cells] == [(72, 400), (172, 400), (72, 420), (172, 420)]
    assert (blocks.is_guessed, bare.is_guessed, failed.is_guessed) == (False, True, False)
    tops = [line.box.y0 for line in bare.lines]
    assert tops == sorted(tops)
    assert [word.text for line in bare.lines for word in line.words] == ["Title", "Some", "text.", "a", "b", "1", "2"]


def test_words_that_run_to_the_left_are_spread_from_the_right() -> None:
    """Also those that a reader took for one word."""
    (line,) = spread("مرحبا بالعالم", Box(100, 0, 300, 12))
    assert line.words[0].box.x0 > line.words[1].box.x1
    glued = BlockLine(Box(100, 0, 300, 12), (BlockWord("مرحبا بالعالم", Box(100, 0, 300, 12)),))
    block = Block(1, BlockKind.PARAGRAPH, "مرحبا بالعالم", Box(100, 0, 300, 12), lines=(glued,))
    one = page(document(1), 1, blocks=pack([block], Positions.WORDS), page_box=PageBox(612, 792))
    first, second = placed_page(one).lines[0].words
    assert (first.text, second.text) == ("مرحبا", "بالعالم")
    assert first.box.x0 > second.box.x1
    assert (first.box.x1, second.box.x0) == (300, 100)


def test_each_document_has_a_file(tmp_path: Path) -> None:
    """Named like its source: `.hocr` and `.alto.xml`."""
    source = document(1, page_count=4, name="a.pdf")
    datasets.write(tmp_path / "out", [source], placed_pages())
    for kind, name in ((ExportFormat.HOCR, "a.hocr"), (ExportFormat.ALTO, "a.alto.xml")):
        assert export(str(tmp_path / "out"), tmp_path / "to", kind).documents == 1
        assert etree.parse(tmp_path / "to" / name).getroot() is not None


def test_words_that_only_a_model_knows_stand_beside_those_that_were_found() -> None:
    """No word of an answer is lost, in whatever part of its block; their order is that of the answer."""
    found = (BlockWord("beta", Box(150, 100, 180, 112)), BlockWord("delta", Box(250, 100, 290, 112)))
    second = (BlockWord("zeta", Box(100, 120, 140, 132)),)
    lines = (BlockLine(Box(150, 100, 290, 112), found), BlockLine(Box(100, 120, 140, 132), second))
    block = Block(
        1, BlockKind.PARAGRAPH, "alpha beta gamma delta eps zeta eta theta", Box(100, 100, 300, 132), lines=lines,
        source=BlockSource.LLM,
    )  # fmt: skip
    one = page(document(1), 1, blocks=pack([block], Positions.WORDS), page_box=PageBox(612, 792))
    words = [word for line in placed_page(one).lines for word in line.words]
    assert " ".join(word.text for word in words) == block.text
    assert (words[0].box.x0, words[2].box.x0) == (100, 180)
    assert words[2].box.x1 <= 250
    assert words[-1].box.y0 == 120
