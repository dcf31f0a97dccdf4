"""How tests drive a provider and read its ledger: the routes under `/_control/`, and the client for them.

POST /_control/scenario   change the fields of the scenario named in the JSON body; GET shows it
POST /_control/reset      scenario of the start, changed by the body; quotas, rules and ledger start anew
GET  /_control/summary    counts; `?window_s=1&window_s=60` for the worst windows
GET  /_control/rows       the ledger as JSON lines
POST /_control/clock      let `seconds` pass for files and batches
GET  /_control/batches    files left, batches by tag and state
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from tests.provider.ledger import Row, rows_of, summary

if TYPE_CHECKING:
    from tests.provider.server import ProviderServer

_TIMEOUT_S = 60.0


class ControlRoutes:
    """The routes. What is no scenario gets a 400 that says why, and changes nothing."""

    def __init__(self, server: ProviderServer) -> None:
        self._server = server

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/_control/scenario", self._show),
            web.post("/_control/scenario", self._change),
            web.post("/_control/reset", self._reset),
            web.get("/_control/summary", self._summary),
            web.get("/_control/rows", self._rows),
            web.post("/_control/clock", self._turn),
            web.get("/_control/batches", self._batches),
        ]

    async def _show(self, _request: web.Request) -> web.Response:
        return web.json_response(text=self._server.backend.scenario.model_dump_json())

    async def _change(self, request: web.Request) -> web.Response:
        try:
            self._server.change(await request.json())
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        return await self._show(request)

    async def _reset(self, request: web.Request) -> web.Response:
        try:
            self._server.reset(await request.json())
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        return await self._show(request)

    async def _summary(self, request: web.Request) -> web.Response:
        windows_s = [float(text) for text in request.query.getall("window_s", ["1", "60"])]
        counts = {"in_flight": self._server.in_flight, **summary(self._server.ledger.rows, windows_s)}
        return web.json_response(counts)

    async def _rows(self, _request: web.Request) -> web.Response:
        lines = b"".join(orjson.dumps(row) + b"\n" for row in self._server.ledger.rows)
        return web.Response(body=lines, content_type="application/x-ndjson")

    async def _turn(self, request: web.Request) -> web.Response:
        self._server.batches.turn((await request.json())["seconds"])
        return await self._batches(request)

    async def _batches(self, _request: web.Request) -> web.Response:
        self._server.batches.store.settle(self._server.batches.now_s())
        return web.json_response(self._server.batches.counts())


class Control:
    """A provider that runs somewhere, by its URL. Blocking calls; ValueError when the provider refuses one."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def openai_url(self) -> str:
        """For `--base-url` of the engine `openai`."""
        return f"{self.url}/v1"

    @property
    def gemini_url(self) -> str:
        """For `--base-url` of the engine `gemini`."""
        return self.url

    def azure_url(self, deployment: str) -> str:
        """Base of Azure's classic path, before `/chat/completions?api-version=...`."""
        return f"{self.url}/openai/deployments/{deployment}"

    def change(self, **fields: Any) -> None:
        """Change fields of the scenario while it plays: `change(rules=[])` gives the quota back, say."""
        self._call("scenario", fields)

    def reset(self, **fields: Any) -> None:
        """Go back to the scenario of the start, changed by `fields`; empty the ledger."""
        self._call("reset", fields)

    def summary(self, *windows_s: float) -> dict[str, Any]:
        """`ledger.summary` of all requests so far, and `in_flight`: those not ended yet."""
        query = "&".join(f"window_s={window_s}" for window_s in windows_s)
        answer: dict[str, Any] = json.loads(self._call(f"summary?{query}"))
        return answer

    def rows(self) -> list[Row]:
        """All ended requests in the order of their arrival."""
        return rows_of(self._call("rows"))

    def turn_clock(self, seconds: float) -> dict[str, Any]:
        """Let time pass for files and batches; gives what `batches` gives."""
        answer: dict[str, Any] = json.loads(self._call("clock", {"seconds": seconds}))
        return answer

    def batches(self) -> dict[str, Any]:
        """Files that are left, and batches by tag and state."""
        answer: dict[str, Any] = json.loads(self._call("batches"))
        return answer

    def _call(self, path: str, fields: dict[str, Any] | None = None) -> bytes:
        body = None if fields is None else json.dumps(fields, default=_plain).encode()
        request = urllib.request.Request(f"{self.url}/_control/{path}", body)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
                answer: bytes = response.read()
        except urllib.error.HTTPError as error:
            with error:
                message = error.read().decode()
            raise ValueError(message) from error
        return answer


def _plain(value: Any) -> Any:
    """JSON of the parts of a scenario, which are pydantic models."""
    return value.model_dump(mode="json", exclude_defaults=True)
