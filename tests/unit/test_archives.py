"""ZIP archives and comic books as inputs: each member a document, a comic book one; hostile ones within bounds."""

from __future__ import annotations

import os
import zipfile
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.archive import ArchiveError, ArchiveFault, members_of, natural_order
from one_ocr_ray.model import ErrorCode, PageImage
from one_ocr_ray.pdf.reader import PdfChild, PdfOptions
from one_ocr_ray.reading.inspection import CHANGED, Opener
from one_ocr_ray.storage.inputs import find_inputs, stat_input
from tests import archives, pdfs, pictures

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from one_ocr_ray.model import DocumentRef

OPTIONS = PdfOptions(longest_side_px=200, max_pages=100, max_file_bytes=1 << 30, password=None)
PNG = pictures.saved(pictures.paper(), "PNG")
PDF = pdfs.text_pdf(2)


@pytest.fixture(scope="module")
def opener() -> Iterator[Opener]:
    with PdfChild() as child:
        yield Opener(child)


def documents(opener: Opener, path: Path, data: bytes) -> dict[str, DocumentRef]:
    """What becomes of an archive: its documents by name."""
    path.write_bytes(data)
    found = [opener.inspect(file, OPTIONS) for file in find_inputs([str(path)])]
    return {each.name: each for each in found}


def code(document: DocumentRef) -> ErrorCode | None:
    return document.failure.code if document.failure else None


def test_each_member_is_a_document(opener: Opener, tmp_path: Path) -> None:
    """By the hash of its own bytes, with the URI of the archive, `#` and its name; other files are left out."""
    files = {"b/第 1 页.png": PNG, "a.pdf": PDF, "notes.txt": b"words", "__MACOSX/._a.pdf": b"\0", "b/": b""}
    found = documents(opener, tmp_path / "in.zip", archives.packed(files))
    assert list(found) == ["a.pdf", "第 1 页.png"]
    pdf, png = found.values()
    assert (pdf.uri, png.uri) == (f"{tmp_path}/in.zip#a.pdf", f"{tmp_path}/in.zip#b/%E7%AC%AC%201%20%E9%A1%B5.png")
    assert (pdf.page_count, png.page_count, pdf.size_bytes) == (2, 1, len(PDF))
    alone = tmp_path / "alone.pdf"
    alone.write_bytes(PDF)
    assert opener.inspect(stat_input(str(alone)), OPTIONS).document_id == pdf.document_id
    for document in (pdf, png):
        assert opener.open(document, OPTIONS) is None
        assert isinstance(opener.child.render(1, 200), PageImage)


def test_a_member_can_be_named_and_is_found_again(opener: Opener, tmp_path: Path) -> None:
    """As an input, and by its URI in the plan; one that is not there is a missing file."""
    path = tmp_path / "in.ZIP"
    path.write_bytes(archives.packed({"x/a b.png": PNG}))
    (file,) = find_inputs([f"{path}#x/a%20b.png"])
    assert file == stat_input(file.uri)
    assert (file.name, file.size_bytes) == ("a b.png", len(PNG))
    assert stat_input(f"{path}#nothing.png").version is None
    document = opener.inspect(file, OPTIONS)
    os.utime(path, ns=(1, 1))
    assert opener.open(document, OPTIONS) is None
    path.write_bytes(archives.packed({"x/a b.png": pictures.saved(pictures.paper("L"), "PNG")}))
    assert Opener(opener.child).open(document, OPTIONS) == CHANGED


def test_a_name_like_a_members_is_a_file(opener: Opener, tmp_path: Path) -> None:
    """A folder may be called like an archive with a sign behind it."""
    folder = tmp_path / "in.zip#b"
    folder.mkdir()
    (folder / "a.png").write_bytes(PNG)
    (file,) = find_inputs([str(tmp_path)])
    assert file.uri.startswith("file:///")
    assert opener.inspect(file, OPTIONS).page_count == 1


def test_a_comic_book_is_one_document_in_natural_order(opener: Opener, tmp_path: Path) -> None:
    """Page 2 comes before page 10; what is no picture is no page."""
    sizes = {10: 100, 2: 50, 1: 25}
    files = {f"p{number}.png": pictures.saved(pictures.paper("L", (200, px)), "PNG") for number, px in sizes.items()}
    found = documents(opener, tmp_path / "book.cbz", archives.packed({**files, "ComicInfo.xml": b"<x/>"}))
    book = found["book.cbz"]
    assert book.page_count == 3
    assert opener.open(book, OPTIONS) is None
    pages = [opener.child.render(number, 200) for number in (1, 2, 3)]
    assert [page.height_px for page in pages if isinstance(page, PageImage)] == [25, 50, 100]


def test_an_archive_with_another_ending_is_known_by_its_bytes(opener: Opener, tmp_path: Path) -> None:
    """One of pictures is a comic book, an Office document is none; what only begins so is what its name says."""
    found = documents(opener, tmp_path / "pages", archives.packed({"1.png": PNG}))
    assert found["pages"].page_count == 1
    docx = archives.packed({"[Content_Types].xml": b"<x/>", "word/media/1.png": PNG})
    assert code(documents(opener, tmp_path / "text.docx", docx)["text.docx"]) is ErrorCode.UNSUPPORTED_FILE
    assert code(documents(opener, tmp_path / "a.pdf", b"PK\x03\x04" + bytes(100))["a.pdf"]) is ErrorCode.NOT_PDF
    assert documents(opener, tmp_path / "photo.zip", PNG)["photo.zip"].page_count == 1


