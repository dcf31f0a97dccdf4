"""Files and batches as the provider keeps them: stored by key, with states that follow from the clock. No HTTP."""

from __future__ import annotations

import hashlib
import random
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tests.provider.batch_play import BatchPlay, BatchScript
from tests.provider.questions import Dialect, Question, read_gemini, read_openai

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.provider.replies import Reply
    from tests.provider.scenario import Scenario

    Execute = Callable[["Batch", Question], Reply]

DAY_S = 86_400.0
MOST_BYTES, MOST_LINES = 200_000_000, 50_000
TERMINAL = {"completed", "failed", "expired", "cancelled"}
_GEMINI_LINE = {"contents", "generationConfig", "systemInstruction", "safetySettings", "tools", "toolConfig"}


@dataclass(slots=True)
class StoredFile:
    """One file, on disk until it is deleted."""

    id: str
    name: str
    key: str | None
    created_s: float
    path: Path
    size: int
    sha256: bytes
    purpose: str = "batch"
    expires_s: float = float("inf")


@dataclass(slots=True)
class Batch:
    """One batch; `state` in OpenAI's words."""

    id: str
    dialect: Dialect
    key: str | None
    file_id: str
    tag: str
    created_s: float
    request: dict[str, Any]
    model: str = ""
    state: str = "validating"
    questions: list[tuple[str, Question]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[dict[str, Any]] = field(default_factory=list)
    output_id: str | None = None
    error_id: str | None = None
    ended_s: float | None = None
    cancel_s: float | None = None
    tokens: int = 0
    expires: bool = False


class BatchStore:
    """All files and batches. One event loop calls it; `settle` moves every batch to where the time says."""

    def __init__(self, scenario: Scenario, execute: Execute) -> None:
        self._scenario = scenario
        self._execute = execute
        self._folder = tempfile.TemporaryDirectory(prefix="provider-")
        self._dice = random.Random(f"batches {scenario.seed}")
        self._serial = 0
        self.files: dict[str, StoredFile] = {}
        self.batches: dict[str, Batch] = {}
        self.script = BatchScript(self.play)

    @property
    def play(self) -> BatchPlay:
        return self._scenario.batches

    def change(self, scenario: Scenario) -> None:
        """Play another scenario from now on; files and batches stay."""
        if scenario.batches != self._scenario.batches:
            self.script = BatchScript(scenario.batches)
        self._scenario = scenario

    def new_path(self) -> Path:
        """A path for a file to come."""
        self._serial += 1
        return Path(self._folder.name) / str(self._serial)

    def keep(self, file_id: str, name: str, key: str | None, path: Path, now_s: float, **more: Any) -> StoredFile:
        """Store what stands at `path`."""
        data = path.read_bytes()
        file = StoredFile(file_id, name, key, now_s, path, len(data), hashlib.sha256(data).digest(), **more)
        self.files[file_id] = file
        return file

    def file(self, file_id: str | None, key: str | None, now_s: float) -> StoredFile | None:
        """A file as the holder of `key` sees it."""
        found = self.files.get(file_id or "")
        return found if found is not None and found.key == key and now_s < found.expires_s else None

    def delete(self, file_id: str) -> None:
        self.files.pop(file_id).path.unlink(missing_ok=True)

    def new_id(self, prefix: str) -> str:
        self._serial += 1
        return f"{prefix}{self._serial:06d}{self._dice.getrandbits(64):016x}"

    def create(self, batch: Batch) -> None:
        """Take a batch in; whether it is accepted shows later."""
        self.batches[batch.id] = batch
        batch.expires = sum(each.file_id != "" for each in self.batches.values()) <= self.play.expire_first

    def settle(self, now_s: float) -> None:
        """Bring every batch to its state at `now_s`."""
        for batch in self.batches.values():
            if batch.state == "validating" and now_s >= batch.created_s + self.play.validate_s:
                self._validate(batch, now_s)
            due_s = batch.created_s + self.play.validate_s + self.play.run_s
            if batch.state == "in_progress" and now_s >= due_s:
                self._finish(batch, now_s, "expired" if batch.expires else "completed", 0.5 if batch.expires else 1.0)

    def cancel(self, batch: Batch, now_s: float) -> None:
        """End a batch with what it has done by now."""
        if batch.state in TERMINAL:
            return
        if batch.state == "validating":
            batch.state, batch.ended_s = "cancelled", now_s
            return
        ran_s = now_s - batch.created_s - self.play.validate_s
        self._finish(batch, now_s, "cancelled", min(1.0, ran_s / self.play.run_s) if self.play.run_s else 1.0)

    def _validate(self, batch: Batch, now_s: float) -> None:
        fault = self._fault(batch, now_s)
        if fault is None:
            batch.state = "in_progress"
            return
        batch.state, batch.ended_s = "failed", now_s
        batch.errors = [{"code": fault[0], "message": fault[1], "line": fault[2], "param": None}]

    def _fault(self, batch: Batch, now_s: float) -> tuple[str, str, int | None] | None:
        failed = sum(bool(each.errors) for each in self.batches.values())
        if failed < len(self.play.fail_codes):
            return self.play.fail_codes[failed], "The file is refused.", 1
        file = self.file(batch.file_id, batch.key, now_s)
        if file is None:
            return "file_not_found", "The input file cannot be read.", None
        for number, line in enumerate(file.path.read_bytes().splitlines(), start=1):
            if (found := self._read_line(batch, line)) is not None:
                return found, f"Line {number} is refused.", number
        if not batch.questions:
            return "empty_file", "The input file is empty.", None
        batch.tokens = len(batch.questions) * self._scenario.tokens.input
        cap, queued = self.play.cap_tokens, self.enqueued(batch.key, batch.model, but=batch)
        if cap is not None and queued + batch.tokens > cap:
            text = (
                f"Enqueued token limit reached for {batch.model} in organization org-1. Limit: {cap:,} enqueued tokens."
                " Please try again once some in_progress batches have been completed."
            )
            return "token_limit_exceeded", text, None
        return None

    def enqueued(self, key: str | None, model: str, *, but: Batch | None = None) -> int:
        """Tokens of batches that have not ended."""
        live = (each for each in self.batches.values() if each.state == "in_progress" and each is not but)
        return sum(each.tokens for each in live if (each.key, each.model) == (key, model))

    def _read_line(self, batch: Batch, line: bytes) -> str | None:
        """Take one line in; gives the code of its fault."""
        try:
            entry = orjson.loads(line)
            is_gemini = batch.dialect is Dialect.GEMINI
            name = entry["key" if is_gemini else "custom_id"]
            question, fault = self._gemini(batch, entry) if is_gemini else self._openai(batch, entry)
        except (ValueError, LookupError, TypeError, AttributeError):
            return "invalid_json_line"
        if name in batch.names:
            return "duplicate_custom_id"
        batch.names.add(name)
        batch.questions.append((name, question))
        return fault

    def _gemini(self, batch: Batch, entry: dict[str, Any]) -> tuple[Question, str | None]:
        known = set(entry) == {"key", "request"} and set(entry["request"]) <= _GEMINI_LINE
        question = read_gemini(orjson.dumps(entry["request"]), batch.model, self._scenario.identify)
        return question, None if known else "invalid_json_line"

    def _openai(self, batch: Batch, entry: dict[str, Any]) -> tuple[Question, str | None]:
        question = read_openai(orjson.dumps(entry["body"]), batch.dialect, None, self._scenario.identify)
        fits = entry["url"] == batch.request["endpoint"] and entry["method"] == "POST"
        same, batch.model = batch.model in {"", question.model}, question.model
        if not fits or not same:
            return question, "model_mismatch" if fits else "url_mismatch"
        return question, "invalid_json_line" if "service_tier" in entry["body"] else None

    def _finish(self, batch: Batch, now_s: float, state: str, share: float) -> None:
        if batch.dialect is Dialect.GEMINI and state != "completed":
            share = 0.0
        done = round(share * len(batch.questions))
        batch.state, batch.ended_s = state, now_s
        output: list[bytes] = []
        errors: list[bytes] = []
        for name, question in batch.questions[:done]:
            for line, is_error in self._lines(batch, name, question):
                (errors if is_error else output).append(line)
        word = "expired" if state == "expired" else "cancelled"
        if batch.dialect is not Dialect.GEMINI:
            text = {"code": f"batch_{word}", "message": f"This request was not run: the batch has {word}."}
            errors += [_openai_line(name, None, text) for name, _ in batch.questions[done:]]
        self._dice.shuffle(output)
        batch.counts = Counter(total=len(batch.questions), completed=len(output), failed=len(errors))
        if state != "completed" and batch.dialect is Dialect.GEMINI:
            return
        if batch.dialect is Dialect.GEMINI:
            batch.output_id = self._result(batch, "output", output + errors, now_s)
            return
        batch.output_id = self._result(batch, "output", output, now_s)
        batch.error_id = self._result(batch, "error", errors, now_s)

    def _result(self, batch: Batch, kind: str, lines: list[bytes], now_s: float) -> str | None:
        if not lines and not (batch.dialect is Dialect.AZURE and kind == "error"):  # Azure's may have 0 bytes
            return None
        path = self.new_path()
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        name = (
            f"files/batch-{batch.id.removeprefix('batches/')}{'0' * 14}"
            if batch.dialect is Dialect.GEMINI
            else self.new_id("file-")
        )
        more = {"purpose": "batch_output", "expires_s": now_s + (2 if batch.dialect is Dialect.GEMINI else 30) * DAY_S}
        return self.keep(name, f"{batch.id}_{kind}.jsonl", batch.key, path, now_s, **more).id

    def _lines(self, batch: Batch, name: str, question: Question) -> Iterator[tuple[bytes, bool]]:
        fault = self.script.line(question.page or "")
        if fault == "expired":
            yield _openai_line(name, None, {"code": "batch_expired", "message": "Not run."}), True
            return
        reply = self._execute(batch, question)
        if fault == "missing":
            return
        if fault == "status 0":
            yield _openai_line(name, {"status_code": 0, "request_id": "", "body": {}}, None), False
            return
        if batch.dialect is Dialect.GEMINI:
            line = _gemini_line(name, reply)
        else:
            said = {"status_code": reply.status, "request_id": f"req_{name}", "body": _json(reply.body)}
            line = _openai_line(name, said, None)
        is_error = reply.status != 200
        yield line, is_error
        if fault == "doubled":
            yield line, is_error
        if fault == "foreign":
            yield line.replace(f'"{name}"'.encode(), b'"9999"'), is_error


def _openai_line(name: str, response: dict[str, Any] | None, error: dict[str, Any] | None) -> bytes:
    return orjson.dumps({"id": f"batch_req_{name}", "custom_id": name, "response": response, "error": error})


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:  # a fault that breaks the body
        return {}


_RPC = {400: 3, 504: 4, 429: 8, 500: 13, 503: 14, 403: 7, 401: 16}


def _gemini_line(name: str, reply: Reply) -> bytes:
    body = _json(reply.body)
    if reply.status == 200:
        return orjson.dumps({"key": name, "response": body})
    text = body.get("error", {}).get("message", "") if isinstance(body, dict) else ""
    return orjson.dumps({"key": name, "error": {"code": _RPC.get(reply.status, 2), "message": text}})
