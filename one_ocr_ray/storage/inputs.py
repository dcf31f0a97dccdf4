"""From INPUT arguments to input files: folders, globs, buckets and lists, in a stable order, without reading any PDF.

Local files are named by absolute path, objects by URI. Every argument and every line of a list gives a file, or a file
without version that says why there is none, or is named in one sentence at the end: nothing is left out in silence.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from collections import Counter
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from one_ocr_ray.errors import StorageError, UsageError
from one_ocr_ray.storage.input_lists import parse_list
from one_ocr_ray.storage.store.keys import fault_of_key
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.store.uris import is_remote, local_path, shown, split_remote, uri_of_path, without_credentials
from one_ocr_ray.storage.store.walking import WILDCARDS, fault_of_listing, glob, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from one_ocr_ray.storage.store.objects import ObjectInfo
    from one_ocr_ray.storage.store.walking import Found

_PDF = ".pdf"
_BARREN_SHOWN = 3
_LISTED = "listed"  # the version of a folder that could not be listed once


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file to read. `version` is its etag or mtime; None when it cannot be read, and `fault` may say why."""

    uri: str
    size_bytes: int
    version: str | None
    fault: str | None = None

    @property
    def name(self) -> str:
        """The last part of the path, for people."""
        return PurePosixPath(self.uri).name


class _Barren(Counter[str]):
    """Folders and patterns that hold no PDF file."""

    def sentence(self) -> str:
        names = ", ".join(list(self)[:_BARREN_SHOWN])
        more = f" and {len(self) - _BARREN_SHOWN} more" if len(self) > _BARREN_SHOWN else ""
        return f"No PDF files in {names}{more}."

    def told(self, say: Callable[[str], None]) -> Iterator[InputFile]:
        """The end of a listing: nothing more, and the sentence if there is one to say."""
        if self:
            say(self.sentence())
        return iter(())


def find_inputs(arguments: Iterable[str], say: Callable[[str], None] = lambda _: None) -> Iterator[InputFile]:
    """Every file that `arguments` name, each once, in the order of the arguments and sorted within each.

    What is not there, and a folder that cannot be listed, comes as a file without version; folders and globs without
    PDFs are told to `say` at the end. Raises UsageError for a list that cannot be read, StorageError for a bucket that
    cannot be listed.
    """
    barren = _Barren()
    yield from _find(list(arguments), barren)
    yield from barren.told(say)


def find_present_inputs(arguments: Sequence[str], say: Callable[[str], None] = lambda _: None) -> Iterator[InputFile]:
    """The same, found out at once to name something: a missing file among others is for the run to report.

    Raises UsageError when none of the files is there.
    """
    barren = _Barren()
    files = _find(list(arguments), barren)
    missing: list[InputFile] = []
    for file in files:
        if file.version is not None:
            return chain(missing, [file], files, _at_the_end(barren, say))
        missing.append(file)
    if missing:
        name, fault = shown(missing[0].uri), missing[0].fault
        if fault is None:
            raise UsageError(f"There is no file or folder {name}.")
        raise UsageError(fault if name in fault else f"{name}: {fault}")
    raise UsageError(barren.sentence() if barren else "Say what to read: INPUT...")


def _at_the_end(barren: _Barren, say: Callable[[str], None]) -> Iterator[InputFile]:
    yield from barren.told(say)


def _find(arguments: list[str], barren: _Barren) -> Iterator[InputFile]:
    if len(arguments) == 1 and not arguments[0].startswith("@"):
        yield from _expand(arguments[0], barren)  # one listing names nothing twice: no need to remember its names
        return
    seen: set[str] = set()
    for argument in arguments:
        for name in _lines(argument[1:]) if argument.startswith("@") else [argument]:
            for found in _expand(name, barren):
                if found.uri not in seen:
                    seen.add(found.uri)
                    yield found


def stat_input(uri: str) -> InputFile:
    """The file or object at `uri`, a name that `find_inputs` gave, as it is now."""
    if is_remote(uri):
        return _object(uri)
    try:
        path = local_path(uri)
    except UsageError as error:
        return _missing(uri, str(error))
    if not is_folder(uri):
        return replace(_local_file(path), uri=uri)
    fault = fault_of_listing(path)
    return _missing(uri, _unlistable(fault)) if fault else InputFile(uri, 0, _LISTED)


def is_folder(uri: str) -> bool:
    """Whether `find_inputs` gave `uri` for a folder that could not be listed; its files are inputs of their own."""
    return uri.endswith("/")


def read_input(uri: str) -> bytes | None:
    """The bytes of the object at `uri`; None when it is not there. For remote URIs only: local files are opened."""
    root, key = split_remote(uri)
    return Objects(root).get(key)


def _lines(list_uri: str) -> list[str]:
    try:
        data = read_input(list_uri) if is_remote(list_uri) else _bytes_of(local_path(list_uri))
        lines = None if data is None else parse_list(data)
    except (OSError, ValueError):
        lines = None
    if lines is None:
        raise UsageError(f"The list {shown(list_uri)} cannot be read.")
    return lines


