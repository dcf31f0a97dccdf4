"""What a route saves on a mixed collection, and what it gets wrong: 1,000 pages against the fake provider.

    python benchmarks/mixed_routes.py [--pages N]

Most pages are born digital. Of others the layer is broken, or an OCR's of unknown quality, or there is none; some are
tables or stand for handwriting. `--route auto` reads them; its readers, reasons, cost and errors are compared with what
each kind of page needs. Cost is that of the run against the same pages at the model alone (`saved_usd`). Errors are
those of pages that the model did not read: characters that differ, over all characters of the collection.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pikepdf
import pyarrow.parquet as pq
from PIL import Image
from rapidfuzz.distance import Levenshtein

from benchmarks.routing import mutation
from one_ocr_ray.model import PageImage
from one_ocr_ray.pdf.reader import PdfChild
from one_ocr_ray.policy.page.plain_text import plain_text
from tests import pdfs
from tests.provider import ProviderProcess, identity_pdf
from tests.provider.identity import BOTTOM

DIGITAL_PAGES = 10  # of a document
LINES = 32  # of a page: of fewer some would run off its edge


class Kind(NamedTuple):
    """A kind of page: its share of the collection, and which readers and reasons are right for it."""

    share: float
    readers: frozenset[str]
    reasons: frozenset[str]


KINDS = {
    "digital": Kind(0.60, frozenset({"text-layer"}), frozenset({"checked"})),
    "shifted": Kind(0.07, frozenset({"local", "openai"}), frozenset({"garbled", "low_confidence"})),
    "swapped": Kind(0.07, frozenset({"local", "openai"}), frozenset({"garbled", "low_confidence"})),
    "hidden": Kind(0.06, frozenset({"local", "openai"}), frozenset({"ocr_layer", "low_confidence"})),
    "scan": Kind(0.07, frozenset({"local", "openai"}), frozenset({"no_text", "low_confidence"})),
    "table": Kind(0.07, frozenset({"openai"}), frozenset({"table"})),
    "scribble": Kind(0.06, frozenset({"openai"}), frozenset({"low_confidence", "handwriting", "script_not_read"})),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, "in"), Path(folder, "out")
        source.mkdir()
        truths = write_collection(source, options.pages)
        with ProviderProcess(keys=()) as provider:
            summary = run(source, output, provider.openai_url)
        rows = [row for file in (output / "pages").glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    report(truths, rows, summary)
    return 0


def run(source: Path, output: Path, url: str) -> dict[str, object]:
    """The summary of one run by the command line."""
    command = [
        sys.executable, "-m", "one_ocr_ray.cli", "run", str(source), "--output", str(output), "--json",
        "--engine", "openai", "--base-url", url, "--route", "auto", "--escalate", "tables,handwriting",
        "--rpm", "60000",
    ]  # fmt: skip
    done = subprocess.run(command, env=os.environ | {"OPENAI_API_KEY": "none"}, stdout=subprocess.PIPE, check=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


# --- the collection


def write_collection(folder: Path, pages: int) -> dict[tuple[str, int], tuple[str, str]]:
    """Write the PDFs. Gives the kind and the text of each page, by file name and page number."""
    truths: dict[tuple[str, int], tuple[str, str]] = {}
    document = 0
    with PdfChild() as child:
        for name, kind in KINDS.items():
            count = round(pages * kind.share)
            size = DIGITAL_PAGES if name == "digital" else 1
            for first in range(0, count, size):
                document += 1
                numbers = range(1, min(size, count - first) + 1)
                plain = identity_pdf(document, numbers, lines=LINES)
                file = folder / f"{name}-{document:04d}.pdf"
                file.write_bytes(plain)
                if name != "digital":
                    file.write_bytes(_as(name, file, child))
                for number, text in zip(numbers, _texts(plain), strict=True):
                    truths[file.name, number] = name, text
    return truths


def _texts(pdf: bytes) -> list[str]:
    """The text of each page of an identity PDF, from its own content streams."""
    streams = re.findall(rb"stream\n(.*?)\nendstream", pdf, re.DOTALL)
    return ["\n".join(line.decode() for line in re.findall(rb"\((.*?)\) Tj", stream)) for stream in streams]


def _as(name: str, file: Path, child: PdfChild) -> bytes:
    """The one page of `file` as a page of that kind."""
    child.inspect(file)
    image = child.render(1, 1600)
    if not isinstance(image, PageImage):
        raise TypeError(name)
    if name in {"scan", "scribble"}:
        jpeg = image.data if name == "scan" else _scribbled(image)
        return pdfs.scan_pdf(jpeg, image.width_px, image.height_px, colour=_is_colour(jpeg))
    if name == "table":
        return _with_table(file)
    made = mutation(name, file, 1, image)
    if made is None:
        raise ValueError(name)
    return made


def _is_colour(jpeg: bytes) -> bool:
    with Image.open(io.BytesIO(jpeg)) as picture:
        return picture.mode != "L"


def _scribbled(image: PageImage) -> bytes:
    """The page with its lines bent, so that no recogniser is sure of them; the marker above stays."""
    with Image.open(io.BytesIO(image.data)) as opened:
        page = opened.convert("L")
    top = math.ceil(page.height * BOTTOM) + 4
    wave = [9 * math.sin(column / 14) + 5 * math.sin(column / 5) for column in range(page.width)]
    bent = page.copy()
    for column, shift in enumerate(wave):
        strip = page.crop((column, top, column + 1, page.height))
        bent.paste(255, (column, top, column + 1, page.height))
        bent.paste(strip, (column, top + round(shift)))
    bent.paste(page.crop((0, 0, page.width, top)), (0, 0))
    encoded = io.BytesIO()
    bent.save(encoded, "JPEG", quality=80)
    return encoded.getvalue()


def _with_table(file: Path) -> bytes:
    """The page with a ruled table below its lines."""
    xs, ys = range(60, 501, 110), range(80, 225, 24)
    lines = [f"{xs[0]} {y} m {xs[-1]} {y} l S" for y in ys] + [f"{x} {ys[0]} m {x} {ys[-1]} l S" for x in xs]
    cells = [f"BT /F 11 Tf {x + 6} {y + 8} Td (cell {x} of {y}) Tj ET" for y in ys[:-1] for x in xs[:-1]]
    with pikepdf.open(file) as pdf:
        page = pdf.pages[0]
        page.contents_coalesce()
        above = [
            line
            for line in page.obj["/Contents"].read_bytes().split(b"\n")
            if not (place := re.search(rb"([\d.]+) Td", line)) or float(place[1]) > ys[-1] + 20
        ]
        page.obj["/Contents"] = pdf.make_stream(b"\n".join([*above, *(each.encode() for each in lines + cells)]))
        data = io.BytesIO()
        pdf.save(data)
    return data.getvalue()


# --- the table


def report(
    truths: dict[tuple[str, int], tuple[str, str]], rows: list[dict[str, object]], summary: dict[str, object]
) -> None:
    """One line for each kind of page, then cost, errors and reasons over all."""
    by_kind: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    wrong, characters, unexpected = 0, 0, 0
    for row in rows:
        name, text = truths[str(row["source_name"]), int(str(row["page_number"]))]
        reader, reason = str(row["engine"]), str(row["route_reason"])
        by_kind[name][reader, reason] += 1
        unexpected += reader not in KINDS[name].readers or reason not in KINDS[name].reasons
        truth = "".join(text.split())
        characters += len(truth)
        if reader != "openai":
            wrong += Levenshtein.distance("".join(plain_text(str(row["markdown"])).split()), truth)
    for name, counts in by_kind.items():
        print(f"{name:9} {sum(counts.values()):5}  {', '.join(f'{n} {a} {b}' for (a, b), n in counts.most_common())}")
    readers = summary["readers"]
    assert isinstance(readers, dict)
    spent = sum(each["cost_usd"] or 0 for each in readers.values())
    saved = sum(each["saved_usd"] or 0 for each in readers.values())
    print(f"pages {len(rows)} of {len(truths)}; not as the kind needs: {unexpected}")
    print(f"cost {spent:.3f} USD of {spent + saved:.3f} at the model alone: {spent / (spent + saved):.3f}")
    print(f"characters that differ: {wrong / characters:.4f}")


if __name__ == "__main__":
    sys.exit(main())
