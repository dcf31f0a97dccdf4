"""The page marker from PDF to JPEG and back: what it names is what was drawn, or nothing."""

from __future__ import annotations

import base64
import io
import time
from typing import TYPE_CHECKING

import pypdfium2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.provider.identity import (
    Identity,
    bars_of,
    identity_of,
    identity_pdf,
    page_of_base64,
    read_identity,
    write_identity_pdfs,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

IDENTITIES = st.builds(Identity, st.integers(0, 2**24 - 1), st.integers(1, 2**16 - 1))


def images(pdf: bytes, longest_side_px: int, **how: object) -> list[bytes]:
    """Each page of `pdf` as a JPEG of quality 85, unless `how` says otherwise."""
    document = pypdfium2.PdfDocument(pdf)
    jpegs = []
    for page in document:
        image = page.render(scale=longest_side_px / max(page.get_size())).to_pil().convert("RGB")
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", **({"quality": 85} | how))
        jpegs.append(buffer.getvalue())
        page.close()
    document.close()
    return jpegs


@given(IDENTITIES)
def test_bars_name_what_they_were_made_of(identity: Identity) -> None:
    """Every document and page number comes back from its bars, and from its text."""
    assert identity_of(bars_of(identity)) == identity
    assert Identity.parse(f"# {identity}\n\nSome text") == identity


@given(IDENTITIES, st.data())
def test_damaged_bars_name_nothing(identity: Identity, data: st.DataObject) -> None:
    """Up to three wrong bars are always seen by guards or checksum: never another page's name."""
    bars = list(bars_of(identity))
    for index in data.draw(st.sets(st.integers(0, len(bars) - 1), min_size=1, max_size=3)):
        bars[index] = "1" if bars[index] == "0" else "0"
    assert identity_of("".join(bars)) is None


@pytest.mark.parametrize("longest_side_px", [1600, 1000])
@pytest.mark.parametrize("size_pt", [(595.0, 842.0), (842.0, 595.0), (300.0, 300.0), (612.0, 1008.0)])
def test_every_page_is_known_from_its_image(longest_side_px: int, size_pt: tuple[float, float]) -> None:
    """Portrait, landscape, square and long pages, at the usual size and a smaller one."""
    jpegs = images(identity_pdf(70_007, [1, 12, 255, 65_535], size_pt=size_pt), longest_side_px)
    assert [read_identity(jpeg) for jpeg in jpegs] == [Identity(70_007, page) for page in (1, 12, 255, 65_535)]


@pytest.mark.parametrize("how", [{"quality": 30}, {"progressive": True}, {"subsampling": 0}, {"optimize": True}])
def test_the_kind_of_jpeg_does_not_matter(how: dict[str, object]) -> None:
    """Coarse, progressive, unsubsampled: all are read, also from a base64 text whose first part is tried alone."""
    jpeg = images(identity_pdf(7, [12], lines=60), 1600, **how)[0]
    assert page_of_base64(base64.b64encode(jpeg)) == "doc-0007 page 12"


def test_a_page_without_a_marker_has_no_name(samples: Path) -> None:
    """Ordinary pages, a white one and what is no image at all."""
    ordinary = images((samples / "sample-report-zh.pdf").read_bytes(), 1600)[0]
    white = io.BytesIO()
    Image.new("L", (1000, 1400), 255).save(white, "JPEG")
    for data in (ordinary, white.getvalue(), b"\xff\xd8\xff no image", b""):
        assert page_of_base64(base64.b64encode(data)) is None


def test_documents_are_written_one_by_one_and_differ(tmp_path: Path) -> None:
    """Files are named by number, have the pages asked for, and no two are the same."""
    paths = write_identity_pdfs(tmp_path, range(1, 4), pages=3)
    assert [path.name for path in paths] == ["doc-0001.pdf", "doc-0002.pdf", "doc-0003.pdf"]
    assert len({path.read_bytes() for path in paths}) == 3
    named = [read_identity(jpeg) for path in paths for jpeg in images(path.read_bytes(), 1000)]
    assert named == [Identity(document, page) for document in (1, 2, 3) for page in (1, 2, 3)]


def test_reading_a_marker_is_cheaper_than_decoding_the_page() -> None:
    """The provider must not be the bottleneck of a benchmark: at most half the time of decoding base64 and JPEG."""
    text = base64.b64encode(images(identity_pdf(7, [12], lines=60), 1600)[0])

    def decode_whole() -> None:
        Image.open(io.BytesIO(base64.b64decode(text))).load()

    def fastest(work: Callable[[], object]) -> float:
        times_s = []
        for _ in range(15):
            start_s = time.perf_counter()
            work()
            times_s.append(time.perf_counter() - start_s)
        return min(times_s)

    assert fastest(lambda: page_of_base64(text)) < fastest(decode_whole) / 2
