"""The metrics of the contract, through `ray.util.metrics`.

Ray puts `ray_` before each name and adds the process and node as labels. Counters are those of one process: queries sum
over them. Ray reports every ten seconds, so the last seconds of a process that ends may be missing; bills are made from
the dataset, not from here. No document id, page number, key or text is ever a label.
"""

from __future__ import annotations

from collections import Counter as Multiset
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING

from ray.util.metrics import Counter, Gauge, Histogram

from one_ocr_ray.model import Action, TokenUsage
from one_ocr_ray.policy.batch.parcel import Stage
from one_ocr_ray.policy.ratelimit.messages import GateState
from one_ocr_ray.policy.servers.size import ServerState
from one_ocr_ray.reading.batch.known_parcels import BatchCounts
from one_ocr_ray.reading.page.events import RequestDone, RequestSent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from one_ocr_ray.model import DocumentResult, PageResult
    from one_ocr_ray.policy.ratelimit.messages import Snapshot
    from one_ocr_ray.reading.batch.history import BatchWork
    from one_ocr_ray.reading.batch.watch import BatchWatch
    from one_ocr_ray.reading.page.events import ReadingEvent

ENGINE = ("engine", "model")
ENDPOINT = ("engine", "endpoint")
# Upper bounds in seconds. A render takes milliseconds, a request seconds, and a permit may take minutes.
RENDER_S = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15, 60]
REQUEST_S = [0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 13, 20, 30, 60, 120, 300]
PERMIT_WAIT_S = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900]
# Values of the label `result` beside "ok" and the error codes.
THROTTLED = "throttled"
GIVEN_UP = "given_up"  # the run ended before an answer came


class _Metrics:
    """The metrics of this process."""

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
        self.reader_pages = Counter("one_ocr_reader_pages_total", "Pages, by reader and why", ("reader", "reason"))
        # No Counter: Ray's cannot be told of 0, and without a series nobody can ask for it.
        self.saved = Gauge("one_ocr_saved_usd_total", "USD less than at the last reader of the route", ("reader",))
        self.endpoint_up = Gauge("one_ocr_endpoint_up", "1: takes requests, 0: is out", ENDPOINT)
        self.endpoint_in_flight = Gauge("one_ocr_endpoint_in_flight", "Requests under way there", ENDPOINT)
        self.endpoint_window = Gauge("one_ocr_endpoint_window", "Requests it takes at once, found by trying", ENDPOINT)
        self.endpoint_waiting = Gauge("one_ocr_endpoint_waiting", "Requests that wait for a permit there", ENDPOINT)
        self.parcels = Gauge("one_ocr_batch_parcels", "Provider batches of this output", ("state",))
        self.batch_pages = Gauge("one_ocr_batch_pages", "Their pages", ("state",))
        self.batch_oldest = Gauge("one_ocr_batch_oldest_seconds", "Age of the oldest batch that has not ended")
        self.batch_stored = Gauge("one_ocr_batch_stored_bytes", "Files of this output at the provider")
        self.batch_lines = Counter("one_ocr_batch_lines_total", "Lines of batches, by what came of them", ("result",))
        self.batch_creates = Counter("one_ocr_batch_creates_total", "Batches that were asked for", ("result",))
        self.batch_uploaded = Counter("one_ocr_batch_uploaded_bytes_total", "Bytes of requests that were uploaded")
        self.replicas = Gauge("one_ocr_replicas", "Own model servers", ("model", "state"))
        self.restarts = Counter("one_ocr_replica_restarts_total", "Own servers that ended", ("model", "reason"))
        self.gpu_seconds = Counter("one_ocr_gpu_seconds_total", "Time that own servers had GPUs", ("model",))
        self.tasks = Gauge("one_ocr_tasks", "Tasks of the service", ("state",))


_metrics = cache(_Metrics)
_in_flight: Multiset[tuple[str, str]] = Multiset()  # of this process, by engine and model

_saved_usd: defaultdict[str, float] = defaultdict(float)  # of this process, by reader


def count_page(page: PageResult, saved_usd: float | None) -> None:
    """Count a finished page, and its saving against the last reader of its route."""
    metrics = _metrics()
    metrics.pages.inc(1, {"status": page.status.value, "engine": page.engine, "model": page.model})
    metrics.reader_pages.inc(1, {"reader": page.engine, "reason": page.route_reason or "-"})
    _saved_usd[page.engine] += saved_usd or 0.0
    metrics.saved.set(_saved_usd[page.engine], {"reader": page.engine})
    if page.render_ms is not None:
        metrics.render_seconds.observe(page.render_ms / 1000)


def count_documents(documents: Iterable[DocumentResult]) -> None:
    """Count committed documents."""
    for outcome, number in Multiset(document.outcome.value for document in documents).items():
        _metrics().documents.inc(number, {"outcome": outcome})


