"""Which numbers this machine's CPU multiplies fast."""

from __future__ import annotations

from pathlib import Path


def cpuinfo() -> str:
    """What Linux says of the CPU; empty on other systems."""
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def slow_in_bfloat16(cpuinfo: str) -> bool:
    """Whether bfloat16 takes longer than float32: on Intel's CPUs without AMX, or where a hypervisor hides it.

    OpenVINO takes bfloat16 wherever there are instructions for it. With AVX-512 alone Intel's run at half the rate of
    those for float32: the embedded engine took 3.3 CPU seconds a page instead of 2.1, and read a little worse.
    """
    return "GenuineIntel" in cpuinfo and "amx_bf16" not in cpuinfo
