"""`create_app`: the FastAPI application with its routes and middlewares, and what they share."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from one_ocr_ray.service import problems
from one_ocr_ray.service.api import batches, events, health, pages, results, sessions, tasks, uploads, usage
from one_ocr_ray.service.api.openapi import openapi_document
from one_ocr_ray.service.cache import BoundedCache
from one_ocr_ray.service.dependencies import Service
from one_ocr_ray.service.ended_sessions import EndedSessionCache
from one_ocr_ray.service.fair_executor import FairExecutor
from one_ocr_ray.service.keys import load_keys
from one_ocr_ray.service.middleware.auth import Authentication, HostCheck
from one_ocr_ray.service.middleware.body_limit import BodyLimit, BodyLimits
from one_ocr_ray.service.middleware.request_log import RequestLog
from one_ocr_ray.service.page_images import PdfReaders
from one_ocr_ray.service.streams import Streams
from one_ocr_ray.service.upload.spool import Spool
from one_ocr_ray.service.web.pages import install_pages
from one_ocr_ray.settings.run import password_of
from one_ocr_ray.settings.service import LOOPBACK_HOSTS
from one_ocr_ray.storage.tasks.ended_sessions import EndedSessions
from one_ocr_ray.version import __version__

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from one_ocr_ray.settings.service import ServiceSettings
    from one_ocr_ray.storage.tasks.task_store import TaskStore
    from one_ocr_ray.tasks.port import TaskManager

_POLLS_PER_STREAM = 4  # a program may wait for many tasks at once

_CACHED_TEXT_BYTES = 64 << 20
_CACHED_IMAGE_BYTES = 64 << 20
_WILDCARD_ADDRESSES = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on


def check_local_settings(settings: ServiceSettings) -> None:
    """Raise UsageError for keys or a spool that cannot be used on this machine."""
    load_keys(settings.api_keys_file)
    Spool(settings.spool, settings.min_free_bytes).close()


def create_app(manager: TaskManager, store: TaskStore, settings: ServiceSettings) -> FastAPI:
    """The service over `manager` and `store`. Raises UsageError for keys or a spool that cannot be used."""
    spool = Spool(settings.spool, settings.min_free_bytes)
    service = Service(
        manager=manager,
        store=store,
        settings=settings,
        keys=load_keys(settings.api_keys_file),
        ended=EndedSessionCache(EndedSessions(store.root)),
        spool=spool,
        pdfs=PdfReaders(store, spool.folder, password_of(settings)),
        streams=Streams(settings.max_streams, settings.max_streams_per_key),
        polls=Streams(settings.max_streams, settings.max_streams_per_key * _POLLS_PER_STREAM),
        executor=FairExecutor(),
        rows=BoundedCache(_CACHED_TEXT_BYTES),
        images=BoundedCache(_CACHED_IMAGE_BYTES),
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.pdfs.close()
        service.executor.close()
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
    for module in (uploads, tasks, events, pages, results, batches, usage, health, sessions):
        app.include_router(module.router)
    install_pages(app)
    # Without a check of the Host header a foreign site could point its own name at this machine and reach a service
    # without keys. A service on every address has keys.
    hosts = frozenset(name.lower() for name in (*LOOPBACK_HOSTS, settings.host, *settings.allowed_hosts))
    answers_to_all = settings.host in _WILDCARD_ADDRESSES and not settings.allowed_hosts
    # A request passes the middleware that is added last first.
    rate = settings.requests_per_second
    app.add_middleware(Authentication, keys=service.keys, ended=service.ended, requests_per_second=rate)
    app.add_middleware(BodyLimit, limits=body_limits(settings))
    app.add_middleware(HostCheck, hosts=None if answers_to_all else hosts)
    app.add_middleware(RequestLog)
    description: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not description:
            description.update(openapi_document(app, settings, with_keys=bool(service.keys)))
        return description

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def body_limits(settings: ServiceSettings) -> BodyLimits:
    """The bounds of bodies in the application itself, where a slow reader slows its client."""
    return BodyLimits(
        request_bytes=settings.max_request_bytes,
        unsized_bytes=settings.max_request_bytes,
        under_way_bytes=8 * settings.max_request_bytes,
        stall_s=settings.stall_timeout,
        whole_s=settings.upload_timeout,
    )
