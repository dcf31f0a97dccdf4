"""What the C library does with memory that is freed."""

from __future__ import annotations

import subprocess
import sys

PAGE_AFTER_PAGE = """
import resource
from one_ocr_ray.engines.ocr.heap import keep_freed_memory
{setting}
for page in range(12):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b"x" * 20_000_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults_of_one_page(setting: str, **environment: str) -> int:
    """Page faults of 20 MB in a process that has had and freed as much before."""
    command = [sys.executable, "-c", PAGE_AFTER_PAGE.format(setting=setting)]
    return int(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def test_memory_that_was_freed_is_used_again() -> None:
    """Also where the environment says otherwise, as that of a local run does for its other processes."""
    lean = {"MALLOC_TRIM_THRESHOLD_": "4000000"}
    assert faults_of_one_page("", **lean) > 1_000
    assert faults_of_one_page("keep_freed_memory()", **lean) < 100
