"""What the provider answers to a question: keys, models, quotas, rules, in that order.

No HTTP and no waiting; clocks are passed in.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tests.provider.faults import check_rules, fault_names, play
from tests.provider.gemini_faults import error_body, key_invalid_body
from tests.provider.questions import Dialect, Question
from tests.provider.quotas import Account, Unit
from tests.provider.replies import NOTHING, Reply, Used, answer_text, json_reply, success
from tests.provider.scenario import Scenario, Script, TokenCharge
from tests.provider.scene import Scene
from tests.provider.throttles import rate_headers, throttle

if TYPE_CHECKING:
    from collections.abc import Mapping

_RESTARTS = {"quotas": "account", "failed_requests_count": "account", "rules": "script", "seed": "script"}


@dataclass(frozen=True, slots=True)
class Decision:
    """What one question gets."""

    reply: Reply
    used: Used = NOTHING
    charged_tokens: int = 0
    latency_s: float = 0.0
    fault: str | None = None
    admitted: bool = False  # past keys, models and quotas: somebody works on it


class Backend:
    """Scenario and state. Not thread-safe; one event loop calls it."""

    def __init__(self, scenario: Scenario, now_s: float) -> None:
        self._initial = scenario
        self.restart({}, now_s)

    def restart(self, fields: Mapping[str, Any], now_s: float) -> None:
        """Go back to the scenario of the start, changed by `fields`; forget all state."""
        scenario = _changed(self._initial, fields)
        self.scenario = scenario
        self._dice = random.Random(scenario.seed)
        self._account = self._new_account(now_s)
        self._script = Script(scenario.rules, scenario.seed)

    def change(self, fields: Mapping[str, Any], now_s: float) -> None:
        """Replace the fields named: new quotas start unused, new rules count from one. The rest keeps its state.

        Raises ValueError for what is no scenario; then nothing has changed.
        """
        self.scenario = _changed(self.scenario, fields)
        restarts = {_RESTARTS[name] for name in fields if name in _RESTARTS}
        if "account" in restarts:
            self._account = self._new_account(now_s)
        if "script" in restarts:
            self._script = Script(self.scenario.rules, self.scenario.seed)

    def decide(self, question: Question, key: str | None, now_s: float, now_at: float) -> Decision:
        """Answer one question that arrived at `now_s` (monotonic) and `now_at` (wall clock)."""
        model = self.scenario.models[0] if question.model in self.scenario.unlisted else question.model
        refused = self.refuse(question.dialect, key, model)
        if refused is not None:
            return Decision(refused)
        used = Used(self.scenario.tokens.input, self.scenario.tokens.draw_output(self._dice))
        charged = self._charge(question, used)
        refusal = self._account.admit(now_s, charged)
        if refusal is not None:
            reply = throttle(question, refusal, self.scenario.hint, now_at)
            return Decision(self._with_rate_headers(question, reply, now_s))
        rule = self._script.strike(question.page, fault_names(question.dialect))
        text = answer_text(question, self.scenario.text_chars)
        if rule is None:
            reply = success(question, text, used)
        else:
            scene = Scene(question, text, used, self.scenario.hint, rule.seconds, now_at, key or "")
            reply = play(rule.fault, scene)
        return Decision(
            self._with_rate_headers(question, reply, now_s),
            used,
            charged,
            0.0 if reply.status == 429 else self.scenario.latency.draw(self._dice),
            rule.fault if rule else None,
            admitted=True,
        )

    def run_line(self, question: Question, key: str | None, serial: int, now_at: float) -> Decision:
        """Answer one line of a batch: the rules hold for it, the quotas of single requests do not."""
        question = replace(question, serial=serial)
        used = Used(self.scenario.tokens.input, self.scenario.tokens.draw_output(self._dice))
        rule = self._script.strike(question.page, fault_names(question.dialect))
        text = answer_text(question, self.scenario.text_chars)
        if rule is None:
            return Decision(success(question, text, used), used)
        scene = Scene(question, text, used, self.scenario.hint, rule.seconds, now_at, key or "")
        return Decision(play(rule.fault, scene), used, fault=rule.fault)

    def refuse(self, dialect: Dialect, key: str | None, model: str) -> Reply | None:
        """The reply for a wrong key or model, None when both are right."""
        if self.scenario.keys and key not in self.scenario.keys:
            return _wrong_key(dialect, key)
        if self.scenario.models and model not in self.scenario.models:
            return _wrong_model(dialect, model)
        return None

    def full(self, question: Question, now_at: float) -> Reply:
        """The 503 of a server whose queue is full."""
        name = "overloaded" if question.dialect is Dialect.GEMINI else "queue_full"
        return play(name, Scene(question, "", NOTHING, self.scenario.hint, None, now_at))

    def _new_account(self, now_s: float) -> Account:
        counts = self.scenario.failed_requests_count
        return Account(self.scenario.quotas, now_s, failed_requests_count=counts)

    def _charge(self, question: Question, used: Used) -> int:
        if self.scenario.token_charge is TokenCharge.INPUT:
            return used.input
        if self.scenario.token_charge is TokenCharge.RESERVE:
            return max(question.output_cap or 0, used.input)
        return used.input + used.output

    def _with_rate_headers(self, question: Question, reply: Reply, now_s: float) -> Reply:
        if not self.scenario.rate_headers or question.dialect is Dialect.GEMINI:
            return reply
        meters = [self._account.meter(unit) for unit in Unit]
        return replace(reply, headers={**rate_headers(meters, now_s), **reply.headers})


def _changed(scenario: Scenario, fields: Mapping[str, Any]) -> Scenario:
    changed = Scenario.model_validate({**scenario.model_dump(), **fields})
    check_rules(changed.rules)
    return changed


def _wrong_key(dialect: Dialect, key: str | None) -> Reply:
    if dialect is Dialect.GEMINI:
        if key is not None:
            return json_reply(400, key_invalid_body())
        text = "Method doesn't allow unregistered callers (callers without established identity)."
        return json_reply(403, error_body(403, "PERMISSION_DENIED", text))
    if dialect is Dialect.AZURE:
        text = "Access denied due to invalid subscription key or wrong API endpoint."
        return json_reply(401, {"error": {"code": "401", "message": text}})
    if key is None:
        return _openai_error(401, "You didn't provide an API key.", None)
    text = f"Incorrect API key provided: {key[:4]}****{key[-4:]}."
    return _openai_error(401, text, "invalid_api_key")


def _wrong_model(dialect: Dialect, model: str) -> Reply:
    if dialect is Dialect.GEMINI:
        text = f"models/{model} is not found for API version v1beta, or is not supported for generateContent."
        return json_reply(404, error_body(404, "NOT_FOUND", text))
    if dialect is Dialect.AZURE:
        text = "The API deployment for this resource does not exist."
        return json_reply(404, {"error": {"code": "DeploymentNotFound", "message": text}})
    text = f"The model `{model}` does not exist or you do not have access to it."
    return _openai_error(404, text, "model_not_found")


def _openai_error(status: int, message: str, code: str | None) -> Reply:
    return json_reply(
        status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
    )


def bad_request(dialect: Dialect, message: str) -> Reply:
    """The 400 for a body that is no question."""
    if dialect is Dialect.GEMINI:
        return json_reply(400, error_body(400, "INVALID_ARGUMENT", message))
    return _openai_error(400, message, None)
