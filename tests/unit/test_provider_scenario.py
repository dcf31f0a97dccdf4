"""The test provider's script: which request is struck by which fault, and what each dialect says then."""

from __future__ import annotations

import random
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
import pytest

from tests.provider.backend import Backend
from tests.provider.faults import fault_names, play
from tests.provider.questions import Dialect, Question, read_gemini, read_openai
from tests.provider.quotas import Quota, Refusal, Unit
from tests.provider.replies import Used, answer_text, instance_of
from tests.provider.scenario import DEFAULT_KEY, Hint, Identify, Latency, Rule, Scenario, Script, TokenCharge
from tests.provider.scene import Scene
from tests.provider.throttles import throttle

NOW_AT = 1_790_000_000.25
FAULTS = [(dialect, name) for dialect in Dialect for name in sorted(fault_names(dialect))]


def question(dialect: Dialect = Dialect.OPENAI, **changes: Any) -> Question:
    values: dict[str, Any] = {"page": "doc-0007 page 12", "settings": {}, "output_cap": 4096, "schema": None}
    return Question(dialect, "some-model", **(values | changes))


def struck(rules: list[Rule], pages: list[str | None], playable: frozenset[str] | None = None) -> list[str | None]:
    """The fault that strikes each request of a page in turn."""
    script = Script(tuple(rules), seed=1)
    names = fault_names(Dialect.OPENAI) if playable is None else playable
    return [rule.fault if (rule := script.strike(page, names)) else None for page in pages]


def test_rules_strike_by_request_count() -> None:
    """After the second request and until the fourth, whatever the page."""
    rule = Rule(fault="insufficient_quota", after=2, until=4)
    assert struck([rule], [None] * 6) == [None, None, *["insufficient_quota"] * 2, None, None]


def test_rules_strike_by_page_and_so_often() -> None:
    """A page that refuses twice is well the third time; others never are struck."""
    rule = Rule(fault="refusal", page="doc-* page 7", times_per_page=2)
    pages: list[str | None] = ["doc-0001 page 7", "doc-0001 page 77", "doc-0001 page 7", "doc-0002 page 7", None]
    assert struck([rule], [*pages, "doc-0001 page 7"]) == ["refusal", None, "refusal", "refusal", None, None]


def test_probabilities_are_shares_of_all_requests() -> None:
    """0.3 and 0.1 strike 30 % and 10 %, not 10 % of what the first rule leaves."""
    rules = [Rule(fault="server_error", probability=0.3), Rule(fault="stall", probability=0.1)]
    strikes = struck(rules, [None] * 20_000)
    assert strikes.count("server_error") / 20_000 == pytest.approx(0.3, abs=0.015)
    assert strikes.count("stall") / 20_000 == pytest.approx(0.1, abs=0.01)
    assert strikes == struck(rules, [None] * 20_000)


def test_a_fault_of_another_dialect_never_strikes() -> None:
    """RECITATION is not a thing that a chat completion can say."""
    assert struck([Rule(fault="recitation")], [None]) == [None]
    assert struck([Rule(fault="recitation")], [None], fault_names(Dialect.GEMINI)) == ["recitation"]


def test_an_unknown_fault_is_refused_and_changes_nothing() -> None:
    """A typing error in a test must not make the test pass."""
    backend = Backend(Scenario(rate_headers=True), 0.0)
    with pytest.raises(ValueError, match="no such fault: serever_error"):
        backend.change({"rules": [{"fault": "serever_error"}], "rate_headers": False}, 0.0)
    with pytest.raises(ValueError, match="rate_header"):
        backend.change({"rate_header": True}, 0.0)
    assert backend.scenario == Scenario(rate_headers=True)


def test_a_change_keeps_the_state_of_what_it_does_not_name() -> None:
    """New rules leave the quotas as used as they were; new quotas start unused."""
    backend = Backend(Scenario(quotas=(Quota(unit=Unit.REQUESTS, limit=1),)), 0.0)

    def status() -> int:
        return backend.decide(question(), DEFAULT_KEY, 1.0, NOW_AT).reply.status

    assert [status(), status()] == [200, 429]
    backend.change({"rules": []}, 1.0)
    assert status() == 429
    backend.change({"quotas": [{"unit": "requests", "limit": 2}]}, 1.0)
    assert status() == 200


