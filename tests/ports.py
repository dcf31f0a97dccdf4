"""Ports for programs that must be told one before they listen, and ports where nobody will ever listen."""

from __future__ import annotations

import secrets
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Between Ray's workers, which end at 19,999, and the ports that a system gives to connections and to listeners on
# port 0: nobody comes by chance to a port that is told here before its program listens.
_OURS = range(20_000, 32_000)


def free_port() -> int:
    """A port that nothing listens on, and that the system gives to nobody else."""
    while True:
        port = secrets.choice(_OURS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:  # in use
                continue
            return port


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses connections for as long as the block lasts: it is taken, and nobody listens."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])
