"""Pages with little on them: what the embedded engine reads of them, and what it says where there is nothing to read.

    python -m benchmarks.sparse

A hundred generated pages of one line (tests/sparse_pages.py) and some whose ink is no text. CER is the edit distance
over the length of the truth, without white space. A page with text that ends empty or blank is a fault.
"""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks.accuracy import LONGEST_SIDE_PX, cer, normalised
from one_ocr_ray.engines.ocr.engine import LocalEngine
from one_ocr_ray.model import PageImage
from one_ocr_ray.pdf.reader import PdfChild
from one_ocr_ray.policy.page.blank import is_blank
from one_ocr_ray.policy.page.plain_text import plain_text
from tests.sparse_pages import SparsePage, pages_without_text, sparse_pages


def main() -> int:
    engine = LocalEngine()
    rates: dict[str, list[float]] = defaultdict(list)
    faults = []
    with tempfile.TemporaryDirectory() as scratch, PdfChild() as child:

        def read(page: SparsePage) -> tuple[str, float | None, list[str]]:
            path = Path(scratch) / "page.pdf"
            path.write_bytes(page.pdf())
            child.inspect(path)
            image = child.render(1, LONGEST_SIDE_PX)
            assert isinstance(image, PageImage)
            if is_blank(image.ink_cells):
                return "", None, ["blank"]
            answer = engine.read(image.data)
            return plain_text(answer.text), answer.confidence, [str(warning) for warning in answer.warnings]

        for page in sparse_pages():
            text, confidence, warnings = read(page)
            rate = cer(normalised(text), normalised(page.text))
            rates[" ".join(page.name.split()[1:-2])].append(rate)
            if not text or rate > 0.2:
                faults.append((page.name, page.text, text, confidence, warnings))
        print(f"{'pages of one line':24} {'pages':>6} {'mean CER':>9} {'without a fault':>16}")
        for ground, found in rates.items():
            print(f"{ground:24} {len(found):6} {sum(found) / len(found):9.3f} {sum(rate == 0 for rate in found):16}")
        print("\n".join(f"  {fault}" for fault in faults))
        print(f"{'pages without text':24} {'text':>10} {'confidence':>11}  warnings")
        for page in pages_without_text():
            text, confidence, warnings = read(page)
            print(f"{page.name:24} {text!r:>10} {confidence!s:>11}  {' '.join(warnings)}")
    return 1 if any(not text for _, _, text, _, _ in faults) else 0


if __name__ == "__main__":
    sys.exit(main())
