"""Asks a model server over HTTP if it is ready."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException

ANSWER_S = 5.0


def is_healthy(host: str, port: int) -> bool:
    """True if `GET /health` is answered with 200. A server that still loads refuses the connection."""
    connection = HTTPConnection(host, port, timeout=ANSWER_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