ONE = archives.packed({"a.png": PNG})
BAD_ARCHIVES = {
    "cut": (ONE[: len(ONE) // 2], ErrorCode.PDF_CORRUPT),
    "garbage": (b"PK\x03\x04" + os.urandom(100), ErrorCode.PDF_CORRUPT),
    "empty": (archives.packed({}), ErrorCode.PDF_EMPTY),
    "only words": (archives.packed({"notes.txt": b"words"}), ErrorCode.UNSUPPORTED_FILE),
    "too many": (archives.overlapping(9_999, times=20), ErrorCode.TOO_LARGE),
    "one bomb many times": (archives.overlapping(2_000), ErrorCode.TOO_LARGE),
}


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_an_archive_that_cannot_be_read_has_one_coded_row(opener: Opener, tmp_path: Path, name: str) -> None:
    """Nothing of it is unpacked; the same as a comic book."""
    data, expected = BAD_ARCHIVES[name]
    for ending in ("zip", "cbz"):
        (document,) = documents(opener, tmp_path / f"x.{ending}", data).values()
        assert (document.name, code(document)) == (f"x.{ending}", expected)


MEBIBYTE = archives.packed({"a.png": bytes(1 << 20)})
BAD_MEMBERS = {
    "encrypted": (archives.claiming(ONE, flags=1), ErrorCode.PDF_ENCRYPTED),
    "other bytes": (archives.claiming(ONE, crc=1), ErrorCode.PDF_CORRUPT),
    "more than it says": (
        archives.claiming(archives.packed({"a.png": bytes(1 << 20)}), size_bytes=99),
        ErrorCode.PDF_CORRUPT,
    ),
    "a bomb": (archives.claiming(ONE, size_bytes=65 << 20), ErrorCode.TOO_LARGE),
    "a large one": (archives.claiming(ONE, size_bytes=600 << 20), ErrorCode.TOO_LARGE),
    "another way of packing": (archives.packed({"a.png": PNG}, zipfile.ZIP_LZMA), ErrorCode.UNSUPPORTED_FILE),
    "an archive": (archives.packed({"a.zip": ONE}), ErrorCode.UNSUPPORTED_FILE),
    "an archive under another name": (archives.packed({"a.png": ONE}), ErrorCode.UNSUPPORTED_FILE),
    "no picture": (archives.packed({"a.png": b"words"}), ErrorCode.UNSUPPORTED_FILE),
}


@pytest.mark.parametrize("name", BAD_MEMBERS)
def test_a_member_that_cannot_be_read_has_a_coded_row(opener: Opener, tmp_path: Path, name: str) -> None:
    """The members beside it are read."""
    data, expected = BAD_MEMBERS[name]
    (document,) = documents(opener, tmp_path / "x.zip", data).values()
    assert (document.uri.split("#")[0], code(document)) == (f"{tmp_path}/x.zip", expected)


def test_an_archive_that_was_mended_hands_over_to_its_members(opener: Opener, tmp_path: Path) -> None:
    """Planned as a broken one, its row becomes a complete one without pages, as that of a folder does."""
    path = tmp_path / "x.zip"
    broken = documents(opener, path, ONE[:50])["x.zip"]
    assert code(broken) is ErrorCode.PDF_CORRUPT
    path.write_bytes(ONE)
    mended = opener.inspect(stat_input(broken.uri), OPTIONS)
    assert (mended.page_count, mended.failure) == (0, None)


def test_a_directory_is_bounded_before_it_is_read(tmp_path: Path) -> None:
    """Also one that is larger than memory."""

    class Endless:
        """A file of a terabyte whose end says that all of it is directory."""

        size, at = 1 << 40, 0
        tail = b"PK\x05\x06\0\0\0\0" + b"\xff\x0f\xff\x0f" + b"\0\0\0\x40" + b"\0\0\0\0" + b"\0\0"

        def seek(self, offset: int, whence: int = 0) -> int:
            self.at = offset + (0, self.at, self.size)[whence]
            return self.at

        def tell(self) -> int:
            return self.at

        def read(self, size: int = -1) -> bytes:
            left = self.size - self.at
            assert 0 <= size <= 16 << 20
            return (bytes(size) + self.tail)[-size:] if size >= left else bytes(size)

    with pytest.raises(ArchiveError) as error:
        members_of(Endless(), 1 << 40)  # type: ignore[arg-type]
    assert error.value.fault in (ArchiveFault.TOO_MANY, ArchiveFault.DAMAGED)


def test_natural_order_bears_any_digits(tmp_path: Path) -> None:
    """Longer than Python turns into a number, and with zeros in front."""
    names = ["p10.png", "p9.png", "p" + "1" * 9999 + ".png", "p002.png", "P1.png", "cover.png"]
    path = tmp_path / "x.zip"
    path.write_bytes(archives.packed(dict.fromkeys(names, PNG)))
    with path.open("rb") as file:
        ordered = natural_order(members_of(file, path.stat().st_size))
    assert [each.name[:8] for each in ordered] == ["cover.pn", "P1.png", "p002.png", "p9.png", "p10.png", "p1111111"]
