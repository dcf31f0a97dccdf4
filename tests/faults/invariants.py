"""What must be true of a small run's output: after every crash, and after the last run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from one_ocr_ray.storage.dataset.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.small_run import Key


def visible_rows(root: Path) -> dict[Key, str]:
    """Every page row by status; each file under `pages` and `documents` must be whole, and each page stand once."""
    rows: dict[Key, str] = {}
    for table in ("pages", "documents"):
        for path in sorted((root / table).glob("*")):
            assert path.suffix == ".parquet", f"{path} is no file of the dataset"
            for row in pq.ParquetFile(path).read(use_threads=False).to_pylist():
                if table == "pages":
                    key = row["document_id"], row["page_number"]
                    assert key not in rows, f"{key} stands twice"
                    rows[key] = row["status"]
    return rows


def assert_finished(root: Path, statuses: dict[Key, str]) -> None:
    """Exactly these pages stand, and nothing of the work is left."""
    assert visible_rows(root) == statuses
    assert list(verify(str(root))) == []
    assert not (root / "_work").exists()
