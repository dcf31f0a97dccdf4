"""`one_ocr_ray.open`: the tables of a dataset for Arrow, pandas, Polars and Ray Data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from one_ocr_ray.errors import UsageError
from one_ocr_ray.storage.dataset.committed import committed_documents
from one_ocr_ray.storage.dataset.parquet import read_table
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.store.uris import root_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd
    import polars as pl

    from one_ocr_ray.cluster.ray_data import Dataset

# Columns of `pages` that each block carries along.
_OF_PAGE = ("document_id", "source_uri", "source_name", "page_number")


def open_output(output: str | Path) -> Output:
    """Open the dataset at `output`, a folder or a URI. Raises UsageError when there is no finished document in it.

    What a run commits later is not seen; open it again.
    """
    shards = tuple(shard.shard_id for shard in committed_documents(str(output)).shards)
    return Output(root_of(str(output)), shards)


@dataclass(frozen=True, slots=True)
class Output:
    """A dataset: `pages`, `documents`, and `blocks`, with a row for each of all pages."""

    root: str
    shards: tuple[str, ...] = field(repr=False)

    @property
    def pages(self) -> Table:
        return Table(self.root, tuple(f"pages/{shard}.parquet" for shard in self.shards))

    @property
    def documents(self) -> Table:
        return Table(self.root, tuple(f"documents/{shard}.parquet" for shard in self.shards))

    @property
    def blocks(self) -> Table:
        return Table(self.root, self.pages.files, blocks=True)


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a dataset, which is read when it is asked for."""

    root: str
    files: tuple[str, ...] = field(repr=False)
    blocks: bool = False

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The table file by file, for more rows than fit into memory; `columns`: only these."""
        objects = Objects(self.root)
        own = None if columns is None else list(columns)
        wanted = ["blocks", *_OF_PAGE] if self.blocks else own
        for file in self.files:
            table = objects.read_with(file, lambda it: read_table(it, wanted))
            if table is None:
                raise UsageError(f"The dataset at {self.root} has changed while it was read: {file} is gone.")
            if self.blocks:
                table = _a_row_for_each_block(table)
                table = table if own is None else table.select(own)
            yield table

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows as an Arrow table."""
        return pa.concat_tables(self.batches(columns), promote_options="default")

    def to_pandas(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """All rows as a pandas data frame."""
        return self.to_arrow(columns).to_pandas()

    def to_polars(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """All rows as a Polars data frame; Polars must be installed."""
        import polars as pl  # noqa: PLC0415 - not for those who do not use it

        frame = pl.from_arrow(self.to_arrow(columns))
        assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table never becomes a series
        return frame

    def to_ray(self, columns: Sequence[str] | None = None) -> Dataset:
        """The rows as a Ray Data dataset, which is read where its tasks run."""
        from one_ocr_ray.cluster.ray_data import read_parquet  # noqa: PLC0415 - Ray takes a second; only this needs it

        paths = [f"{self.root}/{file}" for file in self.files]
        if not self.blocks:
            return read_parquet(paths, columns)
        blocks = read_parquet(paths, ["blocks", *_OF_PAGE], _a_row_for_each_block)
        return blocks if columns is None else blocks.select_columns(list(columns))


def _a_row_for_each_block(pages: pa.Table) -> pa.Table:
    """The blocks of `pages` in their order, each with the columns that name its page."""
    blocks = pages["blocks"].combine_chunks()
    if isinstance(blocks, pa.ChunkedArray):
        blocks = blocks.chunk(0) if blocks.num_chunks else pa.array([], blocks.type)
    rows = pc.list_parent_indices(blocks)
    flat: Any = pc.list_flatten(blocks)
    columns = {name: pages[name].take(rows) for name in _OF_PAGE}
    columns |= {each.name: pc.struct_field(flat, each.name) for each in flat.type}
    return pa.table(columns)
