"""Journal segments: finished pages of an unfinished shard as bytes, back again, and which of several rows counts.

A segment is a line with the SHA-256 of what follows, then JSON: format, configuration and rows. What does not check
is refused whole, so a torn or foreign object can never become a row.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from one_ocr_ray.model import PageResult, PageStatus
from one_ocr_ray.policy.dataset.schema import page_result, page_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_Number = TypeVar("_Number", int, float)

FORMAT = "one-ocr-ray journal 1"
_TIMES = ("started_at", "finished_at")


def encode_segment(pages: Sequence[PageResult], config_id: str) -> bytes:
    """`pages` as one segment; they must all be of `config_id`."""
    body = orjson.dumps({"format": FORMAT, "config_id": config_id, "rows": [page_row(page) for page in pages]})
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def decode_segment(data: bytes, config_id: str) -> list[PageResult] | None:
    """The pages of a segment; None when it is torn, or of another format or configuration."""
    checksum, _, body = data.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != checksum:
        return None
    content = orjson.loads(body)
    if content.get("format") != FORMAT or content.get("config_id") != config_id:
        return None
    return [page_result(_with_times(row)) for row in content["rows"]]


def best_pages(pages: Iterable[PageResult]) -> dict[tuple[str, int], PageResult]:
    """One page for each (document_id, page_number): success beats failure, then the earliest finished wins.

    What another row of the page has used is carried over; the same row found in two places counts once.
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
            better, other = sorted((best[key], page), key=_rank)
            best[key] = add_usage(better, other)
    return best


def split_for_retry(
    rows: Iterable[PageResult], run_id: str, only: frozenset[int] | None
) -> tuple[dict[tuple[str, int], PageResult], dict[tuple[str, int], PageResult]]:
    """For a retry as run `run_id`: the pages that stay as they are, and the failed ones that are read again.

    `only`: page numbers to read again if they failed; None: all. What this run itself has read stays, failed or not.
    """
    staying: list[PageResult] = []
    failed: list[PageResult] = []
    for row in rows:
        wanted = row.status is PageStatus.FAILED and (only is None or row.page_number in only)
        (failed if wanted and row.run_id != run_id else staying).append(row)
    return best_pages(staying), best_pages(failed)


def with_earlier_usage(pages: Iterable[PageResult], replaced: Mapping[tuple[str, int], PageResult]) -> list[PageResult]:
    """`pages`, where what a replaced page had used stands in the row that replaces it."""
    return [
        add_usage(page, earlier) if earlier is not None else page
        for page in pages
        for earlier in [replaced.get((page.document_id, page.page_number))]
    ]


def with_retried(pages: Sequence[PageResult], journaled: Iterable[PageResult]) -> list[PageResult]:
    """`pages`, where a page of the journal stands in the place of one that failed: of a retry that was cut off."""
    anew = best_pages(journaled)
    return [
        add_usage(later, page)
        if page.status is PageStatus.FAILED and later is not None and later.finished_at != page.finished_at
        else page
        for page in pages
        for later in [anew.get((page.document_id, page.page_number))]
    ]


def add_usage(page: PageResult, earlier: PageResult) -> PageResult:
    """`page`, read in place of `earlier`, which failed: what both have used stands in the one row."""
    return replace(
        page,
        attempts=page.attempts + earlier.attempts,
        input_tokens=_sum(page.input_tokens, earlier.input_tokens),
        output_tokens=_sum(page.output_tokens, earlier.output_tokens),
        cached_tokens=_sum(page.cached_tokens, earlier.cached_tokens),
        cost_usd=_sum(page.cost_usd, earlier.cost_usd),
    )


def _sum(one: _Number | None, other: _Number | None) -> _Number | None:
    return None if one is None or other is None else one + other


def _rank(page: PageResult) -> tuple[bool, datetime]:
    return page.status is PageStatus.FAILED, page.finished_at


def _with_times(row: dict[str, Any]) -> dict[str, Any]:
    return row | {name: datetime.fromisoformat(row[name]) for name in _TIMES}
