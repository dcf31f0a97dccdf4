"""The catalogue of everything that can go wrong, by name: what is the same in all dialects, and the sum of all.

A scenario's rules name these. `play(fault, scene)` returns the reply without a server: samples for tests of parsers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.provider.gateway_faults import GATEWAY_FAULTS
from tests.provider.gemini_faults import GEMINI_FAULTS
from tests.provider.openai_faults import OPENAI_FAULTS
from tests.provider.questions import Dialect
from tests.provider.quotas import Mode, Quota, Refusal, Unit
from tests.provider.replies import HTML, Delivery, Reply, gemini_body, json_reply, openai_body, success
from tests.provider.throttles import throttle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.provider.scenario import Rule
    from tests.provider.scene import Fault, Scene

_STALL_S = 10.0
_TRICKLE_S = 1.0
_OVERSIZED_CHARS = 10_000_000
_HTML = b"<!DOCTYPE html><html><head><title>%d</title></head><body><center><h1>%d %s</h1></center></body></html>"


def _throttled(unit: Unit, window_s: float, wait_s: float) -> Fault:
    """A quota's refusal without a quota; the rule's `seconds` are its wait."""

    def play(scene: Scene) -> Reply:
        quota = Quota(unit=unit, limit=100.0, window_s=window_s, mode=Mode.FIXED)
        seconds = wait_s if scene.seconds is None else scene.seconds
        return throttle(scene.question, Refusal(quota, seconds, used=100.0, requested=1.0), scene.hint, scene.now_at)

    return play


def _html(status: int, reason: bytes) -> Fault:
    return lambda _scene: Reply(status, _HTML % (status, status, reason), content_type=HTML)


def _said(change: Callable[[str], str]) -> Fault:
    """A good answer that says something else."""
    return lambda scene: success(scene.question, change(scene.text), scene.used)


def _loop(scene: Scene) -> Reply:
    """A model that repeats itself until its cap stops it."""
    text = scene.text + "\n" + "and so on and so forth, " * 2000
    if scene.question.dialect is Dialect.GEMINI:
        return json_reply(200, gemini_body(scene.question, [{"text": text}], scene.used, "MAX_TOKENS"))
    return json_reply(200, openai_body(scene.question, text, scene.used, "length"))


def _delivered(delivery: Delivery, pause_s: float = 0.0) -> Fault:
    """A good answer that travels badly; the rule's `seconds` are its pauses."""

    def play(scene: Scene) -> Reply:
        seconds = pause_s if scene.seconds is None else scene.seconds
        return replace(success(scene.question, scene.text, scene.used), delivery=delivery, pause_s=seconds)

    return play


def _bad_json(scene: Scene) -> Reply:
    """A 200 whose body ends too early, and whose length says so."""
    whole = success(scene.question, scene.text, scene.used)
    return replace(whole, body=whole.body[: len(whole.body) // 2])


SHARED_FAULTS: dict[str, Fault] = {
    # Throttles; each hint style of the scenario applies
    "throttled_requests": _throttled(Unit.REQUESTS, 60.0, 1.0),
    "throttled_tokens": _throttled(Unit.TOKENS, 60.0, 1.146),
    "throttled_day": _throttled(Unit.REQUESTS, 86400.0, 21926.0),
    "too_large": _throttled(Unit.TOKENS, 60.0, float("inf")),
    # Gateways before the provider
    "bad_gateway_html": _html(502, b"Bad Gateway"),
    "cloudflare_html": _html(520, b"Web server is returning an unknown error"),
    "html_in_200": _html(200, b"Sign in"),
    # Transport
    "stall": _delivered(Delivery.WHOLE, _STALL_S),
    "stall_after_headers": _delivered(Delivery.STALL_AFTER_HEADERS, _STALL_S),
    "trickle": _delivered(Delivery.TRICKLE, _TRICKLE_S),
    "body_cut": _delivered(Delivery.CUT),
    "reset_before_headers": _delivered(Delivery.RESET_BEFORE_HEADERS),
    "reset_after_headers": _delivered(Delivery.RESET_AFTER_HEADERS),
    "bad_json": _bad_json,
    # What the model says
    "empty_text": _said(lambda _text: ""),
    "repetition": _loop,
    "fenced": _said(lambda text: f"```markdown\n{text}\n```"),
    "control_characters": _said(lambda text: f"{text}\x00\u202edetrever\u202c\ufeff"),
    "oversized": _said(lambda text: text + "x" * _OVERSIZED_CHARS),
    "invalid_json": _said(lambda text: '{"markdown": "' + text[:40]),
    "schema_mismatch": _said(lambda _text: '{"unexpected": true}'),
}

_CATALOGUE: dict[Dialect, dict[str, Fault]] = {
    Dialect.OPENAI: SHARED_FAULTS | OPENAI_FAULTS | GATEWAY_FAULTS,
    Dialect.AZURE: SHARED_FAULTS | OPENAI_FAULTS,
    Dialect.GEMINI: SHARED_FAULTS | GEMINI_FAULTS,
}


def fault_names(dialect: Dialect) -> frozenset[str]:
    """The faults that can be played in `dialect`; a rule for another one never strikes there."""
    return frozenset(_CATALOGUE[dialect])


def check_rules(rules: Iterable[Rule]) -> None:
    """Raise ValueError for a rule whose fault no dialect knows."""
    known = frozenset().union(*_CATALOGUE.values())
    unknown = {rule.fault for rule in rules} - known
    if unknown:
        message = f"no such fault: {', '.join(sorted(unknown))}"
        raise ValueError(message)


def play(fault: str, scene: Scene) -> Reply:
    """The reply of one fault."""
    return _CATALOGUE[scene.question.dialect][fault](scene)
