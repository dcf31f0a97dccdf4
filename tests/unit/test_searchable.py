"""Searchable copies: the words of the dataset are found where they stand, and nothing that is seen changes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pikepdf
import pypdfium2 as pdfium
import pytest
from PIL import Image

from one_ocr_ray.blocks import Block, BlockKind, BlockLine, BlockWord, Box, PageBox, Positions
from one_ocr_ray.cli import main
from one_ocr_ray.errors import EXIT_OK, EXIT_SOME_FAILED
from one_ocr_ray.policy.dataset.packing import pack
from one_ocr_ray.reading.inspection import document_id_of
from tests import datasets, pdfs, pictures
from tests.values import TIMED_OUT, document, page

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any


PICTURE = b"0.5 g 100 100 50 50 re f"
BOXES = {
    "plain": {},
    "origin not 0": {"/MediaBox": [10, 20, 622, 812]},
    "crop box": {"/CropBox": [50, 60, 500, 700]},
    "user unit": {"/UserUnit": 2},
    "crop box outside": {"/CropBox": [5000, 5000, 6000, 6000]},
}
LATIN = BlockLine(
    Box(60, 100, 300, 114), (BlockWord("Hello", Box(60, 100, 140, 114)), BlockWord("wörld𝒜", Box(150, 100, 230, 114)))
)
DOWN = BlockLine(Box(30, 200, 42, 330), (BlockWord("going", Box(30, 200, 42, 260)),), 90.0)
CHINESE = BlockLine(
    Box(60, 150, 135, 165),
    tuple(BlockWord(char, Box(60 + 15 * n, 150, 75 + 15 * n, 165), space=False) for n, char in enumerate("漢字仮名文")),
)
ARABIC = BlockLine(
    Box(150, 180, 300, 195),
    (BlockWord("مرحبا", Box(240, 180, 300, 195)), BlockWord("بالعالم", Box(150, 180, 230, 195))),
)
PLACES = {"Hello": LATIN, "going": DOWN, "漢字仮名文": CHINESE, "مرحبا": ARABIC, "بالعالم": ARABIC}


class Exported:
    """A dataset of one document, and its searchable copy."""

    def __init__(self, folder: Path, data: bytes, pages: Sequence[dict[str, Any]], *flags: str) -> None:
        self.source = folder / "a.pdf"
        self.source.write_bytes(data)
        identity = document_id_of(self.source) or ""
        known = document(1, page_count=len(pages), name="a.pdf", uri=str(self.source), document_id=identity)
        rows = [page(known, number, **changes) for number, changes in enumerate(pages, start=1)]
        datasets.write(folder / "out", [known], rows)
        self.folder, self.copy = folder, folder / "to" / "a.pdf"
        self.exit = self.again(*flags)

    def again(self, *flags: str) -> int:
        return main(["export", str(self.folder / "out"), "--to", str(self.copy.parent), "--format", "pdf", *flags])


def words_on(width: float = 612, height: float = 792, rotate: int = 0, **changes: Any) -> dict[str, Any]:
    """A page that the embedded engine has read: all of `PLACES`."""
    block = Block(1, BlockKind.PARAGRAPH, "x", Box(30, 100, 300, 330), lines=(LATIN, DOWN, CHINESE, ARABIC))
    return {"blocks": pack([block], Positions.WORDS), "page_box": PageBox(width, height, rotate), **changes}


def text_of(file: Path, number: int = 1, password: str | None = None) -> str:
    return str(pdfium.PdfDocument(file, password=password)[number - 1].get_textpage().get_text_range())


def odd_pages() -> tuple[bytes, list[dict[str, Any]]]:
    """A page for each turn and kind of box, each with a picture; and what was read of them."""
    pdf = pikepdf.new()
    stored = io.BytesIO()
    Image.effect_noise((40, 40), 50).save(stored, "JPEG")
    picture = pdf.make_stream(stored.getvalue())
    entries = (
        b"<</Type/XObject/Subtype/Image/Width 40/Height 40/BitsPerComponent 8/ColorSpace/DeviceGray/Filter/DCTDecode>>"
    )
    picture.write(stored.getvalue(), filter=pikepdf.Name.DCTDecode)
    picture.update(dict(pikepdf.Object.parse(entries).items()))
    resources = pdf.make_indirect(pikepdf.Dictionary(XObject=pikepdf.Dictionary(X=picture)))
    content = pdf.make_stream(b"q 300 0 0 300 80 90 cm /X Do Q q 2 0 0 2 50 50 cm")  # with a state left open
    for box in BOXES.values():
        for turn in (0, 90, 180, 270):
            added = pdf.add_blank_page(page_size=(612, 792))
            for key, value in {**box, "/Rotate": turn, "/Contents": content, "/Resources": resources}.items():
                added.obj[key] = value
    out = io.BytesIO()
    pdf.save(out)
    sizes = [(each.get_size(), each.get_rotation()) for each in opened(out.getvalue())]
    return out.getvalue(), [words_on(width, height, turn) for (width, height), turn in sizes]


def opened(data: bytes) -> list[pdfium.PdfPage]:
    """The pages of a PDF, a crop box that shows nothing left out as the product does."""
    pages = list(pdfium.PdfDocument(data))
    for each in pages:
        if min(each.get_size()) <= 0:
            each.set_cropbox(0, 0, 0, 0)
    return list(pages[0].pdf) if pages else []


def displayed(shown: pdfium.PdfPage, box: tuple[float, float, float, float]) -> tuple[float, ...]:
    """A box in the page's own space as points of the page as displayed."""
    import ctypes  # noqa: PLC0415

    width, height = shown.get_size()
    places = []
    for x, y in (box[:2], box[2:]):
        at_x, at_y = ctypes.c_int(), ctypes.c_int()
        size = round(width * 100), round(height * 100)
        pdfium.raw.FPDF_PageToDevice(shown, 0, 0, *size, 0, x, y, at_x, at_y)
        places.append((at_x.value / 100, at_y.value / 100))
    (x0, y0), (x1, y1) = places
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def test_words_are_found_where_they_stand(tmp_path: Path) -> None:
    """On turned pages with odd boxes: Latin, Chinese, Arabic, text downwards. No pixel, no picture's byte changes."""
    data, pages = odd_pages()
    made = Exported(tmp_path, data, pages)
    assert made.exit == EXIT_OK
    before, after = opened(data), opened(made.copy.read_bytes())
    for old, new in zip(before, after, strict=True):
        assert (old.render(scale=0.5).to_numpy() == new.render(scale=0.5).to_numpy()).all()
        text = new.get_textpage()
        for word, line in PLACES.items():
            found = text.search(word).get_next()
            assert found is not None, word
            boxes = [displayed(new, text.get_charbox(found[0] + n, loose=True)) for n in range(found[1])]
            own = [each.box for each in line.words if each.text == word] or [line.box]
            middle = [(min(b[i] for b in boxes) + max(b[i + 2] for b in boxes)) / 2 for i in (0, 1)]
            if word != "going":  # the box of pdfium's line is not turned with it
                assert middle == pytest.approx([(own[0].x0 + own[0].x1) / 2, (own[0].y0 + own[0].y1) / 2], abs=2)
    with pikepdf.open(tmp_path / "a.pdf") as old_pdf, pikepdf.open(made.copy) as new_pdf:
        streams = [pdf.pages[0].Resources.XObject.X.read_raw_bytes() for pdf in (old_pdf, new_pdf)]
    assert streams[0] == streams[1]
    assert made.copy.stat().st_size < len(data) + 8_000 + 2_000 * len(pages)


