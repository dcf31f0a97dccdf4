"""One service for the tests that need nothing special of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.model import ErrorCode
from tests.service.script import Script
from tests.service.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service without keys whose engine fails at page 2 with a time-out and finds page 4 blank."""
    script = Script(failures={2: ErrorCode.PROVIDER_TIMEOUT}, blank_pages=frozenset({4}))
    with Site(tmp_path_factory.mktemp("site"), script) as running:
        yield running
