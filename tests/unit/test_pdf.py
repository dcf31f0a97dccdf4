"""PDFs as they come: what opening, drawing and reading them gives."""

from __future__ import annotations

import hashlib
import io
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from one_ocr_ray.model import ErrorCode, Failure, PageUnrendered
from one_ocr_ray.pdf.drawing import size_px
from one_ocr_ray.pdf.reader import PdfChild, PdfInfo, PdfLimits, document_id_of
from one_ocr_ray.policy.page.blank import is_blank
from tests import pdfs
from tests.children import PX, failure_of, image_of, opened, picture_of
from tests.layers import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def child() -> Iterator[PdfChild]:
    """One child process for the tests that harm nobody."""
    with PdfChild() as one:
        yield one


# ---------------------------------------------------------------- opening


@pytest.mark.parametrize(
    ("data", "password", "code"),
    [
        (b"", None, ErrorCode.NOT_PDF),
        (b"<html><body>404 Not Found</body></html>", None, ErrorCode.NOT_PDF),
        (b" " * 1024 + pdfs.text_pdf(), None, ErrorCode.NOT_PDF),
        (b"%PDF-1.7\n" + b"garbage " * 100, None, ErrorCode.PDF_CORRUPT),
        (pdfs.truncated_pdf(), None, ErrorCode.PDF_CORRUPT),
        (pdfs.encrypted_pdf(), None, ErrorCode.PDF_ENCRYPTED),
        (pdfs.encrypted_pdf(), "wrong", ErrorCode.PDF_BAD_PASSWORD),
        (pdfs.unknown_security_pdf(), None, ErrorCode.PDF_ENCRYPTED),
        (pdfs.unknown_security_pdf(), "any", ErrorCode.PDF_ENCRYPTED),
        (pdfs.zero_pages_pdf(), None, ErrorCode.PDF_EMPTY),
        (pdfs.junk_before_header_pdf(page_count=0), None, ErrorCode.PDF_EMPTY),
        (pdfs.zero_pages_pdf().removesuffix(b"%%EOF\n"), None, ErrorCode.PDF_CORRUPT),
        (pdfs.zero_pages_pdf().replace(b"startxref\n", b"startxref\n9"), None, ErrorCode.PDF_CORRUPT),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} bytes" if isinstance(value, bytes) else None,
)
def test_a_document_that_does_not_open_says_why(
    child: PdfChild, tmp_path: Path, data: bytes, password: str | None, code: ErrorCode
) -> None:
    """Each way not to open has its code, the same for a file and for bytes."""
    path = tmp_path / "document.pdf"
    path.write_bytes(data)
    for source in (data, path):
        failure = child.inspect(source, password)
        assert isinstance(failure, Failure), failure
        assert failure.code is code


def test_a_file_that_is_not_there_or_no_file_is_not_found(child: PdfChild, tmp_path: Path) -> None:
    """Nothing, a folder and a named pipe, which would never end, are `pdf_not_found`."""
    os.mkfifo(tmp_path / "pipe.pdf")
    for path in (tmp_path / "nothing.pdf", tmp_path, tmp_path / "pipe.pdf"):
        failure = child.inspect(path)
        assert isinstance(failure, Failure)
        assert failure.code is ErrorCode.PDF_NOT_FOUND
        assert document_id_of(path) is None


@pytest.mark.parametrize("password", ["open sesame", "owner"])
def test_either_password_opens_an_encrypted_document(child: PdfChild, password: str) -> None:
    """User and owner password both show the pages."""
    assert opened(child, pdfs.encrypted_pdf(page_count=2), password) == PdfInfo(page_count=2, encrypted=True)
    assert text_of(child, 2) == "encrypted page 2 of 2"


def test_a_document_with_an_owner_password_only_opens_without_one(child: PdfChild) -> None:
    """A file that only forbids printing can be read, and says that it is encrypted."""
    assert opened(child, pdfs.encrypted_pdf(user_password="")) == PdfInfo(page_count=1, encrypted=True)
    assert text_of(child, 1) == "encrypted page 1 of 1"


def test_a_password_for_a_document_without_one_is_ignored(child: PdfChild) -> None:
    """One password may be given for a folder in which only some documents need it."""
    assert opened(child, pdfs.text_pdf(), "needless") == PdfInfo(page_count=1, encrypted=False)


def test_errors_of_earlier_documents_do_not_stick(child: PdfChild) -> None:
    """A PDF without pages is `pdf_empty` after an encrypted, a corrupt and a good one as well."""
    for earlier in (pdfs.encrypted_pdf(), pdfs.truncated_pdf(), pdfs.text_pdf()):
        child.inspect(earlier)
        failure = child.inspect(pdfs.zero_pages_pdf())
        assert isinstance(failure, Failure)
        assert failure.code is ErrorCode.PDF_EMPTY


