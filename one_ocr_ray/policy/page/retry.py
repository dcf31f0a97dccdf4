"""What follows from one answer: take it, send again (when, and asking what), give the page up, or stop the job.

Three classes are kept apart. A throttle is an event of the account and costs the page nothing; a transport fault is
tried again, with full jitter; a bad answer is asked for again with changed parameters. Pure: the caller passes the
elapsed time and a random number in. Jitter: M. Brooker, "Exponential Backoff And Jitter"; budget: Finagle's.
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
    odd_retries_max: int = 2
    alters_max: int = 1
    agains_max: int = 2
    recitations_max: int = 3
    day_throttles_max: int = 3  # in a row, before the day's quota is believed to be gone
    backoff_max_s: float = 60.0
    deadline_s: float = 7200.0  # without the time spent throttled


@dataclass(frozen=True, slots=True)
class AttemptState:
    """What has been tried for one page. `attempts` is what the column of that name holds."""

    attempts: int = 0  # requests sent, throttled ones not counted
    transport: int = 0
    timeouts: int = 0
    odd: int = 0
    alters: int = 0
    agains: int = 0
    throttles: int = 0  # in a row
    day_throttles: int = 0  # in a row
    unauthorised: int = 0
    kept: Answer | None = None  # cut off at its cap, but better than nothing
    repetition: str | None = None  # the text that was taken for a loop


@dataclass(frozen=True, slots=True)
class Wait:
    """Send again after `wait_s`, with a new permit, asking `ask`."""

    wait_s: float
    ask: PageRequest
    tries: AttemptState


@dataclass(frozen=True, slots=True)
class Done:
    """The page is finished: with `answer.failure` it has failed, without it has been read."""

    answer: Answer
    tries: AttemptState


@dataclass(frozen=True, slots=True)
class Stop:
    """The job must stop, resumably; this page is left for the next run."""

    failure: Failure
    tries: AttemptState


Step = Wait | Done | Stop


def next_step(
    policy: RetryPolicy, tries: AttemptState, answer: Answer, ask: PageRequest, *, jitter: float, elapsed_s: float
) -> Step:
    """What to do after `answer` to `ask`.

    tries: what was tried before this answer; the step holds the new count.
    jitter: a random number in [0, 1). elapsed_s: since the page's first request, time spent throttled not counted.
    """
    failure = answer.failure
    if failure is not None and failure.action is Action.THROTTLED:
        return _after_throttle(policy, tries, failure, ask, jitter)
    if _is_same_again(tries, answer):
        answer, failure = replace(answer, failure=None), None
    tries = _counted(tries, answer)
    if failure is None:
        return Done(answer, tries)
    if failure.action is Action.STOP:
        return _before_stop(tries, failure, ask, jitter)
    if (asked := _at_once(policy, tries, failure, answer, ask)) is not None:
        return asked
    if failure.action is Action.RETRY and _may_retry(policy, tries):
        wait_s = backoff_s(policy, tries.transport - 1, failure.retry_after_s, jitter)
        if elapsed_s + wait_s <= policy.deadline_s:
            return Wait(wait_s, ask, tries)
    return Done(tries.kept or answer, tries)


def _at_once(
    policy: RetryPolicy, tries: AttemptState, failure: Failure, answer: Answer, ask: PageRequest
) -> Wait | None:
    """What may be asked without a wait: the same in another form, or something else."""
    if failure.action is Action.RETRY_NOW and tries.agains < policy.agains_max:
        return Wait(0.0, ask, replace(tries, agains=tries.agains + 1))
    if (
        failure.action is Action.RETRY_CHANGED
        and _may_alter(policy, tries, failure)
        and (altered := alter(ask, answer))
    ):
        return Wait(0.0, altered, replace(tries, alters=tries.alters + 1))
    return None


def backoff_s(policy: RetryPolicy, retry: int, hint_s: float | None, jitter: float) -> float:
    """Seconds before retry number `retry` (from 0): full jitter, and never less than the server asks for."""
    wait_s = jitter * min(policy.backoff_max_s, 2.0**retry)
    return wait_s if hint_s is None else max(wait_s, _past_hint_s(hint_s, jitter))


def _past_hint_s(hint_s: float, jitter: float) -> float:
    """A little later than asked for, so that not all come back at the same instant."""
    return hint_s + jitter * (0.5 + 0.1 * hint_s)


def _after_throttle(
    policy: RetryPolicy, tries: AttemptState, failure: Failure, ask: PageRequest, jitter: float
) -> Step:
    day_throttles = tries.day_throttles + (failure.code is ErrorCode.QUOTA_DAY)
    tries = replace(tries, throttles=tries.throttles + 1, day_throttles=day_throttles)
    if day_throttles >= policy.day_throttles_max:
        return Stop(replace(failure, action=Action.STOP), tries)
    hint_s = failure.retry_after_s or 1.0
    if failure.slow_down:  # such a limit looks back over minutes: 60 s, 120 s ... 600 s
        hint_s = max(hint_s, min(600.0, hint_s * 2.0 ** (tries.throttles - 1)))
    return Wait(_past_hint_s(hint_s, jitter), ask, tries)


def _is_same_again(tries: AttemptState, answer: Answer) -> bool:
    """Whether a text that repeats itself has come twice and ended both times: no loop ends twice at the same place."""
    return bool(answer.text) and answer.text == tries.repetition and answer.ended_by_itself


def _counted(tries: AttemptState, answer: Answer) -> AttemptState:
    failure = answer.failure
    tries = replace(tries, attempts=tries.attempts + 1, throttles=0, day_throttles=0)
    if failure is None:
        return tries
    if failure.action is Action.RETRY:
        return replace(
            tries,
            transport=tries.transport + 1,
            timeouts=tries.timeouts + (failure.code is ErrorCode.PROVIDER_TIMEOUT),
            odd=tries.odd + (failure.code is ErrorCode.PROVIDER_BAD_RESPONSE),
        )
    if failure.code is ErrorCode.TRUNCATED and answer.text:
        return replace(tries, kept=replace(answer, failure=None))
    if failure.code is ErrorCode.REPETITION and answer.ended_by_itself:
        return replace(tries, repetition=answer.text)
    return tries


def _before_stop(tries: AttemptState, failure: Failure, ask: PageRequest, jitter: float) -> Step:
    # A new key takes a moment to be known everywhere, and a 403 may mean this page alone, which the answers to other
    # pages show: one such refusal is asked again before the whole job stops for it.
    if failure.code is ErrorCode.AUTH and failure.http_status in {401, 403} and not tries.unauthorised:
        return Wait(_past_hint_s(1.0, jitter), ask, replace(tries, unauthorised=1))
    return Stop(failure, tries)


def _may_retry(policy: RetryPolicy, tries: AttemptState) -> bool:
    return (
        tries.transport < policy.attempts_max
        and tries.timeouts <= policy.timeout_retries_max
        and tries.odd <= policy.odd_retries_max
    )


def _may_alter(policy: RetryPolicy, tries: AttemptState, failure: Failure) -> bool:
    return tries.alters < (policy.recitations_max if failure.code is ErrorCode.RECITATION else policy.alters_max)


# What is taken for the temperature of an ask that leaves it to the provider.
_USUAL_TEMPERATURE = 0.2
_SMALLER = 0.7
_LEAST_SCALE = 0.3


def alter(ask: PageRequest, answer: Answer) -> PageRequest | None:
    """`ask` changed so that the failure of `answer` should not come again; None when nothing is left to change."""
    match answer.failure and answer.failure.code:
        case ErrorCode.TRUNCATED:
            reasoning = ask.reasoning if answer.text else _least_reasoning(ask.reasoning)
            return replace(ask, output_tokens_cap=ask.output_tokens_cap * 2, reasoning=reasoning)
        case ErrorCode.REPETITION:
            return replace(ask, temperature=max(0.6, _warmer(ask)))
        case ErrorCode.RECITATION:
            return replace(ask, temperature=_warmer(ask))
        case ErrorCode.SCHEMA_MISMATCH:
            return _with_complaint(ask, answer)
        case ErrorCode.CONTEXT_TOO_LONG | ErrorCode.PROVIDER_REJECTED as code:
            return _smaller(ask, code)
    return None


def _warmer(ask: PageRequest) -> float:
    return min(2.0, (_USUAL_TEMPERATURE if ask.temperature is None else ask.temperature) + 0.3)


def _least_reasoning(reasoning: str | None) -> str | None:
    """`low` is the least that every model with this setting knows; who asked for less keeps it."""
    return reasoning if reasoning in {None, "none", "minimal"} else "low"


def _smaller(ask: PageRequest, code: ErrorCode) -> PageRequest | None:
    scale = ask.image_scale * _SMALLER
    if scale < _LEAST_SCALE:
        return None
    # The cap counts against the context and against tokens per minute, whether it is used or not.
    cap = max(1024, ask.output_tokens_cap // 2) if code is ErrorCode.CONTEXT_TOO_LONG else ask.output_tokens_cap
    return replace(ask, image_scale=scale, output_tokens_cap=min(cap, ask.output_tokens_cap))


def _with_complaint(ask: PageRequest, answer: Answer) -> PageRequest:
    complaint = answer.failure.message if answer.failure else ""
    cap = ask.output_tokens_cap * (2 if answer.truncated else 1)
    prompt = f"{ask.prompt}\n\nAn earlier answer was not usable: {complaint} Answer again, in full."
    return replace(ask, prompt=prompt, output_tokens_cap=cap)


class RetryBudget:
    """Keeps retries to a share of the requests, so that a provider in trouble is not given twice the load.

    Over the last `window_s` seconds at most `share` of the requests sent, and `least_per_s` a second, may be retries.
    """

    def __init__(self, share: float = 0.2, least_per_s: float = 1.0, window_s: int = 30) -> None:
        self._share = share
        self._least = least_per_s * window_s
        self._window_s = window_s
        self._seconds: deque[tuple[int, int, int]] = deque()  # second, requests, retries
        self._requests = 0
        self._retries = 0

    def sent(self, now_s: float) -> None:
        """A first request for a page goes out."""
        self._add(now_s, requests=1, retries=0)

    def take(self, now_s: float) -> bool:
        """Whether one retry may go out now; if so it is counted. If not, ask again later: a second is a good time."""
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
