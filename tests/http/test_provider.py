"""The test provider as a client on the wire sees it: dialects, keys, quotas, faults and broken transport."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest

from tests.http.raw import AZURE, GEMINI, OPENAI, RawClient, rows_when, text_of
from tests.provider import DEFAULT_KEY, Hint, Latency, Mode, Quota, Rule, Unit
from tests.provider.ledger import by_page
from tests.waiting import PATIENCE_S, eventually

if TYPE_CHECKING:
    from tests.provider import Provider


# --- dialects


@pytest.mark.parametrize("dialect", [OPENAI, AZURE, GEMINI])
async def test_an_answer_names_the_page_it_was_asked_about(
    provider: Provider, raw_client: RawClient, page_images: list[bytes], dialect: str
) -> None:
    """Text, usage and ledger all belong to the image sent, in each dialect, with many at once."""
    seen = await asyncio.gather(*(raw_client.ask(page_images[index % 3], dialect) for index in range(30)))
    texts = [text_of(reply).splitlines()[0] for reply in seen]
    assert texts == [f"# doc-0007 page {index % 3 + 1}" for index in range(30)]
    usage = seen[0].json.get("usage") or seen[0].json["usageMetadata"]
    assert (usage.get("total_tokens") or usage["totalTokenCount"]) == 2500
    rows = await rows_when(provider, 30)
    assert {page: (calls.requests, calls.answered) for page, calls in by_page(rows).items()} == {
        f"doc-0007 page {number}": (10, 10) for number in (1, 2, 3)
    }
    assert {row.dialect for row in rows} == {dialect}


@pytest.mark.parametrize(
    ("dialect", "settings", "status", "marks"),
    [
        (OPENAI, {"key": "wrong-key-000"}, 401, [b'"invalid_api_key"', b"wron****-000"]),
        (OPENAI, {"model": "no-model"}, 404, [b'"model_not_found"']),
        (AZURE, {"key": "wrong"}, 401, [b'"401"']),
        (AZURE, {"model": "no-model"}, 404, [b'"DeploymentNotFound"']),
        (GEMINI, {"key": "wrong"}, 400, [b'"INVALID_ARGUMENT"', b'"API_KEY_INVALID"']),
        (GEMINI, {"key": ""}, 403, [b'"PERMISSION_DENIED"']),
        (GEMINI, {"model": "no-model"}, 404, [b'"NOT_FOUND"']),
    ],
)
async def test_wrong_keys_and_models_are_refused_in_the_dialects_own_words(
    provider: Provider,
    raw_client: RawClient,
    *,
    dialect: str,
    settings: dict[str, Any],
    status: int,
    marks: list[bytes],
) -> None:
    """Status and code are those of the provider that is played."""
    provider.change(models=["some-model"])
    seen = await raw_client.ask(None, dialect, **settings)
    assert seen.status == status
    assert all(mark in seen.body for mark in marks)


async def test_models_can_be_asked_for(provider: Provider, raw_client: RawClient) -> None:
    """Lists and single models, with and without a right key; the ledger keeps them apart from pages."""
    provider.change(models=["gpt-a", "gem-b"])
    bearer, google = {"Authorization": f"Bearer {DEFAULT_KEY}"}, {"x-goog-api-key": DEFAULT_KEY}
    assert [entry["id"] for entry in (await raw_client.get("/v1/models", bearer)).json["data"]] == ["gpt-a", "gem-b"]
    assert (await raw_client.get("/v1/models/gpt-a", bearer)).json["id"] == "gpt-a"
    assert (await raw_client.get("/v1beta/models/gem-b", google)).json["name"] == "models/gem-b"
    assert (await raw_client.get("/v1/models/other", bearer)).status == 404
    assert (await raw_client.get("/v1/models", {})).status == 401
    assert {row.operation for row in await rows_when(provider, 5)} == {"models"}
    assert provider.summary()["requests"] == 0


async def test_a_body_that_is_no_question_is_a_bad_request(provider: Provider, raw_client: RawClient) -> None:
    """Broken JSON and JSON of another shape are answered, not crashed on."""
    url = f"{provider.openai_url}/chat/completions"
    for body in (b"", b"{", b"[]", b'{"model":"m"}', b'{"model":"m","messages":[],"response_format":7}'):
        assert (await raw_client.post(url, body, {"Authorization": f"Bearer {DEFAULT_KEY}"})).status == 400


# --- quotas


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_quota_refuses_what_is_over_it(provider: Provider, raw_client: RawClient, mode: Mode) -> None:
    """Of ten at once the first four pass; the rest are told to wait, and the ledger knows how long."""
    provider.change(quotas=[Quota(unit=Unit.REQUESTS, limit=4, mode=mode)], failed_requests_count=False)
    seen = await asyncio.gather(*(raw_client.ask() for _ in range(10)))
    assert sorted(reply.status for reply in seen) == [200] * 4 + [429] * 6
    refused = [row for row in await rows_when(provider, 10) if row.status == 429]
    assert all(row.hint_s is not None and 0 < row.hint_s <= 60 for row in refused)
    assert all(int(reply.headers["retry-after"]) <= 60 for reply in seen if reply.status == 429)


async def test_rate_headers_count_down(provider: Provider, raw_client: RawClient) -> None:
    """With headers on, each reply says what is left of requests and tokens; a refusal says it too."""
    quotas = [Quota(unit=Unit.REQUESTS, limit=2), Quota(unit=Unit.TOKENS, limit=100_000)]
    provider.change(quotas=quotas, rate_headers=True, hint=Hint.RETRY_AFTER_MS)
    seen = [await raw_client.ask() for _ in range(3)]
    assert [reply.headers["x-ratelimit-remaining-requests"] for reply in seen] == ["1", "0", "0"]
    assert [reply.headers["x-ratelimit-remaining-tokens"] for reply in seen] == ["97500", "95000", "95000"]
    assert seen[0].headers["x-ratelimit-limit-requests"] == "2"
    assert int(seen[2].headers["retry-after-ms"]) > 50_000


async def test_a_server_with_a_capacity_queues_and_then_refuses(provider: Provider, raw_client: RawClient) -> None:
    """Two are worked on, three wait, the rest get the 503 of a full queue; nobody is served twice at once."""
    provider.change(capacity=2, queue=3, latency=Latency(seconds=0.1))
    seen = await asyncio.gather(*(raw_client.ask() for _ in range(9)))
    assert sorted(reply.status for reply in seen) == [200] * 5 + [503] * 4
    assert all(b"The request queue is full." in reply.body for reply in seen if reply.status == 503)
    answered = [row for row in await rows_when(provider, 9) if row.answered]
    # Five in two places are three rounds of a tenth of a second.
    assert max(row.finished_s for row in answered) - min(row.arrived_s for row in answered) > 0.29


# --- faults


@pytest.mark.parametrize(
    ("dialect", "fault", "status", "mark"),
    [
        (OPENAI, "server_error", 500, b'"server_error"'),
        (OPENAI, "bad_gateway_html", 502, b"<html>"),
        (OPENAI, "overloaded", 503, b'"server_is_overloaded"'),
        (OPENAI, "gateway_timeout", 504, b"error"),
        (OPENAI, "cloudflare_html", 520, b"<html>"),
        (OPENAI, "error_in_200", 200, b'"error"'),
        (OPENAI, "flat_error", 500, b'{"object":"error"'),
        (OPENAI, "int_code", 500, b'"code":500'),
        (OPENAI, "insufficient_quota", 429, b'"code":"insufficient_quota"'),
        (OPENAI, "slow_down", 429, b'"slow_down"'),
        (OPENAI, "refusal", 200, b'"content":null,"refusal":"'),
        (OPENAI, "content_filter", 200, b'"finish_reason":"content_filter"'),
        (OPENAI, "truncated", 200, b'"finish_reason":"length"'),
        (OPENAI, "truncated_empty", 200, b'"content":""'),
        (OPENAI, "usage_null", 200, b'"completion_tokens":null'),
        (OPENAI, "repetition", 200, b"and so on and so forth, and so on and so forth, "),
        (AZURE, "prompt_blocked", 400, b'"ResponsibleAIPolicyViolation"'),
        (AZURE, "throttled_tokens", 429, b"Please retry after 2 seconds."),
        (GEMINI, "overloaded", 503, b'"UNAVAILABLE"'),
        (GEMINI, "listed_error", 503, b"[{"),
        (GEMINI, "day_short_hint", 429, b'"retryDelay":"22s"'),
        (GEMINI, "multi_quota", 429, b"GenerateContentInputTokensPerModelPerMinute"),
        (GEMINI, "spend_rate", 429, b"spend-based rate limit"),
        (GEMINI, "prepaid_402", 402, b'"RESOURCE_EXHAUSTED"'),
        (GEMINI, "no_quota", 429, b"limit: 0"),
        (GEMINI, "recitation", 200, b'"finishReason":"RECITATION"'),
        (GEMINI, "truncated_empty", 200, b'"content":{"role":"model"},"finishReason":"MAX_TOKENS"'),
        (GEMINI, "prompt_blocked", 200, b'"blockReason":"PROHIBITED_CONTENT"'),
        (GEMINI, "finish_unknown", 200, b'"finishReason":"MOONLIGHT"'),
        (GEMINI, "no_candidates", 200, b'"candidates":[]'),
    ],
)
async def test_a_fault_is_seen_as_the_provider_shows_it(
    provider: Provider, raw_client: RawClient, *, dialect: str, fault: str, status: int, mark: bytes
) -> None:
    """The raw client sees the status and the body of the kind of fault asked for, and the ledger its name."""
    provider.change(rules=[Rule(fault=fault)])
    seen = await raw_client.ask(None, dialect)
    assert seen.status == status
    assert mark in seen.body
    assert [(row.fault, row.status) for row in await rows_when(provider, 1)] == [(fault, status)]


@pytest.mark.parametrize(
    ("fault", "error", "status"),
    [
        ("reset_before_headers", aiohttp.ClientOSError, None),
        ("reset_after_headers", aiohttp.ClientPayloadError, 200),
        ("body_cut", aiohttp.ClientPayloadError, 200),
    ],
)
async def test_a_broken_connection_is_seen_as_one(
    provider: Provider, raw_client: RawClient, fault: str, error: type[Exception], status: int | None
) -> None:
    """Resets and cut bodies break the client's read, and count neither as answered nor as the client's doing."""
    provider.change(rules=[Rule(fault=fault, until=1)])
    with pytest.raises(error):
        await raw_client.ask()
    assert (await raw_client.ask()).status == 200
    broken = (await rows_when(provider, 2))[0]
    assert (broken.status, broken.answered, broken.aborted) == (status, False, False)


async def test_a_reset_is_a_reset_and_not_an_end(provider: Provider) -> None:
    """The socket ends with RST: the kernel reports a reset, not an orderly close."""
    provider.change(rules=[Rule(fault="reset_before_headers")])
    port = int(provider.url.rsplit(":", 1)[1])
    body = b'{"model":"m","messages":[]}'
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {DEFAULT_KEY}\r\n"

    def talk() -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            return connection.recv(100)

    with pytest.raises(ConnectionResetError):
        await asyncio.to_thread(talk)


@pytest.mark.parametrize("fault", ["stall", "stall_after_headers", "trickle"])
async def test_a_client_that_gives_up_is_in_the_ledger(provider: Provider, raw_client: RawClient, fault: str) -> None:
    """Who leaves a stalled request is noted at once, as not answered and not in flight any more."""
    provider.change(rules=[Rule(fault=fault, seconds=600.0)])
    asking = asyncio.create_task(raw_client.ask())
    await eventually(lambda: provider.summary()["in_flight"] == 1, "a request under way")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    (row,) = await rows_when(provider, 1)
    assert (row.answered, row.aborted, row.fault) == (False, True, fault)
    assert provider.summary()["in_flight"] == 0


async def test_a_stall_ends_with_the_answer(provider: Provider, raw_client: RawClient) -> None:
    """Who waits long enough gets the whole answer, and it took as long as asked for."""
    provider.change(rules=[Rule(fault="stall", seconds=0.2), Rule(fault="stall_after_headers", seconds=0.2)])
    assert (await raw_client.ask()).status == 200
    (row,) = await rows_when(provider, 1)
    assert row.answered
    assert row.finished_s - row.arrived_s >= 0.2


async def test_requests_beyond_the_passes_wait_until_there_are_more(provider: Provider, raw_client: RawClient) -> None:
    """Two get their answer at once, a third by one more pass, and the rest when everybody may pass."""
    provider.change(passes=2)
    asking = [asyncio.create_task(raw_client.ask()) for _ in range(5)]
    for more, answered in ((None, 2), (1, 3)):
        if more is not None:
            provider.change(passes=more)
        await eventually(lambda: provider.summary()["answered"] == answered, f"{answered} answers")  # noqa: B023
        assert provider.summary()["in_flight"] == 5 - answered
    provider.change(passes=None)
    assert [(await each).status for each in asking] == [200] * 5


async def test_a_page_that_is_held_waits_alone(
    provider: Provider, raw_client: RawClient, page_images: list[bytes]
) -> None:
    """The others are answered, and it is when nobody holds it any more."""
    provider.change(held="doc-0007 page 2")
    asking = [asyncio.create_task(raw_client.ask(page_images[index])) for index in (0, 1, 2)]
    for index in (0, 2):
        assert (await asking[index]).status == 200
    assert provider.summary()["in_flight"] == 1
    provider.change(held=None)
    assert (await asking[1]).status == 200


async def test_a_page_that_fails_once_is_well_the_second_time(
    provider: Provider, raw_client: RawClient, page_images: list[bytes]
) -> None:
    """A schema question gets invalid JSON first and then an instance; other pages are spared."""
    provider.change(rules=[Rule(fault="invalid_json", page="doc-0007 page 2", times_per_page=1)])
    schema = {"type": "object", "properties": {"markdown": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"name": "page", "schema": schema}}
    texts = [text_of(await raw_client.ask(page_images[index], response_format=form)) for index in (0, 1, 1)]
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(texts[1])
    assert [list(orjson.loads(texts[index])) for index in (0, 2)] == [["markdown"], ["markdown"]]


async def test_a_quota_that_runs_dry_comes_back_when_it_is_given_back(
    provider: Provider, raw_client: RawClient
) -> None:
    """After five answers every request is refused until the rules are taken away."""
    provider.change(rules=[Rule(fault="insufficient_quota", after=5)])
    assert [(await raw_client.ask()).status for _ in range(7)] == [200] * 5 + [429] * 2
    provider.change(rules=[])
    assert (await raw_client.ask()).status == 200
