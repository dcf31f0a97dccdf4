"""`one_ocr_ray.read`: a file in this process, without a cluster; and `DocumentReader`, which `PageReader` shares."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from functools import cache, partial
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from one_ocr_ray.engines.ocr.layer_engine import LayerEngine
from one_ocr_ray.engines.ocr.own_engine import OwnEngine
from one_ocr_ray.engines.options import llm_engine
from one_ocr_ray.environment import provider_key
from one_ocr_ray.errors import OneOcrError, UsageError, first_error
from one_ocr_ray.pdf.reader import PdfChild
from one_ocr_ray.policy.dataset.documents import RunIdentity
from one_ocr_ray.policy.dataset.packing import unpack
from one_ocr_ray.policy.document import document_text
from one_ocr_ray.policy.page.plain_text import plain_text
from one_ocr_ray.policy.route.chain import LOCAL, TEXT_LAYER, models_of
from one_ocr_ray.python.loop_thread import LoopThread
from one_ocr_ray.reading.inspection import drawn, inspect, inspect_source
from one_ocr_ray.reading.limits.budget import BudgetShare
from one_ocr_ray.reading.limits.own_limiter import OwnLimiter
from one_ocr_ray.reading.page.loop import ReadContext, read_page
from one_ocr_ray.reading.route.readers import embedded_reader, endpoint_permits, model_reader
from one_ocr_ray.settings.run import load
from one_ocr_ray.setup.job import (
    llm_setups_of,
    page_request_of,
    pdf_options_of,
    route_of,
    selection_of,
    settings_of_engine,
)
from one_ocr_ray.setup.languages import line_models_of
from one_ocr_ray.setup.metering import metering_of
from one_ocr_ray.setup.servers import VLLM
from one_ocr_ray.storage.inputs import InputFile, find_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from one_ocr_ray.blocks import Block
    from one_ocr_ray.engines.ocr.languages import LineModels
    from one_ocr_ray.job import Endpoint, LlmSetup
    from one_ocr_ray.model import DocumentRef, Failure, PageResult
    from one_ocr_ray.reading.limits.ports import Limiter
    from one_ocr_ray.reading.route.reader import Reader
    from one_ocr_ray.settings.run import Settings

# Pages under way at once: an embedded engine reads one, and the next are drawn meanwhile; a model reads many.
PAGES_OF_ENGINE, PAGES_OF_MODEL = 2, 32
OF_A_RUN = frozenset(
    {"inputs", "output", "retry_failed", "shard_pages", "address", "workers", "audit", "batch", "reuse"}
)


class DocumentError(OneOcrError):
    """A file that cannot be opened. `code` is the dataset's, such as `pdf_encrypted`."""

    def __init__(self, name: str, failure: Failure) -> None:
        super().__init__(f"{name}: {failure.message}")
        self.code = failure.code.value


@dataclass(frozen=True, slots=True)
class Page:
    """One page as it was read. `row` has all that the dataset has of a page."""

    number: int  # 1-based
    status: str  # ok, blank, failed
    markdown: str = field(repr=False)  # empty where it failed
    blocks: tuple[Block, ...] = field(repr=False)
    error: Failure | None
    row: PageResult = field(repr=False)

    @property
    def text(self) -> str:
        """The page as plain text."""
        return plain_text(self.markdown)


@dataclass(frozen=True, slots=True)
class Document:
    """One file as it was read. `markdown`: all good pages in one text, without what repeats at their edges."""

    name: str
    document_id: str
    page_count: int
    pages: tuple[Page, ...]
    markdown: str = field(repr=False)

    @property
    def text(self) -> str:
        """The document as plain text."""
        return plain_text(self.markdown)


def read(path: str | Path, **settings: Any) -> Document:
    """Read one file, by path or URI, in this process. No Ray is started or loaded.

    `settings` are those of `one-ocr run`, such as `pages="1-3"` or `engine="openai"`. A failed page has its `error`.
    Raises DocumentError when the file cannot be opened, UsageError for a wrong setting, and StoppedError where an
    account stops everything; all are OneOcrError. Works in a notebook, where an event loop is running.
    """
    chosen = settings_of_reading(settings)
    files = list(find_inputs([str(path)]))
    if len(files) != 1:
        raise UsageError(f"{path} is {len(files)} files: name one, or use ocr.run for all of them.")

    async def read_all() -> list[tuple[DocumentRef, list[PageResult]]]:
        async with DocumentReader(chosen) as reader:
            return await reader.read([(files[0], None)])

    with closing(LoopThread("read")) as loop:
        ((document, rows),) = loop.wait_for(read_all())
    if document.failure is not None:
        raise DocumentError(document.name, document.failure)
    blocks = [tuple(unpack(row.blocks)) if row.blocks is not None else () for row in rows]
    pages = tuple(
        Page(row.page_number, row.status.value, row.markdown or "", of_page, row.failure, row)
        for row, of_page in zip(rows, blocks, strict=True)
    )
    text = document_text(rows).markdown
    return Document(document.name, document.document_id, document.page_count or 0, pages, text)


