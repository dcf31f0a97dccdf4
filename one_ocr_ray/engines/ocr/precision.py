"""Which numbers this machine's CPU multiplies fast."""

from __future__ import annotations

from pathlib import Path


def cpuinfo() -> str:
    """What Linux says of the CPU; empty on other systems."""
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def slow_in_bfloat16(processor: str) -> bool:
    """Whether bfloat16 takes longer than float32 on what `cpuinfo` says is here.

    OpenVINO takes bfloat16 wherever there are instructions for it. Intel's of AVX-512 are slow; those of AMX are not,
    but many a hypervisor hides them. Measured on such a machine: 3.3 CPU seconds a page, and 2.1 in float32, with as
    many errors.
    """
    return "GenuineIntel" in processor and "amx_bf16" not in processor
