"""The HTTP face of the provider: chat completions, generateContent, models, and a ledger row for each request."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.provider.backend import Backend, Decision, bad_request
from tests.provider.batch_routes import BatchRoutes
from tests.provider.delivery import arrives_whole, deliver
from tests.provider.ledger import Ledger, Row
from tests.provider.questions import Dialect, Question, fingerprint, key_of, read_gemini, read_openai
from tests.provider.replies import Reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.provider.scenario import Scenario

_ANY_MODEL = ("any-model",)


class Room:
    """A server's capacity: so many requests are worked on at once, and so many may queue for it (None: no limit)."""

    def __init__(self, capacity: int | None, queue: int | None) -> None:
        self._places = None if capacity is None else asyncio.Semaphore(capacity)
        self._queue = queue
        self._waiting = 0

    @property
    def is_full(self) -> bool:
        """True if a further request must be turned away."""
        no_place = self._places is not None and self._places.locked()
        return no_place and self._queue is not None and self._waiting >= self._queue

    async def work(self, seconds: float) -> None:
        """Wait for a place and hold it for `seconds`."""
        if self._places is None:
            await asyncio.sleep(seconds)
            return
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self._places.release()


class Gate:
    """Holds requests back from their answer, as `passes` and `held` of the scenario say, until it is set anew."""

    def __init__(self, scenario: Scenario) -> None:
        self._renewed = asyncio.Event()
        self.renew(scenario)

    def renew(self, scenario: Scenario) -> None:
        """Hold back what this scenario says from now on; those that wait go first."""
        self._passes, self._held = scenario.passes, scenario.held
        self._renewed.set()
        self._renewed = asyncio.Event()

    async def go_through(self, page: str | None) -> None:
        """Wait until a request for `page` may be answered, and use up a pass."""
        while self._passes == 0 or (self._held is not None and fnmatchcase(page or "", self._held)):
            await self._renewed.wait()
        if self._passes is not None:
            self._passes -= 1


@dataclass(slots=True)
class _Visit:
    """One request while it is under way."""

    serial: int
    operation: str
    dialect: Dialect
    arrived_s: float
    arrived_at: float
    model: str
    body_bytes: int = 0
    question: Question | None = None
    decision: Decision | None = None
    status: int | None = None
    answered: bool = False
    aborted: bool = False


