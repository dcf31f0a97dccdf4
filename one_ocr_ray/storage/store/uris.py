"""Names of files, folders and objects: store, parts, and form for rows and people.

Keys and paths are never parsed as URLs: `report #1.pdf` and `what? really.pdf` are names. Only `file://` URIs have
escapes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

from one_ocr_ray.errors import UsageError
from one_ocr_ray.policy.input_names import split_member

REMOTE_SCHEMES = frozenset({"s3", "s3a", "gs", "az", "abfs", "abfss", "adl", "azure"})
_FILE = "file://"
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://([^/]*)(.*)", re.DOTALL)
_ONE_SLASH = re.compile(rf"({'|'.join(REMOTE_SCHEMES)}):/", re.IGNORECASE)
# A question mark is part of a key unless a signature follows it, which is a credential.
_SIGNATURE = re.compile(
    r"\?(?=(?:.*&)?(?:x-amz-|x-goog-|awsaccesskeyid=|googleaccessid=|signature=|sig=)).*", re.IGNORECASE | re.DOTALL
)
_NOT_SHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_remote(uri: str) -> bool:
    """True if `uri` names an object store rather than a local path."""
    found = _URI.match(uri)
    return found is not None and found[1].lower() in REMOTE_SCHEMES


def split_remote(uri: str) -> tuple[str, str]:
    """Split the URI of an object into its bucket, as a URI, and its key."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket}", key


def local_path(text: str) -> str:
    """The absolute path of a local file or folder, given as path or URI. Links are not resolved.

    Raise UsageError for other URIs: no such store is known, and nobody means a folder `https:`.
    """
    try:
        is_name = b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:  # bytes that are not UTF-8 come as surrogates, but other surrogates are no bytes
        is_name = False
    if not is_name:
        raise UsageError(f"{shown(text)} cannot be a path: no name of a file holds such characters.")
    if text.lower().startswith(_FILE):
        host, slash, path = text[len(_FILE) :].partition("/")
        if host.lower() not in ("", "localhost") or not slash:
            raise UsageError(f"{shown(text)} names no file of this machine; write file:///folder/file.")
        path = os.fsdecode(unquote_to_bytes(os.fsencode(slash + path)))
        return os.path.abspath(path)  # noqa: PTH100 - takes ".." out without resolving links
    if _URI.match(text) or _ONE_SLASH.match(text):
        raise UsageError(f"{shown(text)} is neither a path nor in a known store (s3://, gs://, az://).")
    return os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111


def folder_of(text: str, flag: str) -> Path:
    """The local folder that `flag` names, as a path or a `file://` URI. Raise UsageError for a store."""
    if is_remote(text):
        raise UsageError(f"{flag} is a folder of this machine, and {shown(text)} is in a store.")
    return Path(local_path(text))


def root_of(text: str) -> str:
    """The root of a dataset or store: a URI unchanged, or an absolute path."""
    return text if is_remote(text) else local_path(text)


def uri_of_path(path: str) -> str:
    """The name of a local file in rows: its absolute `path` or a `file://` URI.

    The URI is for a path that is not UTF-8 or could be taken for a member of an archive. `local_path` turns it back.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        is_plain = False
    else:
        is_plain = split_member(path) is None
    return path if is_plain else _FILE + quote_from_bytes(os.fsencode(path))


def without_credentials(uri: str) -> str:
    """`uri` without user, password and signature; of unknown stores also without query and fragment."""
    parts = _URI.match(uri)
    if parts is None or parts[1].lower() == "file":
        return uri
    scheme, host, rest = parts.groups()
    user, _, bare = host.rpartition("@")
    if scheme.lower().startswith("abfs") and ":" not in user:
        bare = host  # this part is the container
    rest = _SIGNATURE.sub("", rest) if is_remote(uri) else re.split(r"[?#]", rest, maxsplit=1)[0]
    return f"{scheme}://{bare}{rest}"


def shown(uri: str) -> str:
    """`uri` for a message: without credentials, and without characters that control a terminal."""
    return _NOT_SHOWN.sub(lambda found: found[0].encode("unicode_escape").decode(), without_credentials(uri))
