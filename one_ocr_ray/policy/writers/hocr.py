"""Writing pages as hOCR 1.2: XHTML with the place of every line and word. All text of the page is escaped.

Places are pixels of the picture that was read, turned upright.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.policy.layout.places import around
from one_ocr_ray.policy.writers.placed import is_rtl
from one_ocr_ray.policy.writers.xml import xml_text
from one_ocr_ray.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from one_ocr_ray.blocks import Box
    from one_ocr_ray.policy.writers.placed import PlacedBlock, PlacedPage

BASELINE = 0.2  # how far the baseline is above the bottom of a line, against its height
STRAIGHT_DEG = 0.05  # a smaller tilt is none

_DOCUMENT = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="und" lang="und">
<head>
<title>{title}</title>
<meta http-equiv="Content-Type" content="text/html; charset=utf-8" />
<meta name="ocr-system" content="one-ocr-ray {version}" />
<meta name="ocr-capabilities" content="{capabilities}" />
</head>
<body>
{pages}
</body>
</html>
"""
_CAPABILITIES = "ocr_page ocr_carea ocr_par ocr_line ocrx_word ocrp_dir ocrp_wconf ocr_photo ocr_table"
_AREAS = {BlockKind.FIGURE: "ocr_photo", BlockKind.TABLE: "ocr_table"}


def to_hocr(name: str, pages: Iterable[PlacedPage]) -> str:
    """A document as one file. `name` is that of the file it was read from."""
    written: list[str] = []
    image = xml_text(name.replace("\\", "/").replace('"', "'"))
    for page in pages:
        factor, number = page.px_per_pt, page.number
        size, dpi = f"{round(page.box.width * factor)} {round(page.box.height * factor)}", round(72 * factor)
        title = f"image &quot;{image}&quot;; bbox 0 0 {size}; ppageno {number - 1}; scan_res {dpi} {dpi}"
        written.append(f'<div class="ocr_page" id="page_{number}" title="{title}">')
        if page.failure:
            written.append(f"<!-- page {number} failed: {page.failure} -->")
        for placed in page.blocks:
            written += _area(placed, number, factor)
        written.append("</div>")
    values = {"title": xml_text(name), "version": __version__, "capabilities": _CAPABILITIES}
    return _DOCUMENT.format(**values, pages="\n".join(written))


def _area(placed: PlacedBlock, number: int, factor: float) -> Iterator[str]:
    block = placed.block
    place, key = _bbox(placed.box, factor), f"{number}_{block.id}"
    if (own := _AREAS.get(block.kind)) is not None:
        yield f'<div class="{own}" id="float_{key}" title="{place}"></div>'
    if not placed.lines:
        return
    direction = "rtl" if is_rtl(block.text) else "ltr"
    yield f'<div class="ocr_carea" id="block_{key}" title="{place}">'
    yield f'<p class="ocr_par" id="par_{key}" dir="{direction}" title="{place}">'
    for index, line in enumerate(placed.lines, start=1):
        box = around([line.box, *(word.box for word in line.words)])
        height = (box.y1 - box.y0) * factor
        turn = round(line.angle / 90) * 90
        slope = round(math.tan(math.radians(line.angle - turn)), 4) if abs(line.angle - turn) > STRAIGHT_DEG else 0
        angle = f"; textangle {-turn % 360}" if turn % 360 else ""
        baseline = f"baseline {slope:g} {-round(BASELINE * height)}"
        title = f"{_bbox(box, factor)}; {baseline}; x_size {round(height)}{angle}"
        words = ""
        for number_in_line, word in enumerate(line.words, start=1):
            score = "" if word.confidence is None else f"; x_wconf {round(100 * min(max(word.confidence, 0.0), 1.0))}"
            word_id, word_title = f"word_{key}_{index}_{number_in_line}", f"{_bbox(word.box, factor)}{score}"
            words += f'<span class="ocrx_word" id="{word_id}" title="{word_title}">{xml_text(word.text)}</span>'
            words += " " * word.space
        yield f'<span class="ocr_line" id="line_{key}_{index}" title="{title}">{words.rstrip()}</span>'
    yield "</p>\n</div>"


def _bbox(box: Box, factor: float) -> str:
    left, top, right, bottom = (max(0, round(value * factor)) for value in (box.x0, box.y0, box.x1, box.y1))
    return f"bbox {left} {top} {max(right, left + 1)} {max(bottom, top + 1)}"
