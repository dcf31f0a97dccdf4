"""How long a run takes that finds everything done: an output of so many one-page documents, made without reading any.

python -m benchmarks.resume [--documents 100000]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.processes import TreeWatch
from one_ocr_ray.model import DocumentRef, PageResult, PageStatus
from one_ocr_ray.policy.dataset.documents import RunIdentity
from one_ocr_ray.policy.dataset.plan import ShardPacker
from one_ocr_ray.settings.run import load
from one_ocr_ray.setup.job import fingerprint_of, llm_setups_of, selection_of
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.inputs import find_inputs
from one_ocr_ray.storage.plan_index import PlanIndex
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.shard_commit import ShardCommit
from one_ocr_ray.storage.store.objects import Objects

if TYPE_CHECKING:
    from one_ocr_ray.policy.dataset.fingerprint import Fingerprint

ROOT = Path(__file__).resolve().parent.parent
TEXT = "A line of a page, about as long as such lines are. " * 40
NOW = datetime.now(UTC)


def main() -> int:
    """Make, run, tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=100_000)
    count = parser.parse_args().documents
    with tempfile.TemporaryDirectory() as work:
        source, output = Path(work) / "in", Path(work) / "out"
        make_inputs(source, count)
        make_output(source, output)
        command = [sys.executable, "jobs/ocr.py", str(source), "--output", str(output), "--json"]
        started = time.monotonic()
        with (
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process,
            TreeWatch(process.pid, every_s=0.2) as usage,
        ):
            out, _ = process.communicate()
        took_s = time.monotonic() - started
    told = json.loads(out)
    print(f"{count} documents, {told['pages']}: exit {told['exit_code']} after {took_s:.1f} s,", end=" ")
    print(f"peak {usage.peak_bytes / 1e6:.0f} MB in all processes")
    return process.returncode


def make_inputs(folder: Path, count: int) -> None:
    """Files that nobody will open, a thousand to a folder."""
    for number in range(count):
        parent = folder / f"{number // 1000:04d}"
        if number % 1000 == 0:
            parent.mkdir(parents=True)
        (parent / f"{number:07d}.pdf").touch()


def make_output(source: Path, output: Path) -> None:
    """The output that a run of `source` would have left."""
    settings = load({"inputs": (str(source),), "output": str(output)})
    selection = selection_of(settings)
    fingerprint = fingerprint_of(settings, llm_setups_of(settings), selection)
    objects = Objects(str(output))
    run_dir, dataset = RunDirectory(objects), Dataset(objects, asdict(fingerprint))
    run_dir.claim(fingerprint)
    known = PlanIndex.load(run_dir)
    packer = ShardPacker(selection, shard_pages=settings.shard_pages, workers=1, is_new=known.mark_seen)
    documents = (
        DocumentRef(f"sha256:{number:064x}", file.uri, file.name, file.size_bytes, file.version, 1)
        for number, file in enumerate(find_inputs([str(source)]))
    )
    identity = RunIdentity("made", fingerprint.config_id)
    shards = (shard for document in documents for shard in packer.add(document))
    for shard in [*shards, *packer.flush()]:
        known.plan([shard])
        rows = [page_of(document, fingerprint) for document in shard.documents]
        ShardCommit.open(objects, dataset, shard, identity).commit(rows)


def page_of(document: DocumentRef, fingerprint: Fingerprint) -> PageResult:
    """Its one page."""
    return PageResult(
        document_id=document.document_id, page_number=1, page_count=1, source_uri=document.uri,
        source_name=document.name, status=PageStatus.OK, markdown=TEXT, engine="local", model="m", attempts=1,
        cost_usd=0.0, started_at=NOW, finished_at=NOW, run_id="made", config_id=fingerprint.config_id,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
