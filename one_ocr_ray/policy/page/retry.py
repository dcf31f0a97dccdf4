"""Decides after each answer: accept it, send again, give up, or stop the job.

There are three classes of failures. A throttle is an event of the account and costs the page no attempt. A transport
fault is retried with full jitter. A bad answer is requested again with changed parameters. The caller passes the
elapsed time and a random number. Jitter: M. Brooker, "Exponential Backoff And Jitter"; budget: Finagle's.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from one_ocr_ray.model import Action, Answer, ErrorCode, Failure, PageRequest


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bounds for one page."""

    attempts_max: int = 5  # requests that failed on the way or at the server
    timeout_retries_max: int = 2  # a request that timed out may have been billed
    bad_response_retries_max: int = 2
    changes_max: int = 1
    immediate_retries_max: int = 2
    recitations_max: int = 3
    day_throttles_max: int = 3  # in a row, before the day's quota is believed to be gone
    backoff_max_s: float = 60.0
    deadline_s: float = 7200.0  # without the time spent throttled


@dataclass(frozen=True, slots=True)
class AttemptState:
    """The attempts for one page so far. `attempts` is the value of that column."""

    attempts: int = 0  # requests sent, throttled ones not counted
    transport: int = 0
    timeouts: int = 0
    bad_responses: int = 0
    changes: int = 0
    immediate_retries: int = 0
    throttles: int = 0  # in a row
    day_throttles: int = 0  # in a row
    unauthorised: int = 0
    kept: Answer | None = None  # an answer that was cut off at its cap, better than nothing
    repetition: str | None = None  # a text that was taken for a loop

    def counted(self, answer: Answer) -> AttemptState:
        """The attempts with one that was answered."""
        failure = answer.failure
        tries = replace(self, attempts=self.attempts + 1, throttles=0, day_throttles=0)
        if failure is None:
            return tries
        if failure.action is Action.RETRY:
            return replace(
                tries,
                transport=tries.transport + 1,
                timeouts=tries.timeouts + (failure.code is ErrorCode.PROVIDER_TIMEOUT),
                bad_responses=tries.bad_responses + (failure.code is ErrorCode.PROVIDER_BAD_RESPONSE),
            )
        if (failure.code is ErrorCode.TRUNCATED or answer.rotation_deg) and answer.text:
            return replace(tries, kept=replace(answer, failure=None))
        if failure.code is ErrorCode.REPETITION and answer.ended_by_itself:
            return replace(tries, repetition=answer.text)
        return tries


@dataclass(frozen=True, slots=True)
class Wait:
    """Send `request` after `wait_s`, with a new permit."""

    wait_s: float
    request: PageRequest
    tries: AttemptState


@dataclass(frozen=True, slots=True)
class Done:
    """The page is finished; it has failed if `answer.failure` is set."""

    answer: Answer
    tries: AttemptState


@dataclass(frozen=True, slots=True)
class Stop:
    """The job must stop, resumably; the next run reads this page."""

    failure: Failure
    tries: AttemptState


Step = Wait | Done | Stop


def next_step(
    policy: RetryPolicy, tries: AttemptState, answer: Answer, request: PageRequest, *, jitter: float, elapsed_s: float
) -> Step:
    """Decide what to do after `answer` to `request`.

    tries: the attempts before this answer; the step holds the new state. jitter: a random number in [0, 1).
    elapsed_s: since the page's first request, without throttled time.
    """
    failure = answer.failure
    if failure is not None and failure.action is Action.THROTTLED:
        return _after_throttle(policy, tries, failure, request, jitter)
    if answer.text and answer.text == tries.repetition and answer.ended_by_itself:  # no loop ends twice at one place
        answer, failure = replace(answer, failure=None), None
    tries = tries.counted(answer)
    if failure is None:
        return Done(answer, tries)
    if failure.action is Action.STOP:
        return _before_stop(tries, failure, request, jitter)
    if (immediate := _immediate_retry(policy, tries, failure, answer, request)) is not None:
        return immediate
    if (
        failure.action is Action.RETRY
        and tries.transport < policy.attempts_max
        and tries.timeouts <= policy.timeout_retries_max
        and tries.bad_responses <= policy.bad_response_retries_max
    ):
        wait_s = backoff_s(policy, tries.transport - 1, failure.retry_after_s, jitter)
        if elapsed_s + wait_s <= policy.deadline_s:
            return Wait(wait_s, request, tries)
    return Done(tries.kept or answer, tries)


def _immediate_retry(
    policy: RetryPolicy, tries: AttemptState, failure: Failure, answer: Answer, request: PageRequest
) -> Wait | None:
    """A retry without a wait: the same request in another form, or a changed one."""
    if failure.action is Action.RETRY_NOW and tries.immediate_retries < policy.immediate_retries_max:
        return Wait(0.0, request, replace(tries, immediate_retries=tries.immediate_retries + 1))
    if (
        failure.action is Action.RETRY_CHANGED
        and tries.changes < (policy.recitations_max if failure.code is ErrorCode.RECITATION else policy.changes_max)
        and (changed := changed_request(request, answer))
    ):
        return Wait(0.0, changed, replace(tries, changes=tries.changes + 1))
    return None


