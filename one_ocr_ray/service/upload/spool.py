"""The local folder of uploads on their way to the store: one for each process, with one for each request in it.

Each process locks its folder. A process that starts removes the folders that killed processes have left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from one_ocr_ray.errors import UsageError
from one_ocr_ray.service.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "one-ocr-spool-"
_LOCK = "lock"


class Spool:
    """The folder of this process. Raises UsageError where it cannot be made."""

    def __init__(self, parent: Path | None, min_free_bytes: int) -> None:
        parent = parent or Path(tempfile.gettempdir())
        self._min_free_bytes = min_free_bytes
        try:
            parent.mkdir(parents=True, exist_ok=True)
            for folder in parent.glob(f"{_PREFIX}*"):
                _remove_if_abandoned(folder)
            self.folder, self._lock = _own_folder(parent)
        except OSError as error:
            raise UsageError(f"Uploads cannot be kept in {parent}: {error.strerror}.") from error

    @contextlib.contextmanager
    def request_dir(self) -> Iterator[Path]:
        """A folder for one request; it is removed at the end, with everything in it."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def check_space(self, more_bytes: int = 0) -> None:
        """Raise Problem when `more_bytes` would leave less than the required free space."""
        if shutil.disk_usage(self.folder).free - more_bytes < self._min_free_bytes:
            raise storage_full()

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(self._lock)


def storage_full() -> Problem:
    """The problem of a disk or a store that is full."""
    return Problem("storage_full", "The service has no room for this upload now.", retry_after_s=60)


def _own_folder(parent: Path) -> tuple[Path, int]:
    """Make a folder and lock it. Try again where another process has just removed it as abandoned."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / _LOCK).exists():
            return folder, lock
        os.close(lock)


def _remove_if_abandoned(folder: Path) -> None:
    """Remove `folder` unless its process is alive."""
    with contextlib.suppress(OSError):
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
