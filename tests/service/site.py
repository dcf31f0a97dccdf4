"""The service on a free port of this machine, in a thread of the test's process, over a `ScriptedManager`."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any, Self

import httpx
import uvicorn

from one_ocr_ray.service.api.schemas import status_body
from one_ocr_ray.service.app import create_app
from one_ocr_ray.settings.service import ServiceSettings
from one_ocr_ray.storage.tasks.task_store import TaskStore
from one_ocr_ray.tasks.callbacks import Callbacks
from tests.pdfs import text_pdf
from tests.service.scripted_manager import ScriptedManager
from tests.waiting import PATIENCE_S, until

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from pathlib import Path

    from fastapi import FastAPI

    from tests.service.script import Script

KEYS = ("first-key-of-the-tests", "second-key-of-the-tests")


class Site:
    """A context manager. `http` is a client without a key, or with the first key where the site has keys."""

    def __init__(self, folder: Path, script: Script | None = None, *, keys: bool = False, **settings: Any) -> None:
        self.folder = folder
        if keys:
            (folder / "keys").write_text("# of the tests\n" + "\n".join(KEYS) + "\n")
            settings["api_keys_file"] = folder / "keys"
        (folder / "spool").mkdir()
        self.settings = ServiceSettings(store=str(folder / "store"), spool=folder / "spool", **settings)
        self.store = TaskStore(self.settings.store)
        self.manager = ScriptedManager(self.store, script)
        self.callbacks = Callbacks(self.manager.lifecycle, self.settings, status_body)
        self.app: FastAPI = create_app(self.manager, self.store, self.settings)
        self._server = uvicorn.Server(uvicorn.Config(self.app, port=0, log_level="error", timeout_graceful_shutdown=1))
        self._thread = threading.Thread(target=self._serve)
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self._server.started, "a service")
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = self.client(KEYS[0] if self.settings.api_keys_file else None)
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self._server.should_exit = True
        self._thread.join(PATIENCE_S)

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:  # ends what is left, pages being read too
            runner.run(self._server.serve())

    def client(self, key: str | None = None, **headers: str) -> httpx.Client:
        """Another client."""
        credentials = {"Authorization": f"Bearer {key}"} if key else {}
        # verify=False: reading the certificates of the world takes longer than a request.
        return httpx.Client(base_url=self.url, timeout=PATIENCE_S, headers={**credentials, **headers}, verify=False)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do `work` in the service's own event loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    def let_pages_go(self) -> None:
        """Open the script's gate."""
        gate = self.manager.script.gate
        assert gate is not None
        self._loop.call_soon_threadsafe(gate.set)

    def upload(self, *files: bytes, client: httpx.Client | None = None, **options: Any) -> list[str]:
        """Upload `files`, one page of text where there are none; the ids of their tasks."""
        form = [("files", (f"file-{n}.pdf", data)) for n, data in enumerate(files or (text_pdf(),), 1)]
        data = {"options": json.dumps(options)} if options else {}
        answer = (client or self.http).post("/upload", files=form, data=data)
        assert answer.status_code == 202, answer.text
        ids: list[str] = answer.json()["task_ids"]
        return ids

    def finished(self, *files: bytes, **options: Any) -> str:
        """Upload one file and wait for its end; the id of its task."""
        task_id = self.upload(*files, **options)[0]
        self.run(self.manager.settled(task_id))
        return task_id

    def status(self, task_id: str) -> dict[str, Any]:
        body: dict[str, Any] = self.http.get(f"/task_status/{task_id}").raise_for_status().json()
        return body

    def spooled(self) -> list[Path]:
        """What stands in the spool but the service's own lock."""
        return [path for path in (self.folder / "spool").rglob("*") if path.is_file() and path.name != "lock"]


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem, which must be a whole one."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["type"].endswith(body["code"])
    assert body["title"]
    assert body["detail"].endswith(".")
    assert body["instance"].endswith(answer.headers["x-request-id"])
    return answer.status_code, body["code"]


def events(answer: httpx.Response) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The events of a stream as they come: name, data, and the id a browser would come back with."""
    name, data, last_id = "", "", ""
    for line in answer.iter_lines():
        if not line:
            if data:
                yield name, json.loads(data), last_id
            name = data = ""
        elif line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            data = line[6:]
        elif line.startswith("id: "):
            last_id = line[4:]
