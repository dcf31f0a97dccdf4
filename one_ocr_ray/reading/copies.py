"""Committing a shard of copies: rows of files whose bytes stand in other shards. Nothing is read for them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from one_ocr_ray.policy.dataset.documents import document_result, same_bytes_result
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.journal import Journal
from one_ocr_ray.storage.store.objects import Objects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from one_ocr_ray.job import Job
    from one_ocr_ray.model import DocumentResult, Shard


def commit_copies(job: Job, shard: Shard, originals: Mapping[str, str]) -> list[DocumentResult]:
    """Commit a row for each document of `shard`. `originals` is the shard of each by document id. Blocks."""
    output = Objects(job.output)
    dataset = Dataset(output, job.config)
    found = {
        row.document_id: row
        for shard_id in sorted(set(originals.values()))
        for row in dataset.documents(shard_id)
        if row.document_id in originals  # the others' texts would only fill memory
    }
    now = datetime.now(UTC)
    rows = [
        # The plan knows all of a failure; its first row may be that of a file that was found since.
        document_result(each, [], job.identity, now)
        if each.failure
        else same_bytes_result(found[each.document_id], each)
        for each in shard.documents
    ]
    dataset.commit_pages(shard.shard_id, [])
    dataset.replace_documents(shard.shard_id, rows)  # the originals may have been read again
    Journal(output, shard.shard_id, job.identity.config_id).delete()
    return rows
