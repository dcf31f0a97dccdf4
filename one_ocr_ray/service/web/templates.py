"""What all web pages share: templates, language, theme, static files and their version."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.staticfiles import StaticFiles

from one_ocr_ray.service.web.i18n import LANGUAGES, Catalog, catalog, language_of
from one_ocr_ray.version import __version__

if TYPE_CHECKING:
    from starlette.types import Scope

    from one_ocr_ray.service.dependencies import Service

_WEB = Path(__file__).parent
_THEMES = ("auto", "light", "dark")
_COOKIES = {"lang": ("one_ocr_lang", LANGUAGES), "theme": ("one_ocr_theme", _THEMES)}
_YEAR_S = 365 * 24 * 3600
_VERSION = re.compile(r"[0-9a-f]{16}[/\\]")


class VersionedStaticFiles(StaticFiles):
    """Scripts, styles and fonts, also under `version/`, where browsers may keep them for ever."""

    def __init__(self) -> None:
        folder = _WEB / "static"
        super().__init__(directory=folder)
        digest = hashlib.sha256()
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                digest.update(str(path.relative_to(folder)).encode())
                digest.update(path.read_bytes())
        self.version = digest.hexdigest()[:16]

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(_VERSION.sub("", path, count=1) if _VERSION.match(path) else path, scope)
        lasting = path.startswith(self.version)
        response.headers["Cache-Control"] = f"public, max-age={_YEAR_S}, immutable" if lasting else "no-cache"
        return response


class PageRenderer:
    """Renders pages."""

    def __init__(self, static_version: str) -> None:
        self._static = f"/static/{static_version}"
        self._templates = Environment(
            loader=FileSystemLoader(_WEB / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(size=size, cost=cost, moment=moment, iso=iso, count=count)

    def render(self, request: Request, service: Service, template: str, values: Mapping[str, Any]) -> str:
        """Render `template` with `values`, in the language and theme of `request`."""
        here = [(name, value) for name, value in request.query_params.multi_items() if name not in _COOKIES]
        return self._templates.get_template(template).render(
            values,
            t=language(request),
            theme=_preference(request, "theme") or "auto",
            themes=_THEMES,
            static=self._static,
            path=request.url.path,
            here=f"?{urlencode(here)}&" if here else "?",
            settings=service.settings,
            with_keys=bool(service.keys),
            logged_in=bool(service.keys) and request.scope["state"].get("owner") is not None,
            version=__version__,
        )


def language(request: Request) -> Catalog:
    """The texts in the language for `request`, by the visitor's or browser's choice."""
    return catalog(_preference(request, "lang") or language_of(request.headers.get("accept-language", "")))


def chosen_preferences(request: Request) -> Response | None:
    """Keep a language or theme of the query in a cookie. Redirect without it."""
    asked = {name: request.query_params[name] for name in _COOKIES if name in request.query_params}
    if not asked or request.method != "GET":
        return None
    rest = [(name, value) for name, value in request.query_params.multi_items() if name not in _COOKIES]
    response = RedirectResponse("/" + request.url.path.lstrip("/\\") + (f"?{urlencode(rest)}" if rest else ""), 303)
    for name, value in asked.items():
        cookie, allowed = _COOKIES[name]
        if value in allowed:
            response.set_cookie(cookie, value, max_age=_YEAR_S, path="/", samesite="lax")
    return response


def size(size_bytes: int) -> str:
    """The size of a file for people."""
    if size_bytes < 1 << 10:
        return f"{size_bytes} B"
    return f"{size_bytes / (1 << 10):.0f} KB" if size_bytes < 1 << 20 else f"{size_bytes / (1 << 20):.3g} MB"


def cost(usd: float | None) -> str:
    """An amount of money with the digits that matter; empty where it is unknown."""
    if usd is None:
        return ""
    return f"${usd:.2f}" if usd == 0 or usd >= 1 else f"${usd:.4f}"


def count(number: int | None) -> str:
    """A number in groups of three digits; empty where it is unknown."""
    return "" if number is None else f"{number:,}"


def iso(time: datetime) -> str:
    """A time for programs."""
    return time.astimezone(UTC).isoformat(timespec="seconds")


def moment(time: datetime) -> str:
    """A time for people, in UTC; scripts show it in their own zone."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _preference(request: Request, name: str) -> str | None:
    cookie, allowed = _COOKIES[name]
    value = request.cookies.get(cookie)
    return value if value in allowed else None
