"""A visitor of the pages: a fresh browser profile that notes what may not happen."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from playwright.sync_api import expect, sync_playwright

from tests.web.browser import executable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Locator, Page

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 60_000  # for a loaded machine; what is there is seen at once
_HARMLESS = ("Failed to load resource",)  # the browser's own note on an answer that is not a 200


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with a profile of its own. Without one the tests fail: pages that nobody looked at are not tested."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable(), args=list(FLAGS))
        yield running
        running.close()


class Visit:
    """A context manager. At its end: no error in a script, nothing refused by the policy, nothing asked of others."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        options = {"locale": "en-US", "viewport": {"width": 1280, "height": 900}, **options}
        self.url = url
        self.context = browser.new_context(base_url=url, **options)
        self.context.set_default_timeout(PATIENCE_MS)
        self.harm: list[str] = []
        self.context.on("request", lambda request: self._same_origin(request.url))
        self.context.on("weberror", lambda error: self.harm.append(f"error: {error.error}"))
        self.context.on("console", lambda message: self._console(message.type, message.text))
        self.page: Page = self.context.new_page()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        self.context.close()
        if failure is None:
            assert not self.harm, self.harm

    def go(self, path: str) -> Page:
        """Open `path` of the service."""
        self.page.goto(path)
        return self.page

    def wait_for_cookie(self, name: str, value: str) -> None:
        """Until a cookie that a script has set is the browser's, and not only the page's: the next request sends it."""
        deadline_s = time.monotonic() + PATIENCE_MS / 1000
        while (name, value) not in {(each.get("name"), each.get("value")) for each in self.context.cookies()}:
            assert time.monotonic() < deadline_s
            self.page.wait_for_timeout(10)

    def find(self, selector: str) -> Locator:
        return self.page.locator(selector)

    def upload(self, *files: Path | dict[str, Any]) -> str:
        """Upload on the start page; the path of the results."""
        self.go("/")
        self.page.set_input_files("#files", list(files))  # type: ignore[arg-type]
        expect(self.find("#chosen-files li")).to_have_count(len(files))
        self.find("#submit").click()
        expect(self.find("#uploaded-title")).to_be_visible()
        path = self.find("#results").get_attribute("href")
        assert path is not None
        return path

    def state(self, name: str) -> None:
        """Wait until the page of a task says so."""
        expect(self.find(f"#state [data-state={name}]")).to_be_visible()

    def _same_origin(self, url: str) -> None:
        if urlsplit(url).scheme in {"http", "https", "ws", "wss"} and not url.startswith(self.url + "/"):
            self.harm.append(f"request: {url}")

    def _console(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and not text.startswith(_HARMLESS):
            self.harm.append(f"{kind}: {text}")


def pdf_file(data: bytes, name: str = "report.pdf") -> dict[str, Any]:
    """A file as a person would choose it."""
    return {"name": name, "mimeType": "application/pdf", "buffer": data}
