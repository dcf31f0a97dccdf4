"""Content negotiation by the Accept header (RFC 9110, 12.5.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def best_type(accept: str, offered: Sequence[str]) -> str | None:
    """The type of `offered` that `accept` prefers, the first of equals. None when it accepts none."""
    qualities: dict[str, float] = {}  # by range; of two equal ranges the better counts
    for part in (accept or "*/*").split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        given = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        try:
            quality = min(1.0, max(0.0, float(given)))
        except ValueError:
            quality = 1.0
        qualities[name] = max(quality, qualities.get(name, 0.0))

    def quality_of(kind: str) -> float:
        """That of the most exact range that matches."""
        ranges = (kind, kind.partition("/")[0] + "/*", "*/*")
        return next((qualities[each] for each in ranges if each in qualities), 0.0)

    best = max(offered, key=quality_of)
    return best if quality_of(best) > 0 else None


def wants_html(accept: str) -> bool:
    """True for a browser that shows the answer to a person."""
    return best_type(accept, ("application/json", "text/html")) == "text/html"
