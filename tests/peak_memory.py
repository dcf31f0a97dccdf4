"""The peak memory of this program. `ru_maxrss` begins at that of the process that started it; VmHWM does not."""

from __future__ import annotations

import re
from pathlib import Path


def peak_kib() -> int:
    """The most resident memory so far, in KiB. Linux only."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return int(found[1])
