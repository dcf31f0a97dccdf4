"""The product on a folder of real and hostile PDFs: does every file end as its MANIFEST.tsv says, in bounded memory?

    python benchmarks/collection.py FOLDER [--pages 1-4]

Runs `one-ocr run` as a user does, prints a line per file that ends otherwise and a table of memory; exit 1 on a
difference. MANIFEST.tsv has the columns file, pages and expected: ok, "ok (page N fails ...)", encrypted, corrupt, ...
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.processes import TreeWatch

JOB = Path(__file__).resolve().parent.parent / "jobs" / "ocr.py"
PDF_CHILD_LIMIT_BYTES = 2 << 30
DOCUMENT_CODES = {
    "encrypted": {"pdf_encrypted"},
    "corrupt": {"pdf_corrupt", "not_pdf"},
    "corrupt/empty": {"pdf_empty", "pdf_corrupt"},
}
HOSTILE_CODES = {"render_timeout", "render_crashed", "render_failed", "pdf_corrupt"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pages", default="1-4", help="pages of each document (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "out"
        started = time.monotonic()
        command = [sys.executable, JOB, options.folder, "--output", output, "--pages", options.pages]
        with subprocess.Popen([str(part) for part in command]) as job, TreeWatch(job.pid) as usage:
            code = job.wait()
        elapsed_s = time.monotonic() - started
        faults = _differences(options.folder / "MANIFEST.tsv", output)
    print(f"exit code {code}, {elapsed_s:.0f} s, {usage.total_cpu_s:.0f} CPU s")
    for kind, size in sorted(usage.peak_by_kind.items()):
        print(f"  peak {kind:14} {size / 2**20:6.0f} MiB")
    if usage.peak_by_kind["pdf child"] > PDF_CHILD_LIMIT_BYTES:
        faults.append("the PDF processes took over 2 GiB")
    if code != 3:
        faults.append(f"exit code {code} where some documents fail on purpose: 3 expected")
    print("\n".join(faults) or "every file ended as expected")
    return 1 if faults else 0


def _differences(manifest: Path, output: Path) -> list[str]:
    documents = {
        Path(uri).name: (outcome, error and error["code"])
        for uri, outcome, error in duckdb.sql(
            f"select source_uri, outcome, error from '{output}/documents/*.parquet'"
        ).fetchall()
    }
    failed_pages: dict[str, set[str]] = {}
    for uri, code in duckdb.sql(
        f"select source_uri, error.code from '{output}/pages/*.parquet' where status = 'failed'"
    ).fetchall():
        failed_pages.setdefault(Path(uri).name, set()).add(code)
    with manifest.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    faults = []
    for row in rows:
        document, pages = documents.get(row["file"]), failed_pages.get(row["file"], set())
        if not _as_expected(row["expected"], document, pages):
            faults.append(f"{row['file']}: {document}, pages {pages or 'none failed'}, expected {row['expected']}")
    return faults


def _as_expected(expected: str, document: tuple[str, str | None] | None, failed: set[str]) -> bool:
    if document is None:
        return False
    outcome, code = document
    word = expected.split(maxsplit=1)[0]
    if word == "hostile":
        return outcome == "failed" and ({code} if code else failed) <= HOSTILE_CODES
    if word in DOCUMENT_CODES:
        return code in DOCUMENT_CODES[word]
    if "page 1 fails" in expected:
        return outcome in {"partial", "failed"} and code is None and failed == {"render_failed"}
    return outcome == "complete"


if __name__ == "__main__":
    sys.exit(main())
