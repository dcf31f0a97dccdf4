"""The Python API without Ray: what an import loads, the tables of a dataset, its types."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import one_ocr_ray as ocr
from one_ocr_ray.blocks import Block, BlockKind, Box, Positions
from one_ocr_ray.policy.dataset.packing import pack
from tests import datasets
from tests.values import document, page

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two documents; the blocks of one page are known."""
    root = tmp_path_factory.mktemp("python") / "out"
    one, two = document(1, page_count=2), document(2, page_count=1)
    title = Block(1, BlockKind.HEADING, "A title", Box(72, 72, 200, 90), level=1)
    text = Block(2, BlockKind.PARAGRAPH, "Some text.", Box(72, 100, 200, 110))
    pages = [page(one, 1, blocks=pack([title, text], Positions.BLOCKS)), page(one, 2), page(two, 1)]
    datasets.write(root, [one, two], pages)
    return root


def test_an_import_loads_nothing_heavy() -> None:
    """Neither Ray nor Arrow nor the settings; every exported name is there."""
    code = """
import sys
import one_ocr_ray as ocr

heavy = {"ray", "pyarrow", "pydantic", "httpx", "aiohttp"} & set(sys.modules)
assert not heavy, heavy
assert all(getattr(ocr, name) for name in ocr.__all__)
assert "ray" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_tables_of_a_dataset(output: Path) -> None:
    """Arrow, pandas and Polars see the same rows; columns can be chosen."""
    out = ocr.open(output)
    assert out.pages.to_arrow().num_rows == 3
    assert list(out.documents.to_pandas(["source_name"])["source_name"]) == ["00001.pdf", "00002.pdf"]
    assert out.pages.to_polars(["page_number"]).to_series().to_list() == [1, 2, 1]


def test_blocks_have_a_row_each(output: Path) -> None:
    """With the name of their page; pages without blocks have none."""
    rows = ocr.open(output).blocks.to_arrow(["source_name", "page_number", "kind", "text", "box"]).to_pylist()
    assert [(row["page_number"], row["kind"], row["text"]) for row in rows] == [
        (1, "heading", "A title"),
        (1, "paragraph", "Some text."),
    ]
    assert rows[0]["box"] == {"x0": 72, "y0": 72, "x1": 200, "y1": 90}


def test_no_dataset_is_the_callers_mistake(tmp_path: Path) -> None:
    """One sentence, as on the command line."""
    with pytest.raises(ocr.OneOcrError, match="There is no dataset"):
        ocr.open(tmp_path / "nothing")
    with pytest.raises(AttributeError):
        ocr.nothing  # noqa: B018
