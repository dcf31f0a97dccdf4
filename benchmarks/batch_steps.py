"""Runs with batches on which things go wrong, ended at every one of their operations.

    python -m benchmarks.batch_steps [ROAD...]

The roads are those of `tests/faults/test_batch_steps.py`, which tries some operations of each: every request to the
provider before and after, and every object that is written or deleted. Held against the provider's ledger are the rows,
what was executed twice, the bill, and the files that are left.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from one_ocr_ray.errors import StoppedError
from tests.faults.test_batch_steps import ROADS, Trip, assert_sound
from tests.provider import Identify, Provider


def main() -> int:
    """A line a road; 1 when a promise is broken."""
    wanted, wrong = set(sys.argv[1:]), 0
    with Provider(identify=Identify.DIGEST) as provider, tempfile.TemporaryDirectory() as work:
        for road in (road for road in ROADS if not wanted or road.__name__ in wanted):
            began_s, whole = time.monotonic(), Trip(provider, Path(work) / f"{road.__name__}-0")
            assert_sound(*road(whole), "whole")
            for at in range(1, len(whole.names) + 1):
                try:
                    assert_sound(*road(Trip(provider, Path(work) / f"{road.__name__}-{at}", at)), "")
                except (AssertionError, StoppedError) as error:
                    wrong += 1
                    print(f"WRONG: {road.__name__} at {at}, {whole.names[at - 1]}: {str(error)[:2000]}")
            kinds = Counter(name.split(".")[0].split("-0")[0] for name in whole.names)
            told = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
            print(
                f"{road.__name__}: {len(whole.names)} operations in {time.monotonic() - began_s:.0f} s: {told}",
                flush=True,
            )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
