"""A server of one's own tells its queue at `/metrics`; another one is asked once."""

from __future__ import annotations

import pytest
from aiohttp import web

from one_ocr_ray.engines.llm.http import HttpSender
from one_ocr_ray.engines.llm.queue_watch import QueueWatch
from one_ocr_ray.model import PageRequest
from one_ocr_ray.policy.servers.queue import queue_of, work_of
from tests.http.local_servers import http_server
from tests.unit.wire_samples_reader import llm_engine, page_image

VLLM = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="org/model"} 17.0
vllm:num_requests_running{engine="1",model_name="org/model"} 16.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="org/model"} 3.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 3.0
vllm:num_requests_waiting{engine="1",model_name="org/model"} 1e+00
"""
SGLANG = b'sglang:num_running_reqs{model_name="m"} 5.0\nsglang:num_queue_reqs{model_name="m"} 0.0\n'
GOOD = {"choices": [{"message": {"content": "text"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 5}}


@pytest.mark.parametrize(
    ("metrics", "queue"),
    [
        (VLLM, (33, 4)),
        (SGLANG, (5, 0)),
        (b"", None),
        (b"process_cpu_seconds_total 1\n", None),
        (b"vllm:num_requests_running 1\n", None),
        (b"vllm:num_requests_running NaN\nvllm:num_requests_waiting 0\n", None),
        (b"vllm:num_requests_running +Inf\nvllm:num_requests_waiting x\n", None),
    ],
)
def test_metrics_are_read(metrics: bytes, queue: tuple[int, int] | None) -> None:
    """Sums over the engine processes; what tells no queue, or no numbers, is none."""
    assert queue_of(metrics) == queue


def test_the_work_of_a_server_is_read() -> None:
    """Tokens read and written, of all engine processes."""
    told = b'vllm:prompt_tokens_total{engine="0"} 700.0\nvllm:generation_tokens_total{engine="0"} 42.0\n'
    assert work_of(VLLM + told) == (33, 742.0)
    assert work_of(VLLM) is None
    assert work_of(told) is None


@pytest.mark.parametrize("tells", [True, False])
async def test_an_answer_has_the_servers_queue(*, tells: bool) -> None:
    """Asked without the key, at most every two seconds; and once where the server has no such metrics."""
    asked: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        if request.path != "/metrics":
            return web.json_response(GOOD)
        asked.append(request.headers.get("Authorization"))
        return web.Response(body=VLLM) if tells else web.Response(status=404)

    async with http_server(handler) as url:
        engine = llm_engine("openai", key="sk-secret", base_url=f"{url}/v1")
        answers = [await engine.analyze_image_async(page_image(), PageRequest(prompt="Read.")) for _ in range(3)]
        await engine.close()
    assert {answer.failure for answer in answers} == {None}
    assert [answer.queue for answer in answers] == [(33, 4) if tells else None, None, None]
    assert asked == [None]


async def test_a_hosted_provider_is_not_asked() -> None:
    """An `https` address is no server of one's own."""
    http = HttpSender(timeout_s=1.0)
    assert await QueueWatch(http, "https://127.0.0.1:1/v1").look() is None
    assert http._session is None
