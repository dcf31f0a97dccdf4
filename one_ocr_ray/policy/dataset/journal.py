"""Encodes finished pages of an unfinished shard, and chooses which row of a page counts.

A segment is a line with the SHA-256 of the rest, then JSON: format, configuration and rows. A segment whose checksum
is wrong is refused as a whole, so a torn or foreign object never becomes a row.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from one_ocr_ray.model import PageResult, PageStatus
from one_ocr_ray.policy.dataset.schema import page_result, page_row
from one_ocr_ray.policy.known_sums import add_known

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FORMAT = "one-ocr-ray journal 1"
_TIMES = ("started_at", "finished_at")


def encode_segment(pages: Sequence[PageResult], config_id: str, passed: Sequence[PageResult] = ()) -> bytes:
    """Encode `pages` as one segment; all must be of `config_id`. `passed`: pages that go on to the next reader."""
    rows = {"rows": [page_row(page) for page in pages], "passed": [page_row(page) for page in passed]}
    body = orjson.dumps({"format": FORMAT, "config_id": config_id, **rows})
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def decode_segment(data: bytes, config_id: str) -> list[PageResult] | None:
    """The pages of a segment. None if it is torn, or of another format or configuration."""
    checksum, _, body = data.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != checksum:
        return None
    content = orjson.loads(body)
    if content.get("format") != FORMAT or content.get("config_id") != config_id:
        return None
    return _pages(content["rows"])


def passed_in(data: bytes) -> list[PageResult]:
    """The pages of a good segment that have gone on to the next reader."""
    return _pages(orjson.loads(data.partition(b"\n")[2]).get("passed", ()))


def _pages(rows: Iterable[dict[str, Any]]) -> list[PageResult]:
    return [page_result(row | {name: datetime.fromisoformat(row[name]) for name in _TIMES}) for row in rows]


def uncounted_passes(passed: Iterable[PageResult], finished: Iterable[PageResult]) -> dict[tuple[str, int], PageResult]:
    """The last answer of each page that went on to another reader. Its usage is that which no row of `finished` holds.

    A row tells what its own attempt has used, which began at one instant.
    """
    counted = {(page.document_id, page.page_number, page.started_at) for page in finished}
    last: dict[tuple[str, int, datetime], PageResult] = {}
    for page in sorted(passed, key=lambda page: page.finished_at):
        last[page.document_id, page.page_number, page.started_at] = page
    uncounted: dict[tuple[str, int], PageResult] = {}
    for key, page in last.items():
        if key not in counted:
            earlier = uncounted.get(key[:2])
            uncounted[key[:2]] = page if earlier is None else add_usage(page, earlier)
    return uncounted


def last_passes(passed: Iterable[PageResult]) -> dict[tuple[str, int], PageResult]:
    """The last answer of each page that went on to another reader, whichever row tells its usage."""
    in_time = sorted(passed, key=lambda page: page.finished_at)
    return {(page.document_id, page.page_number): page for page in in_time}


def best_pages(pages: Iterable[PageResult]) -> dict[tuple[str, int], PageResult]:
    """One row for each (document_id, page_number): success beats failure, then the earliest finished wins.

    The usage of the other rows is added; the same row found in two places counts once.
    """
    best: dict[tuple[str, int], PageResult] = {}
    seen: set[tuple[str, int, datetime, PageStatus]] = set()
    for page in pages:
        key = page.document_id, page.page_number
        if (*key, page.finished_at, page.status) in seen:
            continue
        seen.add((*key, page.finished_at, page.status))
        if key not in best:
            best[key] = page
        else:
            both = sorted((best[key], page), key=lambda row: (row.status is PageStatus.FAILED, row.finished_at))
            best[key] = add_usage(*both)
    return best


def split_for_retry(
    rows: Iterable[PageResult], run_id: str, pages: frozenset[int] | None
) -> tuple[dict[tuple[str, int], PageResult], dict[tuple[str, int], PageResult]]:
    """Split rows into pages that stay and failed ones that run `run_id` reads again.

    `pages`: page numbers to read again if they failed; None: all. Pages that this run has read stay, failed or not.
    """
    kept: list[PageResult] = []
    failed: list[PageResult] = []
    for row in rows:
        wanted = row.status is PageStatus.FAILED and (pages is None or row.page_number in pages)
        (failed if wanted and row.run_id != run_id else kept).append(row)
    return best_pages(kept), best_pages(failed)


def with_earlier_usage(pages: Iterable[PageResult], replaced: Mapping[tuple[str, int], PageResult]) -> list[PageResult]:
    """`pages`, each with the usage of the page that it replaces."""
    return [
        add_usage(page, earlier) if earlier is not None else page
        for page in pages
        for earlier in [replaced.get((page.document_id, page.page_number))]
    ]


def with_retried(pages: Sequence[PageResult], journaled: Iterable[PageResult]) -> list[PageResult]:
    """`pages` with failed rows replaced by rows that an interrupted retry left in the journal."""
    retried = best_pages(journaled)
    return [
        add_usage(later, page)
        if page.status is PageStatus.FAILED and later is not None and later.finished_at != page.finished_at
        else page
        for page in pages
        for later in [retried.get((page.document_id, page.page_number))]
    ]


def add_usage(page: PageResult, earlier: PageResult) -> PageResult:
    """`page`, which replaces the failed `earlier`, with the usage of both."""
    return replace(
        page,
        attempts=page.attempts + earlier.attempts,
        input_tokens=add_known(page.input_tokens, earlier.input_tokens),
        output_tokens=add_known(page.output_tokens, earlier.output_tokens),
        cached_tokens=add_known(page.cached_tokens, earlier.cached_tokens),
        cost_usd=add_known(page.cost_usd, earlier.cost_usd),
    )
