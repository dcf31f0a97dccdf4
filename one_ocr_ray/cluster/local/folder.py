"""The folder of a local Ray's session. Unix sockets lie in it, and their paths must be short."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ray._common.utils import get_default_ray_temp_dir

from one_ocr_ray.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SOCKET_BYTES = 103  # of the path of a socket, without its end: on Linux four more
_LONGEST_SOCKET = "/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
MOST_BYTES = _SOCKET_BYTES - len(_LONGEST_SOCKET)

_TOO_LONG = (
    "The folder for temporary files, {folder}, has too long a path for Ray, and no shorter way to it can be made in "
    "/tmp. Set RAY_TMPDIR (or TMPDIR) to a path of at most {most} bytes."
)
_NO_FOLDER = (
    "The folder for temporary files, {folder}, cannot be used ({reason}). Set RAY_TMPDIR (or TMPDIR) to another."
)


@contextmanager
def ray_folder() -> Iterator[str | None]:
    """A short path to Ray's files during the block. None when Ray's own choice is short enough.

    Raises UsageError when there is none.
    """
    folder = Path(get_default_ray_temp_dir())  # type: ignore[no-untyped-call]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(_NO_FOLDER.format(folder=folder.parent, reason=error.strerror)) from error
    if len(os.fsencode(folder)) <= MOST_BYTES:
        yield None
        return
    try:
        folder.mkdir(exist_ok=True)
        short = tempfile.TemporaryDirectory(prefix="one-ocr-", dir="/tmp")
        link = Path(short.name, "ray")
        link.symlink_to(folder.absolute())
    except OSError as error:
        most = MOST_BYTES - len("/ray")
        raise UsageError(_TOO_LONG.format(folder=folder.parent, most=most)) from error
    with short:
        yield str(link)
