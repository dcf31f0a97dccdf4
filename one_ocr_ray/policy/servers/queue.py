"""What a model server's metrics tell of its queue and work, in Prometheus' text format."""

from __future__ import annotations

import re
from math import isfinite

# vLLM and SGLang have a line for each engine process; a server that serves several models, one for each.
_RUNNING = re.compile(rb"^(?:vllm:num_requests_running|sglang:num_running_reqs)(?:\{[^\n]*\})? (\S+)", re.MULTILINE)
_WAITING = re.compile(rb"^(?:vllm:num_requests_waiting|sglang:num_queue_reqs)(?:\{[^\n]*\})? (\S+)", re.MULTILINE)
_TOKENS = re.compile(rb"^(?:vllm|sglang):(?:prompt|generation)_tokens_total(?:\{[^\n]*\})? (\S+)", re.MULTILINE)


def queue_of(metrics: bytes) -> tuple[int, int] | None:
    """Requests that the server works on, and that wait in its queue. None if it tells neither."""
    running, waiting = _sum(_RUNNING, metrics), _sum(_WAITING, metrics)
    return None if running is None or waiting is None else (round(running), round(waiting))


def work_of(metrics: bytes) -> tuple[int, float] | None:
    """Requests that the server works on, and all tokens that it has worked on. None if it tells neither."""
    running, tokens = _sum(_RUNNING, metrics), _sum(_TOKENS, metrics)
    return None if running is None or tokens is None else (round(running), tokens)


def _sum(kind: re.Pattern[bytes], metrics: bytes) -> float | None:
    """The sum over all lines of that kind. None without any, or where one is no number."""
    try:
        told = [float(value) for value in kind.findall(metrics)]
    except ValueError:
        return None
    return sum(told) if told and isfinite(sum(told)) else None