def test_a_page_that_was_read_from_its_own_layer_stays(tmp_path: Path) -> None:
    """The copy has the same bytes."""
    made = Exported(tmp_path, pdfs.text_pdf(2), [words_on(engine="text-layer")] * 2)
    assert made.copy.read_bytes() == made.source.read_bytes()


@pytest.mark.parametrize(("reason", "found"), [(None, False), ("garbled", True)])
def test_text_that_a_page_shows_is_not_doubled(tmp_path: Path, reason: str | None, *, found: bool) -> None:
    """A layer comes beside it only where it was looked at and is wrong."""
    line = b" ".join(b"BT /F1 9 Tf 72 %d Td (visible text of the page) Tj ET" % y for y in range(100, 300, 20))
    made = Exported(tmp_path, pdfs.content_pdf(line), [words_on(route_reason=reason)])
    assert ("Hello" in text_of(made.copy)) is found
    assert "visible text" in text_of(made.copy)


def test_a_hidden_layer_is_replaced(tmp_path: Path) -> None:
    """On the page and in a form, which other pages may use; what is seen stays. A copy of a copy has one layer."""
    hidden = b"BT 3 Tr /F1 12 Tf 72 500 Td (old hidden words) Tj ET"
    objects = pdfs.page_objects(
        [hidden + b" BT 0 Tr /F1 12 Tf 72 600 Td (Stamp) Tj ET /X Do", b"/X Do"], resources=b"/XObject<</X 8 0 R>>"
    )
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 612 792]/Resources<</Font<</F1 3 0 R>>>>"
    data = pdfs.write([*objects, pdfs.Stream(form, hidden)])
    made = Exported(tmp_path, data, [words_on(), words_on(failure=TIMED_OUT)])
    assert "old hidden" in text_of(made.source)
    assert "old hidden" not in text_of(made.copy)
    assert "Stamp" in text_of(made.copy)
    assert "old hidden" in text_of(made.copy, 2), "a page without a new layer keeps the old one"
    (tmp_path / "again").mkdir()
    twice = Exported(tmp_path / "again", made.copy.read_bytes(), [words_on(), words_on(failure=TIMED_OUT)])
    assert text_of(twice.copy).count("Hello") == 1
    assert twice.copy.stat().st_size < made.copy.stat().st_size + 500


