"""Finds the files of INPUT arguments (folders, globs, buckets, lists) in a stable order.

No file is opened. Local files are named by absolute path, objects by URI. Nothing is left out in silence: every
argument and every line of a list gives a file, or a file without version that says why, or is named in a sentence at
the end.
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

from one_ocr_ray.archive import ArchiveError
from one_ocr_ray.errors import StorageError, UsageError
from one_ocr_ray.policy.input_names import holds_documents, is_input, member_uri, split_member
from one_ocr_ray.storage import archives
from one_ocr_ray.storage.input_lists import parse_list
from one_ocr_ray.storage.store.keys import fault_of_key
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.store.uris import is_remote, local_path, shown, split_remote, uri_of_path, without_credentials
from one_ocr_ray.storage.store.walking import WILDCARDS, fault_of_listing, glob, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from one_ocr_ray.storage.store.objects import ObjectInfo
    from one_ocr_ray.storage.store.walking import WalkedFile

_SHOWN = 3
_LISTED = "listed"  # the version of a folder that could not be listed once


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file to read. `version` is its etag or mtime, or None if it cannot be read; then `fault` may say why."""

    uri: str
    size_bytes: int
    version: str | None
    fault: str | None = None

    @property
    def name(self) -> str:
        """The last part of the path, for people. A member of an archive has a path of its own."""
        member = split_member(self.uri)
        return PurePosixPath(self.uri if member is None else member[1]).name


class _WithoutDocuments(Counter[str]):
    """Folders and patterns without a document."""

    def sentence(self) -> str:
        names = ", ".join(list(self)[:_SHOWN])
        more = f" and {len(self) - _SHOWN} more" if len(self) > _SHOWN else ""
        return f"No PDFs and no images in {names}{more}."

    def report(self, say: Callable[[str], None]) -> Iterator[InputFile]:
        """Say the sentence, if there is one, once this iterator of no files is reached."""
        if self:
            say(self.sentence())
        yield from ()


def find_inputs(arguments: Iterable[str], say: Callable[[str], None] = lambda _: None) -> Iterator[InputFile]:
    """Every file that `arguments` name, once, in their order and sorted within each.

    A missing file, or a folder that cannot be listed, comes as a file without version; `say` gets one sentence about
    folders and globs without documents at the end. Raise UsageError for a list that cannot be read, StorageError for a
    bucket that cannot be listed.
    """
    without_documents = _WithoutDocuments()
    yield from _find(list(arguments), without_documents)
    yield from without_documents.report(say)


def find_present_inputs(arguments: Sequence[str], say: Callable[[str], None] = lambda _: None) -> Iterator[InputFile]:
    """Like `find_inputs`, but raise UsageError at once if no file exists.

    Single missing files are left to the run to report.
    """
    without_documents = _WithoutDocuments()
    files = _find(list(arguments), without_documents)
    missing: list[InputFile] = []
    for file in files:
        if file.version is not None:
            return chain(missing, [file], files, without_documents.report(say))
        missing.append(file)
    if missing:
        name, fault = shown(missing[0].uri), missing[0].fault
        if fault is None:
            raise UsageError(f"There is no file or folder {name}.")
        raise UsageError(fault if name in fault else f"{name}: {fault}")
    raise UsageError(without_documents.sentence() if without_documents else "Say what to read: INPUT...")


def _find(arguments: list[str], without_documents: _WithoutDocuments) -> Iterator[InputFile]:
    if len(arguments) == 1 and not arguments[0].startswith("@"):
        yield from _expand(arguments[0], without_documents)  # one listing has no duplicates
        return
    seen: set[str] = set()
    for argument in arguments:
        for name in _list_lines(argument[1:]) if argument.startswith("@") else [argument]:
            for found in _expand(name, without_documents):
                if found.uri not in seen:
                    seen.add(found.uri)
                    yield found


def stat_input(uri: str) -> InputFile:
    """The current state of `uri`, a name that `find_inputs` gave."""
    if (member := split_member(uri)) is not None:
        found = {each.uri: each for each in _members(stat_input(member[0]))}
        return found.get(uri, _missing(uri))
    if is_remote(uri):
        root, key = split_remote(uri)
        if fault := fault_of_key(key):
            return _missing(uri, fault)
        info = Objects(root).head(key)
        return InputFile(uri, info.size_bytes, info.version) if info else _missing(uri)
    try:
        path = local_path(uri)
    except UsageError as error:
        return _missing(uri, str(error))
    if not is_folder(uri):
        return replace(_local_file(path), uri=uri)
    fault = fault_of_listing(path)
    return _missing(uri, _unlistable(fault)) if fault else InputFile(uri, 0, _LISTED)


