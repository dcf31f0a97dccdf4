"""Idempotency keys: what a claim in the store says to a request that comes with the same key. Values and decisions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson

KEPT_FOR = timedelta(hours=24)
# A request that has not been answered by then died with its process; its key may be claimed again.
ANSWERED_WITHIN = timedelta(minutes=10)


class ClaimStatus(StrEnum):
    NEW = "new"  # the request is the first with this key: do it, then settle
    IN_PROGRESS = "in_progress"
    REUSED = "reused"  # the key came before with another request
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class Claim:
    """What an idempotency key says to a request."""

    status: ClaimStatus
    response: Any = None  # what the first request was answered, as it was settled


def claim_id(key: str) -> str:
    """The name of the claim of a key, which may be of any characters."""
    return hashlib.sha256(key.encode()).hexdigest()


def encode_claim(fingerprint: str, now: datetime, response: Any = None) -> bytes:
    """A claim as a file; `response` is JSON, None while there is none."""
    return orjson.dumps({"fingerprint": fingerprint, "claimed_at": now, "response": response})


def check_claim(data: bytes, fingerprint: str, now: datetime) -> Claim | None:
    """What the claim in `data` says to a request of `fingerprint`; None when it is void, as one that is torn."""
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
    """Whether the claim in `data` binds nobody any more."""
    return check_claim(data, "", now) is None


def fingerprint_in(data: bytes) -> str:
    """The fingerprint of the request that claimed; empty where the claim is torn."""
    values = _values_in(data)
    return "" if values is None else str(values["fingerprint"])


def _values_in(data: bytes) -> dict[str, Any] | None:
    try:
        values: dict[str, Any] = orjson.loads(data)
        datetime.fromisoformat(values["claimed_at"])
        return values if {"fingerprint", "response"} <= values.keys() else None
    except (ValueError, TypeError, KeyError):
        return None
