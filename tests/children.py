"""What tests of `PdfChild` ask again and again: an open document, a page's image, a page's failure, the process."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import psutil
from PIL import Image

from one_ocr_ray.model import PageImage, PageUnrendered
from one_ocr_ray.pdf.reader import PdfInfo

if TYPE_CHECKING:
    from one_ocr_ray.model import ErrorCode
    from one_ocr_ray.pdf.reader import PdfChild

PX = 800


def opened(child: PdfChild, data: bytes, password: str | None = None) -> PdfInfo:
    info = child.inspect(data, password)
    assert isinstance(info, PdfInfo), info
    return info


def image_of(child: PdfChild, page_number: int, longest_side_px: int = PX) -> PageImage:
    page = child.render(page_number, longest_side_px)
    assert isinstance(page, PageImage), page
    return page


def picture_of(child: PdfChild, page_number: int, longest_side_px: int = PX) -> Image.Image:
    return Image.open(io.BytesIO(image_of(child, page_number, longest_side_px).data))


def failure_of(child: PdfChild, page_number: int) -> ErrorCode:
    page = child.render(page_number, PX)
    assert isinstance(page, PageUnrendered), page
    assert page.page_number == page_number
    return page.failure.code


def process_of(child: PdfChild) -> psutil.Process:
    assert child._process is not None
    return psutil.Process(child._process._popen.pid)