def backoff_s(policy: RetryPolicy, retry: int, hint_s: float | None, jitter: float) -> float:
    """Seconds before retry number `retry` (from 0): full jitter, at least the server's hint."""
    wait_s = jitter * min(policy.backoff_max_s, 2.0**retry)
    return wait_s if hint_s is None else max(wait_s, _past_hint_s(hint_s, jitter))


def _past_hint_s(hint_s: float, jitter: float) -> float:
    """A little more than the server's hint, so that requests return one by one."""
    return hint_s + jitter * (0.5 + 0.1 * hint_s)


def _after_throttle(
    policy: RetryPolicy, tries: AttemptState, failure: Failure, request: PageRequest, jitter: float
) -> Step:
    day_throttles = tries.day_throttles + (failure.code is ErrorCode.QUOTA_DAY)
    tries = replace(tries, throttles=tries.throttles + 1, day_throttles=day_throttles)
    if day_throttles >= policy.day_throttles_max:
        return Stop(replace(failure, action=Action.STOP), tries)
    hint_s = failure.retry_after_s or 1.0
    if failure.slow_down:  # such a limit covers minutes: 60 s, 120 s ... 600 s
        hint_s = max(hint_s, min(600.0, hint_s * 2.0 ** (tries.throttles - 1)))
    return Wait(_past_hint_s(hint_s, jitter), request, tries)


def _before_stop(tries: AttemptState, failure: Failure, request: PageRequest, jitter: float) -> Step:
    # A new key takes a moment to be known everywhere, and a 403 may concern this page alone. So the first such refusal
    # is retried once before the whole job stops.
    if failure.code is ErrorCode.AUTH and failure.http_status in {401, 403} and not tries.unauthorised:
        return Wait(_past_hint_s(1.0, jitter), request, replace(tries, unauthorised=1))
    return Stop(failure, tries)


# Assumed temperature of a request that leaves it to the provider.
_USUAL_TEMPERATURE = 0.2
_SMALLER = 0.7
_LEAST_SCALE = 0.3


def changed_request(request: PageRequest, answer: Answer) -> PageRequest | None:
    """`request` changed so that the failure of `answer` should not recur. None if nothing is left to change."""
    scale = request.image_scale * _SMALLER
    match answer.failure and answer.failure.code:
        case ErrorCode.TRUNCATED:
            reasoning = request.reasoning
            if not answer.text and reasoning not in {None, "none", "minimal"}:
                reasoning = "low"  # the least that every model with this setting knows
            return replace(request, output_tokens_cap=request.output_tokens_cap * 2, reasoning=reasoning)
        case ErrorCode.REPETITION | ErrorCode.RECITATION as code:
            least = 0.6 if code is ErrorCode.REPETITION else 0.0
            warmer = min(2.0, (_USUAL_TEMPERATURE if request.temperature is None else request.temperature) + 0.3)
            return replace(request, temperature=max(least, warmer))
        case ErrorCode.PROVIDER_BAD_RESPONSE if answer.rotation_deg:
            return replace(request, turn_deg=(request.turn_deg + answer.rotation_deg) % 360)
        case ErrorCode.SCHEMA_MISMATCH:
            message = answer.failure.message if answer.failure else ""
            cap = request.output_tokens_cap * (2 if answer.truncated else 1)
            prompt = f"{request.prompt}\n\nAn earlier answer was not usable: {message} Answer again, in full."
            return replace(request, prompt=prompt, output_tokens_cap=cap)
        case ErrorCode.CONTEXT_TOO_LONG | ErrorCode.PROVIDER_REJECTED as code if scale >= _LEAST_SCALE:
            # The cap counts towards the context and the tokens per minute, even if it is not used.
            cap = request.output_tokens_cap
            if code is ErrorCode.CONTEXT_TOO_LONG:
                cap = min(cap, max(1024, cap // 2))
            return replace(request, image_scale=scale, output_tokens_cap=cap)
    return None


class RetryBudget:
    """Limits retries to a share of the requests, to spare a failing provider.

    In the last `window_s` seconds, retries may be `share` of the requests sent, plus `least_per_s` per second.
    """

    def __init__(self, share: float = 0.2, least_per_s: float = 1.0, window_s: int = 30) -> None:
        self._share = share
        self._least = least_per_s * window_s
        self._window_s = window_s
        self._seconds: deque[tuple[int, int, int]] = deque()  # second, requests, retries
        self._requests = 0
        self._retries = 0

    def sent(self, now_s: float) -> None:
        """Count the first request for a page."""
        self._add(now_s, requests=1, retries=0)

    def take(self, now_s: float) -> bool:
        """Count one retry if it may go out now. Otherwise False: try again in about a second."""
        self._forget(now_s)
        if self._retries + 1 > self._share * self._requests + self._least:
            return False
        self._add(now_s, requests=1, retries=1)
        return True

    def _add(self, now_s: float, *, requests: int, retries: int) -> None:
        self._forget(now_s)
        second = int(now_s)
        if self._seconds and self._seconds[-1][0] == second:
            _, earlier_requests, earlier_retries = self._seconds.pop()
            self._seconds.append((second, earlier_requests + requests, earlier_retries + retries))
        else:
            self._seconds.append((second, requests, retries))
        self._requests += requests
        self._retries += retries

    def _forget(self, now_s: float) -> None:
        while self._seconds and self._seconds[0][0] <= now_s - self._window_s:
            _, requests, retries = self._seconds.popleft()
            self._requests -= requests
            self._retries -= retries
