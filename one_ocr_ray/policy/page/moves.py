"""Tells whose fault a failure is. At an endpoint's fault a page moves on, and loses no attempt. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.model import Action, ErrorCode

if TYPE_CHECKING:
    from one_ocr_ray.model import Failure

# A page that was under way at so many failing endpoints may be what makes them fail: then it is retried as ever.
MOVES_MAX = 3
# A 403 may concern the page alone; it stops an account only after a second look (`policy/page/retry.py`).
_CLOSES = frozenset({ErrorCode.BILLING, ErrorCode.MODEL_NOT_FOUND, ErrorCode.QUOTA_DAY})


def is_of_the_endpoint(failure: Failure) -> bool:
    """True if another endpoint of the engine may answer the same request at once.

    A request that timed out was computed and maybe billed, so it counts as an attempt.
    """
    if failure.action is Action.THROTTLED or closes_the_endpoint(failure):
        return True
    return failure.action is Action.RETRY and failure.code is ErrorCode.PROVIDER_UNAVAILABLE


def closes_the_endpoint(failure: Failure) -> bool:
    """True if this account answers nobody before somebody mends it: no key, no credit, no such model."""
    if failure.action is not Action.STOP:
        return False
    return failure.code in _CLOSES or (failure.code is ErrorCode.AUTH and failure.http_status == 401)
