"""The pages in a browser that runs no scripts: everything still works, by forms and links."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from one_ocr_ray.model import ErrorCode
from tests.pdfs import text_pdf
from tests.service.script import Script
from tests.service.site import Site
from tests.web.visitor import pdf_file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.web.conftest import NewVisit


def test_upload_watch_read_retry_and_delete(visit: NewVisit, tmp_path: Path) -> None:
    """The form leads to the results, which renew themselves; pages are links; retry and delete are forms."""
    with Site(tmp_path, Script(gate=asyncio.Event(), failures={2: ErrorCode.PROVIDER_TIMEOUT})) as site:
        me = visit(site, java_script_enabled=False)
        me.go("/")
        me.page.set_input_files("#files", [pdf_file(text_pdf(9))])
        me.find(".options summary").click()
        me.page.get_by_label("Pages", exact=False).fill("1-6")
        me.find("#submit").click()
        expect(me.find(".head h1")).to_have_text("report.pdf")
        me.state("STARTED")
        site.let_pages_go()
        me.state("partial")  # the page has renewed itself
        expect(me.find("#pages")).to_have_text("6 / 6")
        expect(me.find("#rendered h1")).to_have_text("Page 1 of report.pdf")
        me.find("#next").click()
        expect(me.find("#page-failure")).to_contain_text("did not answer in time")
        me.find("#go-page").fill("3")
        me.page.keyboard.press("Enter")
        expect(me.find("#rendered h1")).to_contain_text("Page 3")
        me.page.get_by_role("link", name="Source").click()
        expect(me.find("#source")).to_contain_text("| apples | 3 |")
        me.page.get_by_role("button", name="Read again: page 2").click()
        me.state("SUCCESS")
        expect(me.find("#rendered h1")).to_contain_text("Page 2")
        me.find(".menu summary").click()
        with me.page.expect_download() as begun:
            me.find("[data-format=md]").click()
        assert "# Page 6 of report.pdf" in begun.value.path().read_text()
        me.page.get_by_role("link", name="Delete").click()
        me.page.get_by_role("button", name="Delete").click()
        expect(me.find("h1")).to_have_text("History")
        expect(me.find("tr[data-task]")).to_have_count(0)


def test_cancel_language_theme_and_refusals(visit: NewVisit, tmp_path: Path) -> None:
    """Cancel is a form, the switches are links, and a refused upload is a page that says why."""
    with Site(tmp_path, Script(page_delay_s=0.4)) as site:
        me = visit(site, java_script_enabled=False)
        (task_id,) = site.upload(text_pdf(200))
        me.go(f"/tasks/{task_id}")
        me.find("#cancel button").click()
        me.state("REVOKED")
        me.page.get_by_role("link", name="中文").click()
        expect(me.find("#state")).to_have_text("已取消")
        me.page.get_by_role("link", name="深色").click()
        expect(me.find("html")).to_have_attribute("data-theme", "dark")
        me.go("/")
        me.page.set_input_files("#files", [{"name": "x.pdf", "mimeType": "application/pdf", "buffer": b"no"}])
        me.find("#submit").click()
        expect(me.find("main")).to_contain_text("文件不是 PDF。")
