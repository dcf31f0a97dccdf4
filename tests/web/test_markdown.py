"""What becomes of a model's Markdown, without a browser: what is kept, what is dropped, and that it always ends."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_ocr_ray.service.web.markdown import MAX_CHARACTERS, to_html
from tests.web.payloads import PAYLOADS

_HARMFUL_TAG = re.compile(
    r"<(script|img|svg|math|iframe|object|embed|form|input|button|style|link|base|meta|video|audio|details|picture|body)\b",
    re.IGNORECASE,
)
_TAG = re.compile(r"<[a-z][^>]*>", re.IGNORECASE)
_ALLOWED_ATTRIBUTE = re.compile(
    r''' (?:class="(?:math|inline|block|picture|left|center|right| )*"|href="(?:https?|mailto):[^"]*"|target="_blank"'''
    r"""|rel="noopener noreferrer nofollow"|(?:col|row)span="\d{1,3}"|start="-?\d+")"""
)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_nothing_that_could_run_or_load_is_left(payload: str) -> None:
    """No tag outside the list, and no attribute but links, spans and our classes."""
    html = to_html(payload)
    assert not _HARMFUL_TAG.search(html)
    for tag in _TAG.findall(html):
        assert " " not in _ALLOWED_ATTRIBUTE.sub("", tag), tag


@given(st.text(alphabet=st.sampled_from("ab \n\t|-*_`$\\()[]<>&\"'=/:;!#~.1中，。\u202e\x00"), max_size=400))
@settings(max_examples=150, deadline=None)
def test_any_text_becomes_safe_html(text: str) -> None:
    """It never raises, and never leaves a tag that could harm."""
    assert not _HARMFUL_TAG.search(to_html(text))


def test_tables_keep_their_spans_and_alignment() -> None:
    """HTML tables with spans, as models write them, and Markdown's own with alignment as classes."""
    html = to_html(
        '<table><tr><td colspan="2" rowspan=3 onclick=x>a</td><td colspan="99999">b</td></tr></table>\n\n'
        "| l | c | r |\n|:--|:-:|--:|\n| 1 | 2 | 3 |\n"
    )
    assert '<td colspan="2" rowspan="3">a</td><td>b</td>' in html
    assert '<td class="left">1</td>\n<td class="center">2</td>\n<td class="right">3</td>' in html
    assert "style" not in html


def test_formulas_stay_text_for_the_browser_to_set() -> None:
    """Dollars and brackets, inline and block, also in the cells of HTML tables; prices and code are left alone."""
    html = to_html(
        "$a_b<c$ and \\(d*e*f\\), \\[ g \\\\ h \\]\n\n$$\ni^2\n$$\n\nfrom $5 to $6, `\\(code\\)`\n\n"
        "<table><tr><td>$x^2$ costs $5 or $6</td><td>\\(y\\)</td></tr></table>"
    )
    assert '<span class="math inline">a_b&lt;c</span>' in html
    assert '<span class="math inline">d*e*f</span>' in html
    assert '<div class="math block">g \\\\ h</div>' in html
    assert '<div class="math block">i^2</div>' in html
    assert "from $5 to $6, <code>\\(code\\)</code>" in html
    assert '<td><span class="math inline">x^2</span> costs $5 or $6</td><td><span class="math inline">y</span>' in html


def test_emphasis_works_beside_chinese() -> None:
    """Strong text that ends in Chinese punctuation is strong, though no space follows; a lone star stays."""
    assert to_html("**注意：**请先阅读。这是**「重点」**内容。") == (
        "<p><strong>注意：</strong>请先阅读。这是<strong>「重点」</strong>内容。</p>\n"
    )
    assert to_html("2 * 3 * 4 snake_case_name") == "<p>2 * 3 * 4 snake_case_name</p>\n"


def test_links_tell_nobody_and_lead_outside_only() -> None:
    """Links open apart without telling where from; a link into the service, or without a scheme, leads nowhere."""
    assert to_html("[a](https://example.com/x)") == (
        '<p><a href="https://example.com/x" target="_blank" rel="noopener noreferrer nofollow">a</a></p>\n'
    )
    for inside in ("/logout", "//evil.example", "tasks/x", "?lang=zh"):
        assert "href" not in to_html(f"[a]({inside}) <a href='{inside}'>b</a>")


def test_pictures_become_their_words() -> None:
    """Nothing is loaded that a model names; what it says of the picture is kept."""
    assert to_html("![a <b> chart](https://evil.example/x.png)") == (
        '<p><span class="picture">a &lt;b&gt; chart</span></p>\n'
    )


def test_a_page_that_is_too_long_is_shown_as_it_is_written() -> None:
    """Beyond the cap there is no parsing, only escaped text that is cut."""
    html = to_html("<b>" * MAX_CHARACTERS)
    assert html.startswith('<pre class="too-long">&lt;b&gt;')
    assert html.count("&lt;") <= MAX_CHARACTERS


@pytest.mark.parametrize("part", ["[", "![", "$a ", "\\(", "*a ", "<div>\n", "<a", "`a``b", "  - a\n", "|a", "_a*"])
def test_the_cost_grows_with_the_text_and_not_with_its_square(part: str) -> None:
    """Eight times the text takes nowhere near 64 times as long."""

    def seconds(characters: int) -> float:
        text = (part * characters)[:characters]
        begun = time.process_time()
        to_html(text)
        return time.process_time() - begun

    seconds(1000)
    small = max(min(seconds(MAX_CHARACTERS // 16), seconds(MAX_CHARACTERS // 16)), 0.01)
    assert min(seconds(MAX_CHARACTERS // 2), seconds(MAX_CHARACTERS // 2)) < 40 * small
