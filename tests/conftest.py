"""What every test shares. Nothing here knows Ray."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# No deadline: a loaded machine is no defect. The same examples every time: a change is judged by what it changes, and
# `--hypothesis-profile=search` looks for new ones.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def samples() -> Path:
    """The five sample PDFs of the project."""
    return Path(__file__).resolve().parent.parent / "samples"
