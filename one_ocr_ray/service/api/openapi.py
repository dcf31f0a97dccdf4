"""The parts of the OpenAPI document that routes do not declare: problems, forms, keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi

from one_ocr_ray.service.problems import MEDIA_TYPE, codes_with
from one_ocr_ray.service.upload.options import LLM_OPTIONS, UploadOptions, offered_engines, offered_routes
from one_ocr_ray.setup.job import route_of
from one_ocr_ray.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI

    from one_ocr_ray.settings.service import ServiceSettings

_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "instance": {"type": "string"},
    },
}
TEXT = {"type": "string"}
BINARY = {"type": "string", "format": "binary"}
_FILES = {"type": "array", "minItems": 1, "items": BINARY}


_OPTIONS = UploadOptions.model_json_schema()
for _name, _option in _OPTIONS["properties"].items():  # `type: [a type, null]` instead of `anyOf`
    _value, _ = _option["anyOf"]
    _OPTIONS["properties"][_name] = {
        **_value,
        "type": [_value["type"], "null"],
        "description": _option["description"],
    }

UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "additionalProperties": False,
                    "properties": {"files": _FILES, "options": _OPTIONS},
                },
                "encoding": {
                    "files": {"contentType": "application/pdf, image/*"},
                    "options": {"contentType": "application/json"},
                },
            }
        },
    }
}
_OPEN = frozenset({"/healthz", "/readyz", "/login", "/logout"})
_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems with these statuses, for `responses` of a route."""
    return {
        status: {
            "description": ", ".join(codes_with(status)),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def responses_of(success: Mapping[str, Any], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: a success by media type, and problems by status."""
    content = {kind: {"schema": schema} for kind, schema in success.items()}
    return {200: {"content": content}, **problem_responses(*statuses)}


def openapi_document(app: FastAPI, settings: ServiceSettings, *, with_keys: bool) -> dict[str, Any]:
    """The OpenAPI document of `app`: its uploads may choose what `settings` offer."""
    document = get_openapi(
        title="One OCR on Ray",
        version=__version__,
        description="Upload PDFs and images, watch them being read, take the results.",
        routes=app.routes,
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = _PROBLEM
    for name in ("HTTPValidationError", "ValidationError"):  # of the framework; here they are problems
        schemas.pop(name, None)
    form = document["paths"]["/upload"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    options = form["properties"]["options"]["properties"]
    several = [route for route in offered_routes(settings) if route == "auto" or "," in route]
    form["properties"]["options"]["anyOf"] = [  # pages can be sent on where a route has a next reader
        {"properties": {"escalate": {"type": "null"}}},
        {"properties": {"route": {"enum": several}}, "required": ["route"]},
        *([{"properties": {"route": {"type": "null"}}}] if len(route_of(settings).names) > 1 else []),
    ]
    engines = offered_engines(settings)
    options["engine"]["enum"] = [*sorted(engines), None]
    options["route"]["enum"] = [*offered_routes(settings), None]
    if engines == {"local"}:
        for name in LLM_OPTIONS:
            options[name] = {"type": "null", "description": "This service offers no LLM engine."}
    if not settings.callback_hosts:
        options["callback_url"] = {"type": "null", "description": "This service sends no callbacks."}
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
            if with_keys:
                operation["security"] = [] if path in _OPEN else [{"bearer": []}, {"key": []}]
    if with_keys:
        components["securitySchemes"] = _SECURITY
    return document
