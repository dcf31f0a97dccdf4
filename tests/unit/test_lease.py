"""What a driver does about another driver's lease."""

from __future__ import annotations

import pytest

from one_ocr_ray.policy.lease import STANDSTILL_S, Lease, Verdict, decode_lease, judge

OTHER = Lease("host", 7, "run", beat=3)


@pytest.mark.parametrize(
    ("now", "waited_s", "dead", "verdict"),
    [
        (OTHER, 0.0, True, Verdict.TAKE),
        (OTHER, 0.0, False, Verdict.WAIT),
        (OTHER, STANDSTILL_S - 0.1, False, Verdict.WAIT),
        (OTHER, STANDSTILL_S, False, Verdict.TAKE),
        (Lease("host", 7, "run", beat=4), 2.0, False, Verdict.REFUSE),
        (Lease("host", 7, "run", beat=4), STANDSTILL_S, False, Verdict.REFUSE),
        (None, 2.0, False, Verdict.REFUSE),
    ],
)
def test_a_lease_is_judged_by_whether_it_moves(
    now: Lease | None, waited_s: float, dead: bool, verdict: Verdict
) -> None:
    """A dead holder's is taken at once, a living one's never, a silent one's after a while."""
    assert judge(OTHER, now, waited_s, holder_is_dead=dead) is verdict


def test_a_lease_comes_back_as_it_was() -> None:
    """And what is none is None, so that it can be waited out."""
    assert decode_lease(OTHER.encode()) == OTHER
    assert decode_lease(b"{}") is None
    assert decode_lease(b"\xff") is None
