"""An S3 of the tests' own: moto's server as a process, and a proxy before it that now and then fails."""

from __future__ import annotations

import http.client
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import TYPE_CHECKING

from tests.ports import free_port
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "bucket"


def environment(port: int) -> dict[str, str]:
    """What a user sets to work with an S3 that is not Amazon's."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
    }


@contextmanager
def s3_server() -> Iterator[int]:
    """The port of a server that has one empty bucket."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _create_bucket(port)
            yield port
        finally:
            server.terminate()


def _create_bucket(port: int) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{BUCKET}", method="PUT")

    def created() -> bool:
        try:
            urllib.request.urlopen(request).close()
        except OSError:
            return False
        return True

    until(created, "a bucket")


@contextmanager
def flaky(port: int, every: int = 3) -> Iterator[int]:
    """The port of a proxy to `port` that answers each `every`th request with 503, having passed it on or not."""
    numbers = count(1)

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            number = next(numbers)
            broken = number % every == 0
            status, headers, answer = 503, [], b"busy"
            if not broken or number % (2 * every) == 0:  # half of the broken ones reach the server all the same
                upstream = http.client.HTTPConnection("127.0.0.1", port)
                upstream.request(self.command, self.path, body, dict(self.headers))
                response = upstream.getresponse()
                passed_on = response.read()
                if not broken:
                    status, headers, answer = response.status, response.getheaders(), passed_on
                upstream.close()
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                    self.send_header(name, value)
            length = dict(headers).get("Content-Length", str(len(answer))) if self.command == "HEAD" else len(answer)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815 - names that the base class looks for

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
