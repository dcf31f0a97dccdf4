"""What the text layer of born-digital PDFs saves: CPU of a page by `text-layer,local` and by `local`, same pages.

    python -m benchmarks.born_digital FOLDER [--documents 8] [--pages 10] [--copies 6] [--rounds 3]

FOLDER is searched for PDFs of programs, such as /usr/share/doc of a machine with documentation packages. Of documents
drawn by chance, some pages in a row are the collection. CPU is that of all processes of a run: driver, Ray, rendering,
engines. What the start takes is taken off by a smaller run: one document by the engine; two copies of the collection by
their text layers, which take so little that several more copies are the difference.
"""

from __future__ import annotations

import argparse
import io
import random
import statistics
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from pypdfium2 import PdfDocument, PdfiumError

from benchmarks.processes import ROOT, run_product

if TYPE_CHECKING:
    from collections.abc import Sequence

LAYER, OCR = "text-layer,local", "local"
MOST = 1 / 20
FEWEST_CHARACTERS = 200  # on a page that is text; a cover or a plate is none


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--documents", type=int, default=8)
    parser.add_argument("--pages", type=int, default=10, help="of each document")
    parser.add_argument("--copies", type=int, default=6, help="that are read by their text layers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    first, *collection = parts_of(options.folder, options.documents + 1, options.pages, options.seed)
    pages = len(collection) * options.pages
    print(f"{pages} pages of {len(collection)} documents; CPU s a page, without the start")
    print(f"{'round':>5} {'text-layer,local':>17} {'local':>8} {'ratio':>7}   pages by the text layer")
    ratios = []
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(1, options.rounds + 1):
            at = Path(scratch, str(number))
            few_s, share = cpu_of(at / "few", collection * 2, LAYER)
            many_s, _ = cpu_of(at / "many", collection * (2 + options.copies), LAYER)
            layer_s = (many_s - few_s) / (pages * options.copies)
            start_s, _ = cpu_of(at / "start", [first], OCR)
            all_s, _ = cpu_of(at / "all", [first, *collection], OCR)
            ocr_s = (all_s - start_s) / pages
            ratios.append(layer_s / ocr_s)
            print(f"{number:>5} {layer_s:17.3f} {ocr_s:8.2f} {ratios[-1]:7.4f}   {share:.1%}", flush=True)
    ratio = statistics.median(ratios)
    print(f"median ratio {ratio:.4f}: 1/{1 / ratio:.1f} (wanted: 1/{1 / MOST:.0f} at most)")
    return ratio > MOST


def parts_of(folder: Path, documents: int, pages: int, seed: int) -> Sequence[bytes]:
    """Some pages from the middle of documents drawn by chance, each as a PDF of its own."""
    files = sorted(path for path in folder.rglob("*.pdf") if path.is_file() and not path.is_symlink())
    random.Random(seed).shuffle(files)
    found: list[bytes] = []
    for file in files:
        if len(found) < documents and (part := _part(file, pages)) is not None:
            found.append(part)
    if len(found) < documents:
        raise SystemExit(f"{folder} has {len(found)} PDFs with {pages} pages of text; {documents} are needed")
    return found


def _part(file: Path, pages: int) -> bytes | None:
    try:
        source = PdfDocument(file)
    except PdfiumError:
        return None
    with closing(source), closing(PdfDocument.new()) as part:
        first = len(source) // 2 - pages // 2
        if first < 0 or any(
            source[number].get_textpage().count_chars() < FEWEST_CHARACTERS for number in range(first, first + pages)
        ):
            return None
        part.import_pages(source, list(range(first, first + pages)))
        data = io.BytesIO()
        part.save(data)
    return data.getvalue()


def cpu_of(at: Path, documents: Sequence[bytes], route: str) -> tuple[float, float]:
    """CPU seconds of a run over the documents, each with bytes of its own, and the share of pages by the text layer."""
    source, output = at / "in", at / "out"
    source.mkdir(parents=True)
    for number, data in enumerate(documents):
        (source / f"{number:03d}.pdf").write_bytes(data + b"\n%% copy %d\n" % number)
    command = [sys.executable, str(ROOT / "jobs" / "ocr.py"), str(source), "--output", str(output), "--route", route]
    usage = run_product(command)
    rows = f"'{output}/pages/*.parquet'"
    (share,) = duckdb.sql(f"select avg((engine = 'text-layer')::int) from {rows}").fetchall()[0]
    return usage.total_cpu_s, share


if __name__ == "__main__":
    sys.exit(main())
