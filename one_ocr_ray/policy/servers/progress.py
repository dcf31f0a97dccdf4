"""What the log of a starting vLLM means, in the words of a progress line."""

from __future__ import annotations

import re

# In the order of a start; a later stage wins. Lines of vLLM 0.32.
_STAGES = (
    ("starting", re.compile(r"vLLM (?:API server )?version|Resolved architecture")),
    ("downloading weights", re.compile(r"Downloading|Fetching \d+ files|Time spent downloading", re.IGNORECASE)),
    ("loading weights", re.compile(r"Starting to load model|Loading (?:safetensors|pt|weights)", re.IGNORECASE)),
    ("compiling", re.compile(r"Dynamo bytecode|Compiling a graph|torch\.compile takes", re.IGNORECASE)),
    ("capturing graphs", re.compile(r"Capturing CUDA graph|Graph capturing", re.IGNORECASE)),
    ("warming up", re.compile(r"init engine|Available KV cache|GPU KV cache size", re.IGNORECASE)),
)


def stage_of(log: str) -> str:
    """The stage that the newest telling line names."""
    for line in reversed(log.splitlines()):
        for stage, line_of_stage in reversed(_STAGES):
            if line_of_stage.search(line):
                return stage
    return "starting"


def progress_sentence(stages: list[str], ready: int, wanted: int, elapsed_s: float) -> str:
    """Such as `loading weights, 2 of 4 servers ready, 3:10`. `stages` are of servers that are not ready."""
    order = [stage for stage, _ in _STAGES]
    slowest = f"{min(stages, key=order.index)}, " if stages else ""
    minutes, seconds = divmod(int(elapsed_s), 60)
    return f"{slowest}{ready} of {wanted} servers ready, {minutes}:{seconds:02d}"
