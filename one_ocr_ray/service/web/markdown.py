"""Turns a model's untrusted Markdown into HTML that is safe in our pages.

The parser keeps HTML in the Markdown, because models write tables as HTML. An allow-list then drops all that could run,
load, style or mislead. Formulas stay text in `span.math` and `div.math`; the browser sets them.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_inline.state_inline import Delimiter
from mdit_py_plugins.dollarmath import dollarmath_plugin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.renderer import RendererHTML
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token
    from markdown_it.utils import EnvType, OptionsDict

MAX_CHARACTERS = 64 << 10  # a longer page is shown as it is written: twice the size takes seconds to parse
_FORMULA_CHARACTERS = 4000
_ALIGNMENTS = ("left", "center", "right")
_TAGS = {
    *("h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "blockquote", "pre", "div", "span", "a"),
    *("em", "strong", "b", "i", "u", "s", "del", "sub", "sup", "code"),
    *("ul", "ol", "li", "dl", "dt", "dd"),
    *("table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td"),
}
_SPANS = {"colspan", "rowspan"}
_ATTRIBUTES = {
    "a": {"href"},
    "ol": {"start"},
    "td": _SPANS,
    "th": _SPANS,
}
_CLASSES = {
    "span": {"math", "inline", "picture"},
    "div": {"math", "block"},
    "td": set(_ALIGNMENTS),
    "th": set(_ALIGNMENTS),
}
_CJK = re.compile("[\u2e80-\u303f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")
_SPAN = re.compile(r"[1-9]\d{0,2}")  # of a cell; a larger one would cost the browser memory
# Formulas between the tags of HTML blocks, where Markdown's own rules do not look.
_FORMULA_IN_HTML = re.compile(r"(<[^<>]*>)|\$(?=\S)([^$<>\n]+?)(?<=\S)\$(?!\d)|\\\(([^<>]{1,500}?)\\\)")


def to_html(markdown: str) -> str:
    """An HTML fragment that is safe to show. Of a text above `MAX_CHARACTERS`, its beginning as `pre.too-long`."""
    if len(markdown) > MAX_CHARACTERS:
        return f'<pre class="too-long">{html.escape(markdown[:MAX_CHARACTERS])}</pre>'
    return nh3.clean(
        _PARSER.render(markdown),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        allowed_classes=_CLASSES,
        attribute_filter=lambda _, name, value: value if name not in _SPANS or _SPAN.fullmatch(value) else None,
        url_schemes={"http", "https", "mailto"},
        url_relative="deny",
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.use(dollarmath_plugin, allow_digits=False, double_inline=True)
    parser.inline.ruler.before("escape", "bracket_math", _bracket_math)
    parser.inline.ruler.at("emphasis", _emphasis)
    parser.add_render_rule("html_block", _html_block)
    for cell in ("th_open", "td_open"):
        parser.add_render_rule(cell, _cell)
    for name, before, after in (
        ("image", '<span class="picture">', "</span>"),  # its words: a page loads nothing that a model names
        ("math_inline", '<span class="math inline">', "</span>"),
        ("math_inline_double", '<div class="math block">', "</div>"),
        ("math_block", '<div class="math block">', "</div>\n"),
        ("math_block_label", '<div class="math block">', "</div>\n"),
    ):
        parser.add_render_rule(name, _escaped(before, after))
    return parser


def _bracket_math(state: StateInline, silent: bool) -> bool:
    r"""`\(x\)` and `\[x\]`; as a rule of the parser it leaves code alone."""
    opening = state.src[state.pos : state.pos + 2]
    if opening not in {"\\(", "\\["}:
        return False
    closing = "\\)" if opening == "\\(" else "\\]"
    end = state.src.find(closing, state.pos + 2, min(state.posMax, state.pos + 2 + _FORMULA_CHARACTERS))
    if end < 0:
        return False
    if not silent:
        token = state.push("math_inline" if opening == "\\(" else "math_inline_double", "math", 0)
        token.content = state.src[state.pos + 2 : end]
    state.pos = end + 2
    return True


def _emphasis(state: StateInline, silent: bool) -> bool:
    """CommonMark's `*` and `_`, also beside Chinese, Japanese or Korean text without a space.

    By the standard's rule `**注意：**请` is not strong, because what stands before the closing mark is punctuation.
    """
    marker = state.src[state.pos]
    if silent or marker not in "*_":
        return False
    scanned = state.scanDelims(state.pos, marker == "*")
    before = state.src[state.pos - 1 : state.pos]
    after = state.src[state.pos + scanned.length : state.pos + scanned.length + 1]
    opens = scanned.can_open or (marker == "*" and bool(_CJK.match(before)) and bool(after.strip()))
    closes = scanned.can_close or (marker == "*" and bool(_CJK.match(after)) and bool(before.strip()))
    for _ in range(scanned.length):
        state.push("text", "", 0).content = marker
        token = len(state.tokens) - 1
        state.delimiters.append(Delimiter(ord(marker), scanned.length, token, -1, opens, closes))
    state.pos += scanned.length
    return True


def _escaped(before: str, after: str) -> Any:
    """A rule that gives the content of a token as text between `before` and `after`."""

    def render(_: RendererHTML, tokens: Sequence[Token], index: int, _o: OptionsDict, _e: EnvType) -> str:
        return before + html.escape(tokens[index].content.strip()) + after

    return render


def _cell(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, _e: EnvType) -> str:
    """Alignment as a class: inline styles are refused by the pages' policy."""
    style = str(tokens[index].attrs.pop("style", "")).removeprefix("text-align:")
    if style in _ALIGNMENTS:
        tokens[index].attrs["class"] = style
    return renderer.renderToken(tokens, index, options, {})


def _html_block(_: RendererHTML, tokens: Sequence[Token], index: int, _o: OptionsDict, _e: EnvType) -> str:
    def formula(found: re.Match[str]) -> str:
        text = found[2] or found[3]
        return f'<span class="math inline">{text}</span>' if text else found[0]

    return _FORMULA_IN_HTML.sub(formula, tokens[index].content)


_PARSER = _parser()