def _bytes_of(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - a text path, which may be a pipe of the shell
        return file.read()


def _expand(argument: str, barren: _Barren) -> Iterator[InputFile]:
    try:
        yield from _expand_remote(argument, barren) if is_remote(argument) else _expand_local(argument, barren)
    except UsageError as error:  # of this name alone
        yield _missing(without_credentials(argument), str(error))


def _missing(uri: str, fault: str | None = None) -> InputFile:
    return InputFile(uri.encode(errors="backslashreplace").decode(), 0, None, fault)


def _expand_local(argument: str, barren: _Barren) -> Iterator[InputFile]:
    path = local_path(argument)
    files: Iterator[InputFile]
    if os.path.isdir(path):  # noqa: PTH112 - a text path, as all paths here
        files = map(_found_file, (each for each in walk(path) if each.fault or each.path.lower().endswith(_PDF)))
    elif os.path.lexists(path) or not WILDCARDS & set(path):
        files = iter([_local_file(path)])
    else:
        files = map(_found_file, glob(path))
    number = 0
    for number, file in enumerate(files, start=1):  # noqa: B007 - the last number is the count
        yield file
    if not number:
        yield from _nothing_in(path, barren, is_several=os.path.isdir(path) or "*" in path)  # noqa: PTH112


def _nothing_in(name: str, barren: _Barren, *, is_several: bool) -> Iterator[InputFile]:
    """A folder may be empty; what may be the name of one file is a missing file."""
    if is_several:
        barren[shown(name)] += 1
    else:
        yield _missing(uri_of_path(name))


def _found_file(found: Found) -> InputFile:
    if found.fault:
        return _missing(f"{uri_of_path(found.path)}/", _unlistable(found.fault))
    return _local_file(found.path)


def _unlistable(fault: str) -> str:
    return f"The folder cannot be listed: {fault}."


def _local_file(path: str) -> InputFile:
    try:
        status = os.stat(path)  # noqa: PTH116 - a text path, a hundred thousand times
    except FileNotFoundError:
        return _missing(uri_of_path(path))
    except OSError as error:
        return _missing(uri_of_path(path), f"The file cannot be read: {os.strerror(error.errno or 0)}.")
    if not stat.S_ISREG(status.st_mode):
        return _missing(uri_of_path(path), "This is no file: a pipe, a device or a folder.")
    return InputFile(uri_of_path(path), status.st_size, str(status.st_mtime_ns))


def _expand_remote(argument: str, barren: _Barren) -> Iterator[InputFile]:
    uri = without_credentials(argument)
    root, key = split_remote(uri)
    if fault := fault_of_key(key.rstrip("/")):
        yield _missing(uri, fault)
        return
    objects = Objects(root)
    info, refusal = _head(objects, key)
    if info is not None and info.size_bytes:
        yield InputFile(uri, info.size_bytes, info.version)
        return
    is_folder, number = False, 0
    for prefix, is_wanted in _listings(key):
        for each in objects.list(prefix):
            is_folder = is_folder or prefix == key.rstrip("/")
            if is_wanted(each.path):
                number += 1
                yield _listed_object(root, each)
        if is_folder or number:
            break
    if number:
        return
    if not is_folder and refusal is not None:
        raise refusal
    if info is not None and not is_folder:  # an empty object; else it is the mark of a folder
        yield InputFile(uri, info.size_bytes, info.version)
    else:
        yield from _nothing_in(uri, barren, is_several=is_folder or "*" in key or key[-1:] in ("", "/"))


def _head(objects: Objects, key: str) -> tuple[ObjectInfo | None, StorageError | None]:
    """The object named `key`, if there is one. Who may only list the folder is not allowed to ask: then the refusal."""
    if key[-1:] in ("", "/"):
        return None, None
    try:
        return objects.head(key), None
    except StorageError as refusal:
        return None, refusal


def _listings(key: str) -> Iterator[tuple[str, Callable[[str], bool]]]:
    """Folders to list until one holds something, and what is wanted of it: a folder of that name before a pattern.

    Stores list in the order of names, so a listing streams without being sorted again.
    """
    yield key.rstrip("/"), lambda name: name.lower().endswith(_PDF)
    if signs := WILDCARDS & set(key):
        folder = key[: min(key.index(sign) for sign in signs)].rpartition("/")[0]
        yield folder, lambda name: fnmatch.fnmatchcase(name, key)


def _listed_object(root: str, info: ObjectInfo) -> InputFile:
    uri = f"{root}/{info.path}"
    fault = fault_of_key(info.path)
    return _missing(uri, fault) if fault else InputFile(uri, info.size_bytes, info.version)


def _object(uri: str) -> InputFile:
    root, key = split_remote(uri)
    if fault := fault_of_key(key):
        return _missing(uri, fault)
    info = Objects(root).head(key)
    return InputFile(uri, info.size_bytes, info.version) if info else _missing(uri)