def show_tasks(counts: Mapping[str, int]) -> None:
    """Show how many tasks of the service are in each state.

    To be called by one process every few seconds, with every state: Ray may lose what is told in a process's first.
    """
    for state, number in counts.items():
        _metrics().tasks.set(number, {"state": state})


def show_rates(engine: str, model: str, now: Snapshot, endpoint: tuple[str, str] | None = None) -> None:
    """Show a bucket's known rates, and the state of its `endpoint` (reader and name)."""
    rates = {
        "granted_rpm": now.granted_rpm,
        "granted_tpm": now.granted_tpm,
        "configured_rpm": now.configured_rpm,
        "configured_tpm": now.configured_tpm,
    }
    for kind, per_minute in rates.items():
        if per_minute is not None:
            _metrics().rate_limit.set(per_minute, {"engine": engine, "model": model, "kind": kind})
    if endpoint is not None:
        labels = dict(zip(ENDPOINT, endpoint, strict=True))
        metrics = _metrics()
        metrics.endpoint_up.set(float(now.state in {GateState.OPEN, GateState.PAUSED}), labels)
        metrics.endpoint_in_flight.set(now.in_flight, labels)
        metrics.endpoint_waiting.set(now.waiting, labels)
        if now.window is not None:
            metrics.endpoint_window.set(now.window, labels)


def count_batches(work: BatchWork) -> None:
    """Count what the reading of a shard has collected from batches and uploaded for them."""
    metrics, engine = _metrics(), {"engine": work.engine, "model": work.model}
    for result, number in work.lines.items():
        metrics.batch_lines.inc(number, {"result": result})
    if work.uploaded_bytes:
        metrics.batch_uploaded.inc(work.uploaded_bytes)
    _count_use(engine, work.tokens, work.cost_usd)


def _count_use(engine: dict[str, str], tokens: Mapping[str, int | None], cost_usd: float | None) -> None:
    if cost_usd:
        _metrics().cost.inc(cost_usd, engine)
    for kind, number in tokens.items():
        if number:
            _metrics().tokens.inc(number, {**engine, "kind": kind})


def count_create(result: str) -> None:
    """Count a batch that was asked for: answered, found, refused or ambiguous."""
    _metrics().batch_creates.inc(1, {"result": result})


def show_batches(watch: BatchWatch) -> None:
    """Show in which stages the parcels of an output stand."""
    metrics, counts = _metrics(), watch.counts()
    for stage in Stage:
        parcels = counts.get(stage, BatchCounts())
        metrics.parcels.set(parcels.parcels, {"state": stage.value})
        metrics.batch_pages.set(parcels.pages, {"state": stage.value})
    metrics.batch_oldest.set(watch.oldest_s)
    metrics.batch_stored.set(watch.stored_bytes)


def show_servers(model: str, states: Mapping[ServerState, int], gpu_s: float) -> None:
    """Show the run's own servers by state. Count their GPU seconds since the last time."""
    for state in ServerState:
        _metrics().replicas.set(states.get(state, 0), {"model": model, "state": state.value})
    if gpu_s:
        _metrics().gpu_seconds.inc(gpu_s, {"model": model})


def count_restart(model: str, reason: str) -> None:
    """Count a server that ended by itself."""
    _metrics().restarts.inc(1, {"model": model, "reason": reason})


class RequestMetrics:
    """Observer of `read_page`: counts the requests to one engine and model."""

    def __init__(self, engine: str, model: str) -> None:
        self._engine = {"engine": engine, "model": model}
        self._key = engine, model

    def observe(self, event: ReadingEvent) -> None:
        metrics = _metrics()
        if isinstance(event, RequestSent):
            metrics.permit_wait_seconds.observe(event.waited_s)
            self._add_in_flight(1)
        elif isinstance(event, RequestDone):
            self._add_in_flight(-1)
            used = event.answer.usage if event.answer is not None else TokenUsage()
            kinds = {"input": used.input_tokens, "output": used.output_tokens, "cached": used.cached_tokens}
            _count_use(self._engine, kinds, event.cost_usd)
            if event.answer is None:
                metrics.requests.inc(1, {**self._engine, "result": GIVEN_UP})
            else:
                metrics.request_seconds.observe(event.latency_s)
                failure, result = event.answer.failure, "ok"
                if failure is not None:
                    result = THROTTLED if failure.action is Action.THROTTLED else failure.code.value
                metrics.requests.inc(1, {**self._engine, "result": result})
                if result == THROTTLED:
                    metrics.throttled.inc(1, self._engine)

    def _add_in_flight(self, change: int) -> None:
        _in_flight[self._key] += change
        _metrics().in_flight.set(_in_flight[self._key], self._engine)
