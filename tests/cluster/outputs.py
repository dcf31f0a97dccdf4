"""Running the product on a folder and looking at what it wrote, for the tests of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from one_ocr_ray.cluster.batch.run import run
from one_ocr_ray.settings.run import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from one_ocr_ray.policy.dataset.summary import RunSummary
    from one_ocr_ray.policy.progress import RunProgress


def read(
    output: Path,
    *inputs: Path | str,
    on_stop: Callable[[RunSummary], None] = lambda _: None,
    on_progress: Callable[[RunProgress], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
    **flags: Any,
) -> RunSummary:
    """One run of `inputs` into `output`, in this process, on the Ray that is there. The embedded engine reads alone."""
    if "engine" not in flags:
        flags.setdefault("route", "local")
    settings = load({"inputs": tuple(str(each) for each in inputs), "output": str(output), **flags})
    return run(settings, on_progress=on_progress, say=say, on_stop=on_stop)


def rows(output: Path, table: str) -> list[dict[str, Any]]:
    """All rows of `pages` or `documents`, in the order of files and rows."""
    files = sorted((output / table).glob("*.parquet"))
    return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]


def pages_by_source(output: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """Page rows by (source_name, page_number); a page that stands twice is an error."""
    pages = rows(output, "pages")
    found = {(row["source_name"], row["page_number"]): row for row in pages}
    assert len(found) == len(pages), "a page stands in two rows"
    return found


def file_bytes(output: Path) -> dict[str, bytes]:
    """Every committed file's bytes."""
    return {
        str(path.relative_to(output)): path.read_bytes()
        for table in ("pages", "documents")
        for path in sorted((output / table).glob("*"))
    }