class ProviderServer:
    """Routes, capacity and the ledger's entries around a backend."""

    def __init__(self, scenario: Scenario, ledger: Ledger) -> None:
        self.backend = Backend(scenario, time.monotonic())
        self.ledger = ledger
        self.in_flight = 0
        self._serial = 0
        self._room = Room(scenario.capacity, scenario.queue)
        self._gate = Gate(scenario)
        self.batches = BatchRoutes(self)

    def next_serial(self) -> int:
        """The number of the next row of the ledger."""
        self._serial += 1
        return self._serial

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/chat/completions", self._chat),
            web.post("/openai/deployments/{model}/chat/completions", self._azure_chat),
            web.post("/v1beta/models/{model}:generateContent", self._generate),
            web.get("/v1/models", self._openai_models),
            web.get("/v1/models/{model}", self._openai_models),
            web.get("/v1beta/models", self._gemini_models),
            web.get("/v1beta/models/{model}", self._gemini_models),
            *self.batches.routes(),
        ]

    def change(self, fields: Mapping[str, Any]) -> None:
        """Change the scenario under way; see `Backend.change`."""
        self.backend.change(fields, time.monotonic())
        self.batches.store.change(self.backend.scenario)
        self._renew(fields)

    def reset(self, fields: Mapping[str, Any]) -> None:
        """Begin anew with the scenario of the start, changed by `fields`, and an empty ledger."""
        self.backend.restart(fields, time.monotonic())
        self._renew(("capacity", "passes"))
        self.ledger.forget(self._serial)
        self.batches.restart()

    def _renew(self, fields: Mapping[str, Any] | tuple[str, ...]) -> None:
        if "capacity" in fields or "queue" in fields:
            self._room = Room(self.backend.scenario.capacity, self.backend.scenario.queue)
        if "passes" in fields or "held" in fields:
            self._gate.renew(self.backend.scenario)

    # --- reading pages

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._read_page(request, Dialect.OPENAI, "")

    async def _azure_chat(self, request: web.Request) -> web.StreamResponse:
        return await self._read_page(request, Dialect.AZURE, request.match_info["model"])

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        return await self._read_page(request, Dialect.GEMINI, request.match_info["model"])

    async def _read_page(self, request: web.Request, dialect: Dialect, model: str) -> web.StreamResponse:
        body = await request.read()
        visit = self._arrive("read", dialect, model)
        visit.body_bytes = len(body)
        try:
            reply = self._decide(request, visit, body)
            if visit.decision is not None and visit.decision.admitted:
                await self._room.work(visit.decision.latency_s)
                await self._gate.go_through(visit.question.page if visit.question else None)
            return await self._send(request, visit, reply)
        except (asyncio.CancelledError, ConnectionError):  # the client left
            visit.aborted = True
            raise
        finally:
            self._leave(request, visit)

    def _decide(self, request: web.Request, visit: _Visit, body: bytes) -> Reply:
        if visit.dialect is Dialect.AZURE and "api-version" not in request.query:
            return json_reply(404, {"error": {"code": "404", "message": "Resource not found"}})
        identify = self.backend.scenario.identify
        try:
            if visit.dialect is Dialect.GEMINI:
                question = read_gemini(body, visit.model, identify)
            else:
                question = read_openai(body, visit.dialect, visit.model, identify)
        except (ValueError, LookupError, TypeError, AttributeError) as error:  # whatever shape a wrong body has
            return bad_request(visit.dialect, f"invalid body: {error}")
        visit.question = replace(question, serial=visit.serial)
        visit.model = question.model
        if self._room.is_full:
            return self.backend.full(visit.question, visit.arrived_at)
        key = key_of(request.headers, request.query)
        visit.decision = self.backend.decide(visit.question, key, visit.arrived_s, visit.arrived_at)
        return visit.decision.reply

    # --- models

    async def _openai_models(self, request: web.Request) -> web.StreamResponse:
        return await self._list_models(request, Dialect.OPENAI)

    async def _gemini_models(self, request: web.Request) -> web.StreamResponse:
        return await self._list_models(request, Dialect.GEMINI)

    async def _list_models(self, request: web.Request, dialect: Dialect) -> web.StreamResponse:
        wanted = request.match_info.get("model")
        names = self.backend.scenario.models or _ANY_MODEL
        visit = self._arrive("models", dialect, wanted or "")
        try:
            refused = self.backend.refuse(dialect, key_of(request.headers, request.query), wanted or names[0])
            reply = refused or json_reply(200, _models_body(dialect, wanted, names))
            return await self._send(request, visit, reply)
        finally:
            self._leave(request, visit)

    # --- sending, and the entries of the ledger

    async def _send(self, request: web.Request, visit: _Visit, reply: Reply) -> web.StreamResponse:
        response = await deliver(request, reply, {"x-request-id": f"req_{visit.serial}"})
        if response.prepared:
            visit.status = response.status
            visit.answered = visit.status == 200 and arrives_whole(reply)
        return response

    def _arrive(self, operation: str, dialect: Dialect, model: str) -> _Visit:
        self.in_flight += 1
        return _Visit(self.next_serial(), operation, dialect, time.monotonic(), time.time(), model)

    def _leave(self, request: web.Request, visit: _Visit) -> None:
        self.in_flight -= 1
        question, decision = visit.question, visit.decision or Decision(Reply(0, b""))
        row = Row(
            serial=visit.serial,
            operation=visit.operation,
            dialect=visit.dialect,
            arrived_s=visit.arrived_s,
            arrived_at=visit.arrived_at,
            finished_s=time.monotonic(),
            status=visit.status,
            answered=visit.answered,
            aborted=visit.aborted,
            fault=decision.fault,
            hint_s=decision.reply.hint_s,
            model=visit.model,
            page=question.page if question else None,
            input_tokens=decision.used.input,
            output_tokens=decision.used.output,
            charged_tokens=decision.charged_tokens,
            key=fingerprint(key_of(request.headers, request.query)),
            client=_address(request),
            request_id=request.headers.get("X-Client-Request-Id"),
            body_bytes=visit.body_bytes,
            settings=question.settings if question else {},
        )
        self.ledger.add(row)


def _address(request: web.Request) -> str:
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return f"{peer[0]}:{peer[1]}" if peer else request.remote or ""


def _models_body(dialect: Dialect, wanted: str | None, names: tuple[str, ...]) -> dict[str, Any]:
    entry = _gemini_model if dialect is Dialect.GEMINI else _openai_model
    if wanted is not None:
        return entry(wanted)
    entries = [entry(name) for name in names]
    return {"models": entries} if dialect is Dialect.GEMINI else {"object": "list", "data": entries}


def _openai_model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1780000000, "owned_by": "system"}


def _gemini_model(name: str) -> dict[str, Any]:
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name,
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent"],
    }
