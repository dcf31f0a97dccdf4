"""Tells whose fault a failure is. At an endpoint's fault a page moves on, and loses no attempt. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from one_ocr_ray.model import Action, ErrorCode, Failure

if TYPE_CHECKING:
    from one_ocr_ray.model import Answer

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
    return _is_unavailable(failure)


def _is_unavailable(failure: Failure) -> bool:
    return failure.action is Action.RETRY and failure.code is ErrorCode.PROVIDER_UNAVAILABLE


def closes_the_endpoint(failure: Failure) -> bool:
    """True if this account needs mending before it answers: no key, credit or such model."""
    if failure.action is not Action.STOP:
        return False
    return failure.code in _CLOSES or (failure.code is ErrorCode.AUTH and failure.http_status == 401)


# Servers that the run starts again when they end. Most ends are not a page's fault, so that two are forgiven; but from
# then on such pages are asked one at a time: the next end tells which of them it was.
ENDS_MAX = 3
ASKED_ALONE_AFTER = 2
LOOK_AGAIN_S = 1.0
STARTED_AGAIN_WITHIN_S = 1800.0  # as long as the first start may take; then failures count as those of any server
ENDS_SERVERS = Failure(ErrorCode.PROVIDER_REJECTED, f"A model server ended while it read this page, {ENDS_MAX} times.")


@dataclass(frozen=True, slots=True)
class OwnServerFailures:
    """What a page has met at servers, and if these are the run's own. Pure: `now_s` is passed in."""

    are_started_again: bool = False
    ends: int = 0  # of servers, while the page was under way there
    first_s: float | None = None

    @property
    def asked_alone(self) -> bool:
        """True if no other page that may be what ends the servers should be under way with this one."""
        return self.ends >= ASKED_ALONE_AFTER

    def with_answer(self, answer: Answer, now_s: float) -> tuple[OwnServerFailures, Answer]:
        """The failures with that of `answer`, and what it counts as: a server that is away takes no attempt."""
        failure = answer.failure
        if failure is None or not self.are_started_again or not _is_unavailable(failure):
            return self, answer
        ended = failure.answer_lost or failure.http_status == 500  # vLLM's API server may outlive its engine by seconds
        first_s = now_s if self.first_s is None else self.first_s
        after = replace(self, ends=self.ends + ended, first_s=first_s)
        if after.ends >= ENDS_MAX:
            failure = replace(ENDS_SERVERS, http_status=failure.http_status)
        elif now_s - first_s <= STARTED_AGAIN_WITHIN_S:
            failure = replace(failure, action=Action.THROTTLED, retry_after_s=LOOK_AGAIN_S)
        return after, replace(answer, failure=failure)
