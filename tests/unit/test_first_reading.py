"""The small recogniser first: what it is trusted with, and that the large one is spared by it."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from one_ocr_ray.engines.ocr.languages import LineModels
from one_ocr_ray.engines.ocr.line_reader import LineReader
from one_ocr_ray.engines.ocr.models import LINE_HEIGHT_PX
from one_ocr_ray.engines.ocr.rapid import RapidReader
from one_ocr_ray.policy.page.first_reading import ENOUGH_PX, FirstReadings, is_sure

SENTENCES = ("The harbour office opens at nine", "and the ferry leaves at noon", "for the islands in the north")


@pytest.mark.parametrize(
    "text",
    ["", "gent0o", "0pen", "a mark⁶", "■ a box", "braşov"],
)
def test_what_the_small_recogniser_takes_for_something_else_is_read_again(text: str) -> None:
    """However sure it is."""
    assert not is_sure(text, mean=1.0, least=1.0)
    assert is_sure("plain words, 100 of them", mean=1.0, least=1.0)


def test_one_poor_character_makes_a_line_unsure() -> None:
    """Its mean hides it in a long line."""
    assert is_sure("a line", mean=0.98, least=0.6)
    assert not is_sure("a line", mean=0.98, least=0.4)
    assert not is_sure("a line", mean=0.96, least=0.9)


def test_a_page_that_has_to_be_read_again_asks_the_large_recogniser_alone() -> None:
    """After enough of its lines, and not before; a page of which a part is sure goes on."""
    poor, mixed = FirstReadings(set()), FirstReadings(set())
    for _ in range(ENOUGH_PX // 1000 - 1):
        poor.count(1000, sure=False)
        mixed.count(1000, sure=False)
    assert poor.pays
    poor.count(1000, sure=False)
    mixed.count(1000, sure=True)
    assert not poor.pays
    assert mixed.pays


def test_letters_that_the_small_recogniser_does_not_know_end_its_use() -> None:
    """It says others for them. Of Chinese it reads nothing before the large one has read some of the page."""
    page = FirstReadings(set("资本金and"))
    assert page.takes("sand")
    assert not page.takes("资本金")
    page.learn("资本金" * 20)
    assert page.takes("资本金")
    assert page.pays
    page.learn("資本金")
    assert not page.pays


def test_print_is_read_by_the_small_recogniser_alone() -> None:
    """The large one, of five times its cost, sees less than a third of the length of a page's lines."""
    page = Image.new("RGB", (1131, 1600), "white")
    font = ImageFont.load_default(26)
    for number in range(30):
        ImageDraw.Draw(page).text((120, 100 + 45 * number), SENTENCES[number % 3], "black", font)
    jpeg = io.BytesIO()
    page.save(jpeg, "JPEG", quality=90)
    reader = RapidReader(most_kept_bytes=64 << 30)  # whatever the tests before have left: new models count anew
    found = reader.read(jpeg.getvalue())
    assert [
        line.reading.text.replace(" ", "") for line in sorted(found.lines, key=lambda line: line.box.corners[0][1])
    ] == [SENTENCES[number % 3].replace(" ", "") for number in range(30)]
    assert reader.lines.larger[0].asked_px < reader.lines.small.asked_px / 3


def test_both_recognisers_read_a_line_alike() -> None:
    """Their characters stand at the same places."""
    line = Image.new("RGB", (8 * 64, LINE_HEIGHT_PX), "white")
    ImageDraw.Draw(line).text((6, 8), SENTENCES[1], "black", ImageFont.load_default(30))
    pixels = cv2.cvtColor(np.asarray(line), cv2.COLOR_RGB2BGR)
    reader = LineReader(LineModels())
    small, large = reader.small.read(pixels), reader.larger[0].read(pixels)
    assert small.text == large.text == SENTENCES[1]
    assert small.centres == pytest.approx(large.centres, abs=0.03)
    assert 0.5 < small.least <= small.score <= 1