def test_a_signed_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one sentence that names the flag which allows it."""
    objects = pdfs.page_objects([PICTURE])
    objects[0] = b"<</Type/Catalog/Pages 2 0 R/AcroForm<</SigFlags 1/Fields[6 0 R]>>>>"
    objects.append(b"<</FT/Sig/T(s)/V<</Type/Sig/ByteRange[0 1 2 3]/Contents<00>>>>>")
    made = Exported(tmp_path, pdfs.write(objects), [words_on()])
    assert (made.exit, made.copy.exists()) == (EXIT_SOME_FAILED, False)
    said = capsys.readouterr().err
    assert "a.pdf: pdf_signed: The PDF is signed" in said
    assert "--allow-signed" in said
    assert made.again("--allow-signed") == EXIT_OK
    assert "Hello" in text_of(made.copy)


def test_an_encrypted_file_stays_encrypted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It needs its password, and the copy has the same one; a wrong one is told."""
    made = Exported(tmp_path, pdfs.encrypted_pdf(), [words_on(route_reason="garbled")])
    assert made.exit == EXIT_SOME_FAILED
    assert made.again("--password", "wrong") == EXIT_SOME_FAILED
    said = capsys.readouterr().err
    assert "a.pdf: pdf_encrypted: " in said
    assert "a.pdf: pdf_bad_password: " in said
    (tmp_path / "secret").write_text("open sesame\n")
    assert made.again("--password-file", str(tmp_path / "secret")) == EXIT_OK
    with pytest.raises(pdfium.PdfiumError):
        pdfium.PdfDocument(made.copy)
    assert "Hello" in text_of(made.copy, password="open sesame")


def test_what_else_is_in_the_file_stays(tmp_path: Path) -> None:
    """Attachments, bookmarks, page labels, metadata, streams without compression."""
    pdf = pikepdf.open(io.BytesIO(pdfs.content_pdf(PICTURE, PICTURE)))
    pdf.attachments["notes.txt"] = b"attached"
    with pdf.open_outline() as outline:
        outline.root.append(pikepdf.OutlineItem("Chapter", 1))
    pdf.docinfo["/Title"] = "A title"
    pdf.Root.PageLabels = pikepdf.Dictionary(Nums=[0, pikepdf.Dictionary(S=pikepdf.Name.r)])
    out = io.BytesIO()
    pdf.save(out, compress_streams=False)
    made = Exported(tmp_path, out.getvalue(), [words_on(), {"failure": TIMED_OUT}])
    with pikepdf.open(made.copy) as copy:
        assert copy.attachments["notes.txt"].get_file().read_bytes() == b"attached"
        with copy.open_outline() as outline:
            assert [item.title for item in outline.root] == ["Chapter"]
        assert copy.docinfo["/Title"] == "A title"
        assert copy.Root.PageLabels.Nums[1].S == "/r"
        assert copy.pages[1].Contents.read_raw_bytes() == PICTURE


