"""What writing costs: rows to the journal as they finish, a shard's commit, and its reading back as after a crash.

    python -m benchmarks.writer [--shards 4] [--rows 2000] [--text-kb 3] [--output URI]

One thread does what a worker does from the answer on, beside the least that the same rows can take: one Parquet file a
shard by pyarrow alone, without journal, documents or steps that a crash may cut. Wall time holds the storage, CPU does
not; with `--output s3://...` it is a bucket's. CPU is that of the whole process with pyarrow's and obstore's threads.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import random
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from one_ocr_ray.model import PageResult, Shard
from one_ocr_ray.policy.dataset.documents import RunIdentity
from one_ocr_ray.policy.dataset.schema import PAGES, page_row
from one_ocr_ray.reading.journal_writer import ROWS_AT_RISK
from one_ocr_ray.storage.dataset.parquet import ZSTD_LEVEL
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.shard_commit import ShardCommit
from one_ocr_ray.storage.store.objects import Objects
from tests import values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

IDENTITY = RunIdentity("run", "config")
PAGES_PER_DOCUMENT = 50


@dataclass
class Cost:
    """What one step took for all shards."""

    wall_s: float = 0.0
    cpu_s: float = 0.0


@contextmanager
def added_to(cost: Cost) -> Iterator[None]:
    """Add what the block takes."""
    wall_s, cpu_s = time.monotonic(), time.process_time()
    yield
    cost.wall_s += time.monotonic() - wall_s
    cost.cpu_s += time.process_time() - cpu_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--rows", type=int, default=2000, help="pages of a shard")
    parser.add_argument("--text-kb", type=float, default=3.0, help="Markdown of a page")
    parser.add_argument("--output", help="empty folder or URI, which keeps what is written (default: one that goes)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        steps = measured(
            Objects(options.output or scratch), options.shards, options.rows, round(1000 * options.text_kb)
        )
    rows = options.shards * options.rows
    print(f"{options.shards} shards of {options.rows} pages of {options.text_kb:g} KB")
    print(f"{'':>22}{'pages/s':>10}{'CPU ms/page':>13}{'MB/s of text':>14}")
    for name, cost in steps.items():
        text_mb_s = rows * options.text_kb / 1000 / cost.wall_s
        print(f"{name:>22}{rows / cost.wall_s:>10.0f}{1000 * cost.cpu_s / rows:>13.3f}{text_mb_s:>14.1f}")
    ours = steps["journal"].cpu_s + steps["commit"].cpu_s
    print(f"journal and commit / pyarrow alone: CPU {ours / steps['pyarrow alone'].cpu_s:.2f}")


def measured(output: Objects, shards: int, rows: int, text_bytes: int) -> dict[str, Cost]:
    """Each step over all shards; what was read back is held against what was written."""
    alone, journal, opening, commit = (Cost() for _ in range(4))
    dataset = Dataset(output, {})
    parquet(shard_of(shards, 1, 1)[1])  # pyarrow imports the rest of itself, and pandas, at first use
    for number in range(shards):
        shard, pages = shard_of(number, rows, text_bytes)
        with added_to(alone):
            output.put(f"alone/{shard.shard_id}.parquet", parquet(pages))
        work = ShardCommit.open(output, dataset, shard, IDENTITY)
        with added_to(journal):
            for at in range(0, rows, ROWS_AT_RISK):
                work.journal.write(pages[at : at + ROWS_AT_RISK])
        with added_to(opening):
            again = ShardCommit.open(output, dataset, shard, IDENTITY)
        if again.kept != {(page.document_id, page.page_number): page for page in pages}:
            raise SystemExit("The journal gives back other pages than it was given.")
        with added_to(commit):
            again.commit(pages)
        if dataset.pages(shard.shard_id) != pages:
            raise SystemExit("The dataset gives back other pages than it was given.")
    return {"pyarrow alone": alone, "journal": journal, "journal read back": opening, "commit": commit}


def parquet(pages: Sequence[PageResult]) -> bytes:
    """The rows in one file, compressed as the product's are."""
    table = pa.Table.from_pylist([page_row(page) for page in pages], PAGES)
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", compression_level=ZSTD_LEVEL)
    return out.getvalue()


def shard_of(number: int, rows: int, text_bytes: int) -> tuple[Shard, list[PageResult]]:
    """A shard and its pages, as an LLM engine gives them; the texts are words, and compress as such."""
    chance = random.Random(number)
    words = [f"{each:x}" for each in chance.choices(range(1 << 40), k=5000)]
    documents, pages = [], []
    for at in range(0, rows, PAGES_PER_DOCUMENT):
        document = values.document(number * rows + at, page_count=min(PAGES_PER_DOCUMENT, rows - at))
        documents.append(document)
        for page in range(1, (document.page_count or 0) + 1):
            text = " ".join(chance.choices(words, k=1 + text_bytes // 11))[:text_bytes]
            image = hashlib.sha256(text.encode()).hexdigest()
            pages.append(values.page(document, page, markdown=text, image_sha256=image, model_version="some-model-1"))
    return Shard(f"{number:06d}-benchmark", tuple(documents)), pages


if __name__ == "__main__":
    main()
