"""Decides about signals: which ones count, and how long requests in flight may still take."""

from __future__ import annotations

# GNU `timeout` and schedulers signal both the child and its process group: one request that arrives twice.
SAME_REQUEST_S = 2.0
# SIGTERM is followed by SIGKILL: after 3 s from Ray, after 30 s from Kubernetes and Slurm. By then the run must have
# journaled its answers, counted, and stopped its actors.
RAY_JOB_WAIT_S = 0.8
SIGTERM_WAIT_S = 25.0


def is_second_request(first_s: float, now_s: float) -> bool:
    """True if a signal at `now_s` is a second request to stop, not a repeat."""
    return now_s - first_s > SAME_REQUEST_S


def wait_s(set_s: float, *, is_sigterm: bool, is_inside_ray_job: bool) -> float:
    """Seconds left for requests in flight; the user allows at most `set_s`."""
    if not is_sigterm:
        return set_s
    return min(set_s, RAY_JOB_WAIT_S if is_inside_ray_job else SIGTERM_WAIT_S)
