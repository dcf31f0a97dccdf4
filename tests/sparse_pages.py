"""Pages with little on them whose text is known: every size, place, font and colour that a page may have.

In fonts that pdfium has in itself, so that they look the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests import pdfs

TEXTS = (
    "PART TWO",
    "End of the report.",
    "Signed: A. Miller",
    "Document 1: Page 1",
    "This page is left empty on purpose",
    "Total 1,280.50 EUR",
    "Appendix C",
    "and the meeting was closed at 17:45.",
)
FONTS = (b"Helvetica", b"Times-Roman", b"Courier", b"Helvetica-Bold", b"Times-Italic")
SIZES_PT = (8, 9, 10, 11, 12, 14, 18, 24, 48)
PLACES_PT = ((72, 700), (72, 400), (72, 40), (230, 550), (300, 60), (150, 770))
GROUNDS = (  # what lies under the text, and its gray
    ("black on white", b"", 0.0),
    ("gray on white", b"", 0.6),
    ("pale on white", b"", 0.8),
    ("white on black", b"0 g 0 0 612 792 re f\n", 1.0),
    ("white on blue", b"0.1 0.2 0.5 rg 0 0 612 792 re f\n", 1.0),
    ("on a tint", b"0.93 0.9 0.8 rg 0 0 612 792 re f\n", 0.0),
    ("with a rule", b"0 G 1 w 72 600 m 540 600 l S\n", 0.0),
    ("in a frame", b"0 G 1 w 36 20 540 766 re S\n", 0.0),
)
NO_TEXT = (  # pages whose ink is no text
    ("rule", b"0 G 1 w 72 400 m 540 400 l S\n"),
    ("two rules", b"0 G 2 w 72 700 m 540 700 l S 72 90 m 540 90 l S\n"),
    ("frame", b"0 G 1 w 72 72 468 648 re S\n"),
    (
        "table without text",
        b"0 G 1 w 72 300 468 300 re S 72 400 m 540 400 l S 72 500 m 540 500 l S 300 300 m 300 600 l S\n",
    ),
    ("bar", b"0.2 0.3 0.6 rg 0 700 612 92 re f\n"),
    (
        "disc",
        b"0.8 0.2 0.2 rg 206 396 m 206 451 251 496 306 496 c 361 496 406 451 406 396 c 406 341 361 296 306 296 c f\n",
    ),
    ("cross", b"0 G 2 w 72 72 m 540 720 l S 540 72 m 72 720 l S\n"),
    ("vertical rule", b"0 G 1 w 306 72 m 306 720 l S\n"),
)


@dataclass(frozen=True, slots=True)
class SparsePage:
    """One page by what is odd about it, its content stream, its font and its text."""

    name: str
    content: bytes = field(repr=False)
    font: bytes
    text: str

    def pdf(self) -> bytes:
        """A document of this page alone."""
        objects = pdfs.page_objects([self.content])
        objects[2] = b"<</Type/Font/Subtype/Type1/BaseFont/%s>>" % self.font
        return pdfs.write(objects)


def sparse_pages() -> list[SparsePage]:
    """A hundred pages with one line each."""
    found = []
    for number in range(100):
        ground, under, gray = GROUNDS[number % len(GROUNDS)]
        size_pt = SIZES_PT[number % len(SIZES_PT)]
        x_pt, y_pt = PLACES_PT[number % len(PLACES_PT)]
        line = TEXTS[number % 7 if size_pt < 48 else 0]
        font = FONTS[number % len(FONTS)]
        content = under + pdfs.text(line, size_pt, min(x_pt, 230) if size_pt > 14 else x_pt, y_pt, gray)
        found.append(SparsePage(f"{number:03d} {ground} {size_pt} pt", content, font, line))
    return found


def pages_without_text() -> list[SparsePage]:
    """Pages with ink that is certainly no text."""
    return [SparsePage(name, content, FONTS[0], "") for name, content in NO_TEXT]
