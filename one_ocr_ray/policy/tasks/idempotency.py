"""Idempotency keys: what a stored claim means for a request with the same key."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson

KEPT_FOR = timedelta(hours=24)
# A request without an answer by then died with its process; its key may be claimed again.
ANSWERED_WITHIN = timedelta(minutes=10)


class ClaimStatus(StrEnum):
    NEW = "new"  # the first request with this key: do it, then settle
    IN_PROGRESS = "in_progress"
    REUSED = "reused"  # the key came before with another request
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class Claim:
    """The status of an idempotency key for a request."""

    status: ClaimStatus
    response: Any = None  # the response of the first request


def claim_id(key: str) -> str:
    """The file name of a key's claim; keys may contain any characters."""
    return hashlib.sha256(key.encode()).hexdigest()


def encode_claim(fingerprint: str, now: datetime, response: Any = None) -> bytes:
    """Encode a claim as a file; `response` is JSON, None until there is one."""
    return orjson.dumps({"fingerprint": fingerprint, "claimed_at": now, "response": response})


def check_claim(data: bytes, fingerprint: str, now: datetime) -> Claim | None:
    """The status of the claim in `data` for a request of `fingerprint`. None if it has expired or is torn."""
    values = _values_in(data)
    if values is None:
        return None
    age = now - datetime.fromisoformat(values["claimed_at"])
    answered = values["response"] is not None
    if age > (KEPT_FOR if answered else ANSWERED_WITHIN):
        return None
    if values["fingerprint"] != fingerprint:
        return Claim(ClaimStatus.REUSED)
    return Claim(ClaimStatus.ANSWERED, values["response"]) if answered else Claim(ClaimStatus.IN_PROGRESS)


def is_void(data: bytes, now: datetime) -> bool:
    """True if the claim in `data` has expired or is torn."""
    return check_claim(data, "", now) is None


def fingerprint_in(data: bytes) -> str:
    """The fingerprint of the claiming request; empty if the claim is torn."""
    values = _values_in(data)
    return "" if values is None else str(values["fingerprint"])


def _values_in(data: bytes) -> dict[str, Any] | None:
    try:
        values: dict[str, Any] = orjson.loads(data)
        datetime.fromisoformat(values["claimed_at"])
        return values if {"fingerprint", "response"} <= values.keys() else None
    except (ValueError, TypeError, KeyError):
        return None
