"""Searchable copies of many documents: are the words found where they stand, is the file whole, how much does it grow?

    python -m benchmarks.searchable FOLDER [--pages 1-2] [--long 20] [--keep DIR]

Reads each PDF in FOLDER by the embedded engine, one of more than `--long` pages by its text layer first; adds documents
of known words (turned pages with odd boxes and UserUnit, Chinese, Arabic, skewed lines, encryption, 300 pages), exports
them all and asks poppler's `pdftotext -bbox` for each word and `qpdf --check` for the file. A word is found where one
of poppler's that holds it stands within half a line of its place; words that run to the left are printed there from
left to right, as of any PDF. Needs poppler-utils and qpdf.
"""

from __future__ import annotations

import argparse
import html
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pikepdf
import pypdfium2 as pdfium

import one_ocr_ray as ocr
from one_ocr_ray.blocks import Block, BlockKind, BlockLine, BlockWord, Box, PageBox, Positions
from one_ocr_ray.model import PageStatus
from one_ocr_ray.pdf.reader import PdfChild, PdfInfo, document_id_of
from one_ocr_ray.policy.dataset.packing import pack
from one_ocr_ray.policy.writers.placed import placed_page
from one_ocr_ray.reading.searchable import SearchableOptions, export_searchable
from tests import datasets
from tests.values import document, page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from one_ocr_ray.model import DocumentRef, PageResult

_WORD = re.compile(r'<word xMin="([-\d.]+)" yMin="([-\d.]+)" xMax="([-\d.]+)" yMax="([-\d.]+)">(.*?)</word>')
_BOXES = {
    "plain": {},
    "origin": {"/MediaBox": [10, 20, 622, 812]},
    "crop": {"/CropBox": [50, 60, 560, 700]},
    "unit": {"/UserUnit": 2},
}
_TEXTS = ("The quick brown fox", "jumps, naïve, over", "数学と漢字仮名交じり文", "مرحبا بالعالم العربية", "שלום עולם")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pages", help="pages of each document that are read, such as 1-2 (default: all)")
    parser.add_argument("--long", type=int, default=20, help="pages of a document that is read by its text layer first")
    parser.add_argument("--keep", type=Path, help="folder for the copies")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        made = [*_read_documents(options), *_known_documents(folder)]
        return _judge(made, folder, options.keep)


def _read_documents(options: argparse.Namespace) -> Iterator[tuple[DocumentRef, list[PageResult]]]:
    """The PDFs of the folder with what is read on their pages; those that cannot be opened are left out."""
    selected = {"pages": options.pages} if options.pages else {}
    with PdfChild() as child:
        for file in sorted(options.folder.glob("*.pdf")):
            info = child.inspect(file)
            if not isinstance(info, PdfInfo) or (identity := document_id_of(file)) is None:
                continue
            route = "text-layer,local" if info.page_count > options.long else "local"
            read = ocr.read(file, route=route, positions="words", **selected)
            uri = str(file.absolute())
            ref = document(1, page_count=info.page_count, name=file.name, uri=uri, document_id=identity)
            # As after a text layer that was refused: the words are written beside what the page shows.
            told = {"engine": "local", "route_reason": "garbled", "source_uri": uri}
            print(f"{file.name}: {len(read.pages)} pages", file=sys.stderr)
            yield ref, [replace(each.row, **told) for each in read.pages]


def _known_documents(folder: Path) -> Iterator[tuple[DocumentRef, list[PageResult]]]:
    """Documents without a visible word and words that are known, on pages of all turns and boxes."""
    kinds: list[tuple[str, dict[str, Any], int, float, int]] = [
        (f"known-{name}-{turn}", {**box, "/Rotate": turn}, 1, 0.0, 0)
        for name, box in _BOXES.items()
        for turn in (0, 90, 180, 270)
    ]
    kinds += [("known-300-pages", {}, 300, 0.0, 0), ("known-skewed", {}, 1, 2.0, 0)]
    kinds += [("known-encrypted", {}, 1, 0.0, 1)]
    for name, entries, count, angle, encrypted in kinds:
        pdf = pikepdf.new()
        for _ in range(count):
            added = pdf.add_blank_page(page_size=(612, 792)).obj
            for key, value in entries.items():
                added[key] = value
            added.Contents = pdf.make_stream(b"0.9 g 60 60 40 40 re f")
        file = folder / f"{name}.pdf"
        encryption = pikepdf.Encryption(user="", owner="owner") if encrypted else False
        pdf.save(file, encryption=encryption)
        shown = pdfium.PdfDocument(file)[0]
        box = PageBox(*shown.get_size(), shown.get_rotation())
        ref = document(1, page_count=count, name=file.name, uri=str(file), document_id=document_id_of(file) or "")
        blocks = pack(
            [Block(1, BlockKind.PARAGRAPH, "x", Box(40, 40, 300, 400), lines=tuple(_lines(angle)))], Positions.WORDS
        )
        yield ref, [page(ref, number, blocks=blocks, page_box=box) for number in range(1, count + 1)]


