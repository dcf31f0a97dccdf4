"""Pages that the embedded engine cannot read: print out of focus; and pictures in which there is nothing to read."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFilter, ImageFont

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE_PX = (1131, 1600)
SENTENCE = "the northern mill number {} was measured by the teacher in the spring"


def jpeg(page: Image.Image) -> bytes:
    """The page as the renderer gives it."""
    out = io.BytesIO()
    page.convert("RGB").save(out, "JPEG", quality=85)
    return out.getvalue()


def printed(lines: int = 36) -> Image.Image:
    """A page of print under a head."""
    page = Image.new("L", SIZE_PX, 245)
    draw = ImageDraw.Draw(page)
    draw.text((110, 120), "Report on the mills", fill=20, font=ImageFont.load_default(44))
    for number in range(lines):
        draw.text((110, 230 + 34 * number), SENTENCE.format(number), fill=30, font=ImageFont.load_default(25))
    return page


def print_out_of_focus(radius_px: float, lines: int = 36) -> Image.Image:
    """A page of print out of focus."""
    return printed(lines).filter(ImageFilter.GaussianBlur(radius_px))


def shaken() -> Image.Image:
    """A page of print that moved along its lines."""
    still = printed()
    page = still
    for step in range(1, 31):
        moved = still.transform(SIZE_PX, Image.Transform.AFFINE, (1, 0, step, 0, 1, 0))
        page = Image.blend(page, moved, 1 / (step + 1))
    return page


def noisy(radius_px: float) -> Image.Image:
    """A page of print out of focus, with the grain of a fast film."""
    return Image.blend(print_out_of_focus(radius_px), Image.effect_noise(SIZE_PX, 60), 0.15)


def hills(size: tuple[int, int] = SIZE_PX) -> Image.Image:
    """A landscape in mist: soft large shapes, a sun, dark ground."""
    width, height = size
    page = Image.linear_gradient("L").resize(size).point([150 + level // 4 for level in range(256)])
    draw = ImageDraw.Draw(page)
    draw.ellipse((width * 0.6, height * 0.1, width * 0.75, height * 0.1 + width * 0.15), fill=250)
    for step, tone in enumerate((140, 100, 60, 25)):
        top = height * (0.4 + 0.13 * step)
        draw.polygon(
            [(0, height), (0, top), (width * (0.2 + 0.17 * step), top - height * 0.15), (width, top), (width, height)],
            fill=tone,
        )
    return page.filter(ImageFilter.GaussianBlur(3))


def on_paper(picture: Callable[[tuple[int, int]], Image.Image]) -> Image.Image:
    """A picture in the middle of a white page."""
    page = Image.new("L", SIZE_PX, 250)
    page.paste(picture((900, 650)), (115, 300))
    return page
