"""From input files to planned shards while listing goes on: inspect on the cluster, pack in order, write the plan.

A shard is handed out only after the plan that holds it is written, so every shard id in an output is accounted for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from one_ocr_ray.cluster.rendering import start_inspection
from one_ocr_ray.storage.inputs import look_again

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from ray import ObjectRef

    from one_ocr_ray.inspection import PdfOptions
    from one_ocr_ray.model import DocumentRef, Shard
    from one_ocr_ray.policy.plan import ShardPacker
    from one_ocr_ray.storage.inputs import InputFile
    from one_ocr_ray.storage.run_dir import RunDirectory

FILES_PER_TASK = 32


class Known:
    """What earlier runs have planned, so that an unchanged file is not opened again."""

    def __init__(self, batches: Iterable[tuple[Shard, ...]]) -> None:
        """A shard that stands in several batches is what the last of them says: a retry may find its files mended."""
        latest: dict[str, Shard] = {}
        self.batches = 0
        for batch in batches:
            self.batches += 1
            latest.update((shard.shard_id, shard) for shard in batch)
        self.shards = list(latest.values())
        self.documents = {document.uri: document for shard in self.shards for document in shard.documents}
        self.home = {
            document.document_id: shard.shard_id
            for shard in self.shards
            if not shard.copies
            for document in shard.documents
        }

    @property
    def next_number(self) -> int:
        """The number of the next shard: ids begin with their numbers."""
        return max((int(shard.shard_id.split("-")[0]) + 1 for shard in self.shards), default=0)

    def covers(self, file: InputFile) -> bool:
        """Whether `file` is planned as it is. One that could not be opened stays as it was until --retry-failed."""
        planned = self.documents.get(file.uri)
        if planned is None:
            return False
        return planned.failure is not None or (planned.version, planned.size_bytes) == (file.version, file.size_bytes)


class Planner:
    """Adds to the plan of one output; to be used by one task."""

    def __init__(self, run_dir: RunDirectory, packer: ShardPacker, known: Known, options: PdfOptions) -> None:
        self._run_dir = run_dir
        self._packer = packer
        self._known = known
        self._options = options
        self._next_batch = known.batches
        packer.remember(document for shard in known.shards for document in shard.documents)

    async def shards(self, files: Iterator[InputFile], tasks: int) -> AsyncIterator[Shard]:
        """New shards as they are planned, the copies last; `tasks` inspections at once."""
        under_way: deque[ObjectRef[list[DocumentRef]]] = deque()
        more = True
        while more or under_way:
            while more and len(under_way) < tasks:
                chunk = await asyncio.to_thread(lambda: list(islice(files, FILES_PER_TASK)))
                more = bool(chunk)
                if chunk:
                    under_way.append(start_inspection(chunk, self._options))
            if under_way:
                for shard in await self._planned(await under_way.popleft()):
                    yield shard
        for shard in await self._written([*self._packer.flush(), *self._packer.copies()]):
            yield shard

    async def with_mended_files(self, shard: Shard) -> Shard:
        """`shard` with those of its documents opened again that could not be; written to the plan where that helped."""
        broken = [document for document in shard.documents if document.failure is not None]
        if not broken:
            return shard
        files = [await asyncio.to_thread(look_again, document.uri) for document in broken]
        opened = dict(zip((each.uri for each in broken), await start_inspection(files, self._options), strict=True))
        documents: list[DocumentRef] = []
        for document in shard.documents:
            now = opened.get(document.uri, document)
            if now.document_id != document.document_id and now.document_id in self._known.home:
                self._packer.add(now)  # bytes that stand elsewhere: a copy
            else:
                documents.append(now)
        mended = replace(shard, documents=tuple(documents))
        return (await self._written([mended]))[0] if mended != shard else shard

    async def _planned(self, documents: list[DocumentRef]) -> list[Shard]:
        full: list[Shard] = []
        for document in documents:
            before = self._known.documents.get(document.uri)
            if before is None or before.document_id != document.document_id:
                full.extend(self._packer.add(document))
        return await self._written(full)

    async def _written(self, shards: list[Shard]) -> list[Shard]:
        if shards:
            await asyncio.to_thread(self._run_dir.add_to_plan, self._next_batch, shards)
            self._next_batch += 1
        return shards
