"""Opening planned documents again: their bytes say who they are, and one that is open is not opened once more."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.model import Failure, PageImage
from one_ocr_ray.pdf.reader import PdfChild, PdfOptions
from one_ocr_ray.reading.inspection import CHANGED, Opener
from one_ocr_ray.storage.inputs import stat_input
from tests import pdfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPTIONS = PdfOptions(longest_side_px=200, max_pages=100, max_file_bytes=1 << 20, password=None)


@pytest.fixture
def opener() -> Iterator[Opener]:
    with PdfChild() as child:
        yield Opener(child)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A PDF of two pages."""
    path = tmp_path / "a.pdf"
    path.write_bytes(pdfs.text_pdf(2, "one"))
    return path


def test_a_touched_file_is_the_document_that_it_was(opener: Opener, file: Path) -> None:
    """Before it is opened, and while it is open."""
    document = opener.inspect(stat_input(str(file)), OPTIONS)
    for mtime_ns in (1, 2):
        os.utime(file, ns=(mtime_ns, mtime_ns))
        assert opener.open(document, OPTIONS) is None
        assert isinstance(opener.child.render(2, 200), PageImage)


@pytest.mark.parametrize("same_time", [False, True])
def test_a_file_with_other_bytes_is_not(same_time: bool, opener: Opener, file: Path) -> None:
    """Also where the old file is open; one of another size under the old mtime is looked at as well."""
    document = opener.inspect(stat_input(str(file)), OPTIONS)
    assert opener.open(document, OPTIONS) is None
    file.write_bytes(pdfs.text_pdf(3, "another"))
    if same_time:
        os.utime(file, ns=(int(document.version or 0),) * 2)
    assert opener.open(document, OPTIONS) == CHANGED
    file.unlink()
    assert opener.open(document, OPTIONS) == CHANGED
    file.write_bytes(pdfs.text_pdf(2, "one"))
    assert opener.open(document, OPTIONS) is None


def test_what_is_open_is_known(opener: Opener, file: Path, tmp_path: Path) -> None:
    """Another document takes its place, also by an inspection; one that cannot be opened has a document's code."""
    (tmp_path / "b.pdf").write_bytes(pdfs.text_pdf(1, "other"))
    first = opener.inspect(stat_input(str(file)), OPTIONS)
    other = opener.inspect(stat_input(str(tmp_path / "b.pdf")), OPTIONS)
    for document, page in ((first, 2), (other, 1), (first, 2)):
        assert opener.open(document, OPTIONS) is None
        assert isinstance(opener.child.render(page, 200), PageImage)
    opener.inspect(stat_input(str(tmp_path / "b.pdf")), OPTIONS)
    assert opener.open(first, OPTIONS) is None
    assert isinstance(opener.child.render(2, 200), PageImage)
    (tmp_path / "c.pdf").write_bytes(b"%PDF-1.7 nothing")
    assert isinstance(opener.open(opener.inspect(stat_input(str(tmp_path / "c.pdf")), OPTIONS), OPTIONS), Failure)
