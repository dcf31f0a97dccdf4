"""Holds the service's port while Ray Serve starts. It answers `/healthz`, and tells all else to come again.

Ray Serve's proxy binds the port beside it (SO_REUSEPORT), and has it alone once this is closed.
"""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from one_ocr_ray.errors import UsageError
from one_ocr_ray.service.middleware.proxy_limit import Health
from one_ocr_ray.service.problems import problem_response, unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Receive, Scope, Send

    from one_ocr_ray.settings.service import ServiceSettings

CLOSED_WITHIN_S = 1  # what is being answered then


class StartingPort:
    """Answers at `port` until it is closed."""

    def __init__(self, listener: socket.socket) -> None:
        self.port: int = listener.getsockname()[1]
        self._listener = listener

        async def not_yet(scope: Scope, receive: Receive, send: Send) -> None:
            await problem_response(scope, unavailable())(scope, receive, send)

        config = uvicorn.Config(
            Health(not_yet), lifespan="off", log_config=None, timeout_graceful_shutdown=CLOSED_WITHIN_S
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="starting", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave the port to others. May be called twice."""
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()


@contextmanager
def starting_port(settings: ServiceSettings) -> Iterator[StartingPort]:
    """Answer at the set port (0: a free one) during the block. Raises UsageError for one in use."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.socket(family) as probe:  # alone: another service's proxy would share the port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((settings.host, settings.port))
            port = probe.getsockname()[1]
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((settings.host, port))
        listener.listen()  # who connects now is answered as soon as the thread is there
    except OSError as error:
        raise UsageError(
            f"The port {settings.port} of {settings.host} cannot be listened on ({error.strerror}). "
            "Give another one: --port N."
        ) from error
    starting = StartingPort(listener)
    try:
        yield starting
    finally:
        starting.close()


def url_of(settings: ServiceSettings) -> str:
    """Where the service answers, seen from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104 - asked at, not bound
    return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{settings.port}"
