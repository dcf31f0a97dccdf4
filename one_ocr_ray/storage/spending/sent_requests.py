"""Requests that earlier runs of an output sent in the last day, from its rows. For the account's daily limit."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

from one_ocr_ray.storage.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from one_ocr_ray.storage.dataset.shard_files import Dataset
    from one_ocr_ray.storage.store.objects import Objects

DAY = timedelta(hours=25)  # as the limiter counts


def recently_sent(
    output: Objects,
    dataset: Dataset,
    *,
    readers: Collection[str],
    shards: Iterable[str],
    open_shards: Iterable[str],
    config_id: str,
    now: datetime,
) -> dict[str, list[tuple[float, int]]]:
    """Requests by run, as pairs of time in seconds since 1970 and number. Throttled requests are in no row.

    readers: who answered the rows that count. A row does not tell the requests of each reader apart, so all count.
    """
    by_row: dict[str, dict[tuple[str, int, float], int]] = defaultdict(dict)
    recent = [
        shard_id
        for shard_id, documents in dataset.counts(shards, ["finished_at"])
        if any(now - each["finished_at"] < DAY for each in documents)
    ]
    for shard_id in dict.fromkeys((*recent, *open_shards)):
        for row in (*dataset.pages(shard_id), *Journal(output, shard_id, config_id).read()):
            if now - row.finished_at < DAY and row.attempts and row.engine in readers:
                finished_at_s = row.finished_at.timestamp()
                by_row[row.run_id][row.document_id, row.page_number, finished_at_s] = row.attempts
    return {run: [(at_s, attempts) for (_, _, at_s), attempts in rows.items()] for run, rows in by_row.items()}
