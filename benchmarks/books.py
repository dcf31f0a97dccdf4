"""Long documents with running heads: none is left in the document's Markdown, and no line of the text is lost.

    one-ocr run FOLDER --output OUT --route text-layer
    python -m benchmarks.books OUT

Looks at each document of the dataset OUT, which must still stand where it was read from, beside its text layer. The
uppermost or lowest line of a page is a running head or foot where it stands on pages around, too, but for its numbers,
or where a quarter of the pages have one as high; all others are the book's own. Prints by document: the heads and feet
of the layer, how many of them are lines of the Markdown in the place of their page, and how many of the book's own
lines are not there. Pages that failed count for nothing: a layer that is not trusted is not read.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from one_ocr_ray.model import PageImage
from one_ocr_ray.pdf.reader import PdfChild
from one_ocr_ray.policy.page.plain_text import plain_text
from one_ocr_ray.policy.text_layer.layer import unpacked
from one_ocr_ray.policy.text_layer.lines import layer_lines
from one_ocr_ray.policy.text_layer.seen import seen_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.policy.layout.geometry import TextLine

ROW_PT = 3.0  # lines that differ by less stand in one row
REPEATED, NEIGHBOURS = 4, 12  # so many pages among those before and after
USUAL = 0.25  # of the pages have a head at that height
SHOWN = 8  # of what is wrong, by document


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a text layer."""

    page: int
    text: str
    middle_pt: float
    at_edge: bool = False

    @property
    def key(self) -> str:
        return re.sub(r"\d+|\b[ivxlc]+\b", "#", self.text.lower())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    for file in sorted((output / "documents").glob("*.parquet")):
        for row in pq.ParquetFile(file).read().to_pylist():
            failed = failed_pages(output / "pages" / file.name, row["document_id"])
            print(row["source_name"], look(row["source_uri"], row["markdown"], row["page_ends"], failed), flush=True)
    return 0


def failed_pages(file: Path, document_id: str) -> set[int]:
    """The pages of a document that have no text."""
    rows = pq.ParquetFile(file).read(["document_id", "page_number", "status"]).to_pylist()
    return {row["page_number"] for row in rows if row["document_id"] == document_id and row["status"] == "failed"}


def look(path: str, markdown: str, ends: Sequence[int], failed: set[int]) -> str:
    """One line of figures, and below it some of what is wrong."""
    lines = [line for line in layer(Path(path), len(ends)) if line.page not in failed]
    heads = running(lines)
    pages = [plain_text(markdown[start:end]) for start, end in pairwise((0, *ends))]
    folded = [letters(page) for page in pages]
    left, lost = [], []
    for number, page in enumerate(pages, 1):
        there = Counter(letters(line) for line in page.splitlines())
        own = Counter(letters(line.text) for line in lines if line.page == number and line not in heads)
        left += [
            f"p{number} {line.text!r}"
            for line in heads
            if line.page == number and there[letters(line.text)] > own[letters(line.text)]
        ]
    for line in lines:
        if line in heads or not (wanted := letters(line.text)):
            continue
        near = "".join(folded[max(0, line.page - 2) : line.page + 1])  # a joined paragraph is the page's before
        if wanted not in near and not _all_words(line.text, pages[max(0, line.page - 2) : line.page + 1]):
            lost.append(f"p{line.page} {line.text!r}")
    shown = "".join(f"\n  {what}: {each}" for what, some in (("left", left), ("lost", lost)) for each in some[:SHOWN])
    told = f"{len(heads)} heads, {len(left)} left; {len(lines) - len(heads)} lines, {len(lost)} lost"
    return f"{len(pages) - len(failed)} pages: {told}{shown}"


def layer(path: Path, page_count: int) -> list[Line]:
    """The lines of all pages that a reader sees."""
    found = []
    with PdfChild() as child:
        child.inspect(path)
        for number in range(1, page_count + 1):
            page = child.render(number, 400, layer=True)
            if isinstance(page, PageImage) and page.layer is not None:
                known = unpacked(page.layer)
                lines = [
                    Line(number, "".join(word.text for word in each.line.words).strip(), _middle_pt(each.line))
                    for each in layer_lines(known, seen_of(known).glyphs)
                ]
                ends = [end(line.middle_pt for line in lines) for end in (min, max)] if lines else []
                found += [
                    replace(line, at_edge=any(abs(line.middle_pt - end) < ROW_PT for end in ends)) for line in lines
                ]
    return found


def _middle_pt(line: TextLine) -> float:
    return sum(y for _, y in line.corners) / 4


def running(lines: Sequence[Line]) -> set[Line]:
    """Lines at the edge that stand there on pages before or after, too."""
    pages: dict[str, set[int]] = defaultdict(set)
    for line in lines:
        if line.at_edge:
            pages[line.key].add(line.page)
    edge = [line for line in lines if line.at_edge]
    repeated = {
        line for line in edge if sum(abs(page - line.page) <= NEIGHBOURS for page in pages[line.key]) >= REPEATED
    }
    heights = Counter(round(line.middle_pt / ROW_PT) for line in repeated)
    usual = {height for height, count in heights.items() if count >= USUAL * max(line.page for line in lines)}
    return repeated | {line for line in edge if round(line.middle_pt / ROW_PT) in usual}


def letters(text: str) -> str:
    """What is compared: letters and digits."""
    return "".join(char for char in text.casefold() if char.isalnum())


def _all_words(text: str, pages: Sequence[str]) -> bool:
    """True if the pages have all its words: a cell of a table takes words of a line apart."""
    there = Counter(letters(word) for page in pages for word in page.split())
    return not Counter(filter(None, map(letters, text.split()))) - there


if __name__ == "__main__":
    sys.exit(main())
