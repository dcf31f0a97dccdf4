"""What must hold of the blocks of any page, on many pages of many kinds.

    python -m benchmarks.blocks FOLDER [--pages N] [--ocr SHARE]

FOLDER holds PDFs and pictures. Of at most N pages, spread over them, the words of the text layer become blocks, and of
a SHARE of them what the embedded engine reads. Each block's box contains its words, each word of the page stands in
exactly one block, the blocks come back from the dataset as they were, and nothing that is written of them is lost in
plain text.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import Block, Box, Positions
from one_ocr_ray.engines.ocr.engine import page_content
from one_ocr_ray.engines.ocr.rapid import RapidReader
from one_ocr_ray.model import PageImage
from one_ocr_ray.pdf.reader import PdfChild, PdfInfo
from one_ocr_ray.policy.dataset.packing import pack, unpack
from one_ocr_ray.policy.layout import page_blocks
from one_ocr_ray.policy.layout.places import printed_words
from one_ocr_ray.policy.page.plain_text import plain_text
from one_ocr_ray.policy.text_layer.bullets import drawn_bullets
from one_ocr_ray.policy.text_layer.frames import content_of
from one_ocr_ray.policy.text_layer.layer import unpacked
from one_ocr_ray.policy.text_layer.lines import layer_lines
from one_ocr_ray.policy.text_layer.seen import seen_of
from one_ocr_ray.policy.writers.markdown import to_markdown
from one_ocr_ray.policy.writers.text import to_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from one_ocr_ray.policy.layout.content import PageContent

LONGEST_SIDE_PX = 1600


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pages", type=int, default=500)
    parser.add_argument("--ocr", type=float, default=0.1, metavar="SHARE")
    options = parser.parse_args()
    files = sorted(file for file in options.folder.rglob("*") if file.suffix in {".pdf", ".png", ".jpg"})
    reader = RapidReader()
    totals: Counter[str] = Counter()
    layout_s = 0.0
    with PdfChild() as child:
        for number, (name, image) in enumerate(_pages(child, files, options.pages)):
            contents = {"text layer": _of_layer(image)} if image.layer else {}
            if int((number + 1) * options.ocr) > int(number * options.ocr):
                contents["ocr"] = page_content(reader.read(image.data), 0.36)
            for kind, content in contents.items():
                started = time.process_time()
                blocks = page_blocks(content)
                layout_s += time.process_time() - started
                totals[f"pages, {kind}"] += 1
                totals["blocks"] += len(blocks)
                for finding, count in findings(content, blocks).items():
                    totals[finding] += count
                    print(f"{name} {kind}: {finding}: {count}", flush=True)
    for what, count in totals.items():
        print(f"{what}: {count}")
    print(
        f"layout: {1000 * layout_s / max(1, totals['pages, text layer'] + totals['pages, ocr']):.1f} ms of CPU a page"
    )
    return 0


def _pages(child: PdfChild, pdfs: list[Path], most: int) -> Iterator[tuple[str, PageImage]]:
    """Page 1 of each PDF, then page 2 of each, and so on."""
    counts = {}
    for pdf in pdfs:
        info = child.inspect(pdf)
        if isinstance(info, PdfInfo):
            counts[pdf] = min(info.page_count, most)
    places = zip_longest(*([(pdf, page) for page in range(1, count + 1)] for pdf, count in counts.items()))
    chosen = sorted([place for some in places for place in some if place is not None][:most])
    for pdf, page in chosen:
        if page == min(number for each, number in chosen if each == pdf):
            child.inspect(pdf)
        image = child.render(page, LONGEST_SIDE_PX, layer=True)
        if isinstance(image, PageImage):
            yield f"{pdf.name} p{page}", image


def _of_layer(image: PageImage) -> PageContent:
    assert image.layer is not None
    layer = unpacked(image.layer)
    lines = layer_lines(layer, seen_of(layer).glyphs)
    return content_of(layer, lines, drawn_bullets(layer, lines))


def findings(content: PageContent, blocks: tuple[Block, ...]) -> Counter[str]:
    """What does not hold, and how often."""
    expected = Counter(
        (printed.text, printed.box)
        for line in content.lines
        for printed in printed_words(line, content.pt_per_unit)
        if printed.text
    )
    words = [(block, word) for block in blocks for line in block.lines or () for word in line.words]
    found = Counter((word.text, word.box) for _, word in words)
    wrong = Counter(
        {
            "words lost": (expected - found).total(),
            "words doubled": (found - expected).total(),
            "words outside of their block": sum(not _contains(block.box, word.box) for block, word in words),
            "blocks without a box": sum(block.box is None for block in blocks),
        }
    )
    packed = pack(blocks, Positions.WORDS)
    wrong["pages that come back otherwise"] = int(packed is None or unpack(packed) != blocks)
    written, text = (Counter(filter(str.isalnum, each)) for each in (plain_text(to_markdown(blocks)), to_text(blocks)))
    wrong["letters that plain text has and Markdown has not"] = (text - written).total()
    return +wrong


def _contains(outer: Box | None, inner: Box) -> bool:
    return outer is not None and (
        outer.x0 <= inner.x0 and outer.y0 <= inner.y0 and outer.x1 >= inner.x1 and outer.y1 >= inner.y1
    )


if __name__ == "__main__":
    sys.exit(main())
