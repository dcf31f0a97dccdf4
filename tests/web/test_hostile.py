"""Hostile pages in a real browser: nothing a model writes runs, loads, or takes the page over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.pdfs import text_pdf
from tests.service.script import Script
from tests.service.site import Site
from tests.web.payloads import EVIL, PAYLOADS
from tests.web.visitor import pdf_file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.web.conftest import NewVisit

CLICK_ALL = """() => {
  for (const each of document.querySelectorAll("#rendered a, #rendered summary, #rendered [onclick]")) {
    each.removeAttribute("target");
    if (!each.href || !each.href.startsWith("http")) each.click();
  }
}"""


@pytest.mark.parametrize("guarded", [True, False], ids=["with-policy", "without-policy"])
def test_no_payload_runs_or_loads_anything(visit: NewVisit, tmp_path: Path, guarded: bool) -> None:
    """Each payload as the text of a page: no script runs and nothing outside is asked for, even without the policy."""
    assert len(PAYLOADS) >= 30
    script = Script(text=lambda _, page: PAYLOADS[page - 1])
    with Site(tmp_path, script) as site:
        task_id = site.finished(text_pdf(len(PAYLOADS)))
        me = visit(site, bypass_csp=not guarded)
        me.go(f"/tasks/{task_id}")
        for page in range(1, len(PAYLOADS) + 1):
            expect(me.find("#viewer-title")).to_have_text(f"Page {page}")
            expect(me.find("#text")).not_to_have_class("text loading")
            me.page.evaluate(CLICK_ALL)
            assert me.page.evaluate("window.__pwned") is None, PAYLOADS[page - 1]
            assert me.page.url.startswith(site.url), PAYLOADS[page - 1]
            me.page.keyboard.press("j")
        for page in range(1, 1 if guarded else len(PAYLOADS) + 1):  # as the service renders it
            me.go(f"/tasks/{task_id}?page={page}")
            assert me.page.evaluate("window.__pwned") is None, PAYLOADS[page - 1]


def test_hostile_file_names_are_only_text(site: Site, visit: NewVisit) -> None:
    """A name full of markup stands as it is on every page that shows it."""
    name = f"<img src={EVIL}/n.png onerror=window.__pwned=1>{{{{7*7}}}}\u202e.pdf"
    me = visit(site)
    path = me.upload(pdf_file(text_pdf(), name))
    for each in (path, "/history", "/", f"{path}/delete"):
        me.go(each)
        expect(me.find("main")).to_contain_text("onerror=window.__pwned=1>{{7*7}}")
        assert me.page.evaluate("window.__pwned") is None


def test_every_answer_carries_the_strict_policy(site: Site) -> None:
    """Pages, problems, static files and page fragments: no inline script or style, nothing from elsewhere."""
    task_id = site.finished(text_pdf())
    paths = ("/", "/history", f"/tasks/{task_id}", "/tasks/none", "/docs", "/static/app.css", "/nowhere")
    for path in (*paths, f"/v1/tasks/{task_id}/pages/1"):
        headers = site.http.get(path, headers={"Accept": "text/html"}).headers
        policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'", path
        assert policy["script-src"] == policy["style-src"] == "'self'", path
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'", path
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
