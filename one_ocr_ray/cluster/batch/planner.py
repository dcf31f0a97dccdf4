"""`Planner` makes shards of input files. While listing goes on, it inspects files, packs them and writes the plan.

A shard is handed out only after the plan that holds it is written, so every shard id in an output is accounted for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from one_ocr_ray.cluster.rendering import start_inspection
from one_ocr_ray.storage.inputs import stat_input
from one_ocr_ray.storage.journal import Journal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from ray import ObjectRef

    from one_ocr_ray.model import DocumentRef, Shard
    from one_ocr_ray.pdf.reader import PdfOptions
    from one_ocr_ray.policy.dataset.plan import ShardPacker
    from one_ocr_ray.storage.inputs import InputFile
    from one_ocr_ray.storage.plan_index import PlanIndex
    from one_ocr_ray.storage.store.objects import Objects

FILES_PER_TASK = 32
INSPECTIONS_PER_NODE = 2
# Files found again with another etag or mtime, which are written to the plan together: each costs its whole shard.
RENEWED_TOGETHER = 1000


class Planner:
    """Adds to the plan of one output. One task may use it."""

    def __init__(
        self, known: PlanIndex, packer: ShardPacker, options: PdfOptions, output: Objects, *, inspections: int
    ) -> None:
        """`inspections`: so many tasks open files at once."""
        self._known = known
        self._packer = packer
        self._options = options
        self._output = output
        self._inspections = inspections
        self._touched: list[DocumentRef] = []
        self._mended: list[Shard] = []  # of mended files whose bytes stand elsewhere; in the plan

    async def shards(self, files: Iterator[InputFile], checked: asyncio.Task[None]) -> AsyncIterator[Shard]:
        """New shards as they are planned, the copies last.

        Nothing is written before `checked` is done: an output without a plan may still change its configuration.
        """
        under_way: deque[ObjectRef[list[DocumentRef]]] = deque()
        more = True
        while more or under_way:
            while more and len(under_way) < self._inspections:
                chunk = await asyncio.to_thread(lambda: list(islice(files, FILES_PER_TASK)))
                more = bool(chunk)
                if chunk:
                    under_way.append(start_inspection(chunk, self._options))
            if under_way:
                documents = await under_way.popleft()
                await checked
                for shard in await asyncio.to_thread(self._planned, documents):
                    yield shard
        for shard in self._mended:
            yield shard
        for shard in await asyncio.to_thread(self._written, [*self._packer.flush(), *self._packer.copies()]):
            yield shard
        await asyncio.to_thread(self._renew)

    async def with_mended_files(self, shard: Shard) -> Shard:
        """Open documents again that could not be opened. Gives `shard` with what is readable now, as planned."""
        broken = [document for document in shard.documents if document.failure is not None]
        if not broken:
            return shard
        files = [await asyncio.to_thread(stat_input, document.uri) for document in broken]
        opened = dict(zip((each.uri for each in broken), await start_inspection(files, self._options), strict=True))
        documents: list[DocumentRef] = []
        moved: list[Shard] = []
        for document in shard.documents:
            now = opened.get(document.uri, document)
            if now.document_id == document.document_id or self._known.mark_seen(now.document_id):
                documents.append(now)
            else:
                moved += self._packer.add(now)  # bytes that were met before, maybe two lines above: a copy
        mended = replace(shard, documents=tuple(documents))
        if mended != shard:
            moved += [*self._packer.flush(), *self._packer.copies()]
            self._mended += moved
            # The mark has a crash in between finished: it must not take a file out of the plan.
            await asyncio.to_thread(Journal(self._output, mended.shard_id, config_id="").mark_replacing)
            await asyncio.to_thread(self._known.plan, [mended, *moved])
        return mended

    def _planned(self, documents: list[DocumentRef]) -> list[Shard]:
        new: list[DocumentRef] = []
        for document in documents:
            (self._touched if self._known.is_planned(document) else new).append(document)
        if len(self._touched) >= RENEWED_TOGETHER:
            self._renew()
        return self._written([shard for document in new for shard in self._packer.add(document)])

    def _renew(self) -> None:
        """Plan unchanged files under their new etag or mtime. The next run does not open them again."""
        self._known.renew(self._touched)
        self._touched = []

    def _written(self, shards: list[Shard]) -> list[Shard]:
        """Write shards to the plan. A shard of copies has a file of its own, which its reader reads whole."""
        for batch in ([shard for shard in shards if not shard.copies], *([shard] for shard in shards if shard.copies)):
            if batch:
                self._known.plan(batch)
        return shards