def test_a_document_that_fails_closes_the_one_before_it(child: PdfChild) -> None:
    """After a failed `inspect` no page of an earlier document can be had by mistake."""
    opened(child, pdfs.text_pdf())
    child.inspect(b"no PDF")
    with pytest.raises(RuntimeError, match="no document is open"):
        child.render(1, PX)


def test_bytes_that_the_child_cannot_hold_are_too_large() -> None:
    """Bytes beyond half the child's memory are refused before any process is started."""
    with PdfChild(PdfLimits(memory_bytes=1000)) as child:
        failure = child.inspect(pdfs.text_pdf())
    assert isinstance(failure, Failure)
    assert failure.code is ErrorCode.TOO_LARGE


def test_the_document_id_is_the_hash_of_the_bytes(tmp_path: Path) -> None:
    """A file and its bytes have the same id: sha256, also beyond one chunk."""
    data = pdfs.text_pdf() + b" " * (3 << 20)
    path = tmp_path / "document.pdf"
    path.write_bytes(data)
    assert document_id_of(data) == document_id_of(path) == "sha256:" + hashlib.sha256(data).hexdigest()


# ---------------------------------------------------------------- drawing


def test_pages_come_by_their_number_from_a_file_and_from_bytes(child: PdfChild, tmp_path: Path) -> None:
    """Page n is page n, in any order, and looks the same however the document was handed over."""
    data = pdfs.text_pdf(5, "alpha")
    path = tmp_path / "document.pdf"
    path.write_bytes(data)
    digests = []
    for source in (data, path):
        assert child.inspect(source) == PdfInfo(page_count=5, encrypted=False)
        for number in (4, 1, 5, 2, 3):
            assert text_of(child, number) == pdfs.identity("alpha", number, 5)
        digests.append([image_of(child, number).sha256 for number in range(1, 6)])
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == 5


def test_a_page_image_is_what_it_says(child: PdfChild) -> None:
    """The bytes are an RGB JPEG of the stated size and hash: dark text on white."""
    opened(child, pdfs.text_pdf())
    page = image_of(child, 1)
    picture = Image.open(io.BytesIO(page.data))
    assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (page.width_px, page.height_px))
    assert page.sha256 == hashlib.sha256(page.data).hexdigest()
    assert picture.getpixel((0, 0)) == (255, 255, 255)
    assert picture.convert("L").getextrema()[0] < 50


@pytest.mark.parametrize("box", [b"0 0 612 792", b"0 0 595.276 841.89", b"0 0 1000 10", b"-50 20 3.3 33", b"0 0 99 99"])
def test_the_longest_side_is_exact(child: PdfChild, box: bytes) -> None:
    """Whatever the page's size, its longest side has the pixels asked for, not one more or less."""
    opened(child, pdfs.content_pdf(b"", box=box))
    for longest_side_px in (1, 799, 1600):
        page = image_of(child, 1, longest_side_px)
        assert max(page.width_px, page.height_px) == longest_side_px
        assert min(page.width_px, page.height_px) >= 1


@given(
    short_pt=st.floats(0.001, 20_000),
    aspect=st.floats(1, 99),
    upright=st.booleans(),
    longest_side_px=st.integers(1, 8000),
)
def test_the_size_keeps_the_shape(*, short_pt: float, aspect: float, upright: bool, longest_side_px: int) -> None:
    """The longest side is exact, the other as near as pixels allow, and no side vanishes."""
    sides = (short_pt, short_pt * aspect)
    width_px, height_px = size_px(*(sides if upright else sides[::-1]), longest_side_px)
    short_px, long_px = (width_px, height_px) if upright else (height_px, width_px)
    assert long_px == longest_side_px
    assert abs(short_px - max(1, longest_side_px / aspect)) <= 0.5 + 1e-6


def test_rotated_pages_come_upright_as_a_reader_shows_them(child: PdfChild) -> None:
    """/Rotate turns the image clockwise: the line at the top left wanders to the top right and on."""
    opened(child, pdfs.rotated_pdf())
    corners = []
    for number in (1, 2, 3, 4):
        picture = picture_of(child, number).convert("L")
        ink = ImageChops.invert(picture).point(lambda level: 255 * (level > 60)).getbbox()
        assert ink is not None
        right = ink[0] + ink[2] > picture.width
        low = ink[1] + ink[3] > picture.height
        corners.append((picture.width > picture.height, right, low))
    assert corners == [(False, False, False), (True, True, False), (False, True, True), (True, False, True)]


