"""Writes files of a local folder, whole or not at all, synced to disk.

The order is: write a temporary file, sync it, move it to its name, sync the folder. A loss of power at any time leaves
the whole file or none. A file that must not replace another is hard-linked, which the file system refuses if the name
exists. File systems without hard links (exFAT, SMB) may have a rename that refuses in the same way.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from secrets import randbelow
from typing import TYPE_CHECKING, TypeVar

from one_ocr_ray.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")

_NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_NO_SUCH_RENAME = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})
_CANNOT_BE_SYNCED = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
_AT_FDCWD, _RENAME_NOREPLACE = -100, 1  # of Linux
# A folder may vanish between its creation and the write: whoever empties a folder removes it.
_TRIES = 20


def write_file(path: Path, data: bytes | Path, *, staged: Path | None, overwrite: bool, lasting: bool) -> bool:
    """Write `data`, or the bytes of the file `data`, to `path`. False if it exists, without `overwrite`.

    `staged`: path of the temporary file; None: beside `path`, under a name that obstore does not list. `lasting`: the
    file must survive a loss of power. Raise OSError, and UsageError if the file system cannot tell two writers apart.
    """
    temporary = staged or path.with_name(f"{path.name}#{randbelow(10**15):015d}")
    try:
        _with_folder(temporary.parent, lambda: _fill(temporary, data, lasting=lasting))
        made = _with_folder(path.parent, lambda: _place(temporary, path, overwrite=overwrite))
    finally:
        with suppress(OSError):  # renamed, or never made
            temporary.unlink()
    if lasting:
        _sync_folder(path.parent)  # even if another's file exists: its writer may not have synced yet
    return made


def delete_files(folder: Path, *, but: Path) -> None:
    """Delete everything below `folder` except one file, also what obstore does not list. Raise OSError."""
    for path in sorted(folder.rglob("*"), reverse=True):  # the contents of a folder come before it
        if path.is_dir() and not path.is_symlink():
            with suppress(OSError):  # somebody writes there
                path.rmdir()
        elif path != but:
            path.unlink(missing_ok=True)


def _with_folder(folder: Path, act: Callable[[], _Result]) -> _Result:
    for _ in range(_TRIES):
        _make_folder(folder)
        with suppress(FileNotFoundError):
            return act()
    return act()


def _make_folder(folder: Path) -> None:
    """Create `folder` and its parents, each synced in its parent."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    try:
        folder.mkdir()
    except FileNotFoundError:  # the one above has gone again
        return
    except FileExistsError:
        if not folder.is_dir():
            raise
    _sync_folder(folder.parent)


def _fill(file: Path, data: bytes | Path, *, lasting: bool) -> None:
    with file.open("wb") as out:
        if isinstance(data, Path):
            with data.open("rb") as source:
                shutil.copyfileobj(source, out, 1 << 20)
        else:
            out.write(data)
        if lasting:
            out.flush()
            os.fsync(out.fileno())


def _place(temporary: Path, path: Path, *, overwrite: bool) -> bool:
    if overwrite:
        os.replace(temporary, path)  # noqa: PTH105 - one name for tests to watch
        return True
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        return _rename_new(temporary, path)
    return True


def _rename_new(temporary: Path, path: Path) -> bool:
    """Rename without replacing: `renameat2` with RENAME_NOREPLACE, which Python does not offer."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    source, target = os.fsencode(temporary), os.fsencode(path)
    if rename is not None and rename(_AT_FDCWD, source, _AT_FDCWD, target, _RENAME_NOREPLACE) == 0:
        return True
    code = ctypes.get_errno() if rename is not None else errno.ENOSYS
    if code == errno.EEXIST:
        return False
    if code in _NO_SUCH_RENAME:
        raise UsageError(
            f"The file system of {path.parent} has no hard links, so two runs could not be told apart there. "
            "Give a folder on another one, or a bucket by its own URI (s3://, gs://, az://)."
        )
    raise OSError(code, os.strerror(code), str(path))


def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:  # emptied and removed by another process
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_BE_SYNCED:
            raise
    finally:
        os.close(descriptor)
