"""Fetches, stores and reads what batches have answered to the pages of one shard."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from one_ocr_ray.engines.llm.wire import UNAVAILABLE
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import Action, Answer, Failure
from one_ocr_ray.policy.batch.flow import FREE_ASKS
from one_ocr_ray.policy.batch.parcel import Stage
from one_ocr_ray.policy.batch.remote import RemoteState
from one_ocr_ray.policy.cost.spending import Spending
from one_ocr_ray.storage.spending.records import record_spending

if TYPE_CHECKING:
    from pathlib import Path

    from one_ocr_ray.clock import Clock
    from one_ocr_ray.engines.llm.batch.client import BatchClient
    from one_ocr_ray.policy.batch.parcel import LinePage, PageKey, Parcel
    from one_ocr_ray.policy.batch.remote import RemoteBatch
    from one_ocr_ray.storage.batches import BatchState
    from one_ocr_ray.storage.store.objects import Objects

DOWNLOAD_TRIES = 5
AGAIN = frozenset({Action.RETRY, Action.THROTTLED})
BACK_OFF_S = 2.0
NOT_FETCHED = "Results of a batch could not be fetched. {message} They are kept there; the same command resumes."
GONE = (
    "The provider has deleted the results of {pages:,} pages before they were fetched: they count as spent at the most "
    "that they can have cost, and are asked for again."
)
CUT = Failure(UNAVAILABLE.code, "They came incomplete.", Action.RETRY)


@dataclass(slots=True)
class BatchWork:
    """What one reading of a shard has had to do with batches, for the metrics."""

    engine: str
    model: str
    lines: Counter[str] = field(default_factory=Counter)  # that were collected, by result
    tokens: Counter[str] = field(default_factory=Counter)  # of their answers, by kind
    cost_usd: float = 0.0
    uploaded_bytes: int = 0
    gone_pages: int = 0  # whose results the provider has deleted

    def add(self, answer: Answer, cost_usd: float | None) -> None:
        """Add an answer of a batch."""
        used = answer.usage
        self.tokens["input"] += used.input_tokens or 0
        self.tokens["output"] += used.output_tokens or 0
        self.tokens["cached"] += used.cached_tokens or 0
        self.cost_usd += cost_usd or 0.0


@dataclass(slots=True)
class PageHistory:
    """One page over all its parcels."""

    page: LinePage  # as the last parcel has it
    rounds: int = 0
    free: int = 0  # lines that were not run
    answers: list[tuple[int, Answer]] = field(default_factory=list)  # with the parcel's number, in order


@dataclass(slots=True)
class ShardHistory:
    """All pages of a shard that lie or have lain in parcels."""

    pages: dict[PageKey, PageHistory] = field(default_factory=dict)
    elsewhere: set[PageKey] = field(default_factory=set)  # pages in parcels that have not ended
    results: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))  # by parcel

    def answers_of(self, parcel: Parcel) -> list[Answer]:
        """What one parcel has answered."""
        answers = (each for history in self.pages.values() for each in history.answers)
        return [answer for number, answer in answers if number == parcel.number]

    def add(self, parcel: Parcel, pages: list[LinePage], answers: dict[str, Answer]) -> None:
        """Take a parcel that has ended, with its answers by key."""
        collected = Stage.COLLECTED in parcel.marks
        for page in pages:
            history = self.pages.setdefault(page.page, PageHistory(page))
            history.page = page
            history.rounds += 1
            answer = answers.get(page.key)
            failure = answer.failure if answer is not None else None
            if answer is None or (collected and failure is not None and failure.action is Action.STOP):
                history.free += 1  # what has stopped a run once is asked again
                if history.free > FREE_ASKS:
                    history.answers.append((parcel.number, Answer(failure=UNAVAILABLE.failure(503))))
                self.results[parcel.number]["not_run"] += 1
            else:
                history.answers.append((parcel.number, answer))
                self.results[parcel.number]["ok" if failure is None else failure.code.value] += 1


async def fetch(
    parcel: Parcel, state: BatchState, client: BatchClient, output: Objects, *, folder: Path, clock: Clock
) -> int:
    """Store the results of a batch as they came. The number of pages whose results are gone, which count as spent.

    Raises StoppedError.
    """
    batch = parcel.tries[-1].ended
    if batch is None:
        return 0
    gone = batch.state is RemoteState.LOST
    for at, file_id in enumerate(batch.outputs):
        path = folder / f"{parcel.number}-{at}.jsonl"
        failure = await _download(file_id, path, batch, client, clock)
        if failure is not None and failure.http_status in {404, 410}:
            gone = True
        elif failure is not None:
            raise StoppedError(NOT_FETCHED.format(message=failure.message), failure.code)
        else:
            await asyncio.to_thread(state.put_output, parcel, at, path)
            await asyncio.to_thread(path.unlink)
    if gone and parcel.file is not None:
        lost = Spending(requests=parcel.file.pages, unknown_usd=parcel.file.most_usd)
        await asyncio.to_thread(record_spending, output, lost)
    await asyncio.to_thread(state.mark, parcel, Stage.FETCHED, {"gone": gone})
    return parcel.file.pages if gone and parcel.file is not None else 0


async def _download(file_id: str, path: Path, batch: RemoteBatch, client: BatchClient, clock: Clock) -> Failure | None:
    """Write a result to `path`; why it could not be done. It is trusted only when its length is right."""
    failure: Failure | None = None
    for attempt in range(DOWNLOAD_TRIES):
        if attempt:
            await clock.sleep(BACK_OFF_S * 2**attempt)
        known = await client.file(file_id)
        failure = (
            known if isinstance(known, Failure) and known.action in AGAIN else await client.download(file_id, path)
        )
        if failure is None:
            size = (await asyncio.to_thread(path.stat)).st_size
            if not isinstance(known, Failure) and known.size_bytes is not None:
                whole = size == known.size_bytes
            else:
                lines = (await asyncio.to_thread(path.read_bytes)).count(b"\n") if batch.lines else 0
                whole = not batch.lines or len(batch.outputs) > 1 or lines >= batch.lines
            if whole:
                return None
            failure = CUT
        elif failure.action not in AGAIN:
            return failure
    return failure


def read_history(parcels: list[Parcel], state: BatchState, client: BatchClient) -> ShardHistory:
    """The history of a shard whose results are fetched. The first answer to a line counts. Blocks."""
    history = ShardHistory()
    for parcel in parcels:
        stage = parcel.stage
        if stage.holds_pages:
            history.elsewhere.update(page.page for page in state.pages(parcel))
        if stage not in {Stage.FETCHED, Stage.COLLECTED, Stage.CLEANED} or parcel.file is None:
            continue
        if not parcel.tries or parcel.tries[-1].ended is None or Stage.ABANDONED in parcel.marks:
            continue
        answers: dict[str, Answer] = {}
        for line in state.output_lines(parcel):
            result = client.codec.read_line(line)
            if result is not None and result.answer is not None:
                answers.setdefault(result.key, result.answer)
        history.add(parcel, state.pages(parcel), answers)
    return history
