"""Keys that a store accepts and obstore refuses, and listings that pass them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray import environment
from one_ocr_ray.policy.input_names import split_member

if TYPE_CHECKING:
    from collections.abc import Iterator

# obstore refuses an empty part ("//"), "." or ".." as a part, and control characters.
_REFUSED = re.compile(r"(?:^|/)\.{0,2}(?:/|$)|[\x00-\x1f\x7f]")
_MAX_KEY_BYTES = 1024  # of S3, GCS and Azure alike


def fault_of_key(key: str) -> str | None:
    """Why the object named `key` cannot be read, as a sentence; None if it can."""
    try:
        size_bytes = len(key.encode())
    except UnicodeEncodeError:
        return "The key is not UTF-8."
    if size_bytes > _MAX_KEY_BYTES:
        return f"The key is longer than {_MAX_KEY_BYTES} bytes."
    if split_member(key) is not None:
        return 'A key with ".zip#" cannot be told from a member of an archive. Rename it.'
    if key and _REFUSED.search(key):
        return (
            'A key with "//", with "." or ".." between slashes, or with control characters cannot be read. Rename it.'
        )
    return None


@dataclass(frozen=True, slots=True)
class ListedKey:
    """One object of a listing."""

    key: str
    size_bytes: int
    modified: str  # ISO 8601


def list_any_keys(bucket: str, prefix: str) -> Iterator[ListedKey]:
    """List everything under the folder `prefix` of an S3 bucket, whatever the keys are. All of it in memory.

    Raise OSError. Credentials come from the standard places of AWS.
    """
    from pyarrow import fs  # noqa: PLC0415 - for the rare bucket that needs it

    scheme, _, host = (environment.s3_endpoint() or "").rpartition("://")
    store = fs.S3FileSystem(
        endpoint_override=host or None,
        scheme=scheme or "https",
        region=environment.s3_region(),
        anonymous=environment.s3_is_anonymous(),
    )
    top = f"{bucket}/{prefix}".rstrip("/")
    for info in store.get_file_info(fs.FileSelector(top, recursive=True)):
        if info.is_file:
            yield ListedKey(info.path.removeprefix(f"{bucket}/"), info.size, info.mtime.isoformat())
