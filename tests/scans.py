"""Pages as a scanner gives them, of what the fake provider answers for them: a picture, and where its words stand."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from tests.provider.identity import BARS, BOTTOM, LEFT, RIGHT, TOP, Identity, bars_of
from tests.provider.replies import page_markdown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from one_ocr_ray.blocks import BlockWord, PageBox

WIDTH_PX, HEIGHT_PX = 1131, 1600
DPI = 137  # A4
TYPE_PX, LINE_PX = 22, 34
COLUMN = (0.1, 0.9)  # of the width

WordPlace = tuple[str, float, float, float, float]  # a word and its left, top, right and lower end, in shares


def scan(identity: Identity, chars: int) -> tuple[bytes, list[WordPlace]]:
    """A PNG of one page, and its words where they stand, as shares of its width and height."""
    page = Image.new("L", (WIDTH_PX, HEIGHT_PX), 245)
    draw, words, y = ImageDraw.Draw(page), [], 0.09 * HEIGHT_PX
    bar = (RIGHT - LEFT) * WIDTH_PX / BARS
    for number, each in enumerate(bars_of(identity)):
        if each == "1":
            x = LEFT * WIDTH_PX + number * bar
            draw.rectangle((x, TOP * HEIGHT_PX, x + bar, BOTTOM * HEIGHT_PX), fill=20)
    for line in page_markdown(str(identity), chars).splitlines():
        font = ImageFont.load_default(2 * TYPE_PX if line.startswith("#") else TYPE_PX)
        x = COLUMN[0] * WIDTH_PX
        for word in line.removeprefix("# ").split():
            length = draw.textlength(word, font)
            if x + length > COLUMN[1] * WIDTH_PX:
                x, y = COLUMN[0] * WIDTH_PX, y + LINE_PX
            draw.text((x, y), word, fill=30, font=font)
            left, top, right, low = draw.textbbox((x, y), word, font)
            words.append((word, left / WIDTH_PX, top / HEIGHT_PX, right / WIDTH_PX, low / HEIGHT_PX))
            x += length + draw.textlength(" ", font)
        y += 3 * LINE_PX if line.startswith("#") else LINE_PX
    page = page.filter(ImageFilter.GaussianBlur(0.7))
    noise = Image.frombytes("L", page.size, random.Random(1).randbytes(WIDTH_PX * HEIGHT_PX))
    file = io.BytesIO()
    Image.blend(page, noise, 0.06).save(file, "PNG", dpi=(DPI, DPI))
    return file.getvalue(), words


def share_in_place(found: Iterable[BlockWord], truth: Sequence[WordPlace], page: PageBox) -> float:
    """The share of the words of a scan that are among `found` with the right box: its middle lies on the word."""
    left = list(truth)
    for word in found:
        x, y = (word.box.x0 + word.box.x1) / 2 / page.width, (word.box.y0 + word.box.y1) / 2 / page.height
        left = [(text, *box) for text, *box in left if text != word.text or not _holds(*box, x=x, y=y)]
    return 1 - len(left) / len(truth)


def _holds(left: float, top: float, right: float, low: float, *, x: float, y: float) -> bool:
    return left <= x <= right and top <= y <= low
