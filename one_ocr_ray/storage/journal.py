"""`_work/<shard>/<attempt>/<n>.json`: finished pages of unfinished shards, which no crash pays for twice.

Segments are immutable and belong to one attempt of one worker, so writers never conflict. The commit deletes them. What
a retry must know of failed pages stays in `_run/passed/<shard>.json`.
"""

from __future__ import annotations

import logging
from secrets import token_hex
from typing import TYPE_CHECKING

from one_ocr_ray.policy.dataset.journal import decode_segment, encode_segment, last_passes, passed_in
from one_ocr_ray.storage.spending.records import record_spending

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from one_ocr_ray.model import PageResult
    from one_ocr_ray.policy.cost.spending import Spending
    from one_ocr_ray.storage.store.objects import Objects

log = logging.getLogger(__name__)

WORK = "_work"
PASSED = "_run/passed"
_REPLACING = "replacing"
_STAGED = "staged-"


def shards_at_work(output: Objects) -> set[str]:
    """Shards with files under `_work/`: not yet committed, or not yet cleaned up."""
    return output.folders(WORK)


def staging_path(shard_id: str) -> str:
    """A path where a file is written before it appears in the dataset. Deleted with the journal."""
    return f"{WORK}/{shard_id}/{_STAGED}{token_hex(4)}"


class Journal:
    """The journal of one shard; a new instance is a new attempt."""

    def __init__(self, output: Objects, shard_id: str, config_id: str) -> None:
        self._output = output
        self._shard = f"{WORK}/{shard_id}"
        self._mark = f"{self._shard}/{_REPLACING}"
        self._kept = f"{PASSED}/{shard_id}.json"
        self._attempt = token_hex(4)
        self._config_id = config_id
        self._next = 0
        self.passed: list[PageResult] = []  # pages that had gone on to the next reader, as `read` has found them

    def read(self) -> list[PageResult]:
        """The pages that earlier attempts have written; a damaged segment is skipped with a warning."""
        found = [info.path for info in self._output.list(self._shard)]
        paths = [path for path in found if path != self._mark and _STAGED not in path]
        pages: list[PageResult] = []
        for path, data in zip(paths, self._output.get_many(paths), strict=True):
            segment = decode_segment(data, self._config_id) if data is not None else []
            if segment is None:
                log.warning("journal segment %s is torn or foreign; its pages are read again", path)
            else:
                pages.extend(segment)
                self.passed.extend(passed_in(data) if data is not None else ())
        return pages

    def write(self, pages: Sequence[PageResult], passed: Sequence[PageResult] = ()) -> None:
        """Write `pages` as the next segment, and those that went to the next reader."""
        path = f"{self._shard}/{self._attempt}/{self._next:06d}.json"
        self._next += 1
        self._output.put(path, encode_segment(pages, self._config_id, passed))

    def keep_passed(self, failed: Iterable[tuple[str, int]]) -> None:
        """Keep which readers the pages `failed` have gone on from when the journal goes, for a retry of them.

        What is kept of other pages goes: they are read.
        """
        self.read()
        before = self.kept_passed()
        passed = last_passes([*before, *self.passed])
        if kept := [passed[page] for page in failed if page in passed]:
            self._output.put(self._kept, encode_segment([], self._config_id, kept))
        elif before:
            self._output.delete(self._kept)

    def kept_passed(self) -> list[PageResult]:
        """What earlier commits have kept. A damaged file is as none: then the first reader is asked again."""
        data = self._output.get(self._kept)
        return [] if data is None or decode_segment(data, self._config_id) is None else passed_in(data)

    def record(self, spending: Spending) -> None:
        """Record costs that no row shows; the record outlives this journal."""
        record_spending(self._output, spending)

    def mark_replacing(self) -> None:
        """Mark the start of replacing a shard's files: two files cannot change at once."""
        self._output.put(self._mark, b"")

    def is_replacing(self) -> bool:
        """True if a replacement was started and not finished. The documents then follow from the pages."""
        return self._output.head(self._mark) is not None

    def delete(self) -> None:
        """Delete every segment of the shard; call it only after the commit."""
        self._output.delete_all(self._shard)
