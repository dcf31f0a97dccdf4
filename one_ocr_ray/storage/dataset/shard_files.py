"""The dataset's files: `pages/<shard>.parquet` and `documents/<shard>.parquet`, each written whole and once.

`documents/<shard>` is written last: if it exists, the shard is committed.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from one_ocr_ray.errors import DamagedError
from one_ocr_ray.storage.dataset.parquet import (
    decode_documents,
    decode_pages,
    encode_documents,
    encode_pages,
    read_rows,
    row_count,
)
from one_ocr_ray.storage.journal import staging_path
from one_ocr_ray.storage.store.objects import GETS_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from one_ocr_ray.model import DocumentResult, PageResult
    from one_ocr_ray.storage.store.objects import Objects

_Row = TypeVar("_Row")
_Read = TypeVar("_Read")

_SUFFIX = ".parquet"


class Dataset:
    """The committed part of one output."""

    def __init__(self, output: Objects, config: Mapping[str, Any]) -> None:
        """`config` holds no secret; it goes into the footer of each file."""
        self._output = output
        self._config = config

    def committed(self) -> set[str]:
        """The ids of the committed shards."""
        return {
            info.path.rpartition("/")[2].removesuffix(_SUFFIX)
            for info in self._output.list("documents")
            if info.path.endswith(_SUFFIX)
        }

    def commit_pages(self, shard_id: str, pages: Sequence[PageResult]) -> list[PageResult]:
        """Write the shard's pages, once. Gives the stored rows, which may be those of a faster writer."""
        data = encode_pages(pages, self._config)
        if self._output.put_new(_pages_path(shard_id), data, staged=staging_path(shard_id)):
            return list(pages)
        return self.pages(shard_id)

    def replace_pages(self, shard_id: str, pages: Sequence[PageResult]) -> None:
        """Replace all pages of the shard; only a retry of failed pages does this."""
        data = encode_pages(pages, self._config)
        self._output.put(_pages_path(shard_id), data, staged=staging_path(shard_id))

    def replace_documents(self, shard_id: str, documents: Sequence[DocumentResult]) -> None:
        """Replace all documents of the shard; only a retry of failed pages does this."""
        data = encode_documents(documents, self._config)
        self._output.put(_documents_path(shard_id), data, staged=staging_path(shard_id))

    def commit_documents(self, shard_id: str, documents: Sequence[DocumentResult]) -> bool:
        """Commit the shard; False if another writer was faster."""
        data = encode_documents(documents, self._config)
        return self._output.put_new(_documents_path(shard_id), data, staged=staging_path(shard_id))

    def pages(self, shard_id: str) -> list[PageResult]:
        """The page rows of a shard; empty if there are none."""
        return self._rows(_pages_path(shard_id), decode_pages)

    def documents(self, shard_id: str) -> list[DocumentResult]:
        """The document rows of a shard; empty if there are none."""
        return self._rows(_documents_path(shard_id), decode_documents)

    def counts(self, shard_ids: Iterable[str], columns: Sequence[str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """These columns of the document rows of each shard, for sums that need no text. Reads several at once."""

        def rows_of(shard_id: str) -> list[dict[str, Any]]:
            path = _documents_path(shard_id)
            with _damage_reported(path):
                return self._output.read_with(path, lambda file: read_rows(file, columns)) or []

        yield from _of_each(shard_ids, rows_of)

    def page_columns(self, shard_id: str, columns: Sequence[str]) -> list[dict[str, Any]]:
        """These columns of the page rows of a shard; nothing else is fetched."""
        path = _pages_path(shard_id)
        with _damage_reported(path):
            return self._output.read_with(path, lambda file: read_rows(file, columns)) or []

    def page_rows(self, shard_ids: Iterable[str]) -> int:
        """The number of page rows of these shards, from the footers of their files."""

        def number_of(shard_id: str) -> int:
            path = _pages_path(shard_id)
            with _damage_reported(path):
                return self._output.read_with(path, row_count) or 0

        return sum(number for _, number in _of_each(shard_ids, number_of))

    def _rows(self, path: str, decode: Callable[[bytes], list[_Row]]) -> list[_Row]:
        data = self._output.get(path)
        if data is None:
            return []
        with _damage_reported(path):
            return decode(data)


def _of_each(shard_ids: Iterable[str], read: Callable[[str], _Read]) -> Iterator[tuple[str, _Read]]:
    """Apply `read` to each shard, in order; several at once, few in memory."""
    with ThreadPoolExecutor(GETS_AT_ONCE, thread_name_prefix="counts") as threads:
        remaining = iter(shard_ids)
        while some := list(islice(remaining, GETS_AT_ONCE)):
            yield from zip(some, threads.map(read, some), strict=True)


@contextmanager
def _damage_reported(path: str) -> Iterator[None]:
    """Raise DamagedError for a damaged Parquet file. We never write partial files: it was damaged from outside."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DamagedError(f"The file {path} of this output is damaged. Put it back from a copy.") from error


def _pages_path(shard_id: str) -> str:
    return f"pages/{shard_id}{_SUFFIX}"


def _documents_path(shard_id: str) -> str:
    return f"documents/{shard_id}{_SUFFIX}"
