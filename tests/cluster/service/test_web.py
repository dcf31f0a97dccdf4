"""The web pages on the real service: Ray Serve, the task manager, workers, and an engine that answers over HTTP."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.cluster.service.serve_process import Served
from tests.provider import ProviderProcess, Rule, identity_pdf
from tests.web.relay import Relay
from tests.web.test_uploading import NOTE_PERCENTS
from tests.web.visitor import Visit, chromium, pdf_file

if TYPE_CHECKING:
    from pathlib import Path

RULES = [
    Rule(fault="prompt_blocked", page="doc-0001 page 2", times_per_page=1),
    Rule(fault="stall", page="doc-0003 page *", seconds=600),
]


@pytest.mark.timeout(300)
def test_a_person_uses_the_service(tmp_path: Path) -> None:
    """Upload of two, progress, reload, a cut connection, text beside the image, retry, cancel, delete, no scripts."""
    with (
        ProviderProcess(keys=(), rules=RULES, passes=6) as provider,
        Served(tmp_path, engine="openai", base_url=provider.openai_url, rpm=60_000, max_in_flight=2) as service,
        Relay(service.http.base_url.port or 0) as cable,
        chromium() as browser,
    ):
        with Visit(browser, cable.url) as me:
            batch = me.upload(pdf_file(identity_pdf(1, 12), "first.pdf"), pdf_file(identity_pdf(2, 2), "second.pdf"))
            me.find("#uploaded-files a").first.click()
            expect(me.find(".head h1")).to_have_text("first.pdf")
            me.page.evaluate(NOTE_PERCENTS)
            expect(me.find("#cells [data-mark=o]").first).to_be_visible()
            me.page.reload()
            me.page.evaluate(NOTE_PERCENTS)
            cable.cut()
            expect(me.find("#notice")).to_contain_text("connection was lost")
            cable.mend()
            provider.change(passes=None)
            me.state("partial")
            seen = me.page.evaluate("window.seen")
            assert seen == sorted(seen)
            assert seen[-1] == 100
            expect(me.find("#rendered")).to_contain_text("doc-0001 page 1")
            expect(me.find("#image")).to_have_js_property("naturalWidth", 1200)
            me.page.get_by_role("button", name="Read again: page 2").click()
            me.state("SUCCESS")
            me.find("#next").click()
            expect(me.find("#rendered")).to_contain_text("doc-0001 page 2")
            me.go(batch)
            expect(me.find("#tasks [data-state=SUCCESS]")).to_have_count(2)

            me.go(me.upload(pdf_file(identity_pdf(3, 3), "third.pdf")))
            me.find("#cancel button").click()
            me.state("REVOKED")
            me.page.get_by_role("link", name="中文").click()
            expect(me.find("#state")).to_have_text("已取消")
            me.find(".actions [data-delete]").click()
            me.find("#confirm-delete .danger").click()
            expect(me.find("h1")).to_have_text("历史记录")
            assert set(me.find("tr[data-task] th").all_text_contents()) == {"first.pdf", "second.pdf"}

        with Visit(browser, cable.url, java_script_enabled=False) as plain:
            plain.go("/history")
            plain.page.get_by_role("link", name="first.pdf", exact=True).click()
            expect(plain.find("#rendered")).to_contain_text(re.compile("doc-0001 page 1"))
