"""Picture files as documents: each gives an upright page on white or a coded failure, within bounds."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from one_ocr_ray.model import ErrorCode, Failure, PageImage
from one_ocr_ray.pdf import failures
from one_ocr_ray.pdf.drawing import RefusedError
from one_ocr_ray.pdf.kinds import DocumentKind, kind_of
from one_ocr_ray.pdf.pictures import MAX_PICTURE_PIXELS, Pictures
from one_ocr_ray.pdf.reader import PdfChild, PdfInfo
from one_ocr_ray.policy.page.blank import is_blank
from tests import pdfs, pictures
from tests.children import failure_of, image_of, opened, process_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PX = 300
DARK, LIGHT = 40, 215  # of 255
DATA = Path(__file__).parents[1] / "data"
HEIC = b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(100)


@pytest.fixture(scope="module")
def child() -> Iterator[PdfChild]:
    with PdfChild() as one:
        yield one


def saved(mode: str, file_format: str = "TIFF") -> bytes:
    return pictures.saved(pictures.paper(mode), file_format)


GOOD = {
    "png": saved("RGB", "PNG"),
    "png of 1 bit": saved("1", "PNG"),
    "png of 16 bits": saved("I;16", "PNG"),
    "png with alpha": pictures.transparent(),
    "png with alpha, gray": pictures.transparent("LA"),
    "png with a transparent colour": pictures.transparent_palette(),
    "jpeg": saved("RGB", "JPEG"),
    "jpeg, gray": saved("L", "JPEG"),
    "jpeg for print": saved("CMYK", "JPEG"),
    "webp": saved("RGB", "WEBP"),
    "bmp": saved("RGB", "BMP"),
    "gif": saved("P", "GIF"),
    "jpeg 2000": saved("RGB", "JPEG2000"),
    **{f"tiff {mode}": saved(mode) for mode in ("1", "LA", "P", "CMYK", "YCbCr", "LAB", "I;16", "I;16B", "I", "F")},
    **{f"jpeg turned {turn}": pictures.turned("JPEG", turn) for turn in (2, 3, 4, 5, 6, 7, 8)},
    **{f"tiff turned {turn}": pictures.turned("TIFF", turn) for turn in (3, 5, 8)},
}


@pytest.mark.parametrize("name", GOOD)
def test_each_kind_is_one_upright_page_on_white(child: PdfChild, name: str) -> None:
    """Sixteen bits, print colours, alpha, palettes and turns: the bar is black, at the top left, and has ink."""
    assert opened(child, GOOD[name]).page_count == 1
    page = image_of(child, 1, PX)
    with Image.open(io.BytesIO(page.data)) as image:
        assert (image.mode, image.size) == ("RGB", (PX, 200))
        gray = image.convert("L")
    assert gray.getpixel((60, 25)) <= DARK
    assert min(gray.getpixel(at) for at in ((5, 5), (250, 25), (60, 150), (250, 150))) >= LIGHT
    assert not is_blank(page.ink_cells)


def test_a_white_picture_is_blank(child: PdfChild) -> None:
    """No ink, so no engine is asked."""
    opened(child, pictures.saved(Image.new("L", (800, 600), 255), "PNG"))
    assert is_blank(image_of(child, 1).ink_cells)


@pytest.mark.parametrize(
    ("dpi", "box"),
    [((300, 300), (72, 48)), ((100, 200), (216, 72)), ((1, 1), (300, 200)), ((9000, 9000), (300, 200))],
    ids=["a scan", "a fax", "no resolution", "absurd"],
)
def test_the_size_in_points_follows_the_resolution(
    child: PdfChild, dpi: tuple[int, int], box: tuple[float, ...]
) -> None:
    """One that cannot be is none: then a pixel is a point. The picture has the shape of the sheet."""
    opened(child, pictures.saved(pictures.paper(), "TIFF", dpi=dpi))
    page = image_of(child, 1, PX)
    assert page.page_box is not None
    assert (page.page_box.width, page.page_box.height) == pytest.approx(box, rel=0.001)
    assert page.width_px / page.height_px == pytest.approx(box[0] / box[1], rel=0.01)


def test_a_turn_swaps_the_sides_and_is_told(child: PdfChild) -> None:
    """The resolution across belongs to the picture as stored; `rotate` is the file's own turn."""
    for file_format in ("JPEG", "TIFF"):
        opened(child, pictures.turned(file_format, 6, dpi=(100, 200)))
        box = image_of(child, 1, PX).page_box
        assert box is not None
        assert (round(box.width), round(box.height), box.rotate) == (108, 144, 90)


