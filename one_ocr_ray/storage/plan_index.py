"""An index of the plan: which files are planned, in which shard, and as what.

An output may have many millions of documents. A temporary SQLite database keeps them on disk, so the driver's memory
does not grow with them. It is rebuilt from the plan at each start.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from one_ocr_ray.policy.dataset.plan import selected_pages
from one_ocr_ray.policy.dataset.row_counts import RowCounts
from one_ocr_ray.policy.dataset.selection import ALL_PAGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from one_ocr_ray.model import DocumentRef, Shard
    from one_ocr_ray.policy.dataset.selection import PageSelection
    from one_ocr_ray.storage.inputs import InputFile
    from one_ocr_ray.storage.run_dir import RunDirectory

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE shard (
  shard_id TEXT PRIMARY KEY, place INTEGER NOT NULL, batch INTEGER NOT NULL, copies INTEGER NOT NULL,
  documents INTEGER NOT NULL, pages INTEGER NOT NULL
);
CREATE UNIQUE INDEX shard_place ON shard (place);
CREATE TABLE document (
  uri TEXT PRIMARY KEY, place INTEGER NOT NULL, document_id TEXT NOT NULL, version TEXT, size_bytes INTEGER NOT NULL,
  failed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE seen (document_id TEXT PRIMARY KEY, shard_id TEXT) WITHOUT ROWID;
"""
# A shard in several batches counts as the last of them says, in the place of the first. A retry may find its files
# repaired. A file that has changed is in several shards; the last of them has its current state.
_ADD_SHARD = """
INSERT INTO shard VALUES (?, (SELECT count(*) FROM shard), ?, ?, ?, ?)
ON CONFLICT (shard_id) DO UPDATE SET batch = excluded.batch, documents = excluded.documents, pages = excluded.pages
"""
_ADD_DOCUMENT = """
INSERT INTO document VALUES (?, (SELECT place FROM shard WHERE shard_id = ?), ?, ?, ?, ?)
ON CONFLICT (uri) DO UPDATE SET place = excluded.place, document_id = excluded.document_id,
  version = excluded.version, size_bytes = excluded.size_bytes, failed = excluded.failed
WHERE excluded.place >= place
"""
_MARK_SEEN = "INSERT OR IGNORE INTO seen VALUES (?, NULL)"
_SET_SHARD = "INSERT OR REPLACE INTO seen VALUES (?, ?)"
_SHARD_OF = "SELECT shard_id FROM document JOIN shard USING (place) WHERE uri = ?"
_SUMS = "SELECT coalesce(sum(documents), 0), coalesce(sum(pages), 0) FROM shard"
_SHARD_IDS = "SELECT shard_id, copies FROM shard WHERE place >= ? ORDER BY place LIMIT 1000"


class PlanIndex:
    """The plan of one output and its index. Calls block shortly; only one task at a time may change it."""

    def __init__(self, run_dir: RunDirectory, selection: PageSelection, database: sqlite3.Connection) -> None:
        """An empty one, in a new `database`."""
        self._run_dir = run_dir
        self._selection = selection
        self._database = database
        self._next_batch = 0
        self.next_number = 0  # of the next shard: ids begin with their numbers

    @classmethod
    def load(cls, run_dir: RunDirectory, selection: PageSelection = ALL_PAGES) -> Self:
        """Index the plan that `run_dir` holds."""
        database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        database.executescript(_TABLES)
        index = cls(run_dir, selection, database)
        for batch in run_dir.plan():
            index._remember(batch)
        return index

    def plan(self, shards: Iterable[Shard]) -> None:
        """Add `shards` to the plan; only then may they be read."""
        batch = tuple(shards)
        self._run_dir.add_to_plan(self._next_batch, batch)
        self._remember(batch)

    def renew(self, documents: Iterable[DocumentRef]) -> None:
        """Store the current version and size of planned `documents` whose bytes have not changed."""
        now: dict[str, dict[tuple[str, str], DocumentRef]] = defaultdict(dict)
        for each in documents:
            found = self._one(_SHARD_OF, each.uri)
            if found is not None:
                now[found[0]][each.uri, each.document_id] = each
        shards = []
        for shard_id, by_key in now.items():
            shard = self.shard(shard_id)
            new = [(each, by_key.get((each.uri, each.document_id), each)) for each in shard.documents]
            renewed = tuple(replace(old, version=it.version, size_bytes=it.size_bytes) for old, it in new)
            shards.append(replace(shard, documents=renewed))
        if shards:
            self.plan(shards)

    def has_unchanged(self, file: InputFile) -> bool:
        """True if `file` is planned as it is now, or could not be opened (until --retry-failed)."""
        planned = self._one("SELECT failed, version, size_bytes FROM document WHERE uri = ?", file.uri)
        return planned is not None and bool(planned[0] or planned[1:] == (file.version, file.size_bytes))

    def is_planned(self, document: DocumentRef) -> bool:
        """True if this file with these bytes is in the plan."""
        planned = self._one("SELECT document_id FROM document WHERE uri = ?", document.uri)
        return planned is not None and bool(planned[0] == document.document_id)

    def mark_seen(self, document_id: str) -> bool:
        """Mark these bytes as seen; True if no run has seen them before."""
        return self._database.execute(_MARK_SEEN, (document_id,)).rowcount == 1

    def shard_of(self, document_id: str) -> str | None:
        """The shard that has the pages of a document; None if it is not planned."""
        found = self._one("SELECT shard_id FROM seen WHERE document_id = ? AND shard_id IS NOT NULL", document_id)
        return str(found[0]) if found else None

    def shard_ids(self, *, copies: bool | None = None) -> Iterator[str]:
        """The ids of all shards in planning order, or only those with or without copies."""
        place = 0
        while rows := self._database.execute(_SHARD_IDS, (place,)).fetchall():
            place += len(rows)
            yield from (shard_id for shard_id, is_copies in rows if copies in (None, bool(is_copies)))

    def shard(self, shard_id: str) -> Shard:
        """A planned shard in its current state."""
        batch = self._one("SELECT batch FROM shard WHERE shard_id = ?", shard_id)
        if batch is None:
            raise KeyError(shard_id)
        return next(shard for shard in self._run_dir.batch(batch[0]) if shard.shard_id == shard_id)

    def planned(self) -> RowCounts:
        """The numbers of planned documents and selected pages."""
        return RowCounts(*self._database.execute(_SUMS).fetchone())

    def _one(self, query: str, value: str) -> tuple[Any, ...] | None:
        answer: tuple[Any, ...] | None = self._database.execute(query, (value,)).fetchone()
        return answer

    def _remember(self, batch: tuple[Shard, ...]) -> None:
        database = self._database
        database.execute("BEGIN")
        for shard in batch:
            pages = 0 if shard.copies else sum(selected_pages(each, self._selection) for each in shard.documents)
            sums = len(shard.documents), pages
            database.execute(_ADD_SHARD, (shard.shard_id, self._next_batch, shard.copies, *sums))
            database.executemany(
                _ADD_DOCUMENT,
                [
                    (each.uri, shard.shard_id, each.document_id, each.version, each.size_bytes, bool(each.failure))
                    for each in shard.documents
                ],
            )
            if not shard.copies:
                database.executemany(_SET_SHARD, [(each.document_id, shard.shard_id) for each in shard.documents])
            self.next_number = max(self.next_number, int(shard.shard_id.split("-")[0]) + 1)
        database.execute("COMMIT")
        self._next_batch += 1
