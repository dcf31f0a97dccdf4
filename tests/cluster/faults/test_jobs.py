"""A submitted job that is stopped and submitted again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ray.job_submission import JobStatus

from tests.cluster.head import running_head
from tests.cluster.waiting import until

if TYPE_CHECKING:
    from tests.cluster.faults.sites import Site


def test_a_stopped_job_is_submitted_again_and_finishes(site: Site) -> None:
    """`ray job stop` gives the driver three seconds: enough to keep every finished page."""
    entrypoint = "python jobs/ocr.py " + " ".join(site.arguments())
    with running_head() as head:
        job = head.submit(entrypoint)
        until(lambda: site.answered() >= 20, "some answers")
        head.jobs.stop_job(job)
        assert head.ended(job) is JobStatus.STOPPED
        assert "Interrupted; finished pages are kept. The same command resumes." in head.jobs.get_job_logs(job)
        again = head.submit(entrypoint)
        assert head.ended(again) is JobStatus.SUCCEEDED, head.jobs.get_job_logs(again)
    site.assert_kept()
    answered = [row for row in site.provider.rows() if row.page and row.answered]
    assert len(answered) - len(site.expected) <= site.flags["max_in_flight"]
