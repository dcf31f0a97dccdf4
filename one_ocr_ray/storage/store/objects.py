"""Objects under one root, a folder or a bucket prefix, through obstore. Only this module knows obstore's errors.

Objects are written whole or not at all. `put_new` creates an object and never replaces one; of two writers of one name
the store itself lets one win.
"""

from __future__ import annotations

import io
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    InvalidPathError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import LocalStore, from_url

from one_ocr_ray.errors import StorageError, UsageError
from one_ocr_ray.storage.store.folder import delete_files, write_file
from one_ocr_ray.storage.store.keys import list_any_keys
from one_ocr_ray.storage.store.reasons import reason_of
from one_ocr_ray.storage.store.uris import is_remote, shown, split_remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from obstore.store import ObjectStore, RetryConfig

_Read = TypeVar("_Read")

# A remote store answers in tens of milliseconds, however small the object.
GETS_AT_ONCE = 16
# About twenty seconds of silence or refusals; obstore's default of three would end a run of hours for a hiccup.
_RETRIES: RetryConfig = {
    "max_retries": 12,
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=15), "base": 3},
    "retry_timeout": timedelta(minutes=1),
}


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object of a listing. `path` is relative to the root, `version` changes when the bytes do."""

    path: str
    size_bytes: int
    version: str


class Objects:
    """The objects under `root`; paths are relative to it, with `/`. Safe to use from several threads."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._folder = None if is_remote(root) else Path(root).absolute()
        self._store = _open(root)

    def __reduce__(self) -> tuple[type[Objects], tuple[str]]:
        return Objects, (self.root,)  # another process opens a connection of its own

    def put_new(self, path: str, data: bytes, *, staged: str | None = None, lasting: bool = True) -> bool:
        """Create `path` with `data`; False, and no change, if it exists already.

        `staged`: path of the temporary file in a folder; a killed writer leaves it beside `path` otherwise. Object
        stores need none. `lasting`: sync file and folder to disk before this returns; not needed for what is worthless
        after a loss of power.
        """
        return self._write(path, data, staged, overwrite=False, lasting=lasting)

    def put(self, path: str, data: bytes | Path, *, staged: str | None = None, lasting: bool = True) -> None:
        """Create or replace `path` with `data` or the bytes of a local file. Arguments as in `put_new`."""
        self._write(path, data, staged, overwrite=True, lasting=lasting)

    def get_file(self, path: str, file: Path) -> bool:
        """Write the bytes of `path` to a local file, piece by piece. False if it does not exist."""
        with suppress(FileNotFoundError), self._translating("read", path), file.open("wb") as out:
            for piece in obstore.get(self._store, path).stream():
                out.write(piece)
            return True
        return False

    def get(self, path: str) -> bytes | None:
        """The bytes of `path`; None if it does not exist."""
        with suppress(FileNotFoundError), self._translating("read", path):
            return bytes(obstore.get(self._store, path).bytes())
        return None

    def get_many(self, paths: Sequence[str]) -> Iterator[bytes | None]:
        """`get` of each path, in order; several at once, few in memory."""
        with ThreadPoolExecutor(GETS_AT_ONCE, thread_name_prefix="objects") as threads:
            for start in range(0, len(paths), GETS_AT_ONCE):
                yield from threads.map(self.get, paths[start : start + GETS_AT_ONCE])

    def read_with(self, path: str, read: Callable[[Any], _Read]) -> _Read | None:
        """Apply `read` to `path` as an open file, of which only parts are fetched. None if it does not exist."""
        with suppress(FileNotFoundError), self._translating("read", path):
            return read(_RangeFile(self._store, path))
        return None

    def head(self, path: str) -> ObjectInfo | None:
        """Size and version of `path`; None if it does not exist."""
        with suppress(FileNotFoundError), self._translating("read", path):
            meta = obstore.head(self._store, path)
            return ObjectInfo(path, meta["size"], _version(meta))
        return None

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """List everything under the folder `prefix`, in no particular order.

        On S3 the listing includes keys that cannot be read; elsewhere such a key ends it with an error.
        """
        last = ""
        try:
            for batch in obstore.list(self._store, prefix or None):
                for meta in batch:
                    last = meta["path"]
                    yield ObjectInfo(last, meta["size"], _version(meta))
        except InvalidPathError as error:
            bucket = self.root.removeprefix("s3://")
            if bucket == self.root or "/" in bucket:
                raise self._translated("listed", prefix, error) from error
            try:
                for each in list_any_keys(bucket, prefix):
                    if each.key > last:  # S3 lists in the order of names
                        yield ObjectInfo(each.key, each.size_bytes, each.modified)
            except OSError as other:
                raise self._translated("listed", prefix, other) from other
        except (BaseError, OSError) as error:
            raise self._translated("listed", prefix, error) from error

    def folders(self, prefix: str) -> set[str]:
        """The names of the folders directly under the folder `prefix`."""
        try:
            found = obstore.list_with_delimiter(self._store, prefix)["common_prefixes"]
        except (BaseError, OSError) as error:
            raise self._translated("listed", prefix, error) from error
        return {path.rstrip("/").rpartition("/")[2] for path in found}

    def delete(self, path: str) -> None:
        """Delete `path`; no error if it does not exist."""
        with suppress(FileNotFoundError), self._translating("deleted from", path):
            obstore.delete(self._store, path)

    def delete_all(self, prefix: str, *, but: str | None = None) -> None:
        """Delete everything under the folder `prefix` except `but`, including files of killed writers."""
        if self._folder is not None and but is not None:
            try:
                delete_files(self._folder / prefix, but=self._folder / but)
            except OSError as error:
                raise self._translated("deleted from", prefix, error) from error
            return
        if self._folder is not None:
            shutil.rmtree(self._folder / prefix, ignore_errors=True)
            with suppress(OSError):  # it is not empty
                (self._folder / prefix).parent.rmdir()
            return
        paths = [info.path for info in self.list(prefix) if info.path != but]
        with suppress(FileNotFoundError), self._translating("deleted from", prefix):
            obstore.delete(self._store, paths)

    def _write(self, path: str, data: bytes | Path, staged: str | None, *, overwrite: bool, lasting: bool) -> bool:
        try:
            if self._folder is not None:
                aside = self._folder / staged if staged else None
                return write_file(self._folder / path, data, staged=aside, overwrite=overwrite, lasting=lasting)
            obstore.put(self._store, path, data, mode="overwrite" if overwrite else "create")
        except AlreadyExistsError:
            # If an answer is lost, obstore asks again, and the store then says that the object exists: it is ours.
            return self.get(path) == data
        except (BaseError, OSError) as error:
            raise self._translated("written to", path, error) from error
        return True

    @contextmanager
    def _translating(self, verb: str, path: str) -> Iterator[None]:
        """Raise StorageError for what the store refuses in the block. FileNotFoundError passes: it may be an answer."""
        try:
            yield
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as error:
            raise self._translated(verb, path, error) from error

    def _translated(self, verb: str, path: str, error: Exception) -> StorageError:
        where = shown(f"{self.root}/{path}".rstrip("/"))
        if isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError):
            return StorageError(f"{where} cannot be {verb}: permission denied.")
        return StorageError(f"{where} cannot be {verb}: {reason_of(error)}. Mend that, and the same command resumes.")


