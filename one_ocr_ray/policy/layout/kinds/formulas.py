"""Formulas that stand on lines of their own: how they are told from text, and what is written of them.

A recogniser of lines reads their characters and loses their build: fractions, limits, some of what is raised. What it
has read becomes LaTeX as it is.
"""

from __future__ import annotations

import re
import unicodedata

DENSE = 0.25  # of a formula's characters are mathematical

_NUMBER = re.compile(r"[(（]\s*([A-Z]?\d{1,3}(?:[.-]\d{1,3})*\s*[a-z]?)\s*[)）]")
_RELATION = re.compile(r"[=≡≈≠<>≤≥∈→⇒⇔∝∼≃≅]")
_MATHEMATICAL = re.compile(r"[=≡≈≠<>≤≥±×÷·∇∂∫∑∏√∞∈∉⊂∪∩∀∃→⇒⇔∝∼≃≅α-ωΑ-Ωµ²³¹⁰-₉^|+−*/()\[\]{}]")
_FUNCTIONS = re.compile(
    r"\b(?:arcsin|arccos|arctan|sinh|cosh|tanh|exp|log|lim|max|min|arg|det|mod|sin|cos|tan|sup|inf)\b"
)
_WORD = re.compile(r"(?:(?![\u0370-\u03ff\u00b5])[^\W\d_]){4}|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_RAISED = re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ]+")
_LOWERED = re.compile(r"[₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎]+")
_SPECIAL = re.compile(r"[\\{}#$%&~]")


def is_number(text: str) -> bool:
    """Whether a text is the number of a formula, as "(13)" is."""
    return _NUMBER.fullmatch(text) is not None


def may_be_formula(text: str) -> bool:
    """Whether a text has a relation, or goes on after an operator, no words, and much that is mathematical."""
    text = _FUNCTIONS.sub("", text)
    characters = sum(not char.isspace() for char in text)
    if characters < 4 or not (_RELATION.search(text) or text[0] in "+−-×·") or _WORD.search(text):
        return False
    return len(_MATHEMATICAL.findall(text)) >= DENSE * characters


def latex(text: str) -> str:
    """One line of a formula; its number becomes a tag."""
    tag = ""
    if match := re.search(rf"\s{_NUMBER.pattern}$", text):
        text, tag = text[: match.start()].rstrip(), rf" \tag{{{match[1]}}}"
    text = _SPECIAL.sub(lambda char: "\\backslash " if char[0] == "\\" else "\\" + char[0], text)
    text = _RAISED.sub(lambda run: f"^{{{unicodedata.normalize('NFKC', run[0])}}}", text)
    text = _LOWERED.sub(lambda run: f"_{{{unicodedata.normalize('NFKC', run[0])}}}", text)
    return text.replace("−", "-") + tag
