"""Bodies that are too much: refused early, with the memory of the process bounded. The service is a process here."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.waiting import PATIENCE_S, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FLOOD_BYTES = 300 << 20
LIMIT_BYTES = 16 << 20
MARGIN_BYTES = 64 << 20
HEAD = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.pdf"\r\n\r\n%PDF-1.7\n'
BLOCK = bytes(1 << 20)


class Served:
    """A service in a process of its own."""

    def __init__(self, folder: Path, *arguments: str, largest_file_blocks: str) -> None:
        self.spool = folder / "spool"
        command = [sys.executable, "-m", "tests.service.serve_scripted", "--store", str(folder / "store"), *arguments]
        limited = ["sh", "-c", 'ulimit -f "$0"; exec "$@"', largest_file_blocks, *command, "--set"]
        self._popen = subprocess.Popen([*limited, f"spool={self.spool}"], stdout=subprocess.PIPE, text=True)
        assert self._popen.stdout is not None
        self.port = int(self._popen.stdout.readline().rpartition(":")[2])
        self._process = psutil.Process(self._popen.pid)

    def memory_bytes(self) -> int:
        return int(self._process.memory_info().rss)

    def spooled_bytes(self) -> int:
        total = 0
        for path in self.spool.glob("*/*/*.pdf"):
            with contextlib.suppress(FileNotFoundError):  # it may be going away
                total += path.stat().st_size
        return total

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), 60)
        connection.settimeout(60)
        return connection

    def begin_upload(self) -> socket.socket:
        """Send the first megabytes of an upload, and wait until they stand in the spool."""
        before = self.spooled_bytes()
        connection = self.connect()
        connection.sendall(
            b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            b"Content-Length: 10000000\r\n\r\n" + HEAD + BLOCK * 3
        )
        until(lambda: self.spooled_bytes() > before, "the first megabytes in the spool")
        return connection

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait()

    def stop(self) -> None:
        self._popen.terminate()
        self._popen.wait(PATIENCE_S)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Starts services in one folder; they end with the test."""
    running: list[Served] = []

    def start_one(*arguments: str, largest_file_blocks: str = "unlimited") -> Served:
        running.append(Served(tmp_path, *arguments, largest_file_blocks=largest_file_blocks))
        return running[-1]

    yield start_one
    for each in running:
        each.stop()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service that takes requests of 16 MiB. Each test leaves its spool empty."""
    folder = tmp_path_factory.mktemp("served")
    served = Served(folder, "--set", f"max_request_bytes={LIMIT_BYTES}", largest_file_blocks="unlimited")
    yield served
    served.stop()


def answer_of(connection: socket.socket) -> bytes:
    """What the service says before it closes the connection."""
    said = b""
    try:
        while chunk := connection.recv(65536):
            said += chunk
    except ConnectionResetError:
        pass
    return said


def flood(connection: socket.socket, *, chunked: bool) -> int:
    """Send until all is sent or the service has had enough; how many bytes went out."""
    sent = 0
    try:
        while sent < FLOOD_BYTES:
            connection.sendall(b"%x\r\n%s\r\n" % (len(BLOCK), BLOCK) if chunked else BLOCK)
            sent += len(BLOCK)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return sent


@pytest.mark.parametrize("chunked", [False, True], ids=["with Content-Length", "chunked"])
@pytest.mark.parametrize("path", ["/upload", "/v1/tasks/t_/retry", "/login", "/nothing"])
def test_a_body_of_300_mb_is_413_and_takes_no_memory(served: Served, path: str, chunked: bool) -> None:
    """On any path: refused, at the latest when the limit is passed, and the process grows by less than 64 MiB."""
    before = served.memory_bytes()
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {FLOOD_BYTES}"
    kind = "multipart/form-data; boundary=b" if path == "/upload" else "application/json"
    with served.connect() as connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n{length}\r\n\r\n".encode()
        )
        connection.sendall(b"%x\r\n%s\r\n" % (len(HEAD), HEAD) if chunked else HEAD)
        sent = flood(connection, chunked=chunked)
        said = answer_of(connection)
    assert sent < FLOOD_BYTES
    status = re.match(rb"HTTP/1.1 (\d+)", said)
    if status is not None:  # a client that goes on sending may lose the answer to the reset
        assert status[1] in {b"413", b"404", b"401"}
    assert served.memory_bytes() - before < MARGIN_BYTES
    assert served.spooled_bytes() == 0


def test_the_announced_length_alone_is_refused(served: Served) -> None:
    """A client that waits for the answer is told 413 before it has sent anything, and the connection ends."""
    with served.connect() as connection:
        connection.sendall(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % FLOOD_BYTES)
        said = answer_of(connection)
    assert said.startswith(b"HTTP/1.1 413")
    assert b"upload_too_large" in said
    assert b"connection: close" in said.lower()


def test_a_disk_that_is_full_in_mid_upload_is_507(start: Callable[..., Served]) -> None:
    """The write that fails ends the request with its code and takes what was written with it."""
    small = start(largest_file_blocks="4096")  # of 512 bytes: 2 MiB, passed by what the last piece adds
    with small.connect() as connection:
        body = HEAD + BLOCK * 2 + BLOCK[:200_000] + b"\r\n--b--\r\n"
        connection.sendall(
            b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        said = answer_of(connection)
    assert said.startswith(b"HTTP/1.1 507"), said
    assert b"storage_full" in said
    assert small.spooled_bytes() == 0


def test_a_client_that_leaves_leaves_nothing(served: Served) -> None:
    """Half an upload is removed from the spool when its connection breaks, and the service goes on."""
    with served.begin_upload():
        assert served.spooled_bytes() > 0
    until(lambda: served.spooled_bytes() == 0, "an empty spool")
    with served.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert answer_of(connection).startswith(b"HTTP/1.1 200")


def test_a_killed_service_leaves_a_spool_that_the_next_one_clears(start: Callable[..., Served]) -> None:
    """What stood in the spool of a process that was killed is gone when another has started; a living one's stays."""
    first, living = start(), start()
    connections = [each.begin_upload() for each in (first, living)]
    first.kill()
    assert first.spooled_bytes() > 0
    start()
    folders = {path.parent.parent.name for path in first.spool.glob("*/*/*.pdf")}
    assert len(folders) == 1
    for connection in connections:
        connection.close()
