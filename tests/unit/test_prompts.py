"""The built-in prompts do not change unnoticed."""

from __future__ import annotations

import pytest

from one_ocr_ray.policy.page.prompts import EXTRACT, TRANSCRIBE, Prompt, prompt_sha256


@pytest.mark.parametrize(
    ("prompt", "version", "start_of_hash"),
    [(TRANSCRIBE, 1, "201c3f3c2413"), (EXTRACT, 1, "2f9100e5498d")],
    ids=["transcribe", "extract"],
)
def test_a_changed_prompt_is_a_new_version(prompt: Prompt, version: int, start_of_hash: str) -> None:
    """Rows are compared by this hash: a change here belongs into the changelog, with the version counted up."""
    assert (prompt.version, prompt_sha256(prompt.text)[:12]) == (version, start_of_hash)
