"""A provider for all tests of this folder, and a site for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cluster.faults.sites import Site
from tests.cluster.limiters import end_limiters
from tests.provider import ProviderProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def provider() -> Iterator[ProviderProcess]:
    """One that takes any key, and lives on whatever else is killed."""
    with ProviderProcess(keys=()) as process:
        yield process


@pytest.fixture
def site(tmp_path: Path, provider: ProviderProcess) -> Iterator[Site]:
    """80 pages."""
    yield Site(tmp_path, provider)
    end_limiters()
