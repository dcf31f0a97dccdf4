"""Languages and themes: what the browser asks for, what a person chooses, and that the catalogues fit together."""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from one_ocr_ray.blocks import BlockKind
from one_ocr_ray.model import ErrorCode
from one_ocr_ray.policy.route.chain import LOCAL, TEXT_LAYER
from one_ocr_ray.policy.tasks.task import TaskState
from one_ocr_ray.service.web import i18n as catalogue
from one_ocr_ray.service.web.i18n import LANGUAGES, catalog, language_of
from tests.pdfs import text_pdf

if TYPE_CHECKING:
    from tests.service.site import Site
    from tests.web.conftest import NewVisit

WEB = Path(catalogue.__file__).parent
BACKGROUND = "getComputedStyle(document.documentElement).backgroundColor"


def test_the_language_is_the_browsers_until_another_one_is_chosen(site: Site, visit: NewVisit) -> None:
    """A Chinese browser sees Chinese; the switch changes it, stays on the page, and is remembered."""
    me = visit(site, locale="zh-CN")
    me.go("/history?state=SUCCESS")
    expect(me.find("h1")).to_have_text("历史记录")
    expect(me.find("html")).to_have_attribute("lang", "zh-CN")
    me.page.get_by_role("link", name="EN", exact=True).click()
    expect(me.find("h1")).to_have_text("History")
    assert me.page.url.endswith("/history?state=SUCCESS")
    me.go("/")
    expect(me.find("h1")).to_have_text("Read PDFs and images")
    me.page.get_by_role("link", name="中文").click()
    expect(me.find("h1")).to_have_text("识别 PDF 和图片")


def test_another_language_shows_the_same_page_of_the_document(site: Site, visit: NewVisit) -> None:
    """The switch keeps the page that the address names."""
    me = visit(site)
    me.go(f"/tasks/{site.finished(text_pdf(3))}#p=3")
    me.page.get_by_role("link", name="中文").click()
    expect(me.find("html")).to_have_attribute("lang", "zh-CN")
    assert me.page.url.endswith("#p=3")
    expect(me.find("#rendered h1")).to_contain_text("Page 3")


def test_the_theme_is_the_systems_until_another_one_is_chosen(site: Site, visit: NewVisit) -> None:
    """Dark where the system is dark; the switch changes it at once, and the next page is rendered with it."""
    me = visit(site, color_scheme="dark")
    dark = me.go("/").evaluate(BACKGROUND)
    me.page.get_by_role("link", name="Light").click()
    light = me.page.evaluate(BACKGROUND)
    assert light != dark
    me.wait_for_cookie("one_ocr_theme", "light")
    me.go("/history")
    assert me.page.evaluate(BACKGROUND) == light
    me.page.get_by_role("link", name="Automatic").click()
    assert me.page.evaluate(BACKGROUND) == dark


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("zh-TW", "zh"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("de,zh;q=0.5,en;q=0.4", "zh"),
        ("zh;q=0,en;q=0.1", "en"),
        ("fr", "en"),
        ("", "en"),
        ("*", "en"),
        (";;;q=x," * 50, "en"),
    ],
)
def test_accept_language_is_understood(header: str, language: str) -> None:
    """The one of ours with the highest quality, English where there is none."""
    assert language_of(header) == language


def test_the_catalogues_have_the_same_sentences_with_the_same_gaps() -> None:
    """No key and no placeholder is missing in either language, and none is empty."""
    english, chinese = (catalog(language).sentences for language in LANGUAGES)
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert text.strip()
        assert chinese[key].strip()
        gaps = [{name for _, name, _, _ in string.Formatter().parse(each) if name} for each in (text, chinese[key])]
        assert gaps[0] == gaps[1], key


def test_every_sentence_is_used_and_every_one_used_is_there() -> None:
    """Templates and scripts name keys that exist; every state and error code has words; nothing is left over."""
    known = set(catalog("en").sentences)
    sources = [*WEB.glob("templates/*.html"), *WEB.glob("static/js/*.js"), *WEB.parent.rglob("*.py")]
    texts = [path.read_text() for path in sources]
    named = {key for text in texts for key in re.findall(r"""["']([a-z]+(?:\.[a-z_\d]+)+)["']""", text)}
    called = {key for text in texts for key in re.findall(r"""(?:\bt|\bsay)\(["']([a-z_.\d]+)["'][,)]""", text)}
    assert called <= known
    assert {f"state.{state}" for state in TaskState} | {f"code.{code}" for code in ErrorCode} <= known
    assert {f"kind.{kind}" for kind in BlockKind} <= known
    kinds = ("tables", "formulas", "handwriting", "tables,formulas,handwriting")
    of_readers = {f"{where}.{name}" for where in ("readers", "upload.route") for name in (TEXT_LAYER, LOCAL)}
    of_readers |= {f"upload.escalate.{kind}" for kind in kinds}
    assert of_readers <= known
    made = ("state.", "code.", "page.", "format.", "kind.", "nav.theme.")  # put together where they are used
    assert {key for key in known if not key.startswith(made)} <= named | of_readers
