"""The local folder of uploads on their way to the store, one for each process.

A process that starts removes the folders that killed processes have left.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from one_ocr_ray.errors import UsageError
from one_ocr_ray.service.problems import Problem
from one_ocr_ray.storage.scratch import ScratchFolder

if TYPE_CHECKING:
    from collections.abc import Iterator


class Spool:
    """The folder of this process. Raises UsageError where it cannot be made."""

    def __init__(self, parent: Path | None, min_free_bytes: int) -> None:
        self._min_free_bytes = min_free_bytes
        try:
            self._scratch = ScratchFolder("one-ocr-spool-", parent)
        except OSError as error:
            where = parent or tempfile.gettempdir()
            raise UsageError(f"Uploads cannot be kept in {where}: {error.strerror}.") from error
        self.folder = self._scratch.path

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
        self._scratch.remove()


def storage_full() -> Problem:
    """The problem of a disk or a store that is full."""
    return Problem("storage_full", "The service has no room for this upload now.", retry_after_s=60)
