"""The service's port while Ray Serve starts."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import httpx
import pytest

from one_ocr_ray.errors import UsageError
from one_ocr_ray.service.starting import starting_port, url_of
from one_ocr_ray.settings.service import ServiceSettings

if TYPE_CHECKING:
    from pathlib import Path


class Successor(BaseHTTPRequestHandler):
    """What Ray Serve's proxy is later."""

    def do_GET(self) -> None:
        self.send_response(418)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class SharingServer(HTTPServer):
    """It listens beside others, as the proxy does."""

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()


def test_the_port_answers_until_its_successor_has_it(tmp_path: Path) -> None:
    """`/healthz` is answered, an upload told when to come again; after that the successor has every request."""
    settings = ServiceSettings(store=str(tmp_path), port=0)
    # Reading the certificates of the world takes longer than all of this.
    with starting_port(settings) as starting, httpx.Client(verify=False, headers={"Connection": "close"}) as http:
        url = url_of(settings.model_copy(update={"port": starting.port}))
        health = http.get(f"{url}/healthz")
        assert (health.status_code, health.json()) == (200, {"status": "ok"})
        refused = http.post(f"{url}/upload", files={"files": b"x" * 1000})
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert refused.headers["Retry-After"] == "2"
        with SharingServer(("127.0.0.1", starting.port), Successor) as successor:
            serving = threading.Thread(target=successor.serve_forever, kwargs={"poll_interval": 0.02})
            serving.start()
            starting.close()
            assert {http.get(f"{url}/healthz").status_code for _ in range(20)} == {418}
            successor.shutdown()
            serving.join()


def test_a_port_that_another_shares_is_in_use(tmp_path: Path) -> None:
    """Two services at one port would each have half of the requests."""
    with SharingServer(("127.0.0.1", 0), Successor) as other:
        settings = ServiceSettings(store=str(tmp_path), port=other.server_port)
        with pytest.raises(UsageError, match="--port"), starting_port(settings):
            pass
