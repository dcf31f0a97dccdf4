"""The start page: choosing, refusing, sending, and the ids that come of it."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.pdfs import encrypted_pdf, text_pdf
from tests.service.script import Script
from tests.service.site import Site
from tests.web.visitor import pdf_file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.web.conftest import NewVisit

DROP = """(names) => {
  const data = new DataTransfer();
  for (const name of names) data.items.add(new File(["%PDF-1.7 " + name], name, { type: "application/pdf" }));
  for (const kind of ["dragenter", "dragover", "drop"])
    document.getElementById("drop").dispatchEvent(
      new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
}"""
NOTE_PERCENTS = """() => {
  window.seen = [];
  new MutationObserver(() => window.seen.push(parseFloat(document.getElementById("percent").textContent)))
    .observe(document.getElementById("percent"), { childList: true });
}"""
# What a status is shown with comes late: the event stream tells of newer ones meanwhile.
DELAY_READERS = """() => {
  const real = window.fetch;
  window.fetch = async (url, ...more) => {
    if (String(url).endsWith("/readers")) await new Promise((done) => setTimeout(done, 400));
    return real(url, ...more);
  };
}"""
NOTE_SENT = """() => {
  window.sent = {};
  for (const bar of document.querySelectorAll("#chosen-files progress"))
    new MutationObserver(() => (window.sent[bar.getAttribute("aria-label")] ??= []).push(bar.value))
      .observe(bar, { attributes: true, attributeFilter: ["value"] });
}"""


def test_two_pdfs_are_uploaded_and_watched_until_their_text_stands_beside_the_image(
    visit: NewVisit, tmp_path: Path
) -> None:
    """Ids at once with links; the bar moves while pages are read; then text with table and formula, and the image."""
    with Site(tmp_path, Script(page_delay_s=0.15, gate=asyncio.Event())) as site:
        me = visit(site)
        batch = me.upload(pdf_file(text_pdf(10), "first.pdf"), pdf_file(text_pdf(2), "second.pdf"))
        assert batch.startswith("/batches/b_")
        ids = [each["task_id"] for each in site.http.get(f"/v1{batch}").json()["tasks"]]
        assert sorted(me.find("#uploaded-files code").all_text_contents()) == sorted(ids)
        me.find("#uploaded-files a").first.click()
        expect(me.find(".head h1")).to_have_text("first.pdf")
        me.page.evaluate(NOTE_PERCENTS)
        me.page.evaluate(DELAY_READERS)
        site.let_pages_go()
        me.state("SUCCESS")
        seen = me.page.evaluate("window.seen")
        assert len(set(seen)) >= 3, "the bar moves"
        assert seen == sorted(seen)
        assert seen[-1] == 100
        expect(me.find("#rendered h1")).to_have_text("Page 1 of first.pdf")
        expect(me.find("#rendered td.right").first).to_have_text("3")
        expect(me.find("#rendered .katex").first).to_be_visible()
        expect(me.find("#image")).to_have_js_property("complete", value=True)
        assert me.find("#image").evaluate("image => image.naturalWidth") == 1200
        image, text = me.find("#figure").bounding_box(), me.find("#text").bounding_box()
        assert image
        assert text
        assert image["y"] == text["y"]
        assert image["x"] + image["width"] <= text["x"] + 1
        me.go(batch)
        expect(me.find("#tasks [data-state=SUCCESS]")).to_have_count(2)
        expect(me.find("#percent")).to_have_text(re.compile("100"))


def test_files_that_are_refused_say_why(site: Site, visit: NewVisit) -> None:
    """What the page can see is refused before it is sent, the rest by the service, beside files that are read."""
    me = visit(site)
    me.go("/")
    words = {"name": "notes.pdf", "mimeType": "application/pdf", "buffer": b"only words"}
    locked = pdf_file(encrypted_pdf("secret"), "locked.pdf")
    me.page.set_input_files("#files", [words, locked, pdf_file(text_pdf(), "good.pdf")])
    expect(me.find("#chosen-files .refused")).to_contain_text("not a PDF")
    expect(me.find("#submit")).to_have_text("Read 2")
    me.find("#submit").click()
    refused = me.find("#uploaded-files .refused")
    expect(me.find("#uploaded-files li")).to_have_count(3)
    expect(refused).to_contain_text(["protected by a password", "not a PDF"])
    expect(me.find("#announce")).to_contain_text("notes.pdf: Refused: not a PDF")

    me.find("#more").click()
    me.page.set_input_files("#files", [locked])
    me.find("#submit").click()
    expect(me.find("#problem")).to_contain_text("protected by a password")
    expect(me.find("#submit"), "another try is possible").to_be_enabled()


def test_options_reach_the_task(site: Site, visit: NewVisit) -> None:
    """Pages 3 to 5 of six are read, and the grid shows them only."""
    me = visit(site)
    me.go("/")
    me.page.set_input_files("#files", [pdf_file(text_pdf(6))])
    me.find(".options summary").click()
    me.page.get_by_label("Pages", exact=False).fill("3-5")
    me.find("#submit").click()
    me.find("#results").click()
    me.state("SUCCESS")
    expect(me.find("#cells a")).to_have_text(["3", "4", "5"])
    expect(me.find("#rendered h1")).to_contain_text("Page 3")


def test_files_are_dropped_and_taken_back(site: Site, visit: NewVisit) -> None:
    """Two files dropped at once stand in the list; one is removed with the keyboard."""
    me = visit(site)
    me.go("/").evaluate(DROP, ["a.pdf", "b.pdf"])
    expect(me.find("#chosen-files .name")).to_have_text(["a.pdf", "b.pdf"])
    me.page.get_by_role("button", name="Remove a.pdf").focus()
    me.page.keyboard.press("Enter")
    expect(me.find("#chosen-files .name")).to_have_text(["b.pdf"])


def test_an_upload_that_does_not_get_through_can_be_sent_again(site: Site, visit: NewVisit) -> None:
    """Without a network it says so and keeps the files; with one the same button works."""
    me = visit(site)
    me.go("/")
    me.page.set_input_files("#files", [pdf_file(text_pdf())])
    me.context.set_offline(True)
    me.find("#submit").click()
    expect(me.find("#problem")).to_contain_text("The upload failed")
    me.context.set_offline(False)
    me.find("#submit").click()
    expect(me.find("#uploaded-title")).to_be_visible()


def test_each_file_shows_how_much_of_it_is_sent(site: Site, visit: NewVisit) -> None:
    """On a slow line the bars of two files fill one after the other."""
    me = visit(site)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 400_000}
    me.context.new_cdp_session(me.page).send("Network.emulateNetworkConditions", slow)
    me.go("/")
    padding = b"%" + bytes(400_000) + b"\n"
    me.page.set_input_files("#files", [pdf_file(text_pdf() + padding, f"{n}.pdf") for n in (1, 2)])
    expect(me.find("#chosen-files li")).to_have_count(2)
    me.page.evaluate(NOTE_SENT)
    me.find("#submit").click()
    expect(me.find("#uploaded-title")).to_be_visible()
    sent = me.page.evaluate("window.sent")
    for bars in sent.values():
        assert bars == sorted(bars)
        assert bars[-1] == 1
        assert any(0 < bar < 1 for bar in bars)
    first, second = sent["1.pdf"], sent["2.pdf"]
    assert all(bar == 1 or second[at] == 0 for at, bar in enumerate(first[: len(second)]))
