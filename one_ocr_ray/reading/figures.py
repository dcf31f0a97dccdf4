"""Writes the figures of a dataset as pictures, cut out of redrawn pages."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.model import PageImage
from one_ocr_ray.pdf.reader import PdfChild, PdfOptions
from one_ocr_ray.policy.dataset.export import ExportReport, FileNames, page_blocks
from one_ocr_ray.policy.writers.markdown import figure_path
from one_ocr_ray.reading.inspection import Opener
from one_ocr_ray.storage.dataset.committed import committed_documents
from one_ocr_ray.storage.dataset.export import writing_to

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from one_ocr_ray.blocks import Block, Box, PageBox
    from one_ocr_ray.model import PageResult

DPI = 200
MOST_SIDE_PX = 4000
MARGIN_PT = 2.0

_OPTIONS = PdfOptions(longest_side_px=MOST_SIDE_PX, max_pages=1_000_000, max_file_bytes=1 << 40, password=None)


def export_figures(output: str, folder: Path) -> ExportReport:
    """Write a folder for each document with figures: its Markdown, and the pictures in it.

    Raises UsageError when there is no dataset or no such folder can be, StorageError when files cannot be written.
    """
    source = committed_documents(output)
    report = ExportReport(lacking="figures", pieces=0)
    names = FileNames("")
    with writing_to(folder), PdfChild() as child:
        opener = Opener(child)
        for shard in source.shards:
            files = {(each.document_id, each.uri): each for each in shard.documents}
            for document, pages in source.with_pages(shard):
                figures = {page.page_number: found for page in pages if (found := _figures(page))}
                if not figures:
                    report.left_out += 1
                elif opener.open(files[document.document_id, document.source_uri], _OPTIONS) is not None:
                    report.unopened += 1
                else:
                    name = names.next(document.source_name)
                    (folder / name / "figures").mkdir(parents=True, exist_ok=True)
                    (folder / name / f"{name}.md").write_text(document.markdown or "", encoding="utf-8")
                    report.pieces = (report.pieces or 0) + _write(child, pages, figures, folder / name)
                    report.documents += 1
    return report


def _figures(page: PageResult) -> list[Block]:
    """The figures of a page whose places are known."""
    if page.blocks is None or page.page_box is None:
        return []
    return [block for block in page_blocks(page) if block.kind is BlockKind.FIGURE and block.box is not None]


def _write(child: PdfChild, pages: Sequence[PageResult], figures: Mapping[int, Sequence[Block]], folder: Path) -> int:
    """How many pictures of the open document were written. Those of a page that cannot be drawn are not."""
    written = 0
    for page in pages:
        if page.page_number not in figures or page.page_box is None:
            continue
        side_px = min(MOST_SIDE_PX, max(1, round(max(page.page_box.width, page.page_box.height) * DPI / 72)))
        drawn = child.render(page.page_number, side_px)
        if not isinstance(drawn, PageImage):
            continue
        with Image.open(io.BytesIO(drawn.data)) as image:
            upright = image.rotate(-(page.rotation or 0), expand=True)
        for block in figures[page.page_number]:
            if block.box is not None and (cut := _cut(upright, block.box, page.page_box)) is not None:
                cut.save(folder / figure_path(page.page_number, block.id), "PNG")
                written += 1
    return written


def _cut(image: Image.Image, box: Box, page: PageBox) -> Image.Image | None:
    """The part of a page in a box, with a little around it. None where the box has no part of the page."""
    across, down = image.width / page.width, image.height / page.height
    left, top = max(0, round((box.x0 - MARGIN_PT) * across)), max(0, round((box.y0 - MARGIN_PT) * down))
    right = min(image.width, round((box.x1 + MARGIN_PT) * across))
    bottom = min(image.height, round((box.y1 + MARGIN_PT) * down))
    return image.crop((left, top, right, bottom)) if right > left and bottom > top else None