def is_folder(uri: str) -> bool:
    """True if `find_inputs` gave `uri` for a folder that could not be listed."""
    return uri.endswith("/")


def read_input(uri: str) -> bytes | None:
    """The bytes of the remote object at `uri`; None if it is not there."""
    root, key = split_remote(uri)
    return Objects(root).get(key)


def _list_lines(list_uri: str) -> list[str]:
    try:
        if is_remote(list_uri):
            data = read_input(list_uri)
        else:
            with open(local_path(list_uri), "rb") as file:  # noqa: PTH123 - a text path, which may be a pipe of the shell
                data = file.read()
        lines = None if data is None else parse_list(data)
    except (OSError, ValueError):
        lines = None
    if lines is None:
        raise UsageError(f"The list {shown(list_uri)} cannot be read.")
    return lines


def _expand(argument: str, without_documents: _WithoutDocuments) -> Iterator[InputFile]:
    try:
        if (member := split_member(argument)) is not None and not (
            not is_remote(argument) and os.path.lexists(local_path(argument))
        ):
            archive = without_credentials(member[0]) if is_remote(argument) else uri_of_path(local_path(member[0]))
            yield stat_input(member_uri(archive, member[1]))
            return
        expand = _expand_remote if is_remote(argument) else _expand_local
        for file in expand(argument, without_documents):
            yield from _members(file)
    except UsageError as error:  # of this name alone
        yield _missing(without_credentials(argument), str(error))


def _missing(uri: str, fault: str | None = None) -> InputFile:
    return InputFile(uri.encode(errors="backslashreplace").decode(), 0, None, fault)


def _members(file: InputFile) -> Iterator[InputFile]:
    """The members of an archive, each as a file. Any other file, and an archive without documents, as it is."""
    if file.version is None or not holds_documents(file.uri):
        yield file
        return
    try:
        members = archives.members(file.uri, file.size_bytes, file.version)
    except ArchiveError:  # its row says why, if it is an archive at all
        yield file
        return
    for member in members.values():
        yield InputFile(member_uri(file.uri, member.name), member.size_bytes, file.version)


def _expand_local(argument: str, without_documents: _WithoutDocuments) -> Iterator[InputFile]:
    path = local_path(argument)
    files: Iterator[InputFile]
    if os.path.isdir(path):  # noqa: PTH112 - a text path, as all paths here
        files = map(_found_file, (each for each in walk(path) if each.fault or is_input(each.path)))
    elif os.path.lexists(path) or not WILDCARDS & set(path):
        files = iter([_local_file(path)])
    else:
        files = map(_found_file, glob(path))
    number = 0
    for number, file in enumerate(files, start=1):  # noqa: B007 - the last number is the count
        yield file
    if not number:
        yield from _nothing_in(path, without_documents, is_several=os.path.isdir(path) or "*" in path)  # noqa: PTH112


def _nothing_in(name: str, without_documents: _WithoutDocuments, *, is_several: bool) -> Iterator[InputFile]:
    """Report a folder or pattern without documents, or a missing file."""
    if is_several:
        without_documents[shown(name)] += 1
    else:
        yield _missing(uri_of_path(name))


def _found_file(found: WalkedFile) -> InputFile:
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


def _expand_remote(argument: str, without_documents: _WithoutDocuments) -> Iterator[InputFile]:
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
                listed_uri, fault = f"{root}/{each.path}", fault_of_key(each.path)
                yield _missing(listed_uri, fault) if fault else InputFile(listed_uri, each.size_bytes, each.version)
        if is_folder or number:
            break
    if number:
        return
    if not is_folder and refusal is not None:
        raise refusal
    if info is not None and not is_folder:  # an empty object, otherwise the marker of a folder
        yield InputFile(uri, info.size_bytes, info.version)
    else:
        yield from _nothing_in(uri, without_documents, is_several=is_folder or "*" in key or key[-1:] in ("", "/"))


def _head(objects: Objects, key: str) -> tuple[ObjectInfo | None, StorageError | None]:
    """The object named `key` if it exists, or the refusal if credentials only list."""
    if key[-1:] in ("", "/"):
        return None, None
    try:
        return objects.head(key), None
    except StorageError as refusal:
        return None, refusal


def _listings(key: str) -> Iterator[tuple[str, Callable[[str], bool]]]:
    """Prefixes to list until one holds something, with filters: the folder `key`, then the pattern `key`.

    Stores list in the order of names, so a listing streams without sorting.
    """
    yield key.rstrip("/"), is_input
    if signs := WILDCARDS & set(key):
        folder = key[: min(key.index(sign) for sign in signs)].rpartition("/")[0]
        yield folder, lambda name: fnmatch.fnmatchcase(name, key)
