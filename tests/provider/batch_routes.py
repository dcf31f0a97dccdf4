"""The HTTP face of files and batches: OpenAI's paths, Azure's two forms of them, and Gemini's.

Sources: openai-python's types, Azure's batch guide, the Gemini API's batch guide and reference, google-genai.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from tests.provider.batches import DAY_S, MOST_BYTES, TERMINAL, Batch, BatchStore, StoredFile
from tests.provider.ledger import Row
from tests.provider.questions import Dialect, Question, fingerprint, key_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.provider.batch_play import Step
    from tests.provider.replies import Reply
    from tests.provider.server import ProviderServer

    Handle = Callable[[web.Request, Dialect, float], Awaitable[web.StreamResponse]]


FAULT, TAG = web.RequestKey("fault", str), web.RequestKey("tag", str)


class BatchRoutes:
    """Routes of files and batches beside those of single requests. Time is the wall clock plus what a test adds."""

    def __init__(self, server: ProviderServer) -> None:
        self._server = server
        self._turned_s = 0.0
        self._uploads: dict[str, tuple[str, str, bytearray, int]] = {}  # Gemini's, under way
        self.store = BatchStore(server.backend.scenario, self._execute)

    def restart(self) -> None:
        """Forget every file and batch."""
        self._turned_s = 0.0
        self.store = BatchStore(self._server.backend.scenario, self._execute)

    def turn(self, seconds: float) -> None:
        """Let time pass."""
        self._turned_s += seconds

    def now_s(self) -> float:
        return time.time() + self._turned_s

    def routes(self) -> list[web.RouteDef]:
        found: list[web.RouteDef] = []
        for base, dialect in (("/v1", Dialect.OPENAI), ("/openai/v1", Dialect.AZURE), ("/openai", Dialect.AZURE)):
            for method, path, step, handle in (
                ("POST", "/files", "upload", self._upload), ("GET", "/files", "list", self._files),
                ("GET", "/files/{id}", "get", self._file), ("DELETE", "/files/{id}", "delete", self._delete),
                ("GET", "/files/{id}/content", "content", self._content), ("POST", "/batches", "create", self._create),
                ("GET", "/batches", "list", self._batches), ("GET", "/batches/{id}", "get", self._batch),
                ("POST", "/batches/{id}/cancel", "cancel", self._cancel),
            ):  # fmt: skip
                found.append(web.route(method, base + path, self._faulty(step, dialect, handle)))
        for method, path, step, handle in (
            ("POST", "/upload/v1beta/files", "upload", self._start_upload),
            ("POST", "/upload/piece/{id}", "upload", self._upload_piece),
            ("GET", "/v1beta/files", "list", self._gemini_files),
            ("GET", "/download/v1beta/files/{id}:download", "content", self._content),
            ("GET", "/v1beta/files/{id}:download", "content", self._content),  # as google-genai asks
            ("DELETE", "/v1beta/files/{id}", "delete", self._delete), ("GET", "/v1beta/files/{id}", "get", self._file),
            ("POST", "/v1beta/models/{model}:batchGenerateContent", "create", self._create_gemini),
            ("GET", "/v1beta/batches", "list", self._gemini_batches),
            ("GET", "/v1beta/batches/{id}", "get", self._batch),
            ("POST", "/v1beta/batches/{id}:cancel", "cancel", self._cancel),
            ("DELETE", "/v1beta/batches/{id}", "delete", self._forget),
        ):  # fmt: skip
            found.append(web.route(method, path, self._faulty(step, Dialect.GEMINI, handle)))
        return found

    def _faulty(self, step: Step, dialect: Dialect, handle: Handle) -> Callable[..., Awaitable[web.StreamResponse]]:
        """`handle` behind the key and the scripted faults, with a row in the ledger."""

        async def visit(request: web.Request) -> web.StreamResponse:
            key, now_s = key_of(request.headers, request.query), self.now_s()
            model = self._server.backend.scenario.models[:1] or ("any",)
            refused = self._server.backend.refuse(dialect, key, model[0])
            if refused is not None:
                return web.Response(status=refused.status, body=refused.body, content_type="application/json")
            self.store.settle(now_s)
            fault = self.store.script.step(step)
            status, told = 0, False
            try:
                if fault and not fault.endswith("done") and fault[:1].isdigit():
                    await request.read()
                    status = int(fault)
                    return _refusal(dialect, status)
                if fault == "cut":
                    return _cut(request)
                request[FAULT] = fault
                response = await handle(request, dialect, now_s)
                status = response.status
                if fault == "cut done":
                    return _cut(request)
                if fault.endswith(" done"):
                    return web.Response(status=int(fault.split()[0]), text="<html>Bad gateway</html>")
                told = status < 300
                return response
            finally:
                more = {"fault": fault, "id": request.match_info.get("id", ""), "tag": request.get(TAG, "")}
                self._log(step, dialect, key, status=status, told=told, settings=more)

        return visit

    def _log(
        self, operation: str, dialect: Dialect, key: str | None, *, status: int, told: bool, settings: dict[str, Any],
        model: str = "", page: str | None = None, tokens: tuple[int, int] = (0, 0),
    ) -> None:  # fmt: skip
        self._server.ledger.add(
            Row(
                serial=self._server.next_serial(), operation=operation, dialect=dialect, arrived_s=time.monotonic(),
                arrived_at=self.now_s(), finished_s=time.monotonic(), status=status, answered=told, aborted=False,
                fault=settings.get("fault") or None, hint_s=None, model=model, page=page, input_tokens=tokens[0],
                output_tokens=tokens[1], charged_tokens=0, key=fingerprint(key), client="", request_id=None,
                body_bytes=0, settings=settings,
            )
        )  # fmt: skip

    def _execute(self, batch: Batch, question: Question) -> Reply:
        decision = self._server.backend.run_line(question, batch.key, self._server.next_serial(), self.now_s())
        paid = decision.reply.status == 200
        used = (decision.used.input, decision.used.output) if paid else (0, 0)
        settings = {"tag": batch.tag, "batch": batch.id, "fault": decision.fault}
        self._log(
            "line", batch.dialect, batch.key, status=decision.reply.status, told=paid, settings=settings,
            model=batch.model, page=question.page, tokens=used,
        )  # fmt: skip
        return decision.reply

    # --- files

    async def _upload(self, request: web.Request, dialect: Dialect, now_s: float) -> web.Response:
        fields: dict[str, str] = {}
        path, name = self.store.new_path(), ""
        async for part in await request.multipart():
            if part.name == "file":  # type: ignore[union-attr]
                name = part.filename or ""  # type: ignore[union-attr]
                with path.open("wb") as out:
                    while piece := await part.read_chunk(1 << 20):  # type: ignore[union-attr]
                        out.write(piece)
            else:
                fields[part.name or ""] = await part.text()  # type: ignore[union-attr]
        if fields.get("purpose") != "batch" or not name.endswith(".jsonl"):
            return _refusal(dialect, 400, "purpose must be batch and the file a .jsonl")
        if path.stat().st_size > MOST_BYTES:
            return _refusal(dialect, 400, "File is too large.")
        after_s = float(fields.get("expires_after[seconds]", 30 * DAY_S))
        least_s = 14 * DAY_S if dialect is Dialect.AZURE else 3600
        if not least_s <= after_s <= 30 * DAY_S:
            return _refusal(dialect, 400, "expires_after is out of range")
        key = key_of(request.headers, request.query)
        file = self.store.keep(self.store.new_id("file-"), name, key, path, now_s, expires_s=now_s + after_s)
        request[TAG] = name.removesuffix(".jsonl")
        return web.json_response(_file(file, self._status(file, dialect, now_s)))

    async def _files(self, request: web.Request, _dialect: Dialect, _now_s: float) -> web.Response:
        key = key_of(request.headers, request.query)
        mine = [each for each in reversed(self.store.files.values()) if each.key == key]
        mine = [each for each in mine if request.query.get("purpose") in {None, each.purpose}]
        return web.json_response(_page(request, [_file(each, "processed") for each in mine], 10_000))

    async def _file(self, request: web.Request, dialect: Dialect, now_s: float) -> web.Response:
        file = self._found_file(request, dialect, now_s)
        if file is None:
            return _refusal(dialect, 404)
        shown = _gemini_file(file) if dialect is Dialect.GEMINI else _file(file, self._status(file, dialect, now_s))
        return web.json_response(shown)

    def _status(self, file: StoredFile, dialect: Dialect, now_s: float) -> str:
        is_pending = dialect is Dialect.AZURE and now_s < file.created_s + self.store.play.pending_s
        return "pending" if is_pending else "processed"

    def _found_file(self, request: web.Request, dialect: Dialect, now_s: float) -> StoredFile | None:
        name = request.match_info["id"]
        name = f"files/{name}" if dialect is Dialect.GEMINI else name
        return self.store.file(name, key_of(request.headers, request.query), now_s)

    async def _delete(self, request: web.Request, dialect: Dialect, now_s: float) -> web.Response:
        file = self._found_file(request, dialect, now_s)
        if file is None:
            return _refusal(dialect, 404)
        if dialect is Dialect.GEMINI and len(request.match_info["id"]) > 40:
            return _refusal(dialect, 400, "file names have 40 characters at most")
        self.store.delete(file.id)
        return web.json_response(
            {} if dialect is Dialect.GEMINI else {"id": file.id, "object": "file", "deleted": True}
        )

    async def _content(self, request: web.Request, dialect: Dialect, now_s: float) -> web.StreamResponse:
        file = self._found_file(request, dialect, now_s)
        if file is None:
            return _refusal(dialect, 404)
        data = file.path.read_bytes()
        return web.Response(body=data[: len(data) // 2] if request[FAULT] == "short" else data)

    # --- OpenAI's batches

    async def _create(self, request: web.Request, dialect: Dialect, now_s: float) -> web.Response:
        asked, key = await request.json(), key_of(request.headers, request.query)
        file = self.store.file(asked.get("input_file_id"), key, now_s)
        if file is None:
            text = f"Cannot find file {asked.get('input_file_id')}, or organization does not have access to it."
            return _refusal(dialect, 400, text)
        if self._status(file, dialect, now_s) == "pending":
            return _refusal(dialect, 400, "The input file is not ready.")
        endpoints = {"/v1/chat/completions", "/chat/completions"}
        if asked.get("completion_window") != "24h" or asked.get("endpoint") not in endpoints:
            return _refusal(dialect, 400, "wrong completion_window or endpoint")
        tag = (asked.get("metadata") or {}).get("tag", "")
        batch = Batch(self.store.new_id("batch_"), dialect, key, file.id, tag, now_s, asked)
        self.store.create(batch)
        self.store.settle(now_s)
        request[TAG] = tag
        return web.json_response(_batch(batch, request[FAULT]))

    async def _batches(self, request: web.Request, dialect: Dialect, now_s: float) -> web.Response:
        listed = [_batch(each, "") for each in self._listed(request, dialect, now_s)]
        return web.json_response(_page(request, listed, 20))

    def _listed(self, request: web.Request, dialect: Dialect, now_s: float) -> list[Batch]:
        key, lag_s = key_of(request.headers, request.query), self.store.play.listed_after_s
        mine = (each for each in reversed(self.store.batches.values()) if (each.key, each.dialect) == (key, dialect))
        return [each for each in mine if now_s >= each.created_s + lag_s]

    async def _batch(self, request: web.Request, dialect: Dialect, _now_s: float) -> web.Response:
        batch = self._found_batch(request, dialect)
        if batch is None:
            return _refusal(dialect, 404)
        is_gemini = dialect is Dialect.GEMINI
        return web.json_response(_operation(batch) if is_gemini else _batch(batch, request[FAULT]))

    def _found_batch(self, request: web.Request, dialect: Dialect) -> Batch | None:
        name = request.match_info["id"]
        batch = self.store.batches.get(f"batches/{name}" if dialect is Dialect.GEMINI else name)
        return batch if batch is not None and batch.key == key_of(request.headers, request.query) else None

    async def _cancel(self, request: web.Request, dialect: Dialect, now_s: float) -> web.Response:
        batch = self._found_batch(request, dialect)
        if batch is None:
            return _refusal(dialect, 404)
        self.store.cancel(batch, now_s)
        return web.json_response({} if dialect is Dialect.GEMINI else _batch(batch, ""))

    # --- Gemini's

    async def _start_upload(self, request: web.Request, dialect: Dialect, now_s: float) -> web.Response:
        asked = orjson.loads(await request.read())["file"]
        if request.headers.get("X-Goog-Upload-Command") != "start":
            return _refusal(dialect, 400, "the upload must begin with start")
        name = asked.get("name") or self.store.new_id("files/g")
        if self.store.file(name, key_of(request.headers, request.query), now_s) is not None:
            return _refusal(dialect, 409, "the name is taken")
        upload_id = self.store.new_id("u")
        size = int(request.headers["X-Goog-Upload-Header-Content-Length"])
        shown = asked.get("displayName") or asked.get("display_name") or ""
        self._uploads[upload_id] = name, shown, bytearray(), size
        key = key_of(request.headers, request.query)
        url = f"{request.scheme}://{request.host}/upload/piece/{upload_id}?key={key or ''}"
        return web.Response(headers={"X-Goog-Upload-URL": url, "X-Goog-Upload-Status": "active"})

    async def _upload_piece(self, request: web.Request, dialect: Dialect, now_s: float) -> web.Response:
        name, shown, data, size = self._uploads[request.match_info["id"]]
        if int(request.headers.get("X-Goog-Upload-Offset", "0")) != len(data):
            return _refusal(dialect, 400, "wrong offset")
        data += await request.read()
        if "finalize" not in request.headers["X-Goog-Upload-Command"]:
            return web.Response(headers={"X-Goog-Upload-Status": "active"})
        if len(data) != size:
            return _refusal(dialect, 400, "the length is not what was declared")
        path = self.store.new_path()
        path.write_bytes(data)
        key = key_of(request.headers, request.query)
        file = self.store.keep(name, shown, key, path, now_s, expires_s=now_s + 2 * DAY_S)
        request[TAG] = shown
        return web.json_response({"file": _gemini_file(file)}, headers={"X-Goog-Upload-Status": "final"})

    async def _gemini_files(self, request: web.Request, _dialect: Dialect, _now_s: float) -> web.Response:
        key = key_of(request.headers, request.query)
        mine = [_gemini_file(each) for each in self.store.files.values() if each.key == key]
        return web.json_response(_google_page(request, "files", mine))

    async def _create_gemini(self, request: web.Request, dialect: Dialect, now_s: float) -> web.Response:
        asked = orjson.loads(await request.read())["batch"]
        key = key_of(request.headers, request.query)
        source = asked.get("inputConfig", asked.get("input_config", {}))
        file = self.store.file(source.get("fileName", source.get("file_name")), key, now_s)
        if file is None:
            return _refusal(dialect, 400, "the input file is not there")
        shown = asked.get("displayName", asked.get("display_name", ""))
        model = request.match_info["model"]
        batch = Batch(self.store.new_id("batches/"), dialect, key, file.id, shown, now_s, asked, model)
        self.store.create(batch)
        self.store.settle(now_s)
        request[TAG] = shown
        return web.json_response(_operation(batch))

    async def _gemini_batches(self, request: web.Request, dialect: Dialect, now_s: float) -> web.Response:
        if "pageSize" not in request.query:
            return web.json_response({})
        listed = [_operation(each) | {"response": None} for each in self._listed(request, dialect, now_s)]
        return web.json_response(_google_page(request, "operations", listed))

    async def _forget(self, request: web.Request, dialect: Dialect, _now_s: float) -> web.Response:
        return web.json_response({}) if self._found_batch(request, dialect) is not None else _refusal(dialect, 404)

    def counts(self) -> dict[str, Any]:
        """What a test asks at the end: files left, batches by tag and state."""
        inputs = [each for each in self.store.files.values() if each.purpose == "batch"]
        gemini = sum(each.id.startswith("files/batch-") for each in self.store.files.values())
        return {
            "files": len(self.store.files) - gemini,
            "input_files": len(inputs),
            "batches": len(self.store.batches),
            "states": dict(Counter(each.state for each in self.store.batches.values())),
            "tags": dict(Counter(each.tag for each in self.store.batches.values() if each.state != "failed")),
            "live": sum(each.state not in TERMINAL for each in self.store.batches.values()),
        }


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    raise asyncio.CancelledError


def _refusal(dialect: Dialect, status: int, text: str = "Refused.") -> web.Response:
    if dialect is Dialect.GEMINI:
        name = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 409: "ALREADY_EXISTS", 429: "RESOURCE_EXHAUSTED"}
        said = {"error": {"code": status, "message": text, "status": name.get(status, "INTERNAL")}}
        return web.json_response(said, status=status)
    error = {"message": text, "type": "invalid_request_error", "param": None, "code": None}
    return web.json_response({"error": error}, status=status)


def _page(request: web.Request, entries: list[dict[str, Any]], usual: int) -> dict[str, Any]:
    limit, after = int(request.query.get("limit", usual)), request.query.get("after")
    start = next((at + 1 for at, each in enumerate(entries) if each["id"] == after), 0)
    part = entries[start : start + limit]
    ids = [each["id"] for each in part] or [None]
    more = start + limit < len(entries)
    return {"object": "list", "data": part, "first_id": ids[0], "last_id": ids[-1], "has_more": more}


def _google_page(request: web.Request, name: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    limit, start = int(request.query.get("pageSize", 10)), int(request.query.get("pageToken") or 0)
    more = {"nextPageToken": str(start + limit)} if start + limit < len(entries) else {}
    return {name: entries[start : start + limit], **more}


def _file(file: StoredFile, status: str) -> dict[str, Any]:
    return {
        "id": file.id, "object": "file", "bytes": file.size, "created_at": int(file.created_s), "filename": file.name,
        "purpose": file.purpose, "status": status, "expires_at": int(file.expires_s),
    }  # fmt: skip


def _gemini_file(file: StoredFile) -> dict[str, Any]:
    return {
        "name": file.id, "displayName": file.name, "mimeType": "application/jsonl", "sizeBytes": str(file.size),
        "createTime": _time(file.created_s), "expirationTime": _time(file.expires_s), "state": "ACTIVE",
    }  # fmt: skip


def _batch(batch: Batch, fault: str) -> dict[str, Any]:
    times = dict.fromkeys(("in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at"))
    if batch.ended_s is not None:
        times[f"{batch.state}_at"] = int(batch.ended_s)  # type: ignore[assignment]
    counts: dict[str, Any] = {name: batch.counts[name] for name in ("total", "completed", "failed")}
    state = {"unknown state": "pondering", "Validating": "Validating"}.get(fault, batch.state)
    if fault == "null counts":
        counts = dict.fromkeys(counts)
    return {
        "id": batch.id, "object": "batch", "endpoint": batch.request["endpoint"], "input_file_id": batch.file_id,
        "completion_window": "24h", "status": state, "output_file_id": batch.output_id, "error_file_id": batch.error_id,
        "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
        "created_at": int(batch.created_s), "expires_at": int(batch.created_s + DAY_S), "request_counts": counts,
        "metadata": batch.request.get("metadata"), **times,
    }  # fmt: skip


_STATES = {"validating": "PENDING", "in_progress": "RUNNING", "completed": "SUCCEEDED"}


def _operation(batch: Batch) -> dict[str, Any]:
    state = f"BATCH_STATE_{_STATES.get(batch.state, batch.state.upper())}"
    stats = {"requestCount": str(len(batch.questions)), "successfulRequestCount": str(batch.counts["completed"])}
    metadata: dict[str, Any] = {
        "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch", "name": batch.id,
        "model": f"models/{batch.model}", "displayName": batch.tag, "createTime": _time(batch.created_s),
        "state": state, "batchStats": {name: count for name, count in stats.items() if count != "0"},
        "inputConfig": {"fileName": batch.file_id},
    }  # fmt: skip
    operation: dict[str, Any] = {"name": batch.id, "metadata": metadata}
    if batch.ended_s is not None:
        metadata["endTime"] = _time(batch.ended_s)
        operation["done"] = True
    if batch.output_id is not None:
        metadata["output"] = {"responsesFile": batch.output_id}
        operation["response"] = {"responsesFile": batch.output_id}
    if batch.errors:
        operation["error"] = {"code": 3, "message": batch.errors[0]["message"]}
    return operation


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(min(seconds, 4e9), UTC).isoformat().replace("+00:00", "Z")
