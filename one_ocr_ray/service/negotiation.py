"""Content negotiation by the Accept header (RFC 9110, 12.5.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def best_type(accept: str, offered: Sequence[str]) -> str | None:
    """The type of `offered` that `accept` prefers, the first of equals; None when it accepts none."""
    ranges = [_range(part) for part in (accept or "*/*").split(",") if part.strip()]
    rated = [(_quality(kind, ranges), kind) for kind in offered]
    best, kind = max(rated, key=lambda pair: pair[0])
    return kind if best > 0 else None


def wants_html(accept: str) -> bool:
    """True for a browser that shows the answer to a person."""
    return best_type(accept, ("application/json", "text/html")) == "text/html"


def _range(part: str) -> tuple[str, float]:
    kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((each[2:] for each in parameters if each.startswith("q=")), "1")
    try:
        return kind, min(1.0, max(0.0, float(quality)))
    except ValueError:
        return kind, 1.0


def _quality(kind: str, ranges: list[tuple[str, float]]) -> float:
    """The quality of the most exact range that matches `kind`."""
    family = kind.partition("/")[0] + "/*"
    for wanted in (kind, family, "*/*"):
        found = [quality for name, quality in ranges if name == wanted]
        if found:
            return max(found)
    return 0.0
