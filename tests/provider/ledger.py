"""What the provider saw: one row per request, and the arithmetic that tests ask of the rows.

Times are `time.monotonic()` of the provider's machine, in seconds: all processes of a machine share that clock, so a
test can hold its own times against them. A request has arrived when its last byte has. It is answered when a 200 with a
whole body was handed to a connection that was still open: a call that somebody paid for. A row is written when its
request has ended; in a file it is with the kernel before the next event is handled, whoever is killed then.
"""

from __future__ import annotations

import bisect
import os
from collections import Counter, deque
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One request, ended. Stored as one JSON object a line."""

    serial: int  # rises with arrival, from 1
    operation: str  # "read" (chat completion, generateContent) or "models"
    dialect: str  # "openai", "azure", "gemini"
    arrived_s: float
    arrived_at: float  # wall clock, seconds since 1970
    finished_s: float
    status: int | None  # None: nothing was sent back
    answered: bool
    aborted: bool  # the client left before the end
    fault: str | None  # name of the scripted fault that struck
    hint_s: float | None  # how long the client was told to wait, counted from finished_s
    model: str
    page: str | None  # identity or digest of the page image
    input_tokens: int
    output_tokens: int
    charged_tokens: int  # to the token quotas
    key: str | None  # fingerprint of the API key
    client: str  # address:port
    request_id: str | None  # X-Client-Request-Id
    body_bytes: int
    settings: dict[str, Any] = field(default_factory=dict)  # the request without messages and schema


class Ledger:
    """The rows so far, in memory and, with `path`, appended to a file of JSON lines."""

    def __init__(self, path: Path | None = None) -> None:
        self._rows: list[Row] = []
        self._forgotten = 0
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    @property
    def rows(self) -> Sequence[Row]:
        """Ended requests in the order in which they ended."""
        return self._rows

    def add(self, row: Row) -> None:
        if row.serial > self._forgotten:
            self._rows.append(row)
        if self._file is not None:
            os.write(self._file, orjson.dumps(row) + b"\n")

    def forget(self, serial: int) -> None:
        """Drop the requests up to `serial` from memory, those that have not ended yet included; the file keeps all."""
        self._forgotten = serial
        self._rows = [row for row in self._rows if row.serial > serial]

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def rows_of(lines: bytes) -> list[Row]:
    """Rows of a ledger's JSON lines, ordered by arrival."""
    names = {entry.name for entry in fields(Row)}
    records = (orjson.loads(line) for line in lines.splitlines())
    return sorted((Row(**{name: record[name] for name in names}) for record in records), key=lambda row: row.serial)


# --- statistics


def arrivals(rows: Iterable[Row], *, admitted: bool = False) -> list[float]:
    """Sorted arrival times of the page requests; `admitted` leaves out those refused with 429."""
    return sorted(row.arrived_s for row in rows if row.operation == "read" and not (admitted and row.status == 429))


def worst_window(times_s: Sequence[float], window_s: float, weights: Sequence[float] | None = None) -> float:
    """Largest count (or sum of `weights`) in any half-open window [t, t + window_s). `times_s` is sorted."""
    worst = total = 0.0
    inside: deque[tuple[float, float]] = deque()
    for index, time_s in enumerate(times_s):
        weight = 1.0 if weights is None else weights[index]
        inside.append((time_s, weight))
        total += weight
        while inside[0][0] <= time_s - window_s:
            total -= inside.popleft()[1]
        worst = max(worst, total)
    return worst


def gaps(times_s: Sequence[float]) -> list[float]:
    """Seconds between neighbours of sorted times."""
    return [after - before for before, after in pairwise(times_s)]


def rate_between(times_s: Sequence[float], start_s: float, end_s: float) -> float:
    """Events per second in [start_s, end_s) of sorted times: the steady part of a run, say."""
    count = bisect.bisect_left(times_s, end_s) - bisect.bisect_left(times_s, start_s)
    return count / (end_s - start_s)


def most_in_flight(rows: Iterable[Row]) -> int:
    """Largest number of requests under way at one moment; one that ends as another arrives does not overlap it."""
    steps = sorted(step for row in rows for step in ((row.arrived_s, 1), (row.finished_s, -1)))
    now = most = 0
    for _, change in steps:
        now += change
        most = max(most, now)
    return most


def undercuts(rows: Sequence[Row], grace_s: float) -> list[Row]:
    """Page requests that arrived while a hint to wait was in force, later than `grace_s` after it was given.

    The grace covers what was on its way already: it is the client's to justify.
    """
    hints = [(row.finished_s + grace_s, row.finished_s + row.hint_s) for row in rows if row.hint_s is not None]
    return [row for row in rows if row.operation == "read" and any(start < row.arrived_s < end for start, end in hints)]


@dataclass(frozen=True, slots=True)
class PageCalls:
    """How often one page was sent, and how often it was answered and so paid for."""

    requests: int
    answered: int


def by_page(rows: Iterable[Row]) -> dict[str, PageCalls]:
    """Calls per page identity; requests without a page image are left out."""
    asked: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    for row in rows:
        if row.page is not None:
            asked[row.page] += 1
            answered[row.page] += row.answered
    return {page: PageCalls(requests, answered[page]) for page, requests in asked.items()}


def summary(rows: Sequence[Row], windows_s: Iterable[float] = (1.0, 60.0)) -> dict[str, Any]:
    """Counts for people and quick assertions, as JSON can hold them."""
    reads = [row for row in rows if row.operation == "read"]
    times_s = arrivals(reads)
    pages = by_page(reads)
    return {
        "requests": len(reads),
        "answered": sum(row.answered for row in reads),
        "aborted": sum(row.aborted for row in reads),
        "statuses": dict(Counter(str(row.status) for row in reads)),
        "faults": dict(Counter(row.fault for row in reads if row.fault)),
        "most_in_flight": most_in_flight(reads),
        "worst_windows": {f"{window_s:g}": worst_window(times_s, window_s) for window_s in windows_s},
        "pages": len(pages),
        "pages_answered": sum(calls.answered > 0 for calls in pages.values()),
        "pages_answered_again": sum(max(0, calls.answered - 1) for calls in pages.values()),
        "input_tokens": sum(row.input_tokens for row in reads if row.answered),
        "output_tokens": sum(row.output_tokens for row in reads if row.answered),
        "clients": len({row.client for row in reads}),
        "keys": sorted({row.key for row in reads if row.key}),
    }
