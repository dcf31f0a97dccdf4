"""The application: its routes, its middlewares, and what they share."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from one_ocr_ray.service import problems
from one_ocr_ray.service.api import batches, events, sessions, tasks, uploads
from one_ocr_ray.service.api import health as system
from one_ocr_ray.service.api import pages as pagesapi
from one_ocr_ray.service.api import results as resultsapi
from one_ocr_ray.service.api.openapi import described
from one_ocr_ray.service.dependencies import Service, caches
from one_ocr_ray.service.ended_sessions import Ended
from one_ocr_ray.service.keys import load_keys
from one_ocr_ray.service.middleware.auth import Guard, HostAndHeaders
from one_ocr_ray.service.middleware.body_limit import BodyLimit, BodyLimits
from one_ocr_ray.service.middleware.request_log import RequestLog
from one_ocr_ray.service.options import offered_engines
from one_ocr_ray.service.page_images import PdfReaders
from one_ocr_ray.service.single_flight import Making
from one_ocr_ray.service.spool import Spool
from one_ocr_ray.service.streams import Streams
from one_ocr_ray.service.web.pages import add_pages
from one_ocr_ray.settings import LOOPBACK_HOSTS, password_of
from one_ocr_ray.storage.tasks.ended_sessions import EndedSessions
from one_ocr_ray.version import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from one_ocr_ray.settings import ServiceSettings
    from one_ocr_ray.storage.tasks.task_store import TaskStore
    from one_ocr_ray.tasks.port import TaskManager

_POLLS_PER_STREAM = 4  # a program may wait for many tasks at once

_WILDCARD_ADDRESSES = frozenset({"0.0.0.0", "::"})  # noqa: S104 - told apart, not listened on


def create_app(book: TaskManager, store: TaskStore, settings: ServiceSettings) -> FastAPI:
    """The service over `book` and `store`. Raises UsageError for keys or a spool that cannot be used."""
    service = _service(book, store, settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.pdfs.close()
        service.making.close()
        service.spool.close()

    app = FastAPI(
        title="One OCR on Ray",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.service = service
    problems.install(app)
    for module in (uploads, tasks, events, pagesapi, resultsapi, batches, system, sessions):
        app.include_router(module.router)
    add_pages(app)
    # The last one added is the first to see a request.
    app.add_middleware(Guard, keys=service.keys, ended=service.ended, requests_per_second=settings.requests_per_second)
    app.add_middleware(BodyLimit, limits=body_limits(settings))
    app.add_middleware(HostAndHeaders, hosts=_hosts(settings))
    app.add_middleware(RequestLog)
    description: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not description:
            description.update(described(app, offered_engines(settings), with_keys=bool(service.keys)))
        return description

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def body_limits(settings: ServiceSettings) -> BodyLimits:
    """Bounds for bodies where a slow reader slows its writer: in the application itself."""
    return BodyLimits(
        request_bytes=settings.max_request_bytes,
        unsized_bytes=settings.max_request_bytes,
        under_way_bytes=8 * settings.max_request_bytes,
        stall_s=settings.stall_timeout,
        whole_s=settings.upload_timeout,
    )


def _service(book: TaskManager, store: TaskStore, settings: ServiceSettings) -> Service:
    keys = load_keys(settings.api_keys_file)
    spool = Spool(settings.spool, settings.min_free_bytes)
    rows, images = caches()
    return Service(
        book=book,
        store=store,
        settings=settings,
        keys=keys,
        ended=Ended(EndedSessions(store.root)),
        spool=spool,
        pdfs=PdfReaders(store, spool.folder, password_of(settings)),
        streams=Streams(settings.max_streams, settings.max_streams_per_key),
        polls=Streams(settings.max_streams, settings.max_streams_per_key * _POLLS_PER_STREAM),
        making=Making(),
        rows=rows,
        images=images,
    )


def _hosts(settings: ServiceSettings) -> frozenset[str] | None:
    """The names in Host headers that are answered; None for all, where keys guard a service on every address.

    A page of another site that points its own name at this machine must not get through to a service without keys.
    """
    if settings.host in _WILDCARD_ADDRESSES and not settings.allowed_hosts:
        return None
    return frozenset(name.lower() for name in (*LOOPBACK_HOSTS, settings.host, *settings.allowed_hosts))