@pytest.mark.parametrize(("dialect", "fault"), FAULTS)
def test_every_fault_can_be_played(dialect: Dialect, fault: str) -> None:
    """Each fault of each dialect is a reply with a status and a body, and another than the good one."""
    scene = Scene(question(dialect), "# text", Used(10, 5), Hint.RETRY_AFTER, None, NOW_AT, "secret")
    good = Backend(Scenario(keys=()), 0.0).decide(question(dialect), None, 0.0, NOW_AT)
    reply = play(fault, scene)
    assert 200 <= reply.status < 600
    assert reply != good.reply
    assert (b"secret" in reply.body) == (fault == "key_echoed")


REFUSAL = Refusal(Quota(unit=Unit.TOKENS, limit=50_000), wait_s=58.934310785, used=47_949, requested=3_006)


@pytest.mark.parametrize(
    ("hint", "headers", "told_s"),
    [
        (Hint.RETRY_AFTER, {"retry-after": "59"}, 59.0),
        (Hint.RETRY_AFTER_MS, {"retry-after-ms": "58935"}, 58.935),
        (Hint.TEXT, {}, 58.935),
        (Hint.NONE, {}, None),
    ],
)
def test_openai_hints_in_each_style(hint: Hint, headers: dict[str, str], told_s: float | None) -> None:
    """The header is as the style says, and the ledger knows what the client was told."""
    reply = throttle(question(), REFUSAL, hint, NOW_AT)
    message = orjson.loads(reply.body)["error"]["message"]
    assert (reply.status, reply.headers, reply.hint_s) == (429, headers, told_s)
    assert ("Please try again in 58.935s." in message) == (hint is not Hint.NONE)
    assert "tokens per min (TPM): Limit 50000, Used 47949, Requested 3006." in message


def test_a_date_hint_is_never_before_the_wait_is_over() -> None:
    """An HTTP date knows whole seconds only: it is rounded up, and the told wait counts from now."""
    reply = throttle(question(), REFUSAL, Hint.HTTP_DATE, NOW_AT)
    at = parsedate_to_datetime(reply.headers["retry-after"]).timestamp()
    assert reply.hint_s == pytest.approx(at - NOW_AT)
    assert NOW_AT + REFUSAL.wait_s <= at < NOW_AT + REFUSAL.wait_s + 1


def test_gemini_cuts_its_retry_info_to_whole_seconds() -> None:
    """The detail says less than the text, as recorded: the text is what must be waited for."""
    reply = throttle(question(Dialect.GEMINI), REFUSAL, Hint.RETRY_AFTER, NOW_AT)
    error = orjson.loads(reply.body)["error"]
    assert (error["code"], error["status"], reply.headers) == (429, "RESOURCE_EXHAUSTED", {})
    assert error["message"].endswith("\nPlease retry in 58.934310785s.")
    details = {detail["@type"].rsplit(".", 1)[1]: detail for detail in error["details"]}
    assert details["RetryInfo"]["retryDelay"] == "58s"
    assert "PerMinute" in details["QuotaFailure"]["violations"][0]["quotaId"]
    assert reply.hint_s == pytest.approx(58.934310785)


def test_gemini_without_hints_has_neither_text_nor_detail() -> None:
    """The style `text` leaves RetryInfo away, `none` both."""
    bodies = {hint: throttle(question(Dialect.GEMINI), REFUSAL, hint, NOW_AT).body for hint in (Hint.TEXT, Hint.NONE)}
    assert all(b"RetryInfo" not in body for body in bodies.values())
    assert [b"Please retry in" in bodies[hint] for hint in (Hint.TEXT, Hint.NONE)] == [True, False]


