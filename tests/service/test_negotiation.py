"""What an Accept header gets."""

from __future__ import annotations

import pytest

from one_ocr_ray.service.negotiation import best_type, wants_html

OFFERED = ("application/json", "text/markdown", "text/html")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/*", "text/markdown"),
        ("text/html", "text/html"),
        ("TEXT/HTML; q=0.5", "text/html"),
        ("text/html;q=0.5, application/json;q=0.4", "text/html"),
        ("text/*;q=0.9, text/markdown;q=0, application/json;q=0.1", "text/html"),
        ("*/*;q=0.1, text/markdown", "text/markdown"),
        ("text/html;level=1;q=0.3, */*;q=0.2", "text/html"),
        ("image/png", None),
        ("application/json;q=0", None),
        ("nonsense", None),
        (",,;;q=x,", None),
        ("text/html;q=nan", None),
    ],
)
def test_the_best_of_what_is_offered(accept: str, expected: str | None) -> None:
    """Exact types go before families and those before all; of equals the first offered; none where none is wanted."""
    assert best_type(accept, OFFERED) == expected


def test_browsers_are_told_from_programs() -> None:
    """A browser asks for HTML before all else; curl and fetch take what there is."""
    assert wants_html("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
    assert not wants_html("*/*")
    assert not wants_html("application/json")
    assert not wants_html("")
