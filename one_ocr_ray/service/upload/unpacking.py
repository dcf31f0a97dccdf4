"""ZIP archives in an upload. Their members take their place, each a file."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from one_ocr_ray.archive import ArchiveError, members_of, read_member
from one_ocr_ray.pdf.failures import of_archive
from one_ocr_ray.policy.input_names import holds_documents
from one_ocr_ray.service.problems import Problem
from one_ocr_ray.service.upload.multipart import SpooledFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.archive import Member
    from one_ocr_ray.service.upload.spool import Spool
    from one_ocr_ray.settings.service import ServiceSettings


def unpacked(files: Sequence[SpooledFile], spool: Spool, settings: ServiceSettings) -> list[SpooledFile]:
    """The files of a request, with archives replaced by their members, unpacked beside them.

    An archive that cannot be unpacked stays as it is. The limits of a request hold for what is in archives too: raises
    Problem for more files or bytes.
    """
    found: list[SpooledFile] = []
    for file in files:
        members: list[Member] = []  # of an archive; those of one that is damaged behind them, too
        if holds_documents(file.name) and not file.too_large:
            with suppress(ArchiveError), file.path.open("rb") as archive:
                members.extend(members_of(archive, file.size_bytes))
        unpacked_bytes = sum(each.size_bytes for each in [*found, file] if each not in files)
        unpacked_bytes += sum(member.size_bytes for member in members if member.fault is None)
        if unpacked_bytes > settings.max_request_bytes:
            detail = f"The archives of this upload hold over {settings.max_request_bytes:,} bytes."
            raise Problem("upload_too_large", detail)
        if len(found) + max(1, len(members)) > settings.max_files:
            raise Problem("too_many_files", f"One upload holds at most {settings.max_files} files, also in archives.")
        spool.check_space(unpacked_bytes)
        found += [_unpacked(file, member, at, settings.max_file_bytes) for at, member in enumerate(members)] or [file]
    return found


def _unpacked(file: SpooledFile, member: Member, at: int, max_file_bytes: int) -> SpooledFile:
    one = SpooledFile(file.path.with_suffix(f".{at}"), member.name, member.size_bytes)
    if member.fault is None and member.size_bytes > max_file_bytes:
        one.too_large = True
        return one
    try:
        with file.path.open("rb") as archive:
            data = read_member(archive, member)
    except ArchiveError as error:
        one.failure = of_archive(error.fault)
        return one
    one.digest.update(data)
    one.path.write_bytes(data)
    return one
