"""The child's side of the socket to its parent: frames, limits, a shared end.

A part of child programs: imports the standard library only. `pdf/child.py` describes the frames.
"""

from __future__ import annotations

import json
import os
import resource
import select
import struct
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

Header = dict[str, Any]
Action = Callable[[Header, bytes], tuple[Header, bytes]]

FRAME = struct.Struct(">II")


def begin(memory_bytes: int) -> BinaryIO:
    """Hold this process to `memory_bytes` and end it with its parent. Gives the stream of replies."""
    replies = os.fdopen(0, "wb", closefd=False)  # standard input is a socket: both ways
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Hold this process to its address space, and never write a core: it would contain pages.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # macOS has the name and refuses the call
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # from here on, standard error could quote a document
    return replies


def serve(actions: Mapping[str, Action], replies: BinaryIO) -> None:
    """Say that the process is ready. Then answer each frame by its header's action."""
    requests = sys.stdin.buffer
    send(replies, {})
    while len(start := requests.read(FRAME.size)) == FRAME.size:
        header_bytes, payload_bytes = FRAME.unpack(start)
        header, payload = json.loads(requests.read(header_bytes)), requests.read(payload_bytes)
        send(replies, *actions[header["do"]](header, payload))


def send(replies: BinaryIO, header: Header, payload: bytes = b"") -> None:
    """Write one frame."""
    head = json.dumps(header).encode()
    replies.write(FRAME.pack(len(head), len(payload)) + head)
    replies.write(payload)
    replies.flush()


def _end_with_parent() -> None:
    """End the process when its socket's other end is gone, even within a library call."""
    poll = select.poll()
    poll.register(0, select.POLLHUP)
    poll.poll()
    os._exit(0)