def _lines(angle: float) -> Iterator[BlockLine]:
    for row, text in enumerate(_TEXTS * 4):
        words, right_to_left = text.split(), row % len(_TEXTS) >= 3
        x, y, placed = (380.0 if right_to_left else 50.0), 60.0 + 20 * row, []
        for word in words:
            length = (12.0 if ord(word[0]) > 0x2E80 else 6.0) * len(word)
            left = x - length if right_to_left else x
            rise = (left - 50) * angle / 57.3
            placed.append(
                BlockWord(word, Box(left, y + rise, left + length, y + 12 + rise + length * angle / 57.3), 0.9)
            )
            x = left - 6 if right_to_left else left + length + 6
        yield BlockLine(Box(50, y, 380, y + 12), tuple(placed), angle)


def _judge(made: list[tuple[DocumentRef, list[PageResult]]], folder: Path, keep: Path | None) -> int:
    refs = [ref for ref, _ in made]
    datasets.write(folder / "out", refs, [each for _, pages in made for each in pages])
    started = time.monotonic()
    report = export_searchable(str(folder / "out"), folder / "to", SearchableOptions(), print)
    took_s = time.monotonic() - started
    print(f"{'document':<34} {'words':>7} {'found':>7} {'qpdf':>5} {'pixels':>7} {'growth':>9} KB/page")
    words = found = unsound = fat = changed = 0
    for ref, pages in made:
        copy = folder / "to" / ref.name
        if not copy.exists():
            continue
        own, own_found = _found(copy, pages)
        sound = subprocess.run(["qpdf", "--check", copy], capture_output=True, check=False).returncode == 0
        before, after = Path(ref.uri).stat().st_size, copy.stat().st_size
        per_page = (after - before) / max(len(pages), 1)
        # What could not be read is not drawn either: it may hang pdfium, which is in this process here.
        drawn = [each.page_number for each in pages if each.status is not PageStatus.FAILED][:2]
        same = all(_drawn(Path(ref.uri), number) == _drawn(copy, number) for number in drawn)
        words, found, unsound, changed = words + own, found + own_found, unsound + (not sound), changed + (not same)
        fat += after - before > 0.15 * before + 20_480 * max(len(pages), 1)
        share = f"{own_found / own:7.3f}" if own else "      -"
        told = f"{'ok' if sound else 'BAD':>5} {'same' if same else 'OTHER':>7} {per_page / 1024:9.1f}"
        print(f"{ref.name[:34]:<34} {own:>7} {share} {told}")
    if keep is not None:
        shutil.copytree(folder / "to", keep, dirs_exist_ok=True)
    print(f"{sum(len(pages) for _, pages in made)} pages; ", end="")
    print(f"{report.documents} copies of {len(made)} in {took_s:.1f} s; words found {found} of {words}, ", end="")
    print(f"{found / max(words, 1):.4f}; not sound {unsound}; drawn otherwise {changed}; grown too much {fat}")
    return 0 if found >= 0.98 * words and not (unsound or fat or changed) else 1


def _found(copy: Path, pages: list[PageResult]) -> tuple[int, int]:
    """How many words the dataset has on these pages, and how many of them poppler finds in their places."""
    words = found = 0
    command = ["pdftotext", "-bbox", "-cropbox", copy, "-"]
    told = subprocess.run(command, capture_output=True, check=False).stdout.decode(errors="replace").split("<page ")
    for each in pages:
        page_told = told[each.page_number] if each.page_number < len(told) else ""
        seen = [(*map(float, match.groups()[:4]), html.unescape(match[5])) for match in _WORD.finditer(page_told)]
        placed = placed_page(each)
        for line in placed.lines:
            for word in line.words:
                words += 1
                box = _as_in_file(word.box, placed.box, (each.rotation or 0) % 360)
                found += _is_at(replace(word, box=box), seen)
    return words, found


def _as_in_file(box: Box, upright: PageBox, turn: int) -> Box:
    """A box on the page as the file shows it, before the turn that OCR has found."""
    match turn:
        case 90:
            return Box(box.y0, upright.width - box.x1, box.y1, upright.width - box.x0)
        case 180:
            return Box(upright.width - box.x1, upright.height - box.y1, upright.width - box.x0, upright.height - box.y0)
        case 270:
            return Box(upright.height - box.y1, box.x0, upright.height - box.y0, box.x1)
    return box


def _is_at(word: BlockWord, seen: list[tuple[float, float, float, float, str]]) -> bool:
    x, y = (word.box.x0 + word.box.x1) / 2, (word.box.y0 + word.box.y1) / 2
    near = min(word.box.x1 - word.box.x0, word.box.y1 - word.box.y0) / 2
    return any(
        x0 - near <= x <= x1 + near and y0 - near <= y <= y1 + near and (word.text in text or word.text[::-1] in text)
        for x0, y0, x1, y1, text in seen
    )


def _drawn(file: Path, number: int) -> bytes:
    return bytes(pdfium.PdfDocument(file)[number - 1].render(scale=0.5).to_numpy().tobytes())


if __name__ == "__main__":
    sys.exit(main())
