"""Checks a dataset against the contract: reads every file, changes nothing. One shard is in memory at a time."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from one_ocr_ray.errors import UsageError
from one_ocr_ray.policy.dataset.schema import SCHEMAS
from one_ocr_ray.policy.dataset.selection import parse_selection
from one_ocr_ray.policy.dataset.verify import duplicate_findings, shard_findings
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.run_dir import RunDirectory, open_dataset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from one_ocr_ray.model import Shard
    from one_ocr_ray.storage.store.objects import Objects


def verify(output: str) -> Iterator[str]:
    """Everything that is wrong with the dataset at `output`, one sentence each. Raise UsageError if there is none."""
    objects, fingerprint = open_dataset(output)
    if fingerprint.schema_version not in SCHEMAS:
        raise UsageError(f"The dataset at {output} has version {fingerprint.schema_version}; a newer release reads it.")
    dataset = Dataset(objects, config={})
    planned = {shard.shard_id: shard for batch in RunDirectory(objects).plan() for shard in batch}
    keys: Counter[tuple[str, int]] = Counter()
    for shard in planned.values():
        findings = list(_file_findings(objects, shard, fingerprint.schema_version))
        yield from findings
        if findings:
            continue
        pages = dataset.pages(shard.shard_id)
        keys.update((page.document_id, page.page_number) for page in pages)
        documents = dataset.documents(shard.shard_id)
        if [each.source_uri for each in documents] != [each.uri for each in shard.documents]:
            yield f"shard {shard.shard_id} has other documents than the plan says"
        yield from shard_findings(documents, pages, parse_selection(fingerprint.pages), copies=shard.copies)
    yield from duplicate_findings(keys)
    for kind in ("pages", "documents"):
        for info in objects.list(kind):
            if info.path.partition("/")[2].removesuffix(".parquet") not in planned:
                yield f"{info.path} is not in the plan"
    for info in objects.list("_work"):
        yield f"{info.path} is left over: the run is not finished, or a crash left it behind"


def _file_findings(objects: Objects, shard: Shard, version: str) -> Iterator[str]:
    for kind, schema in SCHEMAS[version].items():
        path = f"{kind}/{shard.shard_id}.parquet"
        data = objects.get(path)
        if data is None:
            yield f"{path} is missing: the run is not finished"
            continue
        try:
            found = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False).schema
        except (pa.ArrowException, OSError):
            yield f"{path} is not a whole Parquet file"
            continue
        if not found.equals(schema):
            yield f"{path} has another schema"
        footer = found.metadata or {}
        if (footer.get(b"one_ocr_ray.schema"), footer.get(b"one_ocr_ray.schema_version")) != (
            kind.encode(),
            version.encode(),
        ):
            yield f"{path} has other footer keys"