def settings_of_reading(given: dict[str, Any]) -> Settings:
    """The settings of a reader that is no run. Raises UsageError for those of a run alone."""
    if unknown := sorted(OF_A_RUN & given.keys()):
        raise UsageError(f"{', '.join(unknown)} is for ocr.run alone.")
    chosen = load(given)
    if any(settings_of_engine(chosen, name).engine == VLLM for name in models_of(route_of(chosen))):
        raise UsageError("engine='vllm' is for ocr.run alone; with a server that runs: engine='openai', base_url=...")
    return chosen


@dataclass(frozen=True, slots=True)
class ReaderLimits:
    """Who asks the limiters, and which limiter an endpoint of a model has."""

    client: str
    run_id: str
    limiter_of: Callable[[LlmSetup, Endpoint], Limiter]


@cache
def _embedded_engine(models: LineModels) -> OwnEngine:
    """The engine of this process, which keeps its models for the next document."""
    return OwnEngine(models)


class DocumentReader(AsyncExitStack):
    """Reads documents in this process, as `settings` say. For one event loop, in which it is entered and left."""

    def __init__(self, settings: Settings, account: ReaderLimits | None = None) -> None:
        """Without `account` the process is alone with its accounts."""
        super().__init__()
        self._options = pdf_options_of(settings)
        self._selection = selection_of(settings)
        self._route = route_of(settings)
        self._positions = page_request_of(settings).positions
        self._embedded = partial(_embedded_engine, line_models_of(settings))
        self._setups = llm_setups_of(settings)
        self._ceiling_usd = settings.max_cost
        self._account = account or ReaderLimits("read", "read", lambda _, __: OwnLimiter())
        at_once = min(settings.max_in_flight, PAGES_OF_MODEL) if self._setups else PAGES_OF_ENGINE
        self._slots = asyncio.Semaphore(at_once)
        self._child = PdfChild()
        self.callback(self._child.close)
        self._context: ReadContext | None = None

    async def read(self, files: Iterable[tuple[InputFile, bytes | None]]) -> list[tuple[DocumentRef, list[PageResult]]]:
        """Read `files`, each from its bytes where these are given. The pages of each in order.

        A document that cannot be opened has a failure and no pages. Raises StoppedError when an account stops all.
        """
        self._context = context = self._context or self._start()
        found: list[tuple[DocumentRef, list[asyncio.Task[PageResult]]]] = []
        try:
            async with asyncio.TaskGroup() as group:
                for file, data in files:
                    opened = partial(inspect, file) if data is None else partial(inspect_source, file, data)
                    document = await asyncio.to_thread(opened, self._options, self._child)
                    pages: list[asyncio.Task[PageResult]] = []
                    found.append((document, pages))
                    wanted = () if document.failure is not None else self._selection.of(document.page_count or 0)
                    for number in wanted:
                        image = await asyncio.to_thread(drawn, self._child, number, document.document_id, self._options)
                        await self._slots.acquire()
                        pages.append(group.create_task(read_page(document, image, context)))
                        pages[-1].add_done_callback(lambda _: self._slots.release())
        except ExceptionGroup as group_error:
            raise first_error(group_error) from group_error
        return [(document, [page.result() for page in pages]) for document, pages in found]

    def _start(self) -> ReadContext:
        """The readers of the route. Raises UsageError when there is no key for an LLM engine."""
        budgets = (BudgetShare(free_usd=self._ceiling_usd),) if self._ceiling_usd is not None else ()
        readers = tuple(self._reader(name, budgets) for name in self._route.names)
        ocr = self._embedded() if self._route.ocr_places else None
        return ReadContext(readers, RunIdentity(f"read-{token_hex(4)}", ""), ocr=ocr)

    def _reader(self, name: str, budgets: tuple[BudgetShare, ...]) -> Reader:
        if name == LOCAL:
            return embedded_reader(self._embedded(), self._positions, self._route)
        if name == TEXT_LAYER:
            layer = LayerEngine(partial(self._embedded().read_layer, route=self._route))
            return embedded_reader(layer, self._positions, self._route)
        setup = self._setups[name]
        engines = []
        for options in (endpoint.options for endpoint in setup.endpoints):
            engine = llm_engine(options, options.api_key or provider_key(options.name, options.key_variable))
            self.push_async_callback(engine.close)
            engines.append(engine)
        who = self._account
        permits = endpoint_permits(
            setup, engines, partial(who.limiter_of, setup), who.client, who.run_id, route=self._route
        )
        self.push_async_callback(permits.close)
        return model_reader(setup, permits, metering_of(setup.options, setup.prices, setup.request), budgets)