def test_form_fields_and_annotations_are_drawn(child: PdfChild) -> None:
    """What a reader shows is drawn: the contents of a filled-in field, and a red annotation."""
    opened(child, pdfs.filled_form_pdf())
    picture = picture_of(child, 1, 792)
    field = picture.crop((72, 152, 372, 192)).convert("L")
    assert field.getextrema()[0] < 100
    red, green, blue = picture.getpixel((122, 792 - 122))
    assert red > 200
    assert max(green, blue) < 60


@pytest.mark.parametrize(("width_pt", "height_pt"), [(100, 10_100), (14_400, 100), (612, 2**31 - 1)])
def test_a_page_like_a_thread_is_refused(child: PdfChild, width_pt: int, height_pt: int) -> None:
    """Beyond 100 to 1 no line of text survives the scaling: a failure, not a sliver of an image."""
    opened(child, pdfs.huge_page_pdf(width_pt, height_pt))
    assert failure_of(child, 1) is ErrorCode.IMAGE_TOO_LARGE


def test_a_huge_page_costs_no_more_than_a_small_one(child: PdfChild) -> None:
    """The size of the page does not matter, only that of the image."""
    opened(child, pdfs.huge_page_pdf())
    page = image_of(child, 1)
    assert (page.width_px, page.height_px) == (PX, PX)
    assert not is_blank(page.ink_cells)


def test_an_image_beyond_the_pixel_cap_is_refused(child: PdfChild) -> None:
    """A longest side that would need gigabytes is refused before any memory is taken."""
    opened(child, pdfs.text_pdf())
    page = child.render(1, 100_000)
    assert isinstance(page, PageUnrendered)
    assert page.failure.code is ErrorCode.IMAGE_TOO_LARGE


# ---------------------------------------------------------------- blank or not


def test_a_blank_page_has_no_ink(child: PdfChild) -> None:
    """Blank, text, blank: only the one with text is not blank."""
    opened(child, pdfs.content_pdf(b"", pdfs.text("text"), b""))
    assert [is_blank(image_of(child, number, 1600).ink_cells) for number in (1, 2, 3)] == [True, False, True]


@pytest.mark.parametrize(
    "content",
    [
        pdfs.text("1", size_pt=8, x_pt=306, y_pt=30),
        pdfs.text("i", size_pt=10, x_pt=306, y_pt=30),
        pdfs.text("12", size_pt=10, x_pt=306, y_pt=30, gray=0.5),
        pdfs.text("Confidential", size_pt=10, gray=0.8),
        b"0 g 0 0 612 792 re f 1 g BT /F1 10 Tf 72 700 Td (white on black) Tj ET",
    ],
    ids=["8 pt digit", "10 pt letter", "half-gray number", "faint word", "white on black"],
)
def test_the_least_text_is_ink(child: PdfChild, content: bytes) -> None:
    """A lone page number or a faint word keeps its page from being taken for blank."""
    opened(child, pdfs.content_pdf(content))
    assert not is_blank(image_of(child, 1, 1600).ink_cells)


def test_noise_and_shadow_of_a_scan_are_no_ink(child: PdfChild) -> None:
    """The scan of an empty sheet, with sensor noise, JPEG blocks and a shadow to one side, is blank."""
    width_px, height_px = 1275, 1650  # letter at 150 dpi
    shadow = np.linspace(245, 215, width_px)
    levels = np.random.default_rng(1).normal(shadow, 10, (height_px, width_px)).clip(0, 255).astype("uint8")
    jpeg = io.BytesIO()
    Image.fromarray(levels).save(jpeg, "JPEG", quality=50)
    opened(child, pdfs.scan_pdf(jpeg.getvalue(), width_px, height_px))
    assert is_blank(image_of(child, 1, 1600).ink_cells)


# ---------------------------------------------------------------- the text layer


def test_the_text_layer_comes_with_the_image(child: PdfChild) -> None:
    """One exchange gives both; control characters are gone, and a broken word keeps its hyphen at the line's end."""
    lines = (rb"first\000 line", b"a broken exam-", b"ple of a word", b"last")
    body = b" T* ".join(b"(%s) Tj" % line for line in lines)
    opened(child, pdfs.content_pdf(b"BT /F1 12 Tf 14 TL 72 700 Td " + body + b" ET", b""))
    assert text_of(child, 1) == "first line\na broken exam-\nple of a word\nlast"
    assert text_of(child, 2) == ""
    assert image_of(child, 1).layer is None
