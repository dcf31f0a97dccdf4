"""The dataset of one task: configuration and plan, as a run writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.errors import OptionsError
from one_ocr_ray.model import ErrorCode, Shard
from one_ocr_ray.policy.dataset.fingerprint import config_difference
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.tasks.task_store import SHARD_ID

if TYPE_CHECKING:
    from one_ocr_ray.job import Job
    from one_ocr_ray.model import DocumentRef
    from one_ocr_ray.policy.dataset.fingerprint import Fingerprint
    from one_ocr_ray.tasks.service_config import TaskAssignment

OTHERWISE = "The service is configured otherwise than when this document was read ({difference}). Upload it again."


def claim_dataset(assignment: TaskAssignment, job: Job, fingerprint: Fingerprint, document: DocumentRef) -> None:
    """Give the task's dataset its configuration and its plan. Blocks.

    An unfinished task begins again when the service is configured otherwise now. Raises OptionsError when its rows
    are committed or are to be read again: what is paid is never thrown away.
    """
    output = Objects(job.output)
    run_dir = RunDirectory(output)
    before = run_dir.fingerprint()
    if before is not None and (changed := config_difference(before, fingerprint)):
        if assignment.retry is not None or Dataset(output, {}).committed():
            raise OptionsError(OTHERWISE.format(difference=changed), ErrorCode.INVALID_OPTIONS)
        for info in list(output.list()):
            output.delete(info.path)
    run_dir.claim(fingerprint)
    if not any(run_dir.plan()):
        run_dir.add_to_plan(0, [Shard(SHARD_ID, (document,))])
