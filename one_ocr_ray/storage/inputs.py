"""From INPUT arguments to input files: folders, globs, buckets and lists, in a stable order, without reading any PDF.

Local files are named by absolute path, objects by URI.
"""

from __future__ import annotations

import fnmatch
import glob
import os
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from one_ocr_ray.errors import UsageError
from one_ocr_ray.storage.objects import Objects
from one_ocr_ray.storage.uris import is_remote, local_path, without_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_PDF = ".pdf"
_WILDCARDS = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file to read. `version` is its etag or mtime; None when it is not there."""

    uri: str
    size_bytes: int
    version: str | None

    @property
    def name(self) -> str:
        """The last part of the path, for people."""
        return PurePosixPath(self.uri).name if is_remote(self.uri) else Path(self.uri).name


def find_inputs(arguments: Iterable[str]) -> Iterator[InputFile]:
    """Every file that `arguments` name, each once, in the order of the arguments and sorted within each.

    A path that does not exist comes as a file without version; a folder or a glob without PDFs gives nothing.
    Raises UsageError for a list that cannot be read, StorageError for a bucket that cannot be listed.
    """
    arguments = list(arguments)
    if len(arguments) == 1 and not arguments[0].startswith("@"):
        yield from _expand(arguments[0])  # one listing names nothing twice: no need to remember a bucket's names
        return
    seen: set[str] = set()
    for argument in arguments:
        for found in _expand(argument):
            if found.uri not in seen:
                seen.add(found.uri)
                yield found


def find_present_inputs(arguments: Sequence[str]) -> Iterator[InputFile]:
    """The same, found out at once to name something: a missing file among others is for the run to report.

    Raises UsageError when none of the files is there.
    """
    files = find_inputs(arguments)
    missing: list[InputFile] = []
    for file in files:
        if file.version is not None:
            return chain(missing, [file], files)
        missing.append(file)
    if missing:
        raise UsageError(f"There is no file or folder {without_credentials(missing[0].uri)}.")
    raise UsageError(f"No PDF files in {' '.join(arguments)}." if arguments else "Say what to read: INPUT...")


def look_again(uri: str) -> InputFile:
    """The file or object at `uri`, a name that `find_inputs` gave, as it is now."""
    if not is_remote(uri):
        return _local_file(uri)
    root, path = _split(uri)
    info = Objects(root).head(path)
    return InputFile(uri, info.size_bytes, info.version) if info else InputFile(uri, 0, None)


def read_input(uri: str) -> bytes | None:
    """The bytes of the object at `uri`; None when it is not there. For remote URIs only: local files are opened."""
    root, path = _split(uri)
    return Objects(root).get(path)


def _expand(argument: str) -> Iterator[InputFile]:
    for uri in _lines(argument[1:]) if argument.startswith("@") else [argument]:
        yield from _expand_remote(uri) if is_remote(uri) else _expand_local(uri)


def _lines(list_uri: str) -> list[str]:
    if is_remote(list_uri):
        data = read_input(list_uri)
    else:
        try:
            data = Path(list_uri).read_bytes()
        except OSError:
            data = None
    if data is None:
        raise UsageError(f"The list {without_credentials(list_uri)} cannot be read.")
    lines = [line.strip() for line in data.decode("utf-8-sig", "surrogateescape").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _expand_local(argument: str) -> Iterator[InputFile]:
    try:
        path = local_path(argument)
    except UsageError:
        yield InputFile(without_credentials(argument), 0, None)
        return
    if os.path.isdir(path):  # noqa: PTH112 - a text path, as os.walk wants it
        yield from _walk(path)
    elif not os.path.lexists(path) and _WILDCARDS & set(path):
        for match in sorted(glob.glob(path, recursive=True)):  # noqa: PTH207 - an absolute pattern
            if os.path.isfile(match):  # noqa: PTH113
                yield _local_file(match)
    else:
        yield _local_file(path)


def _walk(folder: str) -> Iterator[InputFile]:
    for parent, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        for name in sorted(names):
            if name.lower().endswith(_PDF):
                yield _local_file(os.path.join(parent, name))  # noqa: PTH118


def _local_file(path: str) -> InputFile:
    try:
        path.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8: no dataset can hold the name, so the file counts as missing
        return InputFile(path.encode(errors="backslashreplace").decode(), 0, None)
    try:
        status = os.stat(path)  # noqa: PTH116 - a text path, a hundred thousand times
    except OSError:
        return InputFile(path, 0, None)
    return InputFile(path, status.st_size, str(status.st_mtime_ns))


def _expand_remote(uri: str) -> Iterator[InputFile]:
    uri = without_credentials(uri) if not _WILDCARDS & set(uri) else uri
    root, path = _split(uri)
    if _WILDCARDS & set(path):
        fixed = path[: min(path.index(sign) for sign in _WILDCARDS & set(path))].rpartition("/")[0]
        yield from _listed(root, fixed, lambda name: fnmatch.fnmatchcase(name, path))
    elif path.lower().endswith(_PDF):
        yield look_again(uri)
    else:
        yield from _listed(root, path.rstrip("/"), lambda name: name.lower().endswith(_PDF))


def _listed(root: str, prefix: str, wanted: Callable[[str], bool]) -> Iterator[InputFile]:
    """Stores list in the order of names, so the listing streams without being sorted again."""
    for info in Objects(root).list(prefix):
        if wanted(info.path):
            yield InputFile(f"{root}/{info.path}", info.size_bytes, info.version)


def _split(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}", uri.split("://", 1)[1].partition("/")[2]
