"""The searchable copy of an upload, made by a child process of its own. Blocks; the route calls it in a thread."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pydantic import SecretStr

from one_ocr_ray.pdf.searchable.writer import CopyRefusal, SearchableWriter
from one_ocr_ray.reading.searchable import SearchableOptions, write_searchable
from one_ocr_ray.service.problems import Problem
from one_ocr_ray.settings.run import password_of

if TYPE_CHECKING:
    from one_ocr_ray.service.dependencies import Service

DOCUMENT_TIMEOUT_S = 120.0


def searchable_copy(service: Service, task_id: str, *, allow_signed: bool) -> BinaryIO:
    """A task's upload with a text layer, as an open file without a name. Raises Problem where there is none."""
    password = password_of(service.settings)
    options = SearchableOptions(allow_signed, None if password is None else SecretStr(password))
    with (
        tempfile.TemporaryDirectory(dir=service.spool.folder) as scratch,
        SearchableWriter(DOCUMENT_TIMEOUT_S) as writer,
    ):
        try:
            source = service.store.fetch_upload(task_id, Path(scratch))
        except FileNotFoundError as error:
            raise Problem("not_found", "The upload is not there any more.") from error
        target = Path(scratch) / "copy.pdf"
        made = write_searchable(writer, source, target, service.store.pages(task_id), options)
        if isinstance(made, CopyRefusal):
            code = made.code if made.code == "pdf_signed" else "not_searchable"
            raise Problem(code, made.message.replace("--allow-signed", "allow_signed=true"))
        return target.open("rb")
