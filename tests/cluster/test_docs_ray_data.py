"""The documentation's Python that needs a Ray, run as written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import ray

from one_ocr_ray.blocks import Block, BlockKind, Box, Positions
from one_ocr_ray.policy.dataset.packing import pack
from tests import datasets
from tests.snippets import ROOT, blocks, run_snippet
from tests.values import TIMED_OUT, document, page

if TYPE_CHECKING:
    from pathlib import Path


def environment(address: str = "") -> dict[str, str]:
    """Where Ray is that of this session, or the one at `address`."""
    return os.environ | {"RAY_ADDRESS": address or ray.get_runtime_context().gcs_address}


def test_ray_data_reads_the_dataset(tmp_path: Path) -> None:
    """The good pages, counted by the snippet on a Ray of its own, whose workers stand in the same folder."""
    paper = document(1)
    datasets.write(tmp_path / "out", [paper], [page(paper, 1), page(paper, 2, failure=TIMED_OUT), page(paper, 3)])
    (code,) = [block for block in blocks("docs/dataset.md", "python") if "import ray" in block]
    assert run_snippet(code, tmp_path, **environment("local")).split()[-1] == "2"


def test_a_run_from_python(tmp_path: Path) -> None:
    """`ocr.run` reads the sample on a Ray of its own, and says so in its summary."""
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    (code,) = [block for block in blocks("docs/python.md", "python") if "ocr.run(" in block]
    assert run_snippet(code, tmp_path, **environment("local")).splitlines()[-1] == "0 1 0.0"


def test_the_tables_for_ray_data(tmp_path: Path, ray_cluster: None) -> None:
    """Pages and blocks as Ray Data datasets: their rows, and only the columns that are asked for."""
    one = document(1, page_count=1)
    title = Block(1, BlockKind.HEADING, "A title", Box(72, 72, 200, 90), level=1)
    datasets.write(tmp_path / "out", [one], [page(one, 1, blocks=pack([title], Positions.BLOCKS))])
    code = """
import one_ocr_ray as ocr
out = ocr.open("out")
print(out.pages.to_ray(["source_name"]).take_all(), out.blocks.to_ray(["kind", "page_number"]).take_all())
"""
    said = run_snippet(code, tmp_path, **environment()).splitlines()[-1]
    assert said == "[{'source_name': '00001.pdf'}] [{'kind': 'heading', 'page_number': 1}]"
