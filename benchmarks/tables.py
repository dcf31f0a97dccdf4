"""Tables of known cells, by kind: how alike what is read is to what was drawn (TEDS), and the CPU time of tables.

    python -m benchmarks.tables [--seeds 5] [--kinds ruled,plain] [--no-ocr]

`perfect` gives the layout the lines of text as they were drawn, and finds the drawn lines in the image; `ocr` is the
whole embedded engine on the page image. The times are those of looking for drawn lines and of the layout.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np

from one_ocr_ray.engines.ocr.engine import LocalEngine
from one_ocr_ray.engines.ocr.rulings import page_rulings
from one_ocr_ray.policy.evaluation.table_similarity import teds
from one_ocr_ray.policy.layout import page_blocks
from one_ocr_ray.policy.layout.content import PageContent
from tests.tables import KINDS, RULED, table_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.blocks import Block, TableGrid
    from tests.tables import TablePage


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--no-ocr", action="store_true")
    options = parser.parse_args()
    kinds = options.kinds.split(",")
    engine = None if options.no_ocr else LocalEngine()
    cv2.setNumThreads(1)
    print(f"{len(kinds) * options.seeds} tables\n{'kind':16}{'perfect':>9}{'ocr':>9}{'lines ms':>10}{'layout ms':>11}")
    scores: dict[str, list[tuple[float, ...]]] = {}
    for kind in kinds:
        scores[kind] = [_score(table_page(kind, seed), engine) for seed in range(options.seeds)]
        _print(kind, scores[kind])
    _print("ruled", [score for kind in kinds if kind in RULED for score in scores[kind]])
    _print("not ruled", [score for kind in kinds if kind not in RULED for score in scores[kind]])
    return 0


def _score(page: TablePage, engine: LocalEngine | None) -> tuple[float, ...]:
    """TEDS of both ways, and the CPU milliseconds of the drawn lines and of the layout."""
    upright = page.image.rotate(-page.turn_deg, expand=True)
    pixels = np.ascontiguousarray(np.asarray(upright)[:, :, ::-1])
    started = time.process_time()
    rulings = page_rulings(pixels)
    seen = time.process_time()
    blocks = page_blocks(PageContent(upright.width, upright.height, page.lines, rulings=rulings))
    laid_out = time.process_time()
    times_ms = 1000 * (seen - started), 1000 * (laid_out - seen)
    if engine is None:
        return _best(blocks, page.table), float("nan"), *times_ms
    jpeg = io.BytesIO()
    page.image.save(jpeg, "JPEG", quality=85)
    return _best(blocks, page.table), _best(engine.read(jpeg.getvalue()).blocks or (), page.table), *times_ms


def _best(blocks: Sequence[Block], truth: TableGrid) -> float:
    """The score of the table that is most like `truth`."""
    return max((teds(block.table, truth) for block in blocks), default=0.0)


def _print(name: str, scores: list[tuple[float, ...]]) -> None:
    if scores:
        perfect, ocr, lines_ms, layout_ms = (mean(values) for values in zip(*scores, strict=True))
        print(f"{name:16}{perfect:9.3f}{ocr:9.3f}{lines_ms:10.1f}{layout_ms:11.1f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
