"""The page of one task: its pages, retry, cancel, delete, downloads, and staying with what happens."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from one_ocr_ray.model import ErrorCode
from tests.pdfs import text_pdf
from tests.service.script import Script
from tests.service.site import Site
from tests.web.relay import Relay

if TYPE_CHECKING:
    from pathlib import Path

    from tests.web.conftest import NewVisit


def test_a_failed_page_is_read_again_and_then_all_of_them(visit: NewVisit, tmp_path: Path) -> None:
    """The failure stands there with its reason; its button reads that page, the button above every one that is left."""
    codes = {2: ErrorCode.PROVIDER_TIMEOUT, 3: ErrorCode.CONTENT_FILTERED, 5: ErrorCode.RENDER_CRASHED}
    with Site(tmp_path, Script(failures=codes)) as site:
        task_id = site.finished(text_pdf(6))
        me = visit(site)
        me.go(f"/tasks/{task_id}")
        me.state("partial")
        expect(me.find("#failure-list li")).to_have_count(3)
        expect(me.find("#failure-list li").first).to_contain_text("did not answer in time")
        expect(me.find("#failure-list li").first).to_contain_text("provider_timeout")
        me.find("#failure-list a").first.click()
        expect(me.find("#page-failure")).to_contain_text("provider_timeout")
        me.page.get_by_role("button", name="Read again: page 2").click()
        expect(me.find("#failure-list li")).to_have_count(2)
        expect(me.find("#rendered h1"), "the page that is open is shown as soon as it is good").to_contain_text(
            "Page 2"
        )
        me.find("#retry button").click()
        me.state("SUCCESS")
        expect(me.find("#failures")).to_be_hidden()
        expect(me.find("#cells [data-mark=o]")).to_have_count(6)
        expect(me.find("#failed")).to_have_text("0")


def test_a_task_is_cancelled_and_deleted(visit: NewVisit, tmp_path: Path) -> None:
    """Cancel leaves the pages there are; delete asks first, can be declined, and leaves nothing."""
    with Site(tmp_path, Script(page_delay_s=0.3)) as site:
        (task_id,) = site.upload(text_pdf(200))
        me = visit(site)
        me.go(f"/tasks/{task_id}")
        expect(me.find("#cells [data-mark=o]").first).to_be_visible()
        me.find("#cancel button").click()
        me.state("REVOKED")
        expect(me.find("#cancel")).to_be_hidden()
        me.find(".actions [data-delete]").click()
        expect(me.find("#confirm-delete")).to_contain_text("file-1.pdf")
        me.page.get_by_role("button", name="Keep it").click()
        assert site.status(task_id)["state"] == "REVOKED"
        me.find(".actions [data-delete]").click()
        me.find("#confirm-delete .danger").click()
        me.page.wait_for_url("**/history")
        assert site.http.get(f"/task_status/{task_id}").status_code == 404
        me.go(f"/tasks/{task_id}")
        expect(me.find("h1")).to_have_text("Nothing here")


def test_a_reload_in_mid_run_finds_the_same_page_and_goes_on(visit: NewVisit, tmp_path: Path) -> None:
    """What was read is there at once after a reload, at the page that the address names, and the rest comes."""
    with Site(tmp_path, Script(page_delay_s=0.3)) as site:
        (task_id,) = site.upload(text_pdf(12))
        me = visit(site)
        me.go(f"/tasks/{task_id}#p=3")
        expect(me.find("#rendered h1")).to_contain_text("Page 3")
        me.page.reload()
        assert me.find("#cells [data-mark=o]").count() >= 3
        expect(me.find("#rendered h1")).to_contain_text("Page 3")
        expect(me.find("#go-page")).to_have_value("3")
        me.state("SUCCESS")
        expect(me.find("#cells [data-mark=o]")).to_have_count(12)


def test_a_connection_that_is_cut_comes_back_and_nothing_is_missed(visit: NewVisit, tmp_path: Path) -> None:
    """The page says that the connection is lost, then that it is back, and shows what happened in between."""
    script = Script(gate=asyncio.Event(), failures={3: ErrorCode.PROVIDER_TIMEOUT})
    with Site(tmp_path, script) as site, Relay(site.port) as cable:
        (task_id,) = site.upload(text_pdf(4))
        me = visit(cable.url)
        me.go(f"/tasks/{task_id}")
        me.state("STARTED")
        cable.cut()
        expect(me.find("#notice")).to_contain_text("connection was lost")
        site.let_pages_go()
        site.run(site.manager.settled(task_id))
        cable.mend()
        me.state("partial")
        expect(me.find("#notice")).to_contain_text("Connected again")
        expect(me.find("#failure-list li")).to_have_count(1)
        marks = me.find("#cells a").evaluate_all("cells => cells.map(cell => cell.dataset.mark)")
        assert marks == ["o", "o", "f", "o"]


def test_pages_that_end_before_their_number_is_known_are_not_missed(visit: NewVisit, tmp_path: Path) -> None:
    """A page opened while the task waits, whose first news is that everything is read, shows all of it."""
    with Site(tmp_path, Script(start_delay_s=2)) as site:
        me = visit(site)
        me.context.route("**/events", lambda route: (site.run(site.manager.settled(task_id)), route.continue_()))
        (task_id,) = site.upload(text_pdf(3))
        me.go(f"/tasks/{task_id}")
        assert me.find("#waiting").is_visible()
        me.state("SUCCESS")
        expect(me.find("#waiting")).to_be_hidden()
        expect(me.find("#cells [data-mark=o]")).to_have_count(3)
        expect(me.find("#rendered h1")).to_contain_text("Page 1")


def test_without_event_streams_the_page_asks_again_and_again(visit: NewVisit, tmp_path: Path) -> None:
    """Where a proxy refuses the stream, polling shows the same."""
    with Site(tmp_path, Script(page_delay_s=0.2)) as site:
        (task_id,) = site.upload(text_pdf(8))
        me = visit(site)
        me.context.route("**/events", lambda route: route.fulfill(status=503, body="no streams here"))
        me.go(f"/tasks/{task_id}")
        me.state("SUCCESS")
        expect(me.find("#cells [data-mark=o]")).to_have_count(8)
        expect(me.find("#cost")).to_have_text("$0.00")


def test_pages_are_turned_by_keys_links_and_number(site: Site, visit: NewVisit) -> None:
    """Arrows, j and k, the grid, the number field and the address all lead to a page; keys in a field stay there."""
    task_id = site.finished(text_pdf(5))
    me = visit(site)
    me.go(f"/tasks/{task_id}#p=5")
    title = me.find("#rendered h1")
    expect(title).to_contain_text("Page 5")
    me.page.keyboard.press("ArrowLeft")
    expect(me.find("#text-note")).to_have_text("This page is blank.")
    me.page.keyboard.press("k")
    expect(title).to_contain_text("Page 3")
    me.page.keyboard.press("j")
    me.page.keyboard.press("ArrowRight")
    expect(title).to_contain_text("Page 5")
    me.page.keyboard.press("ArrowRight")
    expect(me.find("#go-page")).to_have_value("5")
    me.page.get_by_role("link", name="Page 1: read").click()
    expect(title).to_contain_text("Page 1")
    me.find("#go-page").fill("3")
    me.page.keyboard.press("ArrowLeft")
    expect(title).to_contain_text("Page 1")
    me.page.keyboard.press("Enter")
    expect(title).to_contain_text("Page 3")
    assert me.page.url.endswith("#p=3")
    me.go(f"/tasks/{task_id}#p=5")
    expect(title).to_contain_text("Page 5")


def test_formulas_that_do_not_come_through_stay_text_until_the_next_page(site: Site, visit: NewVisit) -> None:
    """Their script is asked for again; its loss is no error of the page."""
    me = visit(site.url)
    me.page.route("**/katex.min.js", lambda route: route.abort(), times=1)
    with me.page.expect_event("requestfailed"):
        me.go(f"/tasks/{site.finished(text_pdf(5))}")
    expect(me.find("#rendered .math").first).to_be_visible()
    expect(me.find("#rendered .katex")).to_have_count(0)
    me.page.get_by_role("link", name="Page 3").click()
    expect(me.find("#rendered .katex").first).to_be_visible()


def test_a_key_held_down_loads_the_page_it_ends_at(site: Site, visit: NewVisit) -> None:
    """Pages that are only passed are not asked for, neither their text nor their image."""
    task_id = site.finished(text_pdf(40))
    me = visit(site)
    me.go(f"/tasks/{task_id}#p=1")
    expect(me.find("#rendered h1")).to_contain_text("Page 1")
    asked: set[str] = set()
    me.context.on("request", lambda request: asked.update(re.findall(r"/pages/(\d+)", request.url)))
    me.page.evaluate("""async () => {
      for (let n = 0; n < 35; n += 1) {
        document.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
        await new Promise((done) => setTimeout(done, 10));
      }
    }""")
    expect(me.find("#rendered h1")).to_contain_text("Page 36")
    assert {"36", "37"} <= asked, "the one it ends at, and the next one's image"
    assert len(asked) < 20, asked


def test_source_copy_and_downloads(site: Site, visit: NewVisit) -> None:
    """The source is the model's own text, copies are the page's and all of it, every format comes as a file."""
    task_id = site.finished(text_pdf(3))
    me = visit(site, permissions=["clipboard-read", "clipboard-write"])
    me.go(f"/tasks/{task_id}")
    me.page.get_by_role("link", name="Source").click()
    expect(me.find("#source")).to_contain_text("| apples | 3 |")
    expect(me.find("#rendered")).to_be_hidden()
    me.find("#copy-page").click()
    expect(me.find("#notice")).to_have_text("Copied")
    assert me.page.evaluate("navigator.clipboard.readText()").startswith("# Page 1 of file-1.pdf")
    me.find("#copy-all").click()
    me.page.wait_for_function("navigator.clipboard.readText().then((text) => text.includes('# Page 3 of file-1.pdf'))")
    for ending in ("md", "txt", "json", "jsonl", "parquet", "pdf", "hocr", "zip"):
        me.find(".menu summary").click()
        with me.page.expect_download() as begun:
            me.find(f"[data-format={ending}]").click()
        assert begun.value.suggested_filename == f"file-1.{ending}"
        assert begun.value.path().stat().st_size > 0


def test_three_hundred_pages_stay_light(visit: NewVisit, tmp_path: Path) -> None:
    """The grid holds one sheet of pages, turning a page of 300 takes about as long as one of 60."""
    turn = """async () => {
      const times = [];
      for (let n = 0; n < 40; n += 1) {
        const start = performance.now();
        document.dispatchEvent(new KeyboardEvent("keydown", { key: "j", bubbles: true }));
        document.body.offsetHeight;
        times.push(performance.now() - start);
        await new Promise((done) => setTimeout(done, 20));
      }
      return times.sort((one, other) => one - other)[20];
    }"""
    with Site(tmp_path) as site:
        small, large = site.finished(text_pdf(60)), site.finished(text_pdf(300))
        me = visit(site)
        medians_ms = {}
        for task_id in (small, large):
            me.go(f"/tasks/{task_id}")
            expect(me.find("#rendered h1")).to_contain_text("Page 1")
            medians_ms[task_id] = me.page.evaluate(turn)
            expect(me.find("#rendered h1")).to_contain_text("Page 41")
        assert medians_ms[large] < 5 * max(medians_ms[small], 1)
        assert medians_ms[large] < 500, "an interaction is to take less than 100 ms; this is five times that"
        expect(me.find("#cells a")).to_have_count(120)
        me.find("#sheet-next").click()
        expect(me.find("#cells a").first).to_have_text("121")
        expect(me.find("#sheet")).to_have_text(re.compile("121–240"))
        expect(me.find("#rendered h1")).to_contain_text("Page 121")
        assert me.page.evaluate("document.querySelectorAll('*').length") < 1500
        me.go(f"/tasks/{large}#p=240")
        expect(me.find("#cells a[aria-current]")).to_have_text("240")
        expect(me.find("#cells a[aria-current]")).to_be_in_viewport()
