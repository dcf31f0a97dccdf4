"""Pages with odd boxes, turns, forms and annotations: what is drawn is what other readers show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.pdf.drawing import RefusedError, size_px
from one_ocr_ray.pdf.reader import PdfChild
from one_ocr_ray.policy.page.blank import is_blank
from tests import pdfs
from tests.children import image_of, opened, picture_of
from tests.layers import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL import Image

LINE = pdfs.text("a line", x_pt=72, y_pt=700)


@pytest.fixture(scope="module")
def child() -> Iterator[PdfChild]:
    """One child process for the tests that harm nobody."""
    with PdfChild() as one:
        yield one


def with_entries(entries: bytes, *, box: bytes = pdfs.LETTER) -> bytes:
    """One line of text on a page with these entries."""
    return pdfs.write(pdfs.page_objects([LINE], box=box, page_entries=[entries]))


def ink_box(picture: Image.Image) -> tuple[int, int, int, int]:
    """Where the dark pixels are."""
    box = picture.convert("L").point(lambda level: 255 * (level < 128)).getbbox()
    assert box is not None, "nothing is drawn"
    return box


def plain(child: PdfChild) -> bytes:
    """The image of the same page without any odd entry."""
    opened(child, with_entries(b""))
    return image_of(child, 1).data


# ---------------------------------------------------------------- boxes, turns, units


@pytest.mark.parametrize(
    "entries",
    [
        b"/CropBox[700 0 1300 792]",
        b"/CropBox[612 0 1300 792]",
        b"/CropBox[0 -900 612 -1]",
        b"/CropBox[100 100 100 100]",
        b"/CropBox[1 2 3]",
        b"/Rotate 45",
        b"/Rotate /Left",
        b"/Rotate 360",
        b"/UserUnit 2",
        b"/UserUnit 0",
        b"/UserUnit -3",
    ],
)
def test_odd_entries_leave_the_page_as_it_is(child: PdfChild, entries: bytes) -> None:
    """A CropBox beside the MediaBox or without an area, a turn by no right angle any unit: no matter."""
    expected = plain(child)
    opened(child, with_entries(entries))
    assert image_of(child, 1).data == expected
    assert text_of(child, 1) == "a line"


@pytest.mark.parametrize("box", [b"0 0 0 0", b"5 5 5 800", b"612 792 0 0", b"0 0 1e38 1e38", b"0 0 nan 10"])
def test_a_media_box_that_is_none_is_a_letter_page(child: PdfChild, box: bytes) -> None:
    """Without an area, upside down or beyond all numbers: drawn as US letter, as other readers do."""
    expected = plain(child)
    opened(child, with_entries(b"", box=box))
    assert image_of(child, 1).data == expected


def test_an_inherited_media_box_is_drawn_where_the_crop_box_is_beside_it(child: PdfChild) -> None:
    """The MediaBox of the page tree counts, not a default."""
    objects = pdfs.page_objects([pdfs.text("in it", y_pt=20)])
    objects[1] = b"<</Type/Pages/Kids[4 0 R]/Count 1/MediaBox[0 0 400 100]>>"
    objects[3] = b"<</Type/Page/Parent 2 0 R/CropBox[900 0 999 99]/Contents 5 0 R/Resources<</Font<</F1 3 0 R>>>>>>"
    opened(child, pdfs.write(objects))
    page = image_of(child, 1)
    assert (page.width_px, page.height_px) == (800, 200)
    ink_box(picture_of(child, 1))


@pytest.mark.parametrize("sides_pt", [(0.0, 0.0), (612.0, 0.0), (-1.0, 5.0), (math.inf, 5.0), (math.nan, 5.0)])
def test_a_page_without_an_area_is_refused(sides_pt: tuple[float, float]) -> None:
    """What has no size is a page that cannot be drawn; it does not end the process."""
    with pytest.raises(RefusedError, match="page"):
        size_px(*sides_pt, 800)


@pytest.mark.parametrize("turn", [b"90", b"450", b"-270", b"90.0"])
def test_a_turn_may_be_written_in_many_ways(child: PdfChild, turn: bytes) -> None:
    """Over a full circle, below zero or as a real number: a quarter to the right."""
    opened(child, with_entries(b"/Rotate 90"))
    expected = image_of(child, 1).data
    opened(child, with_entries(b"/Rotate " + turn))
    assert image_of(child, 1).data == expected


# ---------------------------------------------------------------- forms and annotations


def form_pdf(widgets: Sequence[bytes], form_entries: bytes = b"/DA(/F1 24 Tf 0 g)", flags: int = 4) -> bytes:
    """A blank page with these annotations, none of which says how it looks."""
    numbers = b" ".join(b"%d 0 R" % (6 + index) for index in range(len(widgets)))
    objects = pdfs.page_objects([b""], page_entries=[b"/Annots[%s]" % numbers])
    resources = b"/DR<</Font<</F1 3 0 R>>>>"
    objects[0] = b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[%s]%s%s>>>>" % (numbers, form_entries, resources)
    return pdfs.write(
        [*objects, *(b"<</Type/Annot/F %d/Rect[72 600 372 640]%s>>" % (flags, widget) for widget in widgets)]
    )


@pytest.mark.parametrize("form_entries", [b"/DA(/F1 24 Tf 0 g)", b"/DA(/F1 24 Tf 0 g)/NeedAppearances true"])
@pytest.mark.parametrize(
    "widget",
    [
        b"/Subtype/Widget/FT/Tx/T(name)/V(FILLED IN)",
        b"/Subtype/Widget/FT/Btn/T(box)/V/Yes/AS/Yes/MK<</CA(4)>>",
        b"/Subtype/Widget/FT/Ch/Ff 131072/T(choice)/V(CHOSEN)/Opt[(CHOSEN)(other)]",
        b"/Subtype/FreeText/Contents(FREE TEXT)/DA(/F1 18 Tf 0 g)",
    ],
    ids=["text", "tick", "choice", "free text"],
)
def test_fields_without_an_appearance_are_drawn(child: PdfChild, widget: bytes, form_entries: bytes) -> None:
    """A form that a program has filled in holds values only: they are drawn where they belong."""
    opened(child, form_pdf([widget], form_entries))
    left, top, right, bottom = ink_box(picture_of(child, 1, 792))
    assert left >= 70
    assert right <= 374
    assert top >= 150
    assert bottom <= 194
    assert not is_blank(image_of(child, 1, 1600).ink_cells)


def test_what_is_hidden_or_filled_with_nothing_is_not_drawn(child: PdfChild) -> None:
    """An empty field, a hidden note and a pop-up leave the page blank."""
    hidden = b"/Subtype/FreeText/Contents(FREE TEXT)/DA(/F1 18 Tf 0 g)"
    opened(child, form_pdf([b"/Subtype/Popup/Contents(a pop-up)", b"/Subtype/Widget/FT/Tx/T(name)", hidden], flags=2))
    assert is_blank(image_of(child, 1, 1600).ink_cells)
