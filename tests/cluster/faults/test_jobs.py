"""A submitted job that is stopped and submitted again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ray.job_submission import JobStatus

from tests.cluster.test_clusters import ROOT, job_client  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

    from tests.cluster.faults.sites import Site

WORKING_DIR = {"working_dir": str(ROOT), "excludes": [".git", "tests", "benchmarks", ".venv", "venv"]}


def test_a_stopped_job_is_submitted_again_and_finishes(job_client: JobSubmissionClient, site: Site) -> None:  # noqa: F811
    """`ray job stop` gives the driver three seconds: enough to keep every finished page."""
    entrypoint = "python jobs/ocr.py " + " ".join(site.arguments())
    job = job_client.submit_job(entrypoint=entrypoint, runtime_env=WORKING_DIR)
    wait_for(lambda: site.answered() >= 20)
    job_client.stop_job(job)
    wait_for(lambda: job_client.get_job_status(job).is_terminal())
    log = job_client.get_job_logs(job)
    assert job_client.get_job_status(job) is JobStatus.STOPPED, log
    assert "Interrupted; finished pages are kept. The same command resumes." in log
    again = job_client.submit_job(entrypoint=entrypoint, runtime_env=WORKING_DIR)
    wait_for(lambda: job_client.get_job_status(again).is_terminal())
    assert job_client.get_job_status(again) is JobStatus.SUCCEEDED, job_client.get_job_logs(again)
    site.assert_kept()
    rows = [row for row in site.provider.rows() if row.answered]
    assert len(rows) - len(site.expected) <= site.flags["max_in_flight"]


def wait_for(met, timeout_s: float = 120.0) -> None:  # type: ignore[no-untyped-def]
    """Wait until `met()`."""
    deadline = time.monotonic() + timeout_s
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.1)
