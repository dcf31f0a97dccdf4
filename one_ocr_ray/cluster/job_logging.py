"""What the processes of a job write to their logs: JSON lines that Ray's dashboard shows beside each worker.

Ids, codes and counts; never a key, a file's name or content, or a message, for those may quote what was read.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import ray
from ray import LoggingConfig
from ray._private.worker import global_worker  # Ray has no public way to ask which submitted job this is
from ray.job_config import JobConfig

from one_ocr_ray.model import PageStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from one_ocr_ray.model import DocumentResult, PageResult

_log = logging.getLogger("one_ocr_ray")


def job_config(metadata: Mapping[str, str]) -> JobConfig:
    """What Ray is told of the job: `metadata` for its dashboard, and JSON as the language of its workers' logs.

    Not `ray.init(logging_config=)`, which would also turn the lines of the driver, made for people, into JSON.
    """
    config = JobConfig()
    config.set_py_logging_config(LoggingConfig(encoding="JSON", log_level="INFO"))
    for name, value in metadata.items():
        config.set_metadata(name, value)
    return config


async def describe_submission(metadata: Mapping[str, str]) -> None:
    """Show `metadata` with the submitted job that this is, beside what its submitter gave; outside of one do nothing.

    The dashboard takes what a driver says of itself only from drivers that nobody submitted, and Ray (2.60) has no
    public way to add to a job that runs.
    """
    job = global_worker.core_worker.get_job_config().metadata.get("job_submission_id")  # type: ignore[attr-defined]
    if job is None:
        return
    # Imported here: a run that nobody submitted has no use for the dashboard's modules.
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # noqa: PLC0415
    from ray.dashboard.modules.job.common import JobInfoStorageClient  # noqa: PLC0415

    jobs = JobInfoStorageClient(GcsClient(address=ray.get_runtime_context().gcs_address))
    told = await jobs.get_info(job)
    if told is not None:
        await jobs.put_info(job, replace(told, metadata={**metadata, **(told.metadata or {})}))


def log_page(page: PageResult) -> None:
    """A page is finished; one that is good says so at level debug only, for there may be millions."""
    failed = page.status is PageStatus.FAILED and page.failure is not None
    _log.log(
        logging.WARNING if failed else logging.DEBUG,
        "page failed" if failed else "page read",
        extra={
            "run_id": page.run_id,
            "document_id": page.document_id,
            "page_number": page.page_number,
            "code": page.failure.code.value if page.failure is not None else None,
            "attempts": page.attempts,
        },
    )


def log_documents(shard_id: str, documents: Sequence[DocumentResult]) -> None:
    """A shard is committed; a document that did not come out whole has a line of its own."""
    for document in documents:
        if document.pages_failed or document.failure is not None:
            _log.warning(
                "document %s",
                document.outcome.value,
                extra={
                    "run_id": document.run_id,
                    "document_id": document.document_id,
                    "pages_failed": document.pages_failed,
                    "code": document.failure.code.value if document.failure is not None else None,
                },
            )
    if documents:
        outcomes = Counter(document.outcome.value for document in documents)
        extra = {"run_id": documents[0].run_id, "shard_id": shard_id, "documents": dict(outcomes)}
        _log.info("shard committed", extra=extra)
