"""Formulas that stand on lines of their own: how they are told from text, and what is written of them.

A recogniser of lines reads their characters and loses their build: fractions, limits, some of what is raised. What it
has read becomes LaTeX as it is. Of a text layer it is known what is raised and lowered.
"""

from __future__ import annotations

import re
import unicodedata

DENSE = 0.25  # of a formula's characters are mathematical
LEAST_OPERATORS = 2  # of a formula that has nothing but its type to tell it

_NUMBER = re.compile(r"[(（]\s*([A-Z]?\d{1,3}(?:[.-]\d{1,3})*\s*[a-z]?)\s*[)）]")
_RELATION = re.compile(r"[=≡≈≠<>≤≥∈→⇒⇔∝∼≃≅]")
_MATHEMATICAL = re.compile(r"[=≡≈≠<>≤≥±×÷·⋅∇∂∫∮∑∏∐⋃⋂⋀⋁√∞∈∉⊂∪∩∀∃→⇒⇔∝∼≃≅α-ωΑ-Ωµ²³¹⁰-₉^|+−*/()\[\]{}]")
_FUNCTIONS = re.compile(
    r"\b(?:arcsin|arccos|arctan|sinh|cosh|tanh|exp|log|lim|max|min|arg|det|mod|sin|cos|tan|sup|inf)\b"
)
_WORD = re.compile(r"(?:(?![\u0370-\u03ff\u00b5])[^\W\d_]){4}|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_RAISED = re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ]+")
_LOWERED = re.compile(r"[₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎]+")
_SPECIAL = re.compile(r"[\\{}#$%&~]")
_OPERATOR = re.compile(r"[=≡≈≠<>≤≥±×÷·⋅∇∂∫∮∑∏∐⋃⋂⋀⋁√∈∪∩→⇒⇔∝∼≃≅+−*/]")
_NAMES = """α alpha β beta γ gamma δ delta ε epsilon ϵ epsilon ζ zeta η eta θ theta ι iota κ kappa λ lambda μ mu µ mu
    ν nu ξ xi π pi ρ rho ς varsigma σ sigma τ tau υ upsilon φ phi ϕ phi χ chi ψ psi ω omega Γ Gamma Δ Delta Θ Theta
    Λ Lambda Ξ Xi Π Pi Σ Sigma Υ Upsilon Φ Phi Ψ Psi Ω Omega ∇ nabla ∂ partial ∫ int ∑ sum ∏ prod × times ÷ div · cdot
    ⋅ cdot ± pm ≤ leq ≥ geq ≠ neq ≈ approx ≡ equiv ∼ sim ∝ propto → to ∞ infty ∈ in ∪ cup ∩ cap
    ⋃ bigcup ⋂ bigcap ⋀ bigwedge ⋁ bigvee ∐ coprod ∮ oint""".split()  # noqa: SIM905
_COMMANDS = dict(zip(_NAMES[::2], _NAMES[1::2], strict=True))
_COMMAND = re.compile(f"[{''.join(_COMMANDS)}](?=(?P<letter>[A-Za-z])?)")


def is_number(text: str) -> bool:
    """True if a text is the number of a formula, as "(13)" is."""
    return _NUMBER.fullmatch(text) is not None


def may_be_formula(text: str) -> bool:
    """True if a text has a relation or begins with an operator, has no words, and is largely mathematical."""
    text = _FUNCTIONS.sub("", text)
    characters = len("".join(text.split()))
    if characters < 4 or not (_RELATION.search(text) or text[0] in "+−-×·") or _WORD.search(text):
        return False
    return len(_MATHEMATICAL.findall(text)) >= DENSE * characters


def has_operators(text: str) -> bool:
    """True if a text has two operators, as few entries of a table have."""
    return len(_OPERATOR.findall(text)) >= LEAST_OPERATORS


def ends_open(text: str) -> bool:
    """True if a text ends with an operator, a relation or a bracket: a formula goes on."""
    return bool(text) and _MATHEMATICAL.match(text[-1]) is not None and not text[-1].isalpha()


def latex(text: str) -> str:
    """One line of a formula; its number becomes a tag."""
    tag = ""
    if match := re.search(rf"\s{_NUMBER.pattern}$", text):
        text, tag = text[: match.start()].rstrip(), rf" \tag{{{match[1]}}}"
    text = _RAISED.sub(lambda run: f"^{{{unicodedata.normalize('NFKC', run[0])}}}", escaped(text))
    text = _LOWERED.sub(lambda run: f"_{{{unicodedata.normalize('NFKC', run[0])}}}", text)
    return text + tag


def escaped(text: str) -> str:
    """The characters of a formula in LaTeX: commands for Greek letters and operators, a mark before special ones."""
    text = _SPECIAL.sub(lambda char: "\\backslash " if char[0] == "\\" else "\\" + char[0], text)
    text = _COMMAND.sub(lambda char: f"\\{_COMMANDS[char[0]]}{' ' if char['letter'] else ''}", text)
    return text.replace("−", "-")