def test_a_small_picture_can_be_drawn_small_and_then_large(child: PdfChild) -> None:
    """A JPEG that was decoded at a quarter is decoded again."""
    opened(child, pictures.saved(pictures.paper(size=(2400, 1600)), "JPEG"))
    small, large = image_of(child, 1, 150), image_of(child, 1, 2400)
    assert (small.width_px, large.width_px) == (150, 2400)
    with Image.open(io.BytesIO(large.data)) as image:
        edge = image.convert("L").crop((115, 20, 127, 21)).tobytes()
    assert sum(DARK < level < LIGHT for level in edge) <= 3  # sharp


def test_each_page_of_a_tiff_is_one_and_its_thumbnails_are_none(child: PdfChild) -> None:
    """Also in any order; copies in small and masks are no pages."""
    pages = [pictures.paper("L", (100 + 10 * number, 100)) for number in range(5)]
    small = Image.new("L", (10, 10))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    assert opened(child, pictures.tiff([*pages, small])).page_count == 5
    assert [image_of(child, number, 400).height_px for number in (5, 1, 3)] == [286, 400, 333]


def test_a_tiff_that_breaks_off_keeps_the_pages_before(child: PdfChild) -> None:
    """The page where it does fails, and none is silently gone."""
    data = pictures.tiff([pictures.paper("L", (200, 100))] * 10)
    count = opened(child, data[: len(data) // 2]).page_count
    assert 4 <= count <= 6
    assert image_of(child, 1, PX).width_px == PX
    assert failure_of(child, count) is ErrorCode.RENDER_FAILED


def test_a_tiff_of_600_pages_is_bounded(child: PdfChild) -> None:
    """Opening it looks at each page's head; a page far behind costs what the first does. Memory stays where it was."""
    opened(child, pictures.fax(1))
    image_of(child, 1, PX)
    before = process_of(child).memory_info().rss
    began_s = sum(process_of(child).cpu_times()[:2])
    assert opened(child, pictures.fax(600, (64, 32))).page_count == 600
    for number in (600, 1, 300):
        image_of(child, number, PX)
    assert sum(process_of(child).cpu_times()[:2]) - began_s < 5
    assert process_of(child).memory_info().rss - before < 64 << 20


BOMBS = {
    "png": pictures.png_bomb(),
    "bmp": pictures.bmp_bomb(),
    "gif": pictures.gif_bomb(),
    "tiff": pictures.tiff_bomb(),
    "just over": pictures.png_bomb(MAX_PICTURE_PIXELS // 10_000 + 1, 10_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_is_decoded(child: PdfChild, name: str) -> None:
    """The page has a code; the process lives on, and took neither memory nor time."""
    opened(child, BOMBS[name])
    before = process_of(child)
    assert failure_of(child, 1) is ErrorCode.IMAGE_TOO_LARGE
    assert process_of(child) == before
    assert before.memory_info().rss < 256 << 20


PNG = pictures.saved(pictures.paper(), "PNG")
JPEG = pictures.saved(pictures.paper(), "JPEG")
DAMAGED = {"png": PNG[: len(PNG) * 2 // 3], "jpeg": JPEG[: len(JPEG) * 2 // 3], "tiff": pictures.tiff_loop()}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_truncated_picture_is_a_failed_page(child: PdfChild, name: str) -> None:
    """Half a picture is no picture, and the next one is read."""
    opened(child, DAMAGED[name])
    assert failure_of(child, 1) is ErrorCode.RENDER_FAILED
    opened(child, PNG)
    assert image_of(child, 1, PX).width_px == PX


def test_a_thread_of_a_picture_is_refused(child: PdfChild) -> None:
    """As for pages of PDFs: it would be less than a pixel wide."""
    opened(child, pictures.saved(Image.new("L", (5000, 2)), "PNG"))
    assert failure_of(child, 1) is ErrorCode.IMAGE_TOO_LARGE


@pytest.mark.parametrize(
    ("data", "name", "code"),
    [
        (PNG[:20], "a.png", ErrorCode.PDF_CORRUPT),
        (b"\xff\xd8\xff\xe0", "a.jpg", ErrorCode.PDF_CORRUPT),
        (b"plain words", "a.png", ErrorCode.UNSUPPORTED_FILE),
        (b"plain words", "notes", ErrorCode.UNSUPPORTED_FILE),
        (b"plain words", "a.PDF", ErrorCode.NOT_PDF),
        (b"", "empty.tif", ErrorCode.UNSUPPORTED_FILE),
        (b"<svg/>", "a.svg", ErrorCode.UNSUPPORTED_FILE),
        (b"BM, the car maker", "a.bmp", ErrorCode.UNSUPPORTED_FILE),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_opened_says_why(child: PdfChild, data: bytes, name: str, code: ErrorCode) -> None:
    """Damaged, or of no known kind."""
    failure = child.inspect(data, None, name)
    assert isinstance(failure, Failure)
    assert failure.code is code


@pytest.mark.parametrize("name", ["paper", "paper-turned-5", "paper-turned-6", "paper-alpha"])
def test_heic_is_one_upright_page_on_white(child: PdfChild, name: str) -> None:
    """The turn and the mirror of the file's boxes are made once, though EXIF tells them too; alpha is white."""
    opened(child, (DATA / f"{name}.heic").read_bytes())
    page = image_of(child, 1, PX)
    assert (page.page_box.width, page.page_box.height) == (300, 200)
    with Image.open(io.BytesIO(page.data)) as image:
        assert image.size == (PX, 200)
        gray = image.convert("L")
    assert gray.getpixel((60, 25)) <= DARK
    assert min(gray.getpixel(at) for at in ((5, 5), (250, 25), (60, 150), (250, 150))) >= LIGHT


def test_damaged_heic_is_a_failure(child: PdfChild) -> None:
    """One that breaks off does not open; one that says it has 900 million pixels is not decoded."""
    whole = (DATA / "paper.heic").read_bytes()
    cut = child.inspect(whole[:300], None, "a.heic")
    assert isinstance(cut, Failure)
    assert cut.code is ErrorCode.PDF_CORRUPT
    at = whole.index(b"ispe") + 8
    opened(child, whole[:at] + (30_000).to_bytes(4, "big") * 2 + whole[at + 8 :])
    assert failure_of(child, 1) is ErrorCode.IMAGE_TOO_LARGE


def test_heic_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the sentence says what to install."""
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    stream = io.BytesIO(HEIC)
    with pytest.raises(RefusedError) as refused:
        Pictures(DocumentKind.HEIF, stream)
    reply = {"refused": str(refused.value)}
    failure = failures.of_opening(DocumentKind.HEIF, reply, lambda: stream, "a.heic", with_password=False)
    assert failure.code is ErrorCode.UNSUPPORTED_FILE
    assert "one-ocr-ray[heic]" in failure.message


def test_the_bytes_tell_the_kind_and_not_the_name(child: PdfChild, tmp_path: Path) -> None:
    """A renamed file is read; one in the file system too."""
    (tmp_path / "really.pdf").write_bytes(JPEG)
    (tmp_path / "really.png").write_bytes(pdfs.text_pdf(2))
    assert child.inspect(tmp_path / "really.pdf") == PdfInfo(1, encrypted=False)
    assert isinstance(child.render(1, PX), PageImage)
    assert child.inspect(tmp_path / "really.png") == PdfInfo(2, encrypted=False)


def test_a_picture_has_no_text_layer(child: PdfChild) -> None:
    """Asked for one it gives none, which sends the page on to the next reader of a route."""
    opened(child, PNG)
    page = child.render(1, PX, layer=True)
    assert isinstance(page, PageImage)
    assert page.layer is None


def test_every_kind_is_known_by_its_head() -> None:
    """Both orders of bytes, BigTIFF, a JPEG 2000 stream without its box; a PDF behind some rubbish."""
    heads = {
        b"MM\0\x2a": DocumentKind.TIFF, b"II\x2b\0": DocumentKind.TIFF,
        b"\xff\x4f\xff\x51": DocumentKind.JPEG2000, HEIC: DocumentKind.HEIF,
        b"rubbish %PDF-1.4": DocumentKind.PDF, b"GIF89b": None, b"RIFF....WAVE": None,
    }  # fmt: skip
    assert {head: kind_of(head) for head in heads} == heads


def test_a_process_that_has_died_since_costs_no_picture() -> None:
    """Another one opens it."""
    picture = pictures.saved(pictures.paper(), "PNG")
    with PdfChild() as child:
        assert isinstance(child.inspect(picture), PdfInfo)
        process = process_of(child)
        process.kill()
        process.wait()
        assert isinstance(child.inspect(picture), PdfInfo)
