"""Which signals count, and how long they leave to requests under way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.policy.shutdown import is_second_request, wait_s

seconds = st.floats(0, 1e6)


@given(seconds, st.floats(0, 2.0))
def test_two_signals_within_two_seconds_are_one(first_s: float, later_s: float) -> None:
    """`timeout` signals a child and the child's group; so do schedulers."""
    assert not is_second_request(0.0, later_s)
    assert not is_second_request(first_s, first_s)


@given(st.floats(2.001, 1e6))
def test_a_later_one_is_a_second_wish(later_s: float) -> None:
    """Then nobody wants to wait."""
    assert is_second_request(0.0, later_s)


def test_who_kills_soon_is_not_kept_waiting() -> None:
    """Ray kills 3 s after SIGTERM, Kubernetes and Slurm after 30 s; Ctrl-C kills nobody."""
    assert wait_s(30.0, is_sigterm=False, is_inside_ray_job=False) == 30.0
    assert wait_s(30.0, is_sigterm=True, is_inside_ray_job=False) == 25.0
    assert wait_s(30.0, is_sigterm=True, is_inside_ray_job=True) < 1.0


@given(seconds, st.booleans(), st.booleans())
def test_nobody_waits_longer_than_is_set(set_s: float, is_sigterm: bool, is_inside_ray_job: bool) -> None:
    """0 waits for nothing."""
    assert 0.0 <= wait_s(set_s, is_sigterm=is_sigterm, is_inside_ray_job=is_inside_ray_job) <= set_s
