"""Which letters the embedded engine's models know, for a sample says nothing of the others; and signs of formulas."""

from __future__ import annotations

from functools import lru_cache

# Latin, Greek, and what China and Japan write. Not the letters with two accents that Vietnamese has.
_KNOWN = ((0x0000, 0x02AF), (0x0370, 0x03FF), (0x2C60, 0x2C7F), (0x2E80, 0x9FFF), (0xF900, 0xFAFF), (0xFF00, 0xFFEF))


@lru_cache(4096)
def is_known(letter: str) -> bool:
    """True if the models know `letter`."""
    code = ord(letter[0])
    return any(first <= code <= last for first, last in _KNOWN) or code >= 0x20000


# Operators and letters of formulas, but for those that ordinary text has: minus, dots, slash, asterisk and bullet.
_MATH = (
    (0x2200, 0x2211),
    (0x2213, 0x2214),
    (0x221A, 0x22C4),
    (0x22C6, 0x22FF),
    (0x27C0, 0x27EF),
    (0x2980, 0x2AFF),
    (0x1D400, 0x1D7FF),
)


def is_math(sign: str) -> bool:
    """True if `sign` stands in formulas alone."""
    code = ord(sign[0])
    return any(first <= code <= last for first, last in _MATH)
