"""How well the embedded engine reads pages whose text is known.

    python benchmarks/accuracy.py FOLDER [--dataset OUTPUT]

FOLDER holds PDFs and truth/INDEX.tsv (columns pdf, page, truth among others) with the true texts beside it. CER is the
edit distance over the length of the truth, both after NFKC and without white space. `CER md` is that of the Markdown as
it stands, in which tags of tables and page heads that are left out count as errors. `CER txt` is the one to compare: of
the plain text of all blocks, page heads, feet and numbers among them, as the true texts have them. F1 compares the
characters whatever their order: where it is good and CER is not, the reading order is wrong and not the recognition.

With --dataset nothing is read: `eval` is the CER that `one-ocr eval` says of OUTPUT, which `one-ocr run FOLDER --route
local` has written, beside `CER txt` of the same rows. The exit code is 1 where the two differ.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
import unicodedata
from collections import Counter
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rapidfuzz.distance import Levenshtein

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.engines.ocr.engine import LocalEngine
from one_ocr_ray.model import Answer, PageImage
from one_ocr_ray.pdf.reader import PdfChild
from one_ocr_ray.policy.dataset.packing import unpack
from one_ocr_ray.policy.page.plain_text import plain_text
from one_ocr_ray.policy.writers.markdown import to_markdown
from one_ocr_ray.storage.dataset.committed import committed_documents
from one_ocr_ray.storage.dataset.evaluate import evaluate

LONGEST_SIDE_PX = 1600
_SAME = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "—": "-", "\ufffe": "-"})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dataset", metavar="OUTPUT", help="compare with what `one-ocr eval` says of it")
    options = parser.parse_args()
    folder = options.folder
    with (folder / "truth" / "INDEX.tsv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    if options.dataset:
        return compare_dataset(folder, rows, options.dataset)
    engine = LocalEngine()
    print(f"{'page':42} {'CER md':>7} {'CER txt':>8} {'F1':>6} {'conf.':>6} {'CPU s':>6}")
    with PdfChild() as child:
        for row in rows:
            child.inspect(folder / row["pdf"])
            image = child.render(int(row["page"]), LONGEST_SIDE_PX)
            assert isinstance(image, PageImage)
            started = time.process_time()
            answer = engine.read(image.data)
            cpu_s = time.process_time() - started
            truth = normalised((folder / "truth" / row["truth"]).read_text(encoding="utf-8"))
            raw, text = normalised(answer.text), normalised(plain_text(whole(answer)))
            print(
                f"{row['pdf'] + ' p' + row['page']:42} {cer(raw, truth):7.3f} {cer(text, truth):8.3f} "
                f"{f1(text, truth):6.3f} {answer.confidence or 0:6.3f} {cpu_s:6.2f}",
                flush=True,
            )
    return 0


def compare_dataset(folder: Path, rows: list[dict[str, str]], output: str) -> int:
    """Print the CER of each page of a dataset by `one-ocr eval` beside this program's."""
    print(f"{'page':42} {'CER txt':>8} {'eval':>8}")
    source, differ = committed_documents(output), 0
    read = {
        (document.source_name, page.page_number): page
        for shard in source.shards
        for document, pages in source.with_pages(shard)
        for page in pages
    }
    for row in rows:
        page = read[row["pdf"], int(row["page"])]
        answer = Answer(text=page.markdown or "", blocks=unpack(page.blocks) if page.blocks else ())
        truth = (folder / "truth" / row["truth"]).read_text(encoding="utf-8")
        own = cer(normalised(plain_text(whole(answer))), normalised(truth))
        with tempfile.TemporaryDirectory() as alone:
            Path(alone, row["truth"]).write_text(truth, encoding="utf-8")
            theirs = evaluate(output, alone).all.figures()["cer"]
        differ += abs(theirs - own) > 0.0001
        print(f"{row['pdf'] + ' p' + row['page']:42} {own:8.4f} {theirs:8.4f}", flush=True)
    return 1 if differ else 0


def whole(answer: Answer) -> str:
    """The Markdown of a page with its heads, feet and number, which the true texts have."""
    blocks = (replace(b, kind=BlockKind.PARAGRAPH) if b.kind.is_furniture else b for b in answer.blocks or ())
    return to_markdown(blocks)


def normalised(text: str) -> str:
    """NFKC, one kind of quotes and dashes, no white space."""
    return "".join(unicodedata.normalize("NFKC", text).translate(_SAME).split())


def cer(text: str, truth: str) -> float:
    """Character error rate."""
    return Levenshtein.distance(text, truth) / len(truth)


def f1(text: str, truth: str) -> float:
    """How many characters are there, whatever their order."""
    common = sum((Counter(text) & Counter(truth)).values())
    return 2 * common / (len(text) + len(truth))


if __name__ == "__main__":
    sys.exit(main())
