"""Blocks on the page of a task: side by side with the image, marked together, switched by kind, copied as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from playwright.sync_api import expect

from one_ocr_ray.blocks import Block, BlockKind, Box, PageBox
from one_ocr_ray.model import ErrorCode
from tests.pdfs import text_pdf
from tests.service.samples import page_of_blocks
from tests.service.script import Script
from tests.service.site import Site
from tests.web.test_accessibility import violations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.web.conftest import NewVisit

MARKED = "[data-block].marked"
READ_CLIPBOARD = """async () => {
  const [item] = await navigator.clipboard.read();
  const kinds = ["text/html", "text/plain"];
  return Promise.all(kinds.map(async (kind) => (await item.getType(kind)).text()));
}"""
TURN = """async () => {
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


@pytest.fixture(scope="module")
def blocky(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service whose reader knows the blocks of its pages, and fails at page 2."""
    script = Script(blocks=page_of_blocks, failures={2: ErrorCode.PROVIDER_TIMEOUT})
    with Site(tmp_path_factory.mktemp("blocks"), script) as running:
        yield running


def test_a_block_and_its_place_mark_each_other(blocky: Site, visit: NewVisit) -> None:
    """By the pointer on either side, by the focus, and by a click on the image, which leads to the text."""
    me = visit(blocky)
    me.go(f"/tasks/{blocky.finished(text_pdf())}")
    expect(me.find("#block-list > li")).to_have_count(5)
    expect(me.find("#places [data-block]")).to_have_count(4)  # the place of the fifth is not known
    me.find("#block-2").hover()
    expect(me.find(f"#places {MARKED}")).to_have_attribute("data-block", "2")
    me.find("#places [data-block='4']").hover()
    expect(me.find(f"#block-list {MARKED}")).to_have_attribute("data-block", "4")
    expect(me.find(f"#places {MARKED}")).to_have_count(1)
    me.find("#places [data-block='3']").click()
    expect(me.find("#block-3")).to_be_focused()
    me.page.mouse.move(5, 5)
    expect(me.find(f"#places {MARKED}")).to_have_attribute("data-block", "3")


def test_blocks_are_walked_by_keys(blocky: Site, visit: NewVisit) -> None:
    """The tab key leads to one block of the page; up, down, home and end lead on, and each marks its place."""
    me = visit(blocky)
    me.go(f"/tasks/{blocky.finished(text_pdf())}")
    me.page.wait_for_load_state("networkidle")  # what comes late is drawn anew, without the focus
    me.find("#kinds input").last.focus()
    me.page.keyboard.press("Tab")
    expect(me.find("#block-1")).to_be_focused()
    for key, number in (("ArrowDown", 2), ("ArrowDown", 3), ("ArrowUp", 2), ("End", 5), ("Home", 1)):
        me.page.keyboard.press(key)
        expect(me.find(f"#block-{number}")).to_be_focused()
    expect(me.find(f"#places {MARKED}")).to_have_attribute("data-block", "1")
    assert me.find("#block-1").evaluate("each => getComputedStyle(each).outlineStyle") == "solid"


def test_kinds_are_switched_on_every_page(blocky: Site, visit: NewVisit) -> None:
    """A kind that is switched off is neither in the text nor on the image, on this page and the next."""
    me = visit(blocky)
    me.go(f"/tasks/{blocky.finished(text_pdf(3))}#p=1")
    me.page.get_by_role("checkbox", name="Page header").uncheck()
    for title in ("Chapter 1", "Chapter 3"):
        expect(me.find("#block-2")).to_contain_text(title)
        expect(me.find("[data-block][data-kind=page_header]")).to_have_count(2)
        for hidden in me.find("[data-block][data-kind=page_header]").all():
            expect(hidden).to_be_hidden()
        me.page.get_by_role("link", name="Page 3").click()
    me.page.get_by_role("checkbox", name="Page header").check()
    expect(me.find("#block-1")).to_be_visible()


def test_a_table_is_copied_as_a_table(blocky: Site, visit: NewVisit) -> None:
    """As HTML with its spans, and tab-separated; what a spreadsheet would run as a formula is text in both."""
    me = visit(blocky, permissions=["clipboard-read", "clipboard-write"])
    me.go(f"/tasks/{blocky.finished(text_pdf())}")
    me.page.get_by_role("button", name="Copy table").click()
    expect(me.find("#notice")).to_have_text("Copied")
    html, text = me.page.evaluate(READ_CLIPBOARD)
    assert text.split("\n") == ["fruit\tcount and cost\t", "'=1+1 apples\t3\t-4.50", "\t14\t<b>free</b>"]
    assert 'colspan="2"' in html
    assert 'rowspan="2"' in html
    assert "'=1+1 apples" in html
    assert "<b>" not in html


def test_a_page_without_blocks_shows_its_text(blocky: Site, visit: NewVisit) -> None:
    """A failed page has no blocks; the pages around it have, and the choice of the source lasts."""
    me = visit(blocky)
    me.go(f"/tasks/{blocky.finished(text_pdf(3))}#p=1")
    expect(me.find("#block-2")).to_have_text("HeadingChapter 1")
    me.page.keyboard.press("j")
    expect(me.find("#page-failure")).to_be_visible()
    for gone in ("#view-blocks", "#blocks", "#places svg"):
        expect(me.find(gone)).to_be_hidden()
    me.page.keyboard.press("j")
    expect(me.find("#block-2")).to_contain_text("Chapter 3")
    me.page.get_by_role("link", name="Source").click()
    me.page.keyboard.press("k")
    me.page.keyboard.press("k")
    expect(me.find("#source")).to_contain_text("# Chapter 1")
    expect(me.find("#blocks")).to_be_hidden()


def test_blocks_without_places_are_shown_when_chosen(visit: NewVisit, tmp_path: Path) -> None:
    """As of a model's answer: the text comes first, which keeps emphasis; the blocks are one click away."""
    block = Block(1, BlockKind.PARAGRAPH, "somewhere")
    with Site(tmp_path, Script(blocks=lambda _record, _page: [block])) as site:
        me = visit(site)
        me.go(f"/tasks/{site.finished(text_pdf())}")
        expect(me.find("#rendered")).to_have_text("somewhere")
        me.page.get_by_role("link", name="Blocks").click()
        expect(me.find("#block-1")).to_contain_text("somewhere")
        expect(me.find("#rendered")).to_be_hidden()


@pytest.mark.parametrize(("turn_deg", "corner"), [(90, (0, 1)), (180, (1, 1)), (270, (1, 0))])
def test_places_lie_right_on_a_page_that_was_turned(
    visit: NewVisit, tmp_path: Path, turn_deg: int, corner: tuple[int, int]
) -> None:
    """The reader's top left corner is another one of the image, which is not turned."""
    upright = PageBox(792, 612, turn_deg) if turn_deg % 180 else PageBox(612, 792, turn_deg)
    block = Block(1, BlockKind.PARAGRAPH, "at the top left", Box(0, 0, 10, 10))
    with Site(tmp_path, Script(blocks=lambda _record, _page: [block], page_box=upright, rotation=turn_deg)) as site:
        me = visit(site)
        me.go(f"/tasks/{site.finished(text_pdf())}")
        image, place = me.find("#image").bounding_box(), me.find("#places rect").bounding_box()
        assert image is not None
        assert place is not None
        across = (place["x"] + place["width"] / 2 - image["x"]) / image["width"]
        down = (place["y"] + place["height"] / 2 - image["y"]) / image["height"]
        assert (round(across), round(down)) == corner
        assert place["width"] / image["width"] == pytest.approx(10 / 612, rel=0.3)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("locale", "width"), [("en-US", 1280), ("zh-CN", 390)])
def test_blocks_break_no_rule(
    blocky: Site, visit: NewVisit, theme: Literal["light", "dark"], locale: str, width: int
) -> None:
    """axe-core finds nothing, also where a block is marked; nothing is wider than the screen."""
    me = visit(blocky, locale=locale, color_scheme=theme, viewport={"width": width, "height": 800})
    me.go(f"/tasks/{blocky.finished(text_pdf())}")
    assert violations(me) == []
    me.find("#block-4").focus()
    expect(me.find(f"#block-list {MARKED}")).to_have_count(1)
    assert violations(me) == []
    assert me.page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_scripts_a_place_leads_to_its_block(blocky: Site, visit: NewVisit) -> None:
    """Blocks and places are in the page; text and source are links."""
    me = visit(blocky, java_script_enabled=False)
    task_id = blocky.finished(text_pdf())
    me.go(f"/tasks/{task_id}")
    me.find("#places [data-block='4']").click()
    assert me.page.url.endswith("#block-4")
    expect(me.find("#block-4 .kind")).to_be_visible()
    me.page.get_by_role("link", name="Source").click()
    expect(me.find("#source")).to_contain_text("# Chapter 1")
    me.page.get_by_role("link", name="Text", exact=True).click()
    expect(me.find("#rendered h1")).to_have_text("Chapter 1")


def test_three_hundred_pages_of_blocks_stay_light(visit: NewVisit, tmp_path: Path) -> None:
    """Turning a page of 60 blocks is an interaction of less than 100 ms, with the same factor as for text."""

    def many(_record: object, page_number: int) -> list[Block]:
        return [
            Block(n, BlockKind.PARAGRAPH, f"Page {page_number} " * 9, Box(60, 12.0 * n, 500, 12.0 * n + 9))
            for n in range(1, 61)
        ]

    with Site(tmp_path, Script(blocks=many)) as site:
        me = visit(site)
        me.go(f"/tasks/{site.finished(text_pdf(300))}")
        expect(me.find("#block-1")).to_contain_text("Page 1 ")
        median_ms = me.page.evaluate(TURN)
        expect(me.find("#block-1")).to_contain_text("Page 41 ")
        assert median_ms < 500
        assert me.page.evaluate("document.querySelectorAll('*').length") < 1500
