"""ZIP archives in a folder or a bucket as inputs: members and their bytes. Only parts are fetched."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from one_ocr_ray.archive import ArchiveError, ArchiveFault, Member, members_of, read_member
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.store.uris import is_remote, local_path, split_remote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_Read = TypeVar("_Read")


@lru_cache(maxsize=4)  # the members of one archive come one after the other
def members(archive_uri: str, size_bytes: int, version: str) -> Mapping[str, Member]:
    """The members of an archive by name, in order. Raises ArchiveError, and StorageError for a bucket."""
    found = _read(archive_uri, lambda file: members_of(file, size_bytes))
    if found is None:
        raise ArchiveError(ArchiveFault.DAMAGED)
    return {member.name: member for member in found}


def member_bytes(archive_uri: str, member: Member) -> bytes | None:
    """The bytes of a member; None when the archive is not there. Raises ArchiveError, and StorageError for a bucket."""
    return _read(archive_uri, lambda file: read_member(file, member))


def _read(uri: str, read: Callable[[Any], _Read]) -> _Read | None:
    if is_remote(uri):
        root, key = split_remote(uri)
        return Objects(root).read_with(key, read)
    try:
        with Path(local_path(uri)).open("rb") as file:
            return read(file)
    except OSError:
        return None
