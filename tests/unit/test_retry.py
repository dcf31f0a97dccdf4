"""What follows from an answer: the bounds of each class, the waits, and what is changed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.model import Action, Answer, ErrorCode, Failure, PageRequest
from one_ocr_ray.policy.page.retry import (
    AttemptState,
    Done,
    RetryBudget,
    RetryPolicy,
    Step,
    Stop,
    Wait,
    backoff_s,
    changed_request,
    next_step,
)

POLICY = RetryPolicy()
DOWN = Failure(ErrorCode.PROVIDER_UNAVAILABLE, "Down.", Action.RETRY, 503)
TIMED_OUT = Failure(ErrorCode.PROVIDER_TIMEOUT, "Late.", Action.RETRY)
ODD = Failure(ErrorCode.PROVIDER_BAD_RESPONSE, "Odd.", Action.RETRY, 200)
THROTTLED = Failure(ErrorCode.PROVIDER_UNAVAILABLE, "Slower.", Action.THROTTLED, 429, retry_after_s=20.0)
TODAY = Failure(ErrorCode.QUOTA_DAY, "Tomorrow.", Action.THROTTLED, 429, retry_after_s=22.0)
NO_CREDIT = Failure(ErrorCode.BILLING, "Pay.", Action.STOP, 429)
CUT_OFF = Failure(ErrorCode.TRUNCATED, "Cut off.", Action.RETRY_CHANGED)
RECITED = Failure(ErrorCode.RECITATION, "Quoted.", Action.RETRY_CHANGED, 200)
REJECTED = Failure(ErrorCode.PROVIDER_REJECTED, "No.", Action.FAIL, 400)


def play(*answers: Answer | Failure, request: PageRequest | None = None) -> tuple[list[Step], Step]:
    """Feed answers one after the other, the last for ever, as the page loop does: all steps, and the last of them."""
    script = [answer if isinstance(answer, Answer) else Answer(failure=answer) for answer in answers]
    request, tries, steps = request or PageRequest(prompt="Read."), AttemptState(), list[Step]()
    while len(steps) < 50:
        answer = script[min(len(steps), len(script) - 1)]
        step = next_step(POLICY, tries, answer, request, jitter=0.5, elapsed_s=0.0)
        steps.append(step)
        if not isinstance(step, Wait):
            return steps, step
        request, tries = step.request, step.tries
    return steps, steps[-1]


def test_a_good_answer_is_done() -> None:
    """One request, one attempt."""
    answer = Answer(text="good")
    assert play(answer)[1] == Done(answer, AttemptState(attempts=1))


@pytest.mark.parametrize(("failure", "requests"), [(DOWN, 5), (TIMED_OUT, 3), (ODD, 3), (REJECTED, 1)])
def test_how_often_a_page_is_sent(failure: Failure, requests: int) -> None:
    """Five requests for a server that is down, two retries after a time-out or an odd reply, none after a refusal."""
    steps, last = play(failure)
    assert len(steps) == requests
    assert last == Done(Answer(failure=failure), last.tries)
    assert last.tries.attempts == requests


def test_retries_end_with_the_first_good_answer() -> None:
    """A page that came through in the end is a good page."""
    _, last = play(DOWN, TIMED_OUT, Answer(text="good"))
    assert isinstance(last, Done)
    assert (last.answer.text, last.tries.attempts) == ("good", 3)


def test_a_throttle_costs_no_attempt_and_changes_nothing() -> None:
    """However often the account is throttled, the page is asked for as before."""
    request = PageRequest(prompt="Read.", temperature=0.2)
    steps, last = play(*[THROTTLED] * 30, Answer(text="good"), request=request)
    assert all(isinstance(step, Wait) and step.request == request for step in steps[:-1])
    assert isinstance(last, Done)
    assert last.tries.attempts == 1


def test_a_throttle_does_not_use_up_other_retries() -> None:
    """Throttles between transport faults leave their count alone."""
    steps, last = play(DOWN, THROTTLED, DOWN, THROTTLED, DOWN, THROTTLED, DOWN, THROTTLED, Answer(text="good"))
    assert isinstance(last, Done)
    assert last.answer.text == "good"
    assert len(steps) == 9


def test_the_day_is_believed_to_be_over_at_the_third_throttle_in_a_row() -> None:
    """Short hints beside a daily quota are often wrong, so it is tried twice more."""
    steps, last = play(TODAY)
    assert len(steps) == 3
    assert isinstance(last, Stop)
    assert (last.failure.code, last.failure.action) == (ErrorCode.QUOTA_DAY, Action.STOP)
    assert isinstance(play(TODAY, TODAY, THROTTLED, Answer(text="good"))[1], Done)


def test_money_stops_at_once() -> None:
    """An empty account is not asked again."""
    assert play(NO_CREDIT)[0] == [Stop(NO_CREDIT, AttemptState(attempts=1))]


def test_a_refused_key_is_asked_once_more() -> None:
    """A new key takes a moment to be known, and a 403 may mean one page alone; a 400 does not change its mind."""
    unknown = Failure(ErrorCode.AUTH, "Key?", Action.STOP, 401)
    steps, last = play(unknown)
    assert (len(steps), isinstance(last, Stop)) == (2, True)
    assert len(play(replace(unknown, http_status=403))[0]) == 2
    assert len(play(replace(unknown, http_status=400))[0]) == 1


def test_what_the_engine_has_learned_is_asked_at_once() -> None:
    """The same question, without a wait and without a use of other retries; not for ever."""
    learned = Failure(ErrorCode.PROVIDER_REJECTED, "Otherwise.", Action.RETRY_NOW, 422)
    steps, last = play(learned, DOWN, DOWN, DOWN, DOWN, Answer(text="good"))
    assert steps[0] == Wait(0.0, PageRequest(prompt="Read."), AttemptState(attempts=1, immediate_retries=1))
    assert isinstance(last, Done)
    assert (last.answer.text, last.tries.attempts) == ("good", 6)
    assert len(play(learned)[0]) == 3


def test_truncated_text_is_taken_after_one_longer_try() -> None:
    """The longer of the two answers stands, and it is no failure."""
    steps, last = play(
        Answer(text="half", truncated=True, failure=CUT_OFF),
        Answer(text="half and more", truncated=True, failure=CUT_OFF),
    )
    assert isinstance(steps[0], Wait)
    assert (steps[0].wait_s, steps[0].request.output_tokens_cap) == (0.0, 16384)
    assert isinstance(last, Done)
    assert (last.answer.text, last.answer.truncated, last.answer.failure) == ("half and more", True, None)


@pytest.mark.parametrize("later", [REJECTED, DOWN, TIMED_OUT])
def test_truncated_text_outlives_a_failed_second_try(later: Failure) -> None:
    """A cap that the model does not take must not cost the page what it has."""
    _, last = play(Answer(text="half", truncated=True, failure=CUT_OFF), later)
    assert isinstance(last, Done)
    assert (last.answer.text, last.answer.failure) == ("half", None)


def test_truncated_without_text_fails_after_one_try_with_less_thinking() -> None:
    """Thinking ate the cap: less of it, and twice the cap."""
    steps, last = play(Answer(truncated=True, failure=CUT_OFF), request=PageRequest(reasoning="high"))
    assert isinstance(steps[0], Wait)
    assert (steps[0].request.reasoning, steps[0].request.output_tokens_cap) == ("low", 16384)
    assert (len(steps), last) == (2, Done(Answer(truncated=True, failure=CUT_OFF), last.tries))


def test_recitation_is_tried_three_times_ever_warmer() -> None:
    """A quotation filter looks at the words; other words may pass."""
    steps, last = play(RECITED, request=PageRequest(temperature=0.0))
    waits = [step for step in steps if isinstance(step, Wait)]
    assert [step.request.temperature for step in waits] == pytest.approx([0.3, 0.6, 0.9])
    assert isinstance(last, Done)
    assert last.answer.failure == RECITED


def test_deadline() -> None:
    """A page that has been tried for two hours is given up."""
    answer = Answer(failure=DOWN)
    late = next_step(POLICY, AttemptState(), answer, PageRequest(), jitter=0.5, elapsed_s=7200.0)
    assert late == Done(answer, AttemptState(attempts=1, transport=1))


# --- waits


@given(retry=st.integers(0, 100), jitter=st.floats(0, 1, exclude_max=True), hint_s=st.none() | st.floats(0, 4000))
def test_backoff_is_bounded_and_never_undercuts_the_server(retry: int, jitter: float, hint_s: float | None) -> None:
    """Full jitter up to a minute; at least what the server asks for, and not much more than the longer of the two."""
    wait_s = backoff_s(POLICY, retry, hint_s, jitter)
    assert (hint_s or 0.0) <= wait_s <= max(60.0, (hint_s or 0.0) * 1.1 + 0.5)


def test_backoff_doubles() -> None:
    """The mean wait before retries 0, 1, 2 ... is half of 1, 2, 4 ... seconds, up to a minute."""
    assert [backoff_s(POLICY, retry, None, 0.5) for retry in (0, 1, 2, 3, 10)] == [0.5, 1.0, 2.0, 4.0, 30.0]


@given(jitter=st.floats(0, 1, exclude_max=True))
def test_a_throttle_waits_at_least_as_long_as_it_is_told(jitter: float) -> None:
    """The hint is a minimum."""
    step = next_step(POLICY, AttemptState(), Answer(failure=THROTTLED), PageRequest(), jitter=jitter, elapsed_s=0.0)
    assert isinstance(step, Wait)
    assert 20.0 <= step.wait_s < 22.6


def test_a_limit_on_the_rate_of_spending_is_waited_out_ever_longer() -> None:
    """60 s, then 120 s ... up to ten minutes."""
    steps, _ = play(replace(THROTTLED, slow_down=True, retry_after_s=60.0))
    waits = [step.wait_s for step in steps[:6] if isinstance(step, Wait)]
    assert [round(wait_s / 60) for wait_s in waits] == [1, 2, 4, 8, 11, 11]


# --- what is changed


@pytest.mark.parametrize(
    ("code", "before", "after"),
    [
        (ErrorCode.REPETITION, PageRequest(), PageRequest(temperature=0.6)),
        (ErrorCode.REPETITION, PageRequest(temperature=1.0), PageRequest(temperature=1.3)),
        (ErrorCode.RECITATION, PageRequest(temperature=1.9), PageRequest(temperature=2.0)),
        (ErrorCode.CONTEXT_TOO_LONG, PageRequest(), PageRequest(image_scale=0.7, output_tokens_cap=4096)),
        (
            ErrorCode.CONTEXT_TOO_LONG,
            PageRequest(output_tokens_cap=500),
            PageRequest(image_scale=0.7, output_tokens_cap=500),
        ),
        (ErrorCode.PROVIDER_REJECTED, PageRequest(), PageRequest(image_scale=0.7)),
        (ErrorCode.TRUNCATED, PageRequest(reasoning=None), PageRequest(reasoning=None, output_tokens_cap=16384)),
        (
            ErrorCode.TRUNCATED,
            PageRequest(reasoning="minimal"),
            PageRequest(reasoning="minimal", output_tokens_cap=16384),
        ),
        (ErrorCode.PROVIDER_REJECTED, PageRequest(image_scale=0.4), None),
        (ErrorCode.CONTENT_FILTERED, PageRequest(), None),
    ],
)
def test_alter(code: ErrorCode, before: PageRequest, after: PageRequest | None) -> None:
    """Each failure changes what caused it and nothing else."""
    assert changed_request(before, Answer(failure=Failure(code, "x", Action.RETRY_CHANGED))) == after


def test_a_broken_schema_is_told_to_the_model() -> None:
    """The error stands behind the prompt; a cut-off reply gets more room too."""
    failure = Failure(ErrorCode.SCHEMA_MISMATCH, "The reply is not JSON.", Action.RETRY_CHANGED)
    altered = changed_request(PageRequest(prompt="Fill."), Answer(text="{", failure=failure, truncated=True))
    assert altered is not None
    assert altered.prompt.startswith("Fill.\n\n")
    assert "The reply is not JSON." in altered.prompt
    assert altered.output_tokens_cap == 16384


# --- retry budget


def test_budget_gives_a_share_and_a_floor() -> None:
    """30 retries in 30 s in any case, and a fifth of the requests beside them."""
    budget = RetryBudget()
    assert sum(budget.take(0.0) for _ in range(100)) == 37  # 30, and a fifth of the retries themselves
    for _ in range(1000):
        budget.sent(1.0)
    assert sum(budget.take(2.0) for _ in range(1000)) == pytest.approx(250, abs=3)


def test_budget_forgets_after_its_window() -> None:
    """What was spent half a minute ago is free again."""
    budget = RetryBudget(share=0.0, least_per_s=0.1, window_s=10)
    assert (budget.take(0.0), budget.take(9.0), budget.take(10.0)) == (True, False, True)


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=200))
def test_budget_holds_in_every_window(events: list[tuple[float, bool]]) -> None:
    """Whatever the order, retries in the last window are within the share of what went out in it."""
    budget, now_s, sent, retried = RetryBudget(), 0.0, list[float](), list[float]()
    for step_s, is_retry in events:
        now_s += step_s
        if not is_retry:
            budget.sent(now_s)
            sent.append(now_s)
        elif budget.take(now_s):
            sent.append(now_s)
            retried.append(now_s)
        # Seconds are counted whole, so the window is between 29 and 30 s long.
        recent = sum(int(at) > now_s - 30 for at in retried)
        assert recent <= 0.2 * sum(int(at) > now_s - 30 for at in sent) + 30
