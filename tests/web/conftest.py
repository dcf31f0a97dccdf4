"""A real browser on the real pages: the system's Chromium, driven by Playwright, and visits that watch themselves.

The browser lives as long as this folder's tests: its event loop must be gone before asynchronous tests run.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from one_ocr_ray.model import ErrorCode
from tests.service.script import Script
from tests.service.site import Site
from tests.web.visitor import Visit, chromium

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser

    NewVisit = Callable[..., Visit]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium. Without one the tests fail: pages that nobody looked at are not tested."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service without keys whose engine fails at page 2 with a time-out and finds page 4 blank."""
    script = Script(failures={2: ErrorCode.PROVIDER_TIMEOUT}, blank_pages=frozenset({4}))
    with Site(tmp_path_factory.mktemp("web"), script) as running:
        yield running


@pytest.fixture
def visit(browser: Browser) -> Iterator[NewVisit]:
    """`visit(site, **options of the browser's context)`: a new visitor; at the end all of them are asked for harm."""
    with contextlib.ExitStack() as visits:

        def begin(site: Site | str, **options: Any) -> Visit:
            url = site if isinstance(site, str) else site.url
            return visits.enter_context(Visit(browser, url, **options))

        yield begin
