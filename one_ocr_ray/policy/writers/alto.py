"""Writes pages as ALTO 4.4, the XML of libraries: places of blocks, lines and words. All text is escaped.

Places are pixels of the picture that was read, turned upright; kinds of blocks are layout tags.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.policy.layout.places import around
from one_ocr_ray.policy.layout.text import is_hyphenated
from one_ocr_ray.policy.writers.hocr import BASELINE
from one_ocr_ray.policy.writers.placed import is_rtl
from one_ocr_ray.policy.writers.xml import xml_text
from one_ocr_ray.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from one_ocr_ray.blocks import Box
    from one_ocr_ray.policy.writers.placed import PlacedBlock, PlacedPage

_NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"
_DOCUMENT = """<?xml version="1.0" encoding="UTF-8"?>
<alto xmlns="{namespace}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xsi:schemaLocation="{namespace} http://www.loc.gov/standards/alto/v4/alto-4-4.xsd" SCHEMAVERSION="4.4">
<Description>
<MeasurementUnit>pixel</MeasurementUnit>
<sourceImageInformation><fileName>{name}</fileName></sourceImageInformation>
<Processing ID="reading"><processingSoftware><softwareName>one-ocr-ray</softwareName>\
<softwareVersion>{version}</softwareVersion></processingSoftware></Processing>
</Description>
<Tags>
{tags}
</Tags>
<Layout>
{pages}
</Layout>
</alto>
"""
_TAGS = "\n".join(f'<LayoutTag ID="kind_{kind}" LABEL="{kind}"/>' for kind in BlockKind)


def to_alto(name: str, pages: Iterable[PlacedPage]) -> str:
    """A document as one file. `name` is that of the file it was read from."""
    written: list[str] = []
    for page in pages:
        factor, number = page.px_per_pt, page.number
        size = f'WIDTH="{round(page.box.width * factor)}" HEIGHT="{round(page.box.height * factor)}"'
        written.append(f'<Page ID="page_{number}" PHYSICAL_IMG_NR="{number}" {size} PROCESSINGREFS="reading">')
        if page.failure:
            written.append(f"<!-- page {number} failed: {page.failure} -->")
        written.append(f'<PrintSpace ID="space_{number}" HPOS="0" VPOS="0" {size}>')
        for placed in page.blocks:
            written += _block(placed, number, factor)
        written.append("</PrintSpace>\n</Page>")
    values = {"namespace": _NAMESPACE, "name": xml_text(name), "version": __version__, "tags": _TAGS}
    return _DOCUMENT.format(**values, pages="\n".join(written))


def _block(placed: PlacedBlock, number: int, factor: float) -> Iterator[str]:
    key = f"{number}_{placed.block.id}"
    shared = f'TAGREFS="kind_{placed.block.kind}" {_place(placed.box, factor)}'
    if placed.block.kind is BlockKind.FIGURE:
        yield f'<Illustration ID="picture_{key}" {shared}/>'
    if not placed.lines:
        return
    is_table = placed.block.table is not None
    if is_table:
        yield f'<ComposedBlock ID="table_{key}" {shared} TYPE="table">'
    direction = ' BASEDIRECTION="rtl"' if is_rtl(placed.block.text) else ""
    yield f'<TextBlock ID="block_{key}" {shared}{direction}>'
    for index, line in enumerate(placed.lines, start=1):
        box = around([line.box, *(word.box for word in line.words)])
        baseline = ""
        if abs(line.angle) < 45:
            y = round((box.y1 - BASELINE * (box.y1 - box.y0)) * factor)
            baseline = f' BASELINE="{round(box.x0 * factor)},{y} {round(box.x1 * factor)},{y}"'
        *words, last = line.words
        hyphen = is_hyphenated(last.text)
        last = replace(last, text=last.text[:-1] if hyphen else last.text, space=False)
        strings = ""
        for number_in_line, word in enumerate([*words, last], start=1):
            score = "" if word.confidence is None else f' WC="{min(max(word.confidence, 0.0), 1.0):.4g}"'
            content = f'CONTENT="{xml_text(word.text)}" {_place(word.box, factor)}{score}'
            strings += f'<String ID="word_{key}_{index}_{number_in_line}" {content}/>{"<SP/>" * word.space}'
        strings += '<HYP CONTENT="-"/>' * hyphen
        yield f'<TextLine ID="line_{key}_{index}" {_place(box, factor)}{baseline}>{strings}</TextLine>'
    yield "</TextBlock>\n</ComposedBlock>" if is_table else "</TextBlock>"


def _place(box: Box, factor: float) -> str:
    left, top = max(0.0, box.x0 * factor), max(0.0, box.y0 * factor)
    width, height = max(box.x1 * factor - left, 1.0), max(box.y1 * factor - top, 1.0)
    return f'HPOS="{left:.1f}" VPOS="{top:.1f}" WIDTH="{width:.1f}" HEIGHT="{height:.1f}"'
