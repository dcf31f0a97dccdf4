"""The batch codec `openai`: files and batches of OpenAI and Azure OpenAI. Pure functions, as `BatchCodec` lists them.

Sources: OpenAI's batch guide and API reference, openai-python's types, Azure's batch how-to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from one_ocr_ray.engines.llm import openai, wire
from one_ocr_ray.engines.llm.batch.line_answers import LineResult, result_of
from one_ocr_ray.policy.batch.remote import ParcelLimits, RemoteBatch, RemoteFile, RemoteState

if TYPE_CHECKING:
    from one_ocr_ray.engines.options import EngineOptions

parse_error = openai.parse_error
DAY_S = 86_400.0
KEPT_S, AZURE_KEPT_S = 3 * DAY_S, 14 * DAY_S
_MOST_BYTES = 190_000_000  # the limit is 200 MB, of which size is not documented


def limits(options: EngineOptions) -> ParcelLimits:
    """The limits of files and batches there."""
    if openai.is_azure(options):
        return ParcelLimits(_MOST_BYTES, 50_000, AZURE_KEPT_S, AZURE_KEPT_S, live_at_once=400, least_poll_s=60.0)
    # A batch has a window of one day; those of Azure run until they are done.
    return ParcelLimits(_MOST_BYTES, 50_000, KEPT_S, KEPT_S, live_at_once=2000, lost_after_s=KEPT_S)


# --- lines -----------------------------------------------------------------------------------------------------------


def build_line(options: EngineOptions, key: str, body: bytes) -> bytes:
    """One line of an input file around the body of an ordinary request."""
    head = orjson.dumps({"custom_id": key, "method": "POST", "url": _endpoint(options)})
    return head[:-1] + b',"body":' + body + b"}\n"


def _endpoint(options: EngineOptions) -> str:
    return "/chat/completions" if openai.is_classic_azure(options) else "/v1/chat/completions"


_NOT_RUN = frozenset({"batch_expired", "batch_cancelled", "batch_canceled"})


def read_line(line: bytes) -> LineResult | None:
    """What a line of a result says; None for what is no line. Never raises."""
    entry = wire.read_json(line)
    if not isinstance(entry, dict) or not isinstance(entry.get("custom_id"), str):
        return None
    key, response, error = entry["custom_id"], entry.get("response"), entry.get("error")
    if isinstance(response, dict):
        status = response.get("status_code")
        if not isinstance(status, int) or status < 100:  # the provider's own fault: {"status_code":0,"body":{}}
            return LineResult(key, None)
        headers = {"x-request-id": str(response.get("request_id") or "")}
        return result_of(key, openai.parse_response(status, headers, orjson.dumps(response.get("body"))))
    if isinstance(error, dict) and error.get("code") not in _NOT_RUN and error.get("code") is not None:
        return result_of(key, openai.parse_response(500, {}, orjson.dumps({"error": error})))
    return LineResult(key, None)


# --- files -----------------------------------------------------------------------------------------------------------


def upload_request(options: EngineOptions) -> wire.HttpRequest:
    """The POST of a form with the file and `upload_fields`."""
    return openai.account_request(options, "/files", {}, method="POST")


def upload_fields(options: EngineOptions) -> dict[str, str]:
    """The other fields of that form; the provider deletes the file by itself at last."""
    kept_s = int(limits(options).input_kept_s)
    return {"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": str(kept_s)}


def file_request(options: EngineOptions, file_id: str) -> wire.HttpRequest:
    """A GET of what is known of a file."""
    return openai.account_request(options, f"/files/{_id(file_id)}", {})


def delete_request(options: EngineOptions, file_id: str) -> wire.HttpRequest:
    """The DELETE of a file."""
    return openai.account_request(options, f"/files/{_id(file_id)}", {}, method="DELETE")


def content_request(options: EngineOptions, file_id: str) -> wire.HttpRequest:
    """A GET of the bytes of a file."""
    return openai.account_request(options, f"/files/{_id(file_id)}/content", {})


def files_request(options: EngineOptions, after: str | None) -> wire.HttpRequest:
    """A GET of a page of the list of input files."""
    return openai.account_request(options, "/files", {"purpose": "batch"} | ({"after": after} if after else {}))


def read_file(payload: Any) -> RemoteFile | None:
    """The file in a reply."""
    if not isinstance(payload, dict) or not isinstance(payload.get("id"), str):
        return None
    size = payload.get("bytes")
    name = str(payload.get("filename") or "").removesuffix(".jsonl")
    # Azure's files begin as `pending`; elsewhere the field is deprecated.
    ready = payload.get("status") not in {"pending", "running"}
    return RemoteFile(payload["id"], name, size if isinstance(size, int) else None, ready)


# --- batches ---------------------------------------------------------------------------------------------------------


def create_request(options: EngineOptions, file_id: str, tag: str) -> wire.HttpRequest:
    """The POST that begins a batch, and costs money."""
    body: dict[str, Any] = {
        "input_file_id": file_id,
        "endpoint": _endpoint(options),
        "completion_window": "24h",
        "metadata": {"tag": tag},
        "output_expires_after": {"anchor": "created_at", "seconds": int(limits(options).result_kept_s)},
    }
    return openai.account_request(options, "/batches", {}, orjson.dumps(body))


def batch_request(options: EngineOptions, batch_id: str) -> wire.HttpRequest:
    """A GET of one batch."""
    return openai.account_request(options, f"/batches/{_id(batch_id)}", {})


def cancel_request(options: EngineOptions, batch_id: str) -> wire.HttpRequest:
    """The POST that cancels a batch."""
    return openai.account_request(options, f"/batches/{_id(batch_id)}/cancel", {}, b"{}")


def batches_request(options: EngineOptions, after: str | None) -> wire.HttpRequest:
    """A GET of a page of the list of batches, newest first."""
    return openai.account_request(options, "/batches", {"limit": "100"} | ({"after": after} if after else {}))


_STATES = {
    "completed": RemoteState.COMPLETED,
    "failed": RemoteState.FAILED,
    "expired": RemoteState.EXPIRED,
    "cancelled": RemoteState.CANCELLED,
}


def read_batch(payload: Any) -> RemoteBatch | None:
    """The batch in a reply. Older versions of Azure send names in other case, times as text and null counts."""
    if not isinstance(payload, dict) or not isinstance(payload.get("id"), str):
        return None
    status = str(payload.get("status") or "").lower()
    metadata, counts, errors = (wire.as_dict(payload.get(name)) for name in ("metadata", "request_counts", "errors"))
    first = next((each for each in errors.get("data") or () if isinstance(each, dict)), {})
    tag, total = metadata.get("tag"), counts.get("total")
    outputs = (payload.get("output_file_id"), payload.get("error_file_id"))
    return RemoteBatch(
        payload["id"],
        _STATES.get(status, RemoteState.RUNNING),
        tag=tag if isinstance(tag, str) else None,
        input_file=payload["input_file_id"] if isinstance(payload.get("input_file_id"), str) else None,
        created_s=wire.unix_time(payload.get("created_at")),
        outputs=tuple(each for each in outputs if isinstance(each, str) and each),
        is_accepted=status in {"in_progress", "finalizing", "completed"},
        code=str(first.get("code") or ""),
        message=str(first.get("message") or ""),
        lines=total if isinstance(total, int) else None,
    )


def read_list(payload: Any) -> tuple[list[Any], str | None]:
    """The files or batches on a page of their list, and where the next begins."""
    listed = wire.as_dict(payload)
    entries = listed.get("data")
    entries = entries if isinstance(entries, list) else []
    last = listed.get("last_id") or (entries[-1].get("id") if entries and isinstance(entries[-1], dict) else None)
    return entries, last if listed.get("has_more") and isinstance(last, str) else None


def _id(name: str) -> str:
    return quote(name, safe="")
