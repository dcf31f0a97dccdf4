"""Providers that run: in a thread of the test, or as a process of their own.

`Provider` is for tests of one process. `ProviderProcess` is for clusters and benchmarks: its CPU time is its own, and
it lives on whatever else the test kills. Both are `Control`s, so a test drives them alike.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from tests.provider.control import Control, ControlRoutes
from tests.provider.ledger import Ledger
from tests.provider.scenario import Scenario
from tests.provider.server import ProviderServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


HOST = "127.0.0.1"
_MAX_BODY_BYTES = 256 * 1024 * 1024
_BACKLOG = 4096
_READ_BYTES = 1024 * 1024  # a page image in one go; the default stops the socket every 64 KB
_STOP_S = 10.0
_ROOT = Path(__file__).parents[2]


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where there is one: not on Windows."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def serve(
    scenario: Scenario, ledger_path: Path | None, port: int, ready: Callable[[int], None], stop: asyncio.Event
) -> None:
    """Serve on 127.0.0.1 until `stop`; `port` 0 takes a free one; `ready` is called with the port."""
    ledger = Ledger(ledger_path)
    server = ProviderServer(scenario, ledger)
    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    app.add_routes(server.routes() + ControlRoutes(server).routes())
    # A request whose client has gone is cancelled: the ledger then says when it left.
    runner = web.AppRunner(
        app, access_log=None, read_bufsize=_READ_BYTES, handler_cancellation=True, shutdown_timeout=0.1
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port, backlog=_BACKLOG).start()
        ready(runner.addresses[0][1])
        await stop.wait()
    finally:
        await runner.cleanup()
        ledger.close()


@contextmanager
def kept_port() -> Iterator[int]:
    """A port that nobody else is given meanwhile: for a provider that dies and comes back where it was."""
    with socket.socket() as holder:  # bound and not listening, so that a server may bind it too
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((HOST, 0))
        yield holder.getsockname()[1]


class Provider(Control):
    """A provider in a thread of this process.

        with Provider(rate_headers=True) as provider:
            options = EngineOptions(name="openai", model="m", base_url=provider.openai_url)

    Keywords are fields of `Scenario`.
    """

    def __init__(self, *, ledger_path: Path | None = None, **fields: Any) -> None:
        super().__init__("")
        self._scenario = Scenario.model_validate(fields)
        self._ledger_path = ledger_path
        self._loop = new_event_loop()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="provider", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        if not self.url:
            self._thread.join()
            message = "the provider did not start; its thread has said why"
            raise RuntimeError(message)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(serve(self._scenario, self._ledger_path, 0, self._ready, self._stop))
        finally:
            self._started.set()
            self._loop.close()

    def _ready(self, port: int) -> None:
        self.url = f"http://{HOST}:{port}"
        self._started.set()


class ProviderProcess(Control):
    """A provider as a process: `python -m tests.provider`. It ends with this object, or with the process that made it.

    Keywords are fields of `Scenario`; `port` lets a provider come back where another one was.
    """

    def __init__(self, *, ledger_path: Path | None = None, port: int = 0, **fields: Any) -> None:
        super().__init__("")
        self._scenario = Scenario.model_validate(fields)
        self._ledger_path = ledger_path
        self._port = port

    def __enter__(self) -> Self:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as config:
            config.write(self._scenario.model_dump_json())
            config.flush()
            command = [sys.executable, "-m", "tests.provider", "--stop-with-stdin", "--port", str(self._port)]
            command += ["--config", config.name]
            if self._ledger_path is not None:
                command += ["--ledger", str(self._ledger_path)]
            self._process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            first_line = self._process.stdout.readline() if self._process.stdout else b""
        if not first_line:
            self._process.communicate()
            message = "the provider did not start; its standard error has said why"
            raise RuntimeError(message)
        self.url = json.loads(first_line)["url"]
        return self

    def __exit__(self, *_exception: object) -> None:
        try:
            self._process.communicate(timeout=_STOP_S)  # closes its standard input
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid
