"""What every test shares. Nothing here knows Ray."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def samples() -> Path:
    """The five sample PDFs of the project."""
    return Path(__file__).resolve().parent.parent / "samples"
