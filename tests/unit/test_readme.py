"""The README's Python, run as it stands against a small dataset in a folder `out`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from one_ocr_ray.model import ErrorCode, Failure
from tests import datasets
from tests.snippets import ROOT, blocks
from tests.values import document, page

if TYPE_CHECKING:
    from pathlib import Path

SNIPPETS = blocks("README.md", "python")


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two pages of a document and a document that could not be opened, in `out` of the working directory."""
    locked = document(2, page_count=None, failure=Failure(ErrorCode.PDF_ENCRYPTED, "Locked."))
    paper = document(1, page_count=2)
    datasets.write(tmp_path / "out", [paper, locked], [page(paper, 1, confidence=0.5), page(paper, 2, confidence=1.0)])
    monkeypatch.chdir(tmp_path)
    return tmp_path / "out"


def run_snippet(library: str) -> dict[str, Any]:
    """The names that the snippet with `library` leaves behind."""
    (code,) = [snippet for snippet in SNIPPETS if f"import {library}" in snippet]
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)  # our own page
    return names


def test_duckdb_reads_the_dataset(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The README's queries show the pages and why a document failed; the table says the same to a program."""
    duckdb = run_snippet("duckdb")["duckdb"]
    shown = capsys.readouterr().out
    assert "00001.pdf" in shown
    assert "pdf_encrypted" in shown
    query = f"select count(*), sum(confidence) from '{dataset}/pages/*.parquet' where status = 'ok'"
    assert duckdb.sql(query).fetchall() == [(2, 1.5)]


def test_pandas_reads_the_dataset(dataset: Path) -> None:
    """One row per page, in the README's words."""
    pages = run_snippet("pandas")["pages"]
    assert list(pages.page_number) == [1, 2]
    assert list(pages.status) == ["ok", "ok"]
    assert pages.error.isna().all()


def test_ci_runs_the_test_command_that_is_shown() -> None:
    """One command passes the tests on a fresh machine, and it is that of the README."""
    command = blocks("README.md", "sh")[-1].strip()
    assert "test" in command
    assert any(line.startswith(command) for line in (ROOT / ".ci" / "run").read_text().splitlines())
