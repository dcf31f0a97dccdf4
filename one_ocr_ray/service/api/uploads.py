"""`POST /upload`: spool the files, check each, make them durable in the store, then answer 202."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, time, timedelta
from secrets import token_urlsafe
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import RedirectResponse, Response

from one_ocr_ray.errors import StorageError
from one_ocr_ray.model import Failure
from one_ocr_ray.policy.tasks.idempotency import ClaimStatus, claim_id
from one_ocr_ray.policy.tasks.task import TaskOptions, TaskRecord
from one_ocr_ray.service.api.openapi import UPLOAD_BODY, problem_responses
from one_ocr_ray.service.api.schemas import RejectedFile, UploadAnswer, json_response
from one_ocr_ray.service.dependencies import Owner, Service, ServiceDep
from one_ocr_ray.service.names import display_name
from one_ocr_ray.service.negotiation import wants_html
from one_ocr_ray.service.problems import Problem
from one_ocr_ray.service.upload.multipart import Form, SpooledFile, read_form
from one_ocr_ray.service.upload.options import options_in, parse_options
from one_ocr_ray.service.upload.spool import storage_full
from one_ocr_ray.service.upload.unpacking import unpacked
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.tasks.key_budgets import key_day
from one_ocr_ray.tasks.submission import Submission, submit

router = APIRouter(tags=["tasks"])

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        # The text below describes it: what it does depends on earlier requests, which no schema can say.
        include_in_schema=False,
    ),
]


@router.post(
    "/upload",
    status_code=202,
    response_model=UploadAnswer,
    responses=problem_responses(400, 401, 402, 403, 408, 409, 413, 415, 422, 429, 503, 507),
    openapi_extra=UPLOAD_BODY,
)
async def upload(
    request: Request, service: ServiceDep, owner: Owner, idempotency_key: IdempotencyKey = None
) -> Response:
    """Upload PDFs and images, or ZIPs of them: each becomes a task, and all together a batch.

    The ids come at once; reading follows.

    With the header `Idempotency-Key`, 1 to 255 characters, the same request sent again within 24 hours is done once:
    later requests get the first answer with `Idempotent-Replay: true`.
    """
    service.spool.check_space()
    settings, load = service.settings, await service.manager.load()
    if load.open_tasks >= settings.max_open_tasks or load.open_pages >= settings.max_open_pages:
        raise Problem("overloaded", "Too much work is waiting; try again later.", retry_after_s=30)
    with service.spool.request_dir() as request_dir:
        form = await read_form(
            request.headers.get("content-type", ""),
            request.stream(),
            request_dir,
            service.spool,
            max_files=service.settings.max_files,
            max_file_bytes=service.settings.max_file_bytes,
        )
        options = parse_options(options_in(form.texts), service.settings)
        await _check_budget(service, owner, options)
        # A browser sends one nameless file of no bytes where none was chosen.
        files = [file for file in form.files if file.name or file.size_bytes]
        if not files:
            raise Problem("no_files", "The form has no file: put PDFs or images into its field files.")
        doing = asyncio.ensure_future(_idempotent(service, owner, idempotency_key, Form(files, form.texts), options))
        try:
            body, replayed = await asyncio.shield(doing)
        except asyncio.CancelledError:  # the client is gone: finish what was begun before its files are removed
            await asyncio.wait([doing])
            raise
    one = len(body["task_ids"]) == 1
    if wants_html(request.headers.get("accept", "")):
        page = f"/tasks/{body['task_ids'][0]}" if one and not body["rejected"] else f"/batches/{body['batch_id']}"
        return RedirectResponse(page, 303)
    location = body["tasks"][0]["status_url"] if one else f"/v1/batches/{body['batch_id']}"
    headers = {"Location": location, "Retry-After": "2"}
    if replayed:
        headers["Idempotent-Replay"] = "true"
    return json_response(body, 202, headers)


async def _check_budget(service: Service, owner: str, options: TaskOptions) -> None:
    """Raise Problem for a key that has spent its day's budget. Its task would only fail later."""
    budget_usd, now = service.settings.key_budget_usd, datetime.now(UTC)
    if budget_usd is None or (options.engine or service.settings.engine) == "local":
        return
    stands = await asyncio.to_thread(key_day, Objects(service.store.root), owner, now.date())
    if stands is not None and stands.is_over:
        detail = f"The {budget_usd:g} USD a day of this key are spent; the next day begins at 00:00 UTC."
        midnight = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
        raise Problem("key_budget_reached", detail, retry_after_s=int((midnight - now).total_seconds()) + 1)


async def _idempotent(
    service: Service, owner: str, key: str | None, form: Form, options: TaskOptions
) -> tuple[dict[str, Any], bool]:
    """The body of the answer, and whether an earlier request with its key won."""
    if key is None:
        return await _accept(service, owner, form, options, None), False
    request = [(display_name(file.name), file.document_id) for file in form.files], options
    fingerprint = hashlib.sha256(repr(request).encode()).hexdigest()
    claim = await asyncio.to_thread(service.store.claim, owner, key, fingerprint)
    if claim.status is ClaimStatus.ANSWERED:
        return claim.response, True
    if claim.status is ClaimStatus.IN_PROGRESS:
        detail = "The first request with this Idempotency-Key is still running."
        raise Problem("idempotency_in_progress", detail, retry_after_s=2)
    if claim.status is ClaimStatus.REUSED:
        raise Problem("idempotency_key_reused", "This Idempotency-Key came before with another request.")
    body = None
    try:
        body = await _accept(service, owner, form, options, claim_id(key))
    finally:
        await asyncio.to_thread(service.store.settle, owner, key, body)
    return body, False


async def _accept(service: Service, owner: str, form: Form, options: TaskOptions, claim: str | None) -> dict[str, Any]:
    """Refuse bad files and submit the rest as tasks. Raises the first refusal when no file is good."""
    files = await asyncio.to_thread(unpacked, form.files, service.spool, service.settings)
    refusals = await asyncio.gather(*(_refusal(service, owner, file) for file in files))
    good = [file for file, refusal in zip(files, refusals, strict=True) if refusal is None]
    rejected = [(file, refusal) for file, refusal in zip(files, refusals, strict=True) if refusal is not None]
    if not good:
        raise rejected[0][1]
    batch_id, now = f"b_{token_urlsafe(16)}", datetime.now(UTC)
    submissions = [
        Submission(
            TaskRecord(
                task_id=f"t_{token_urlsafe(16)}",
                batch_id=batch_id,
                owner=owner,
                filename=display_name(file.name),
                size_bytes=file.size_bytes,
                document_id=file.document_id,
                created_at=now,
                options=options,
                claim=claim,
            ),
            file.path,
        )
        for file in good
    ]
    try:
        await submit(submissions, service.store, service.manager)
    except StorageError as error:
        raise storage_full() from error
    refused = [
        RejectedFile(filename=display_name(file.name), code=why.code, detail=why.detail) for file, why in rejected
    ]
    return UploadAnswer.of(batch_id, [each.record for each in submissions], refused).model_dump(mode="json")


async def _refusal(service: Service, owner: str, file: SpooledFile) -> Problem | None:
    if file.too_large:
        limit = service.settings.max_file_bytes
        return Problem("upload_too_large", f"The file is larger than {limit:,} bytes.")
    info = file.failure or await service.pdfs.inspect(owner, file.path, file.name)
    if isinstance(info, Failure):
        return Problem(info.code.value, info.message)
    if info.page_count > service.settings.max_pages:
        detail = f"The file says it has {info.page_count:,} pages; at most {service.settings.max_pages:,} are taken."
        return Problem("too_many_pages", detail)
    return None
