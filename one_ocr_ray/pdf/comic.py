"""A comic book, an archive of pictures: one document, its pages in their natural order. A part of the child program."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from one_ocr_ray.archive import ArchiveError, ArchiveFault, members_of, natural_order, read_member
from one_ocr_ray.pdf.drawing import RefusedError
from one_ocr_ray.pdf.kinds import HEAD_BYTES, DocumentKind, kind_of
from one_ocr_ray.pdf.pictures import Pictures
from one_ocr_ray.policy.input_names import is_image

if TYPE_CHECKING:
    from typing import BinaryIO

    from one_ocr_ray.pdf.drawing import Drawn


class ComicBook:
    """The pictures of an archive; of one with several pages, the first. Raises RefusedError when there are none."""

    encrypted = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        try:
            members = members_of(stream, stream.seek(0, os.SEEK_END))
        except ArchiveError as error:
            raise RefusedError(error.fault.value) from error
        self._pages = natural_order(each for each in members if is_image(each.name))
        fault = ArchiveFault.ENCRYPTED if any(each.fault is ArchiveFault.ENCRYPTED for each in self._pages) else None
        if fault or not self._pages:
            raise RefusedError(fault or ArchiveFault.NOTHING)
        self.page_count = len(self._pages)

    def close(self) -> None:
        """Let go of the file."""
        self._stream.close()

    def draw(self, page_number: int, longest_side_px: int, *, layer: bool) -> Drawn:
        """Draw a page. Raises RefusedError."""
        try:
            data = read_member(self._stream, self._pages[page_number - 1])
        except ArchiveError as error:
            raise RefusedError("packed_page") from error
        kind = kind_of(data[:HEAD_BYTES])
        if kind in (None, DocumentKind.PDF, DocumentKind.ZIP):
            raise RefusedError("picture")
        return Pictures(kind, io.BytesIO(data)).draw(1, longest_side_px, layer=layer)
