"""The documentation's Python that needs a Ray, run as written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests import datasets
from tests.snippets import blocks, run_snippet
from tests.values import TIMED_OUT, document, page

if TYPE_CHECKING:
    from pathlib import Path


def test_ray_data_reads_the_dataset(tmp_path: Path) -> None:
    """The good pages, counted by the snippet on a Ray of its own."""
    paper = document(1)
    datasets.write(tmp_path / "out", [paper], [page(paper, 1), page(paper, 2, failure=TIMED_OUT), page(paper, 3)])
    (code,) = [block for block in blocks("docs/dataset.md", "python") if "import ray" in block]
    environment = os.environ | {"RAY_ADDRESS": "local", "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    assert run_snippet(code, tmp_path, **environment).split()[-1] == "2"
