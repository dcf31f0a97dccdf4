"""Walks and globs over local folders, in a stable order. A folder that cannot be listed is reported."""

from __future__ import annotations

import errno
import fnmatch
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

WILDCARDS = frozenset("*?[")
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})


@dataclass(frozen=True, slots=True, order=True)
class WalkedFile:
    """A file, or with a `fault` a folder that cannot be listed."""

    path: str
    fault: str = ""


@dataclass(slots=True)
class _Folder:
    """One listed folder, each list sorted; `links` are links to folders."""

    path: str
    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    faults: list[WalkedFile] = field(default_factory=list)


def walk(top: str) -> Iterator[WalkedFile]:
    """Every file under the folder `top`: a folder's files before those of its subfolders."""
    for folder in _tree(top):
        yield from folder.faults
        yield from (WalkedFile(os.path.join(folder.path, name)) for name in folder.files)  # noqa: PTH118 - a million times


def glob(pattern: str) -> list[WalkedFile]:
    """All files that match an absolute `pattern`. `**` is any number of folders, wildcards match no leading dot."""
    return sorted(set(_matches("/", pattern.strip("/").split("/"))))


def fault_of_listing(path: str) -> str:
    """Why the folder at `path` cannot be listed; empty if it can."""
    return next((each.fault for each in _listed(path).faults if each.path == path), "")


def _matches(parent: str, parts: list[str]) -> Iterator[WalkedFile]:
    part, rest = parts[0], parts[1:]
    if WILDCARDS & set(part) and _is_no_folder(parent):
        return
    if part == "**":
        for folder in _tree(parent, hidden=False):
            yield from folder.faults
            if folder.path not in {each.path for each in folder.faults}:
                yield from _matches(folder.path, rest or ["*"])
    elif not WILDCARDS & set(part):
        path = os.path.join(parent, part)  # noqa: PTH118
        yield from _matches(path, rest) if rest else _existing(path)
    else:
        folder = _listed(parent)
        yield from folder.faults
        names = [*folder.folders, *folder.links] if rest else folder.files
        for name in names:
            if fnmatch.fnmatchcase(name, part) and (part.startswith(".") or not name.startswith(".")):
                path = os.path.join(parent, name)  # noqa: PTH118
                yield from _matches(path, rest) if rest else iter([WalkedFile(path)])


def _existing(path: str) -> Iterator[WalkedFile]:
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116
    except OSError as error:
        if error.errno not in _ABSENT:
            yield WalkedFile(path, _reason(error))
    else:
        if not is_folder:
            yield WalkedFile(path)


def _is_no_folder(path: str) -> bool:
    """True if `path` is known not to be a folder."""
    try:
        return not stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116
    except OSError as error:
        return error.errno in _ABSENT


def _tree(top: str, *, hidden: bool = True) -> Iterator[_Folder]:
    """`top` and the folders below it, each once; linked folders come last."""
    seen: set[tuple[int, int]] = set()
    links = [top]
    while links:
        below = [links.pop(0)]
        while below:
            path = below.pop()
            folder = _listed(path)
            try:
                status = os.stat(path)  # noqa: PTH116
            except OSError:
                yield folder  # with the fault
                continue
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            yield folder
            wanted = [name for name in folder.folders if hidden or not name.startswith(".")]
            below.extend(os.path.join(path, name) for name in reversed(wanted))  # noqa: PTH118
            links.extend(os.path.join(path, name) for name in folder.links if hidden or not name.startswith("."))  # noqa: PTH118


def _listed(path: str) -> _Folder:
    folder = _Folder(path)
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                try:
                    folders = folder.links if entry.is_symlink() else folder.folders
                    (folders if entry.is_dir() else folder.files).append(entry.name)
                except OSError as error:
                    if error.errno == errno.ELOOP:  # a link to itself: a missing file, like a dangling link
                        folder.files.append(entry.name)
                    else:  # it may be a folder
                        folder.faults.append(WalkedFile(entry.path, _reason(error)))
    except (OSError, ValueError) as error:  # even halfway: what was listed counts, and the fault is reported
        folder.faults.append(WalkedFile(path, _reason(error)))
    for names in (folder.files, folder.folders, folder.links):
        names.sort()
    folder.faults.sort()
    return folder


def _reason(error: Exception) -> str:
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "not a name of a folder"
