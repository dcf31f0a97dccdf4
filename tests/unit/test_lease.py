"""What a driver does about another driver's lease."""

from __future__ import annotations

from dataclasses import asdict, replace

import orjson
import pytest

from one_ocr_ray.policy.lease import STANDSTILL_S, Lease, Takeover, decide_takeover, decode_lease, is_of_machine

OTHER = Lease("host", 7, "run", beat=3, machine="boot pid:[1]")
MOVED = replace(OTHER, beat=4)


@pytest.mark.parametrize(
    ("now", "waited_s", "dead", "decision"),
    [
        (OTHER, 0.0, True, Takeover.TAKE),
        (OTHER, 0.0, False, Takeover.WAIT),
        (OTHER, STANDSTILL_S - 0.1, False, Takeover.WAIT),
        (OTHER, STANDSTILL_S, False, Takeover.TAKE),
        (MOVED, 2.0, False, Takeover.REFUSE),
        (MOVED, STANDSTILL_S, False, Takeover.REFUSE),
        (None, 2.0, False, Takeover.REFUSE),
    ],
)
def test_a_lease_is_judged_by_whether_it_moves(
    now: Lease | None, waited_s: float, dead: bool, decision: Takeover
) -> None:
    """A dead holder's is taken at once, a living one's never, a silent one's after a while."""
    assert decide_takeover(OTHER, now, waited_s, holder_is_dead=dead) is decision


@pytest.mark.parametrize(
    ("machine", "same"),
    [("boot pid:[1]", True), ("boot pid:[2]", False), ("another pid:[1]", False), ("", False)],
)
def test_only_on_its_own_machine_a_process_can_be_known_dead(machine: str, same: bool) -> None:
    """The same kernel since the same start, and the same namespace: the name of a host proves nothing."""
    assert is_of_machine(OTHER, machine) is same
    assert not is_of_machine(replace(OTHER, machine=""), machine)


def test_a_lease_comes_back_as_it_was() -> None:
    """And what is none is None, so that it can be waited out."""
    assert decode_lease(OTHER.encode()) == OTHER
    assert decode_lease(b"{}") is None
    assert decode_lease(b"[]") is None
    before, later = {"host": "h", "pid": 7, "run_id": "r", "beat": 1}, asdict(OTHER) | {"nonce": "x"}
    assert decode_lease(orjson.dumps(before)) == Lease("h", 7, "r", 1)
    assert decode_lease(orjson.dumps(later)) == OTHER
    assert decode_lease(b"\xff") is None
