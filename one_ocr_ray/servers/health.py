"""Asks a model server over HTTP if it is ready, and for its metrics."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException

ANSWER_S = 5.0
BODY_MAX_BYTES = 8 << 20


def is_healthy(host: str, port: int) -> bool:
    """True if `GET /health` is answered with 200. A server that still loads refuses the connection."""
    return _body_of(host, port, "/health") is not None


def metrics_of(host: str, port: int) -> bytes:
    """The metrics of a server; empty where it has none, or does not answer."""
    return _body_of(host, port, "/metrics") or b""


def _body_of(host: str, port: int, path: str) -> bytes | None:
    connection = HTTPConnection(host, port, timeout=ANSWER_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read(BODY_MAX_BYTES) if answer.status == 200 else None
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
