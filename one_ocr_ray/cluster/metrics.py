"""The metrics of the contract, through `ray.util.metrics`: what they are, and who counts what.

Ray puts `ray_` before each name and adds the process and node as labels. Counters are those of one process: queries sum
over them. Ray reports every ten seconds, so the last seconds of a process that ends may be missing; bills are made from
the dataset, not from here. No document id, page number, key or text is ever a label.
"""

from __future__ import annotations

import time
from collections import Counter as Multiset
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from ray.util.metrics import Counter, Gauge, Histogram

from one_ocr_ray.model import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from one_ocr_ray.model import Answer, DocumentResult, Failure, PageImage, PageRequest, PageResult
    from one_ocr_ray.policy.ratelimit.messages import Held, Snapshot
    from one_ocr_ray.reading.page import Permits, Purse, Reading

ENGINE = ("engine", "model")
# Upper bounds in seconds. A render takes milliseconds, a request seconds, and a permit may take minutes.
RENDER_S = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15, 60]
REQUEST_S = [0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 13, 20, 30, 60, 120, 300]
PERMIT_WAIT_S = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900]
# Values of the label `result` beside "ok" and the error codes.
THROTTLED = "throttled"
GIVEN_UP = "given_up"  # the run ended before an answer came


class _Metrics:
    """One of each in this process."""

    def __init__(self) -> None:
        self.pages = Counter("one_ocr_pages_total", "Pages finished", ("status", *ENGINE))
        self.documents = Counter("one_ocr_documents_total", "Documents finished", ("outcome",))
        self.requests = Counter("one_ocr_requests_total", "Requests ended, by what came of them", (*ENGINE, "result"))
        self.throttled = Counter("one_ocr_throttled_total", "Requests that were refused as too many", ENGINE)
        self.tokens = Counter("one_ocr_tokens_total", "Tokens used, as the provider counts them", (*ENGINE, "kind"))
        self.cost = Counter("one_ocr_cost_usd_total", "USD that requests have cost, where that is known", ENGINE)
        self.request_seconds = Histogram("one_ocr_request_seconds", "From a request to its answer", REQUEST_S)
        self.render_seconds = Histogram("one_ocr_render_seconds", "From a PDF's page to its image", RENDER_S)
        self.permit_wait_seconds = Histogram(
            "one_ocr_permit_wait_seconds", "Wait for a place under the account's limit", PERMIT_WAIT_S
        )
        self.in_flight = Gauge("one_ocr_in_flight", "Requests under way", ENGINE)
        self.rate_limit = Gauge("one_ocr_rate_limit", "Rates per minute, granted and configured", (*ENGINE, "kind"))
        self.tasks = Gauge("one_ocr_tasks", "Tasks of the service", ("state",))


_metrics = cache(_Metrics)
_in_flight: Multiset[tuple[str, str]] = Multiset()  # of this process, by engine and model


def count_page(page: PageResult) -> None:
    """One page is finished."""
    metrics = _metrics()
    metrics.pages.inc(1, {"status": page.status.value, "engine": page.engine, "model": page.model})
    if page.render_ms is not None:
        metrics.render_seconds.observe(page.render_ms / 1000)


def count_documents(documents: Iterable[DocumentResult]) -> None:
    """Documents are committed."""
    for outcome, number in Multiset(document.outcome.value for document in documents).items():
        _metrics().documents.inc(number, {"outcome": outcome})


def show_tasks(counts: Mapping[str, int]) -> None:
    """How many tasks of the service are in which state now.

    To be called by one process every few seconds, with every state: Ray may lose what is told in a process's first.
    """
    for state, number in counts.items():
        _metrics().tasks.set(number, {"state": state})


def show_rates(engine: str, model: str, now: Snapshot) -> None:
    """The limits of one bucket; a rate that is not known is not shown."""
    rates = {
        "granted_rpm": now.granted_rpm,
        "granted_tpm": now.granted_tpm,
        "configured_rpm": now.configured_rpm,
        "configured_tpm": now.configured_tpm,
    }
    for kind, per_minute in rates.items():
        if per_minute is not None:
            _metrics().rate_limit.set(per_minute, {"engine": engine, "model": model, "kind": kind})


def counted(reading: Reading) -> Reading:
    """`reading` with its requests counted: the same permits, purse and judge, and a count beside each."""
    engine = {"engine": reading.engine.name, "model": reading.engine.model}
    return replace(
        reading,
        permits=_CountedPermits(reading.permits, engine),
        purse=_CountedPurse(reading.purse, engine),
        judge=_counted_judge(reading.judge, engine),
    )


class _CountedPermits:
    """`Permits` of the page loop: how long each took, and what the requests under them used."""

    def __init__(self, permits: Permits, engine: dict[str, str]) -> None:
        self._permits = permits
        self._engine = engine
        self._key = (engine["engine"], engine["model"])

    async def ready(self) -> None:
        await self._permits.ready()

    async def acquire(self, tokens: int) -> None:
        asked_s = time.monotonic()
        await self._permits.acquire(tokens)
        _metrics().permit_wait_seconds.observe(time.monotonic() - asked_s)
        self._under_way(1)

    def report(self, estimated_tokens: int, answer: Answer | None, latency_s: float) -> None:
        self._permits.report(estimated_tokens, answer, latency_s)
        self._under_way(-1)
        metrics = _metrics()
        if answer is None:
            metrics.requests.inc(1, {**self._engine, "result": GIVEN_UP})
            return
        metrics.request_seconds.observe(latency_s)
        used = answer.usage
        for kind, tokens in (
            ("input", used.input_tokens),
            ("output", used.output_tokens),
            ("cached", used.cached_tokens),
        ):
            if tokens:
                metrics.tokens.inc(tokens, {**self._engine, "kind": kind})

    def stop(self, failure: Failure) -> None:
        self._permits.stop(failure)

    def held(self) -> Held | None:
        return self._permits.held()

    def _under_way(self, change: int) -> None:
        _in_flight[self._key] += change
        _metrics().in_flight.set(_in_flight[self._key], self._engine)


class _CountedPurse:
    """`Purse` of the page loop, and what was paid from it."""

    def __init__(self, purse: Purse, engine: dict[str, str]) -> None:
        self._purse = purse
        self._engine = engine

    async def reserve(self, image: PageImage, ask: PageRequest) -> float:
        return await self._purse.reserve(image, ask)

    async def close(self) -> None:
        await self._purse.close()

    def settle(self, reserved_usd: float, cost_usd: float | None) -> None:
        self._purse.settle(reserved_usd, cost_usd)
        if cost_usd:
            _metrics().cost.inc(cost_usd, self._engine)


def _counted_judge(
    judge: Callable[[Answer, PageRequest], Answer], engine: dict[str, str]
) -> Callable[[Answer, PageRequest], Answer]:
    """Requests are counted when they have been judged: an answer that repeats itself is no success."""

    def judged(answer: Answer, ask: PageRequest) -> Answer:
        answer = judge(answer, ask)
        result = "ok"
        if answer.failure is not None:
            result = THROTTLED if answer.failure.action is Action.PAUSE else answer.failure.code.value
        _metrics().requests.inc(1, {**engine, "result": result})
        if result == THROTTLED:
            _metrics().throttled.inc(1, engine)
        return answer

    return judged
