"""WCAG 2.2 AA as far as axe-core can tell, on every page in both themes; the keyboard; a narrow screen."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from playwright.sync_api import expect

from tests.pdfs import text_pdf
from tests.service.script import Script
from tests.service.site import KEYS, Site
from tests.web.visitor import pdf_file

if TYPE_CHECKING:
    from tests.web.conftest import NewVisit
    from tests.web.visitor import Visit

AXE = (Path(__file__).parent / "vendor/axe-core/axe.min.js").read_text()
RULES = """async () => {
  const found = await axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
  return found.violations.map((each) => [each.id, each.nodes.map((node) => node.html).slice(0, 3)]);
}"""


def violations(me: Visit) -> list[object]:
    """What axe-core finds, when nothing on the page is pale because it is about to be replaced."""
    me.page.wait_for_load_state("networkidle")
    expect(me.find(".loading")).to_have_count(0)
    me.page.evaluate(AXE)
    found: list[object] = me.page.evaluate(RULES)
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("locale", "width"), [("en-US", 1280), ("zh-CN", 390)])
def test_no_page_breaks_a_rule(
    site: Site, visit: NewVisit, theme: Literal["light", "dark"], locale: str, width: int
) -> None:
    """axe-core finds nothing, also where failures, dialogs and menus are shown; nothing is wider than the screen."""
    task_id = site.finished(text_pdf(5))
    batch = site.status(task_id)["batch_id"]
    me = visit(site, locale=locale, color_scheme=theme, viewport={"width": width, "height": 800})
    for path in ("/", f"/tasks/{task_id}#p=1", f"/batches/{batch}", "/history", f"/tasks/{task_id}/delete", "/nothing"):
        me.go(path)
        if "#" in path:
            expect(me.find("#rendered .katex").first).to_be_visible()
        assert violations(me) == [], path
        assert me.page.evaluate("document.documentElement.scrollWidth") <= width, path
    me.go(f"/tasks/{task_id}#p=2")
    expect(me.find("#page-failure")).to_be_visible()
    me.find(".menu summary").click()
    assert violations(me) == []
    me.page.keyboard.press("Escape")
    me.find(".actions [data-delete]").click()
    assert violations(me) == []
    me.go("/")
    me.page.set_input_files("#files", [pdf_file(text_pdf()), pdf_file(b"no", "no.pdf")])
    expect(me.find("#chosen-files .refused")).to_be_visible()
    me.find(".options summary").click()
    assert violations(me) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_login_breaks_no_rule(visit: NewVisit, tmp_path: Path, theme: Literal["light", "dark"]) -> None:
    """Also with the message of a wrong key."""
    with Site(tmp_path, keys=True) as site:
        me = visit(site, color_scheme=theme)
        me.go("/login?failed=1")
        assert violations(me) == []
        me.page.get_by_label("API key").fill(KEYS[0])
        me.page.keyboard.press("Enter")
        expect(me.find("h1")).to_have_text("Read PDFs and images")
        assert violations(me) == []


def test_everything_is_reached_by_keyboard(site: Site, visit: NewVisit) -> None:
    """The first key leads to a link over the navigation, what has the focus is seen, and the dialog gives it back."""
    task_id = site.finished(text_pdf(3))
    me = visit(site)
    me.go(f"/tasks/{task_id}")
    me.page.keyboard.press("Tab")
    skip = me.page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    me.page.keyboard.press("Enter")
    expect(me.find("main")).to_be_focused()
    delete = me.find(".actions [data-delete]")
    delete.focus()
    assert delete.evaluate("each => getComputedStyle(each).outlineStyle") == "solid"
    me.page.keyboard.press("Enter")
    expect(me.page.get_by_role("button", name="Keep it")).to_be_focused()
    me.page.keyboard.press("Escape")
    expect(delete).to_be_focused()


def test_progress_is_told_to_those_who_do_not_see_it(visit: NewVisit, tmp_path: Path) -> None:
    """The live region says state, percentage and pages."""
    with Site(tmp_path, Script(gate=asyncio.Event())) as site:
        me = visit(site)
        me.go(f"/tasks/{site.upload(text_pdf(3))[0]}")
        expect(me.find("#announce[role=status]")).to_have_text("Reading, 0 %, 0 of 3")
        site.let_pages_go()
        expect(me.find("#announce")).to_have_text("Done, 100 %, 3 of 3")