def test_a_request_larger_than_the_limit_is_told_not_to_come_back() -> None:
    """OpenAI's own word for it is a header beside the ordinary code."""
    reply = play("too_large", Scene(question(), "", Used(0, 0), Hint.RETRY_AFTER, None, NOW_AT))
    assert reply.headers == {"x-should-retry": "false"}
    assert orjson.loads(reply.body)["error"]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize(
    ("charge", "tokens"), [(TokenCharge.USAGE, 2500), (TokenCharge.INPUT, 1700), (TokenCharge.RESERVE, 4096)]
)
def test_token_quotas_are_charged_as_asked(charge: TokenCharge, tokens: int) -> None:
    """By what the reply reports, by the input alone, or by the cap that the client reserves."""
    backend = Backend(Scenario(token_charge=charge), 0.0)
    assert backend.decide(question(), DEFAULT_KEY, 0.0, NOW_AT).charged_tokens == tokens


def test_output_tokens_spread_around_their_mean() -> None:
    """A spread of one half draws evenly between half and one and a half times."""
    backend = Backend(Scenario(tokens={"output": 1000, "spread": 0.5}), 0.0)  # type: ignore[arg-type]
    drawn = [backend.decide(question(), DEFAULT_KEY, 0.0, NOW_AT).used.output for _ in range(2000)]
    assert 500 <= min(drawn) < 520
    assert 1480 < max(drawn) <= 1500


def test_latencies_have_their_shapes() -> None:
    """Fixed is fixed, uniform stays in its span, the long tail has its median and its cap."""
    dice = random.Random(5)
    uniform = [Latency(shape="uniform", seconds=1.0, to_s=3.0).draw(dice) for _ in range(2000)]
    tail = sorted(Latency(shape="long_tail", seconds=1.0, to_s=20.0).draw(dice) for _ in range(4000))
    assert Latency(seconds=0.25).draw(dice) == 0.25
    assert 1.0 <= min(uniform) < 1.1
    assert 2.9 < max(uniform) <= 3.0
    assert tail[2000] == pytest.approx(1.0, rel=0.1)
    assert 4.5 < tail[3960] < 9.0
    assert tail[-1] <= 20.0


def test_questions_are_understood_in_both_dialects() -> None:
    """Model, cap, schema and settings are found wherever the dialect has them; the image is no part of the settings."""
    schema = {"type": "object", "properties": {"markdown": {"type": "string"}}}
    image = "/9j/" + "A" * 400
    chat = {
        "model": "gpt",
        "messages": [{"role": "user", "content": [{"image_url": {"url": f"data:image/jpeg;base64,{image}"}}]}],
        "max_completion_tokens": 99,
        "temperature": 0.5,
        "response_format": {"type": "json_schema", "json_schema": {"name": "page", "schema": schema}},
    }
    generate = {
        "contents": [{"parts": [{"inlineData": {"mimeType": "image/jpeg", "data": image}}]}],
        "generationConfig": {"maxOutputTokens": 99, "temperature": 0.5, "responseJsonSchema": schema},
    }
    asked = [
        read_openai(orjson.dumps(chat), Dialect.OPENAI, "", Identify.DIGEST),
        read_gemini(orjson.dumps(generate), "gem", Identify.DIGEST),
    ]
    assert [entry.model for entry in asked] == ["gpt", "gem"]
    assert all((entry.output_cap, entry.schema) == (99, schema) for entry in asked)
    assert all(entry.settings["temperature"] == 0.5 for entry in asked)
    assert asked[0].page == asked[1].page
    assert str(asked[0].page).startswith("sha256:")


def test_a_schema_question_gets_an_instance_of_the_schema() -> None:
    """Strings carry the page's name; the first of a union or an enumeration is taken; Gemini's type names count."""
    schema = {
        "type": "OBJECT",
        "properties": {
            "markdown": {"type": "STRING"},
            "language": {"type": ["string", "null"]},
            "kind": {"enum": ["letter", "form"]},
            "total": {"anyOf": [{"type": "number"}, {"type": "null"}]},
            "rows": {"type": "array", "items": {"type": "integer"}},
        },
    }
    assert instance_of(schema, "x") == {"markdown": "x", "language": "x", "kind": "letter", "total": 1.5, "rows": [1]}
    told = orjson.loads(answer_text(question(schema=schema), 100))
    assert "doc-0007 page 12" in told["markdown"]
