"""Which letters the embedded engine's models know: a sample says nothing of the others."""

from __future__ import annotations

# Latin, Greek, and what China and Japan write. Not the letters with two accents that Vietnamese has.
_KNOWN = ((0x0000, 0x02AF), (0x0370, 0x03FF), (0x2C60, 0x2C7F), (0x2E80, 0x9FFF), (0xF900, 0xFAFF), (0xFF00, 0xFFEF))


def is_known(letter: str) -> bool:
    """True if the models know `letter`."""
    code = ord(letter[0])
    return any(first <= code <= last for first, last in _KNOWN) or code >= 0x20000
