"""Places for a model's words on pages without a text layer: how many are right, and what they cost.

    python -m benchmarks.places FILE... [--pages N]

The first N pages of each PDF, which has a text layer, as a scanner gives them: level, turned by 0.7 and by 2 degrees,
with noise. The embedded engine reads the picture, the answer is what the layer says, as a faithful model would give it.
A word is right where the middle of its box lies on the layer's word with its letters. Heads and feet, which an answer
does not hold, count for nothing.
"""

from __future__ import annotations

import argparse
import io
import math
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from one_ocr_ray.engines.ocr.engine import LocalEngine
from one_ocr_ray.model import PageImage
from one_ocr_ray.pdf.reader import PdfChild, PdfInfo
from one_ocr_ray.policy.layout import page_blocks
from one_ocr_ray.policy.text_layer.frames import content_of
from one_ocr_ray.policy.text_layer.layer import unpacked
from one_ocr_ray.policy.text_layer.lines import layer_lines
from one_ocr_ray.policy.text_layer.seen import seen_of
from one_ocr_ray.policy.writers.markdown import to_markdown
from one_ocr_ray.reading.page.answer_places import aligned_with_ocr, words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.blocks import BlockWord

SIDE_PX = 1600
SKEWS_DEG = (0.0, 0.7, 2.0)
NOISE, QUALITY = 6.0, 60  # of 255 levels; of the JPEG


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--pages", type=int, default=1)
    options = parser.parse_args()
    engine, right, wanted = LocalEngine(), Counter[float](), Counter[float]()
    with PdfChild() as child:
        for file in options.files:
            info = child.inspect(file)
            for number in range(1, min(options.pages, info.page_count if isinstance(info, PdfInfo) else 0) + 1):
                page = child.render(number, SIDE_PX, layer=True)
                if isinstance(page, PageImage) and page.layer is not None and page.page_box is not None:
                    for skew_deg in SKEWS_DEG:
                        found, total = measured(engine, page, skew_deg, f"{file.name} p{number}")
                        right[skew_deg] += found
                        wanted[skew_deg] += total
    for skew_deg in SKEWS_DEG:
        share = right[skew_deg] / max(1, wanted[skew_deg])
        print(f"{skew_deg} degrees: {share:.1%} of {wanted[skew_deg]} letters in the right place")
    return 0


def measured(engine: LocalEngine, page: PageImage, skew_deg: float, name: str) -> tuple[int, int]:
    """How many letters of the page have the right box, and how many there are."""
    assert page.layer is not None
    assert page.page_box is not None
    layer = unpacked(page.layer)
    blocks = page_blocks(content_of(layer, layer_lines(layer, seen_of(layer).glyphs)))
    told = [block for block in blocks if not block.kind.is_furniture]
    truth = words_of(told)
    started = time.process_time()
    seen = engine.read_page(scanned(page, skew_deg))
    ocr_s, started = time.process_time() - started, time.process_time()
    words = words_of(aligned_with_ocr(to_markdown(told), seen.blocks or ()).blocks)
    align_ms = 1000 * (time.process_time() - started)
    middle = page.page_box.width / 2, page.page_box.height / 2
    right = sum(letters(word) for word in words if stands_there(word, truth, middle, skew_deg))
    total = sum(map(letters, truth))
    cost = f"OCR {ocr_s:.1f} s, alignment {align_ms:.0f} ms"
    print(f"{name}, {skew_deg} degrees: {right} of {total} letters, {cost}", flush=True)
    return right, total


def scanned(page: PageImage, skew_deg: float) -> PageImage:
    """The picture of the page as a scanner gives it, turned to the left."""
    picture = Image.open(io.BytesIO(page.data)).convert("L")
    picture = picture.rotate(skew_deg, resample=Image.Resampling.BICUBIC, fillcolor=255)
    noise = np.random.default_rng(1).normal(0, NOISE, (picture.height, picture.width))
    data = io.BytesIO()
    levels = (0.97 * np.asarray(picture) + noise).clip(0, 255).astype("uint8")
    Image.fromarray(levels).save(data, "JPEG", quality=QUALITY)
    return replace(page, data=data.getvalue(), layer=None)


def stands_there(word: BlockWord, truth: Sequence[BlockWord], middle: tuple[float, float], skew_deg: float) -> bool:
    """The middle of the word, turned back, lies on a word of the layer with half of its letters or more."""
    turn = math.radians(skew_deg)
    dx, dy = (word.box.x0 + word.box.x1) / 2 - middle[0], (word.box.y0 + word.box.y1) / 2 - middle[1]
    x = middle[0] + dx * math.cos(turn) - dy * math.sin(turn)
    y = middle[1] + dx * math.sin(turn) + dy * math.cos(turn)
    below = [each for each in truth if each.box.x0 <= x <= each.box.x1 and each.box.y0 <= y <= each.box.y1]
    return any(2 * (Counter(each.text) & Counter(word.text)).total() >= len(word.text) for each in below)


def letters(word: BlockWord) -> int:
    """The letters and digits of a word: what is compared."""
    return sum(char.isalnum() for char in word.text)


if __name__ == "__main__":
    sys.exit(main())
