"""A small folder for runs with the embedded engine, and what must stand in the output afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.storage.dataset.verify import verify
from tests import pdfs
from tests.cluster.outputs import pages_by_source

if TYPE_CHECKING:
    from pathlib import Path

PAGES = 6


def write_source(folder: Path) -> Path:
    """Two documents with text and one with blank pages."""
    folder.mkdir()
    (folder / "one.pdf").write_bytes(pdfs.text_pdf(2, "one"))
    (folder / "two.pdf").write_bytes(pdfs.text_pdf(1, "two"))
    (folder / "blank.pdf").write_bytes(pdfs.content_pdf(b"", b"", b""))
    return folder


def assert_read(output: Path) -> None:
    """Every page of the source stands in `output` as itself."""
    pages = pages_by_source(output)
    assert len(pages) == PAGES
    for name, number, count in (("one", 1, 2), ("one", 2, 2), ("two", 1, 1)):
        assert pdfs.identity(name, number, count) in pages[f"{name}.pdf", number]["markdown"]
    assert list(verify(str(output))) == []
