"""Whole datasets from values, written as a run writes them, for tests that only read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pyarrow.parquet as pq

from one_ocr_ray.model import Shard
from one_ocr_ray.policy.dataset.documents import RunIdentity, document_result, same_bytes_result
from one_ocr_ray.policy.dataset.fingerprint import Fingerprint
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.run_dir import CONFIG, RunDirectory
from one_ocr_ray.storage.store.objects import Objects
from tests.values import NOON, page

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from one_ocr_ray.model import DocumentRef, PageResult

SHARD = "000000-0123456789"
COPIES = "000001-0123456789"


def write(
    output: Path,
    documents: Sequence[DocumentRef],
    pages: Sequence[PageResult] | None = None,
    copies: Sequence[DocumentRef] = (),
) -> None:
    """`documents` in one shard, with ok pages unless `pages` says otherwise; `copies` of theirs in another."""
    if pages is None:
        pages = [page(each, number) for each in documents for number in range(1, (each.page_count or 0) + 1)]
    objects, identity = Objects(str(output)), RunIdentity("run", "config")
    run_dir, dataset = RunDirectory(objects), Dataset(objects, {})
    run_dir.claim(Fingerprint("local", "m", None, None, 1600, "all"))
    run_dir.add_to_plan(0, [Shard(SHARD, tuple(documents))])
    rows = [
        document_result(each, [page for page in pages if page.document_id == each.document_id], identity, NOON)
        for each in documents
    ]
    dataset.commit_pages(SHARD, pages)
    dataset.commit_documents(SHARD, rows)
    if copies:
        originals = {row.document_id: row for row in rows}
        run_dir.add_to_plan(1, [Shard(COPIES, tuple(copies), copies=True)])
        dataset.commit_pages(COPIES, [])
        dataset.commit_documents(COPIES, [same_bytes_result(originals[each.document_id], each) for each in copies])


def to_version_1(output: Path) -> None:
    """Make the dataset at `output` what releases before the columns of version 2 wrote."""
    config = output / CONFIG
    values = orjson.loads(config.read_bytes())
    del values["schema_version"]
    config.write_bytes(orjson.dumps(values))
    for file in [*output.glob("pages/*.parquet"), *output.glob("documents/*.parquet")]:
        table = pq.ParquetFile(file).read()
        footer = table.schema.metadata | {b"one_ocr_ray.schema_version": b"1"}
        columns = [
            name for name in table.column_names if name not in ("warnings", "route_reason", "page_box", "blocks")
        ]
        pq.write_table(table.select(columns).replace_schema_metadata(footer), file)
