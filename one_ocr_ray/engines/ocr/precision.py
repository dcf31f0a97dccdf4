"""Which floating-point type is fast on this CPU."""

from __future__ import annotations

from pathlib import Path


def cpuinfo() -> str:
    """The contents of /proc/cpuinfo; empty on systems other than Linux."""
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def slow_in_bfloat16(processor: str) -> bool:
    """True if bfloat16 is slower than float32 on the CPU that `processor`, a `cpuinfo`, describes.

    OpenVINO uses bfloat16 wherever the CPU has instructions for it. Intel's AVX-512 ones are slow. Those of AMX are
    fast, but many hypervisors hide them. Measured on such a machine: 3.3 CPU seconds a page, and 2.1 in float32, with
    as many errors.
    """
    return "GenuineIntel" in processor and "amx_bf16" not in processor
