"""Ray Data: a dataset's files, read where its tasks run, and a stage's identity."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import ray
from ray import data

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

Dataset: TypeAlias = data.Dataset  # for other floors, which do not name Ray


def read_parquet(
    paths: Sequence[str], columns: Sequence[str] | None, change: Callable[[pa.Table], pa.Table] | None = None
) -> Dataset:
    """The rows of the files at `paths`, only those columns of them. `change` makes other rows of each block of rows."""
    rows = data.read_parquet(list(paths), columns=None if columns is None else list(columns))
    return rows if change is None else rows.map_batches(change, batch_format="pyarrow")


def stage_identity() -> tuple[str, str]:
    """The client of a stage's process and its run. All stages of a job share what their job gets."""
    context = ray.get_runtime_context()
    return context.get_worker_id(), f"ray-data-{context.get_job_id()}"
