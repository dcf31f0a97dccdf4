"""Starts a child program, sends it one request at a time, and ends it.

It knows frames and processes, nothing about PDFs. `pdf/child.py` describes the frames; it is not imported, because it
loads pdfium.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from one_ocr_ray.errors import OneOcrError
from one_ocr_ray.pdf.frames import FRAME, Header

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Hostile input may have taken over the child: its frames must not make this process allocate without limit.
_MAX_HEADER_BYTES = 4096
_MAX_PAYLOAD_BYTES = 256 << 20


class LostError(Exception):
    """The child did not answer: it died, or `timed_out`."""

    def __init__(self, *, timed_out: bool) -> None:
        super().__init__()
        self.timed_out = timed_out


def minimal_environment() -> dict[str, str]:
    """The environment of the child: what Python needs to find this package, and no keys."""
    paths = (str(Path(entry).absolute()) for entry in sys.path)
    return {"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(paths)}


class PdfProcess:
    """A running child program. After an exception from `call` only `kill` may follow."""

    def __init__(self, popen: subprocess.Popen[bytes], own_end: socket.socket) -> None:
        """A program that speaks at the other end of `own_end`."""
        self._popen = popen
        self._socket = own_end

    @classmethod
    def start(
        cls,
        memory_bytes: int,
        start_timeout_s: float,
        environment: Mapping[str, str],
        arguments: Sequence[str] = (),
        program: str = "one_ocr_ray.pdf.child",
    ) -> Self:
        """Start the program and wait until it is ready. Raise OneOcrError with its last words if it never is."""
        own_end, childs_end = socket.socketpair()
        with childs_end:
            popen = subprocess.Popen(  # noqa: S603 - our own interpreter and program
                # -P: the working directory may hold foreign files and must not be imported from.
                [sys.executable, "-P", "-m", program, str(memory_bytes), *arguments],
                stdin=childs_end.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=dict(environment),
                start_new_session=True,
            )
        process = cls(popen, own_end)
        try:
            process._receive(time.monotonic() + start_timeout_s)
        except (OSError, ValueError) as error:
            popen.kill()
            last_words = popen.communicate()[1].decode(errors="replace").strip().splitlines()[-1:]
            process.kill()
            raise OneOcrError(f"the PDF process cannot be started: {' '.join(last_words) or error!r}") from error
        if popen.stderr:
            popen.stderr.close()  # the child has closed its end: what pdfium says about a document is not for us
        return process

    def call(self, header: Header, payload: bytes, timeout_s: float) -> tuple[Header, bytes]:
        """Send one frame and return the answer. Raise LostError after `timeout_s` at the latest."""
        deadline = time.monotonic() + timeout_s
        head = json.dumps(header).encode()
        try:
            self._socket.settimeout(timeout_s)
            self._socket.sendall(FRAME.pack(len(head), len(payload)) + head)
            self._socket.sendall(payload)
            return self._receive(deadline)
        except TimeoutError as error:
            raise LostError(timed_out=True) from error
        except (OSError, ValueError) as error:
            raise LostError(timed_out=False) from error

    def kill(self) -> None:
        """Kill the process. It has no children of its own."""
        self._popen.kill()
        self._popen.wait()
        self._socket.close()

    def _receive(self, deadline: float) -> tuple[Header, bytes]:
        header_bytes, payload_bytes = FRAME.unpack(self._read(FRAME.size, deadline))
        if header_bytes > _MAX_HEADER_BYTES or payload_bytes > _MAX_PAYLOAD_BYTES:
            raise ValueError("a frame beyond all bounds")
        header: Header = json.loads(self._read(header_bytes, deadline))
        return header, bytes(self._read(payload_bytes, deadline))

    def _read(self, size_bytes: int, deadline: float) -> bytearray:
        buffer = bytearray(size_bytes)
        rest = memoryview(buffer)
        while rest:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            self._socket.settimeout(left_s)
            count = self._socket.recv_into(rest)
            if count == 0:
                raise ConnectionResetError
            rest = rest[count:]
        return buffer
