"""Markdown to plain text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.policy.plaintext import plain_text


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
