"""Markdown to plain text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_ocr_ray.policy.page.plain_text import plain_text


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("# Title #\n## Two", "Title\nTwo"),
        ("#hashtag", "#hashtag"),
        ("**bold** *it* __b__ _i_ ~~gone~~ ***both***", "bold it b i gone both"),
        ("snake_case_name 2 * 3 README*, *.c", "snake_case_name 2 * 3 README*, *.c"),
        ("> quoted\n>> twice", "quoted\ntwice"),
        ("- item\n1. first", "- item\n1. first"),
        ("| a | b |\n|---|:-:|\n| 1 | **2** |", "a\tb\n1\t2"),
        ("```py\n# not a title\n*a*\n```\nafter", "# not a title\n*a*\nafter"),
        ("~~~~\n```\n~~~~", "```"),
        ("a `*code*` b", "a *code* b"),
        ('[text](http://x/(y) "t") ![alt](i.png)', "text alt"),
        ("[![alt](i.png)](http://x)", "alt"),
        ("<https://x.org/a>", "https://x.org/a"),
        (r"1\. \*not\* \# \\", r"1. *not* # \\"[:-1]),
        ("a<br>b<BR/>c", "a b c"),
        ("&lt;b&gt; &amp; &copy;", "<b> & ©"),
        ("above\n\n---\n\nbelow", "above\n\n\nbelow"),
        ("标题 **重要** 内容", "标题 重要 内容"),
        ("", ""),
    ],
)  # fmt: skip
def test_marks_go_and_words_stay(markdown: str, text: str) -> None:
    """By kind of mark; what only looks like one stays."""
    assert plain_text(markdown) == text


@given(st.text(st.characters(categories=("L", "Nd"), include_characters=" \n"), max_size=200))
def test_plain_text_stays_as_it_is(text: str) -> None:
    """Letters, digits and line breaks are nobody's marks; only spaces at line ends go."""
    assert plain_text(text) == "\n".join(line.rstrip() for line in text.split("\n"))


@given(st.text("*_`~[]()#>|-\\!<a \n", max_size=120))
def test_any_mix_of_marks_ends(markdown: str) -> None:
    """Never an exception and never more lines than there were: pages are hostile."""
    assert plain_text(markdown).count("\n") <= markdown.count("\n")


_HOSTILE = (
    "**word ",
    "~~word ",
    "*word ",
    "_word ",
    "__word ",
    "`a ``b ",
    "[a](b",
    "![",
    '[a](b "c',
    "&#1",
    "<br ",
    "# ",
    " ",
    "| ",
    "- ",
    "> ",
    "\\*",
    "([a](",
)
_MOST_GROWTH = 2.5**2  # of four times the page
_WORDS = st.text("*_`~[]()#>|-\\!<&a1 \"'.", min_size=1, max_size=10)


@pytest.mark.parametrize("unit", _HOSTILE)
@pytest.mark.parametrize("after", ["", "x"])
def test_time_is_linear_in_the_length_of_hostile_pages(unit: str, after: str) -> None:
    """Marks that are never closed cost no more than others: four times the page, four times the time."""
    assert _growth(unit, after) < _MOST_GROWTH


@settings(max_examples=40, deadline=None)
@given(_WORDS, st.text("*_`x ", max_size=2))
def test_time_is_linear_for_any_repeated_mix_of_marks(unit: str, after: str) -> None:
    """What nobody thought of, too."""
    assert _growth(unit, after) < _MOST_GROWTH


def test_a_page_that_took_half_a_minute_is_done_at_once() -> None:
    """63,000 characters of emphasis that is never closed; and every one of them stays."""
    page = "**word " * 9000
    begun = time.thread_time()
    assert plain_text(page) == page.rstrip()
    assert time.thread_time() - begun < 1.0


def test_a_character_of_five_thousand_digits_is_text() -> None:
    """Python refuses to read such a number."""
    assert plain_text("&#" + "1" * 5000 + ";").startswith("&#111")


def _growth(unit: str, after: str) -> float:
    """How many times longer a page takes that is four times as long: of the least of several tries.

    Another process on this core makes a try longer, never shorter: more tries tell it better where few tell too much.
    """
    small = unit * (8000 // len(unit)) + after
    large = small[: -len(after) or None] * 4 + after
    small_s = large_s = float("inf")
    for number in range(25):
        small_s, large_s = min(small_s, _cpu_s(small)), min(large_s, _cpu_s(large))
        if number >= 4 and large_s < _MOST_GROWTH * small_s:
            break
    return large_s / small_s


def _cpu_s(page: str) -> float:
    begun = time.thread_time()
    plain_text(page)
    return max(time.thread_time() - begun, 2e-4)