class _RangeFile(io.RawIOBase):
    """An object as a seekable file that fetches what is read. (pyarrow refuses `obstore.open_reader`.)"""

    def __init__(self, store: ObjectStore, path: str) -> None:
        self._store = store
        self._path = path
        self._size = obstore.head(store, path)["size"]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._at)
        if wanted <= 0:
            return 0
        buffer[:wanted] = memoryview(obstore.get_range(self._store, self._path, start=self._at, length=wanted))
        self._at += wanted
        return wanted


def existing_objects(root: str) -> Objects | None:
    """The objects under `root`. None for a folder that is not there, which is not made."""
    return Objects(root) if is_remote(root) or Path(root).is_dir() else None


def _open(root: str) -> ObjectStore:
    try:
        if is_remote(root):
            bucket, prefix = split_remote(root)
            return from_url(f"{bucket}/{quote(prefix)}".rstrip("/"), retry_config=_RETRIES)
        return LocalStore(Path(root).absolute(), mkdir=True, automatic_cleanup=True)
    except (BaseError, ValueError) as error:
        raise UsageError(f"{shown(root)} is not a storage URI that can be opened.") from error
    except OSError as error:
        raise UsageError(f"The folder {root} cannot be created: {reason_of(error)}.") from error


def _version(meta: obstore.ObjectMeta) -> str:
    return meta["e_tag"] or meta["last_modified"].isoformat()
