"""The state of the service, its offer and limits, and the API's description."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from one_ocr_ray.errors import OneOcrError
from one_ocr_ray.service.api.openapi import problem_responses
from one_ocr_ray.service.api.schemas import json_response
from one_ocr_ray.service.dependencies import ServiceDep
from one_ocr_ray.service.results import Format
from one_ocr_ray.service.upload.options import offered_engines, offered_models
from one_ocr_ray.tasks.port import TaskManagerUnavailableError
from one_ocr_ray.version import __version__

router = APIRouter(tags=["service"])

_PATIENCE_S = 5.0
_NO_TASK = "t_" + "0" * 22
DOCS = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>One OCR on Ray: API</title>
<link rel="stylesheet" href="/static/vendor/swagger-ui/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/static/vendor/swagger-ui/swagger-ui-bundle.js"></script>
<script src="/static/js/docs.js"></script>
</body>
</html>
"""


@router.get("/healthz", response_model=dict[str, str])
async def healthz() -> Response:
    """This process answers. It checks nothing else."""
    return json_response({"status": "ok"})


@router.get("/readyz", response_model=dict[str, Any], responses={503: {"description": "not ready", "model": dict}})
async def readyz(service: ServiceDep) -> Response:
    """The task manager, called `book` here, and the store answer; else 503."""

    async def store() -> None:
        await asyncio.to_thread(service.store.task, _NO_TASK)

    checks = {}
    for name, look in (("book", service.manager.load), ("store", store)):
        try:
            await asyncio.wait_for(look(), _PATIENCE_S)
            checks[name] = "ok"
        except (TaskManagerUnavailableError, OneOcrError, TimeoutError):
            checks[name] = "unavailable"
    ready = set(checks.values()) == {"ok"}
    body = {"status": "ready" if ready else "unavailable", "checks": checks}
    return json_response(body, 200 if ready else 503, {} if ready else {"Retry-After": "2"})


@router.get("/v1/info", response_model=dict[str, Any], responses=problem_responses(401, 429))
async def info(service: ServiceDep) -> Response:
    """Version, engines, the models that uploads may name, and limits."""
    settings = service.settings
    engines = offered_engines(settings)
    return json_response(
        {
            "name": "one-ocr-ray",
            "version": __version__,
            "engine": settings.engine,
            "model": settings.model,
            "engines": sorted(engines),
            "models": sorted({model for name in engines - {"local"} for model in offered_models(settings, name)}),
            "keys_required": bool(service.keys),
            "formats": list(Format),
            "limits": {
                "file_bytes": settings.max_file_bytes,
                "request_bytes": settings.max_request_bytes,
                "files": settings.max_files,
                "pages": settings.max_pages,
                "requests_per_second": settings.requests_per_second,
                "streams": settings.max_streams_per_key,
            },
            "expiry_days": settings.expiry_days,
        }
    )


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    """The description of the API."""
    return json_response(request.app.openapi())


@router.get("/docs", include_in_schema=False)
async def docs() -> Response:
    """The description of the API for people, from files of this package alone."""
    return HTMLResponse(DOCS)
