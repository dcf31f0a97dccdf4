"""Which numbers suit which CPU."""

from __future__ import annotations

import pytest

from one_ocr_ray.engines.ocr.precision import slow_in_bfloat16


@pytest.mark.parametrize(
    ("vendor", "flags", "slow"),
    [
        ("GenuineIntel", "avx512f avx512_bf16 avx512_fp16", True),
        ("GenuineIntel", "avx512f avx512_bf16 amx_bf16 amx_tile", False),
        ("AuthenticAMD", "avx512f avx512_bf16", False),
    ],
)
def test_bfloat16_is_slow_on_intel_without_amx(vendor: str, flags: str, slow: bool) -> None:
    """Where there is AMX, and on CPUs of others, what OpenVINO takes stands."""
    assert slow_in_bfloat16(f"vendor_id\t: {vendor}\nflags\t\t: fpu {flags}\n") is slow


def test_an_unknown_cpu_is_left_as_it_is() -> None:
    """Other systems than Linux say nothing."""
    assert not slow_in_bfloat16("")
