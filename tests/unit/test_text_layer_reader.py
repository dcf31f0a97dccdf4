"""The reader of text layers with the real models: what it trusts, and why it does not."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from one_ocr_ray.blocks import BlockSource, Positions, TextLayer
from one_ocr_ray.engines.ocr.engine import LocalEngine
from one_ocr_ray.engines.ocr.picture_check import PictureCheck
from one_ocr_ray.gates import Gates
from one_ocr_ray.model import ErrorCode, PageImage
from one_ocr_ray.pdf.reader import PdfChild
from one_ocr_ray.routing import Route
from tests import pdfs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from one_ocr_ray.engines.ocr.text_layer import LayerReading
    from one_ocr_ray.policy.text_layer.spot_check import KnownFonts

ROUTE = Route(("text-layer", "local"))
SENTENCES = (
    b"The quick brown fox jumps over the lazy dog",
    b"Pack my box with five dozen liquor jugs",
    b"How vexingly",
)


@pytest.fixture(scope="module")
def child() -> Iterator[PdfChild]:
    with PdfChild() as child:
        yield child


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return LocalEngine()


def lines(mode: bytes = b"0", size: float = 14) -> bytes:
    body = b" T* ".join(b"(%s) Tj" % line for line in SENTENCES)
    return b"BT %s Tr /F1 %g Tf 24 TL 72 700 Td %s ET\n" % (mode, size, body)


def image_of(child: PdfChild, data: bytes) -> PageImage:
    child.inspect(data)
    image = child.render(1, 1600, layer=True)
    assert isinstance(image, PageImage)
    return image


def scan_of(child: PdfChild, content: bytes) -> pdfs.Stream:
    """A page with `content` as a picture object."""
    child.inspect(pdfs.content_pdf(content))
    image = child.render(1, 1600)
    assert isinstance(image, PageImage)
    with Image.open(io.BytesIO(image.data)) as picture:
        gray = io.BytesIO()
        picture.convert("L").save(gray, "JPEG")
    entries = (
        b"/Type/XObject/Subtype/Image/BitsPerComponent 8/Filter/DCTDecode/ColorSpace/DeviceGray/Width %d/Height %d"
    )
    return pdfs.Stream(entries % (image.width_px, image.height_px), gray.getvalue())


def read(
    child: PdfChild, engine: LocalEngine, data: bytes, known: KnownFonts | None = None, route: Route = ROUTE
) -> LayerReading:
    return engine.read_layer(image_of(child, data), known or {}, route)


def with_map(shift: int) -> bytes:
    """The sentences in a font whose /ToUnicode says other letters, `shift` further on."""
    objects = pdfs.page_objects([lines()])
    objects[2] = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 6 0 R>>"
    table = b"1 begincodespacerange <00> <ff> endcodespacerange 1 beginbfrange <20> <7a> <%04x> endbfrange"
    return pdfs.write([*objects, pdfs.Stream(b"", b"begincmap " + table % (0x20 + shift) + b" endcmap")])


def test_a_right_layer_is_read(child: PdfChild, engine: LocalEngine) -> None:
    """Its text is that of the file, with blocks that say where they come from."""
    answer = read(child, engine, pdfs.content_pdf(lines())).answer
    assert answer.failure is None
    assert answer.verdict is not None
    assert (answer.verdict.accepted, answer.verdict.reason) == (True, "checked")
    assert SENTENCES[0].decode() in answer.text
    assert answer.blocks
    assert {block.source for block in answer.blocks} == {BlockSource.TEXT_LAYER}


def test_places_of_words_come_where_they_are_asked_for(child: PdfChild, engine: LocalEngine) -> None:
    """Without them a page is a tenth of the objects that another process has to make."""
    image = image_of(child, pdfs.content_pdf(lines()))
    of_blocks, of_words = (
        engine.read_layer(image, {}, ROUTE, positions).answer.blocks
        for positions in (Positions.BLOCKS, Positions.WORDS)
    )
    assert of_blocks
    assert of_words
    assert of_blocks == tuple(replace(block, lines=None) for block in of_words)
    assert any(block.lines for block in of_words)


@pytest.mark.parametrize(("shift", "reason"), [(0, "checked"), (1, "garbled")])
def test_only_the_picture_tells_a_wrong_map(child: PdfChild, engine: LocalEngine, shift: int, reason: str) -> None:
    """Letters shifted by one are printable, dense and wrong, and nothing in the file says so."""
    answer = read(child, engine, with_map(shift)).answer
    assert answer.verdict is not None
    assert answer.verdict.reason == reason
    assert (answer.failure is None) == (shift == 0)


def test_what_samples_have_shown_serves_the_next_page(child: PdfChild, engine: LocalEngine) -> None:
    """A page with known fonts and characters is not looked at again."""
    data = pdfs.content_pdf(lines())
    first = read(child, engine, data)
    assert any(record.read for record in first.fonts.values())
    again = read(child, engine, data, {key: record + record for key, record in first.fonts.items()})
    assert again.answer.text == first.answer.text
    assert not any(record.read for record in again.fonts.values())


def test_hidden_text_over_a_picture_is_not_trusted(child: PdfChild, engine: LocalEngine) -> None:
    """It is what an OCR of unknown quality has left."""
    picture = scan_of(child, lines())
    objects = pdfs.page_objects([b"q 612 0 0 792 0 0 cm /X Do Q " + lines(b"3")], resources=b"/XObject<</X 6 0 R>>")
    answer = read(child, engine, pdfs.write([*objects, picture])).answer
    assert answer.verdict is not None
    assert answer.verdict.reason == "ocr_layer"
    assert answer.failure is not None
    assert answer.failure.code is ErrorCode.TEXT_LAYER_UNTRUSTED


def test_text_in_a_picture_is_missed(child: PdfChild, engine: LocalEngine) -> None:
    """A page of which half stands in a picture goes on to a reader of pictures."""
    picture = scan_of(child, lines())
    content = b"q 612 0 0 792 0 -300 cm /X Do Q " + lines()
    objects = pdfs.page_objects([content], resources=b"/XObject<</X 6 0 R>>")
    answer = read(child, engine, pdfs.write([*objects, picture])).answer
    assert answer.verdict is not None
    assert answer.verdict.reason == "text_missing"


def test_missing_text_is_read_until_enough_is_missing(child: PdfChild, engine: LocalEngine) -> None:
    """All of it where the page may lack as much."""
    image = image_of(child, pdfs.content_pdf(lines()))
    check = PictureCheck(engine.page_reader(), image.data, image.width_px / 612)
    page = [(0.0, 0.0, 612.0, 200.0)]
    some, everything = (check.missing([], page, 0.0, most, is_foreign=False) for most in (0.07, 1.0))
    assert everything.share == pytest.approx(1.0)
    assert some.share > 0.07
    assert len(some.lines) < len(everything.lines)


def test_a_page_without_a_layer_goes_on(child: PdfChild, engine: LocalEngine) -> None:
    """Whether it is a scan, or what came is no layer."""
    image = image_of(child, pdfs.content_pdf(lines()))
    for layer in (None, TextLayer(b"nonsense", b"", 0)):
        answer = engine.read_layer(replace(image, layer=layer), {}, ROUTE).answer
        assert answer.verdict is not None
        assert answer.verdict.reason == "no_text"


def test_the_gates_stand_where_the_settings_say(child: PdfChild, engine: LocalEngine) -> None:
    """A layer that is trusted as measured is too short for somebody who wants a hundred characters more."""
    data = pdfs.content_pdf(lines())
    strict = replace(ROUTE, gates=Gates(least_characters=len(b"".join(SENTENCES)) + 100))
    verdicts = [read(child, engine, data, route=route).answer.verdict for route in (ROUTE, strict)]
    assert [verdict and verdict.reason for verdict in verdicts] == ["checked", "no_text"]