def test_files_that_are_gone_or_changed_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line with a code for each, exit 3, and a copy made before stays."""
    made = Exported(tmp_path, pdfs.content_pdf(PICTURE), [words_on()])
    made.source.write_bytes(pdfs.content_pdf(PICTURE + b" "))
    assert made.again() == EXIT_SOME_FAILED
    made.source.unlink()
    assert made.again() == EXIT_SOME_FAILED
    said = capsys.readouterr().err
    assert "a.pdf: pdf_changed: " in said
    assert "a.pdf: pdf_not_found: " in said
    assert "Wrote 0 documents" in said
    assert "Hello" in text_of(made.copy)


def test_a_page_without_places_can_be_searched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its text is spread over the page, and that is said."""
    made = Exported(tmp_path, pdfs.content_pdf(PICTURE), [{"markdown": "# A title\n\nSome words", "engine": "gemini"}])
    assert "Some words" in text_of(made.copy)
    assert "a.pdf: no places are known of 1 pages" in capsys.readouterr().err


def test_a_hostile_file_costs_itself_alone(tmp_path: Path) -> None:
    """A content stream of 64 MiB is not looked through; what is no content at all leaves its page as it is."""
    import zlib  # noqa: PLC0415

    deflate = zlib.compressobj()
    bomb = b"".join([*(deflate.compress(b" " * (1 << 20)) for _ in range(64)), deflate.flush()])
    objects = pdfs.page_objects([b"", b"(((("])
    objects[4] = pdfs.Stream(b"/Filter/FlateDecode", bomb)
    made = Exported(tmp_path, pdfs.write(objects), [words_on(), words_on()])
    assert made.exit == EXIT_OK
    assert made.copy.stat().st_size < made.source.stat().st_size + 30_000


@pytest.mark.parametrize("orientation", [1, 4, 6, 7])
def test_a_picture_becomes_a_pdf_that_looks_the_same(tmp_path: Path, orientation: int) -> None:
    """However it is stored; a JPEG's bytes stay. The words stand where they are seen."""
    for ending, kind in (("jpg", "JPEG"), ("tif", "TIFF")):
        folder = tmp_path / ending
        folder.mkdir()
        data = pictures.turned(kind, orientation)
        turn = {3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270}.get(orientation, 0)
        width, height = pictures.WIDTH_PX * 0.72, pictures.HEIGHT_PX * 0.72
        line = BlockLine(Box(7, 7, 86, 29), (BlockWord("Bar", Box(7.2, 7.2, 86.4, 28.8)),))
        block = pack([Block(1, BlockKind.PARAGRAPH, "Bar", line.box, lines=(line,))], Positions.WORDS)
        made = Exported(folder, data, [{"blocks": block, "page_box": PageBox(width, height, turn)}])
        shown = pdfium.PdfDocument(made.copy)[0]
        assert shown.get_size() == pytest.approx((width, height), abs=0.1)
        seen = shown.render(scale=100 / 72).to_pil().convert("L")
        bar, paper = seen.getpixel((60, 25)), seen.getpixel((250, 150))
        assert isinstance(bar, int)
        assert isinstance(paper, int)
        assert (bar < 80, paper > 200) == (True, True), ending
        found = shown.get_textpage().search("Bar").get_next()
        assert found is not None
        box = displayed(shown, shown.get_textpage().get_charbox(found[0], loose=True))
        assert box[:2] == pytest.approx((7.2, 7.2), abs=1), ending
        assert (data in made.copy.read_bytes()) is (kind == "JPEG")


@pytest.mark.parametrize("mode", ["1", "P", "RGBA", "CMYK"])
def test_pictures_of_all_depths_are_embedded(tmp_path: Path, mode: str) -> None:
    """PNG, and TIFF of two pages where PNG cannot hold the mode."""
    image = pictures.paper(mode)
    many = {"save_all": True, "append_images": [image]} if mode == "CMYK" else {}
    data = pictures.saved(image, "TIFF" if many else "PNG", **many)
    made = Exported(tmp_path, data, [{"markdown": "some words"}])
    for shown in pdfium.PdfDocument(made.copy):
        seen = shown.render(scale=0.5).to_pil().convert("L")
        assert (seen.getpixel((30, 12)) < 60, seen.getpixel((125, 75)) > 240) == (True, True)  # type: ignore[operator]
    assert "some words" in text_of(made.copy)
