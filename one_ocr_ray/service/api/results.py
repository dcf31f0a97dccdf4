"""`/result` of a task and of a batch: a file to download."""

from __future__ import annotations

import asyncio
import os
import tempfile
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

from fastapi import APIRouter, Query
from fastapi.responses import Response, StreamingResponse

from one_ocr_ray.service.api.batches import batch_tasks
from one_ocr_ray.service.api.openapi import BINARY, TEXT, responses_of
from one_ocr_ray.service.dependencies import Owner, ServiceDep
from one_ocr_ray.service.names import content_disposition, download_stem
from one_ocr_ray.service.problems import Problem
from one_ocr_ray.service.results import MEDIA_TYPES, BatchFormat, Format, result_of, write_results
from one_ocr_ray.service.searchable import searchable_copy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from one_ocr_ray.policy.tasks.task import TaskView

router = APIRouter(tags=["results"])

_CHUNK_BYTES = 256 << 10
_SCHEMAS: dict[Format, dict[str, Any]] = {Format.MD: TEXT, Format.TXT: TEXT, Format.JSON: {"type": "object"}}
_ATTACHMENT = {"Cache-Control": "private, no-cache"}

Partial = Annotated[bool, Query(description="what is finished so far of a running task")]


def _files(*forms: Format) -> dict[int | str, dict[str, Any]]:
    kinds = {MEDIA_TYPES[form].partition(";")[0]: _SCHEMAS.get(form, BINARY) for form in forms}
    return responses_of(kinds, 400, 401, 404, 409, 410, 429, 503)


@router.get("/v1/tasks/{task_id}/result", response_class=Response, responses=_files(*Format))
async def task_result(  # noqa: PLR0917 - parameters of a request, given by name
    service: ServiceDep,
    owner: Owner,
    task_id: str,
    form: Annotated[Format, Query(alias="format")] = Format.MD,
    partial: Partial = False,
    allow_signed: Annotated[bool, Query(description="as pdf a signed upload too, whose signatures break")] = False,
) -> Response:
    """The result of an ended task; with `partial` what there is of a running one."""
    view = await service.task(owner, task_id)
    _check_ended([view], partial=partial)
    name = f"{download_stem(view.record.filename)}.{form.suffix}"
    headers = _ATTACHMENT | {"Content-Disposition": content_disposition(name)}
    if form is Format.PDF:
        copy = await service.executor.run(owner, lambda: searchable_copy(service, task_id, allow_signed=allow_signed))
        headers["Content-Length"] = str(os.fstat(copy.fileno()).st_size)
        return StreamingResponse(_chunks(copy), 200, headers, MEDIA_TYPES[form])
    data = await service.executor.run(owner, lambda: result_of(service.store, view, form))
    return Response(data, 200, headers, MEDIA_TYPES[form])


@router.get("/v1/batches/{batch_id}/result", response_class=Response, responses=_files(Format.ZIP, Format.PARQUET))
async def batch_result(
    service: ServiceDep,
    owner: Owner,
    batch_id: str,
    form: Annotated[BatchFormat, Query(alias="format")] = BatchFormat.ZIP,
    partial: Partial = False,
) -> Response:
    """The results of a batch: a zip with a folder for each task, or one Parquet file."""
    views = await batch_tasks(service, owner, batch_id)
    _check_ended(views, partial=partial)
    out = tempfile.TemporaryFile(dir=service.spool.folder)  # noqa: SIM115 - closed when it is sent
    try:
        await service.executor.run(owner, lambda: write_results(service.store, views, form, out))
        size_bytes = out.tell()
    except BaseException:
        out.close()
        raise
    headers = _ATTACHMENT | {
        "Content-Disposition": content_disposition(f"{batch_id}.{form}"),
        "Content-Length": str(size_bytes),
    }
    return StreamingResponse(_chunks(out), 200, headers, MEDIA_TYPES[Format(form)])


def _check_ended(views: list[TaskView], *, partial: bool) -> None:
    if not partial and not all(view.state.terminal for view in views):
        detail = "The task is not finished; wait, or ask for partial=true."
        raise Problem("task_not_finished", detail, retry_after_s=2)


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        await asyncio.to_thread(file.seek, 0)
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk
