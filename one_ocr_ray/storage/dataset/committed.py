"""Reads the finished documents of a dataset with their pages. One shard is in memory at a time."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from one_ocr_ray.errors import UsageError
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.store.objects import existing_objects
from one_ocr_ray.storage.store.uris import root_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Set

    from one_ocr_ray.model import DocumentResult, PageResult, Shard
    from one_ocr_ray.storage.store.objects import Objects


def committed_documents(output: str) -> CommittedDocuments:
    """Open the dataset at `output`. Raise UsageError if there is none, or no finished document in it."""
    objects = existing_objects(root_of(output))
    if objects is None:
        raise UsageError(f"There is no dataset at {output}.")
    source = CommittedDocuments(objects)
    if not source.shards:
        raise UsageError(f"There is no finished document in {output} yet.")
    return source


class CommittedDocuments:
    """The committed shards of a dataset, in planning order."""

    def __init__(self, output: Objects) -> None:
        self._dataset = Dataset(output, config={})
        committed = self._dataset.committed()
        planned = [shard for batch in RunDirectory(output).plan() for shard in batch]
        # A shard whose files were repaired is in several batches: the last of them counts, in the place of the first.
        latest = {shard.shard_id: shard for shard in planned}
        self.shards = [shard for shard in latest.values() if shard.shard_id in committed]
        self._shard_of = {
            each.document_id: shard.shard_id for shard in planned if not shard.copies for each in shard.documents
        }

    def documents(self, shard: Shard) -> list[DocumentResult]:
        return self._dataset.documents(shard.shard_id)

    def with_pages(self, shard: Shard) -> Iterator[tuple[DocumentResult, list[PageResult]]]:
        """Each document of `shard` with its pages. Those of a copy stand in the shard of the original."""
        pages: dict[str, list[PageResult]] = defaultdict(list)
        for shard_id in sorted({self._shard_of[each.document_id] for each in shard.documents}):
            for page in self._dataset.pages(shard_id):
                pages[page.document_id].append(page)
        for document in self.documents(shard):
            yield document, pages[document.document_id]

    @property
    def document_ids(self) -> Set[str]:
        """The ids of all planned documents."""
        return self._shard_of.keys()

    def selected_pages(self, document_id: str) -> list[PageResult]:
        """The pages of one document, in order; none where it is not finished. Reads the document's whole shard."""
        shard_id = self._shard_of.get(document_id)
        if shard_id is None or all(shard.shard_id != shard_id for shard in self.shards):
            return []
        return [page for page in self._dataset.pages(shard_id) if page.document_id == document_id]
