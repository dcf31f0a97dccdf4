"""The good pages of an earlier dataset by the digest of their image.

The index is a temporary SQLite database, so that memory does not grow with the dataset; rows come from the shards when
they are asked for, and the pages of a document are asked for together.
"""

from __future__ import annotations

import sqlite3
from functools import lru_cache
from typing import TYPE_CHECKING

from one_ocr_ray.errors import UsageError
from one_ocr_ray.model import PageStatus
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.store.objects import Objects, existing_objects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from one_ocr_ray.model import PageResult
    from one_ocr_ray.policy.dataset.fingerprint import Fingerprint

_TABLE = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE page (image_sha256 TEXT, shard_id TEXT, PRIMARY KEY (image_sha256, shard_id)) WITHOUT ROWID;
"""
_SHARDS_KEPT = 2


def fingerprint_at(root: str) -> Fingerprint:
    """The configuration of the dataset at `root`. Raise UsageError where there is none."""
    objects = existing_objects(root)
    fingerprint = None if objects is None else RunDirectory(objects).fingerprint()
    if fingerprint is None:
        raise UsageError(f"--reuse: there is no dataset at {root}.")
    return fingerprint


class EarlierPages:
    """The committed pages of the dataset at `root`. Calls block; one thread at a time may use it."""

    def __init__(self, root: str) -> None:
        dataset = Dataset(Objects(root), config={})
        self._pages = lru_cache(maxsize=_SHARDS_KEPT)(dataset.pages)
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(_TABLE)
        columns = ["image_sha256", "status"]
        for shard_id in sorted(dataset.committed()):
            found = dataset.page_columns(shard_id, columns)
            digests = {row["image_sha256"] for row in found if row["status"] == PageStatus.OK and row["image_sha256"]}
            self._database.executemany("INSERT INTO page VALUES (?, ?)", ((each, shard_id) for each in digests))

    def with_image(self, image_sha256: str) -> Iterator[PageResult]:
        """The good rows of that image."""
        shards = self._database.execute("SELECT shard_id FROM page WHERE image_sha256 = ?", (image_sha256,)).fetchall()
        for (shard_id,) in shards:
            for row in self._pages(shard_id):
                if row.image_sha256 == image_sha256 and row.status is PageStatus.OK:
                    yield row
