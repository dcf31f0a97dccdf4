"""A run that was killed and run again leaves the same rows as one that nothing happened to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray

from tests import pdfs
from tests.cluster.faults.sites import Site
from tests.cluster.outputs import rows
from tests.faults.drivers import Driver
from tests.processes import processes_named

if TYPE_CHECKING:
    from tests.provider import ProviderProcess

# What two runs of the same pages may differ in.
OF_THE_RUN = {"run_id", "started_at", "finished_at", "render_ms", "queue_ms", "latency_ms", "provider_request_id"}
HOSTILE = {
    "blank.pdf": pdfs.content_pdf(b"", pdfs.text("between blanks"), b""),
    "bad-page.pdf": pdfs.bad_page_pdf(3, bad_page=2),
    "locked.pdf": pdfs.encrypted_pdf("open sesame"),
    "empty.pdf": pdfs.zero_pages_pdf(),
    "text.pdf": b"not a PDF at all",
    "cut.pdf": pdfs.truncated_pdf(),
}


def test_a_killed_run_equals_one_in_peace(
    tmp_path: Path, provider: ProviderProcess, samples: Path, ray_cluster: None
) -> None:
    """Samples, hostile files and pages that say who they are: row by row, but for times and the names of runs."""
    site = Site(tmp_path, provider, documents=3, pages=10)
    for name, data in HOSTILE.items():
        (site.source / name).write_bytes(data)
    for path in samples.glob("*.pdf"):
        (site.source / path.name).write_bytes(path.read_bytes())
    assert site.read().exit_code == 3
    in_peace = dataset_rows(site.output)

    site.output = str(tmp_path / "killed")
    last = site.answered() + 12
    site.stop_after(12)
    with Driver(*site.arguments("--address", ray.get_runtime_context().gcs_address)) as driver:
        assert driver.wait_until(lambda: site.answered() == last), driver.said()
        driver.kill(*processes_named("OcrWorker"))
    site.go_on()
    assert site.read().exit_code == 3
    assert dataset_rows(site.output) == in_peace


def dataset_rows(output: str) -> dict[str, list[dict[str, Any]]]:
    """All rows of both tables in the order of their keys, without what two runs may differ in."""
    found = {}
    for table, key in (("pages", ("document_id", "page_number")), ("documents", ("source_uri",))):
        own = [
            {name: value for name, value in row.items() if name not in OF_THE_RUN} for row in rows(Path(output), table)
        ]
        found[table] = sorted(own, key=lambda row, key=key: [row[name] for name in key])
    return found
