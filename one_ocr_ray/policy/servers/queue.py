"""What a model server tells of its own queue in its metrics, in Prometheus' text format."""

from __future__ import annotations

import re

# vLLM and SGLang have a line for each engine process; a server that serves several models, one for each.
_RUNNING = re.compile(rb"^(?:vllm:num_requests_running|sglang:num_running_reqs)(?:\{[^\n]*\})? (\S+)", re.MULTILINE)
_WAITING = re.compile(rb"^(?:vllm:num_requests_waiting|sglang:num_queue_reqs)(?:\{[^\n]*\})? (\S+)", re.MULTILINE)


def queue_of(metrics: bytes) -> tuple[int, int] | None:
    """Requests that the server works on, and that wait in its queue; None if it tells neither."""
    running, waiting = _RUNNING.findall(metrics), _WAITING.findall(metrics)
    if not running or not waiting:
        return None
    try:
        return round(sum(map(float, running))), round(sum(map(float, waiting)))
    except (ValueError, OverflowError):  # a word, not a number or endless
        return None
