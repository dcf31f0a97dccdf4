"""Signals that end a run: which of them count, and how long they leave to requests under way."""

from __future__ import annotations

# `timeout` of GNU signals its child and the group of that child, and schedulers do the like: one wish, told twice.
SAME_WISH_S = 2.0
# Who sends SIGTERM kills what is still there: Ray 3 s after it, Kubernetes and Slurm after 30 s. Within that time the
# run journals what was answered, counts, and ends its actors.
RAY_JOB_WAIT_S = 0.8
SIGTERM_WAIT_S = 25.0


def is_second_request(first_s: float, now_s: float) -> bool:
    """Whether a signal at `now_s` is a second wish, and not the first one once more."""
    return now_s - first_s > SAME_WISH_S


def wait_s(set_s: float, *, is_sigterm: bool, is_inside_ray_job: bool) -> float:
    """Seconds for requests under way; `set_s` is what the user allows at most."""
    if not is_sigterm:
        return set_s
    return min(set_s, RAY_JOB_WAIT_S if is_inside_ray_job else SIGTERM_WAIT_S)
