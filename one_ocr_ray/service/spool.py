"""Where uploads stand on local disk until they are in the store: one folder per process, one per request in it.

A folder is locked by its process; those that a killed process left are removed by the next that starts.
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
    """This process's folder. Raises UsageError when there can be none."""

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
    def room(self) -> Iterator[Path]:
        """A folder for one request, gone with all that is in it afterwards."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def check_space(self, more_bytes: int = 0) -> None:
        """Raises Problem when `more_bytes` would not leave the disk its floor."""
        if shutil.disk_usage(self.folder).free - more_bytes < self._min_free_bytes:
            raise storage_full()

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(self._lock)


def storage_full() -> Problem:
    """For a disk or a store that takes no more."""
    return Problem("storage_full", "The service has no room for this upload now.", retry_after_s=60)


def _own_folder(parent: Path) -> tuple[Path, int]:
    """A new folder and its lock; another one where a process that starts beside us has taken it for abandoned."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / _LOCK).exists():
            return folder, lock
        os.close(lock)


def _remove_if_abandoned(folder: Path) -> None:
    """Remove `folder` unless its process lives."""
    with contextlib.suppress(OSError):
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
