"""The batch codec `gemini`: files and batches of the Gemini API. Pure functions, as `BatchCodec` lists them.

Sources: ai.google.dev batch guide and reference, google-genai.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from one_ocr_ray.engines.llm import gemini, wire
from one_ocr_ray.engines.llm.batch.line_answers import LineResult, result_of
from one_ocr_ray.policy.batch.parcel import TOKEN_LIMIT
from one_ocr_ray.policy.batch.remote import ParcelLimits, RemoteBatch, RemoteFile, RemoteState

if TYPE_CHECKING:
    from one_ocr_ray.engines.options import EngineOptions

parse_error = gemini.parse_error
DAY_S = 86_400.0
STORED_BYTES = 15e9  # a project may store 20 GB, in which our results and the files of others have their part


def limits(options: EngineOptions) -> ParcelLimits:
    """The limits of files and batches there."""
    kept_s, lost_after_s = 2 * DAY_S, 3 * DAY_S  # a batch expires after two days
    return ParcelLimits(
        512 << 20, 500, kept_s, kept_s, live_at_once=80, lost_after_s=lost_after_s, most_stored_bytes=STORED_BYTES
    )


# --- lines -----------------------------------------------------------------------------------------------------------


def build_line(options: EngineOptions, key: str, body: bytes) -> bytes:
    """One line of an input file around the body of an ordinary request."""
    return b'{"key":' + orjson.dumps(key) + b',"request":' + body + b"}\n"


# Lines tell gRPC codes, whose meanings are those of HTTP statuses.
_HTTP_OF_GRPC = {3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 13: 500, 14: 503, 16: 401}
_CANCELLED, _EXHAUSTED = 1, 8


def read_line(line: bytes) -> LineResult | None:
    """What a line of a result says; None for what is no line. Never raises."""
    entry = wire.read_json(line)
    if not isinstance(entry, dict) or not isinstance(entry.get("key"), str):
        return None
    key, response, error = entry["key"], entry.get("response"), entry.get("error") or entry.get("status")
    if isinstance(response, dict):
        return result_of(key, gemini.parse_response(200, {}, orjson.dumps(response)))
    if not isinstance(error, dict) or error.get("code") == _CANCELLED:
        return LineResult(key, None)
    code = error.get("code")
    status = _HTTP_OF_GRPC.get(code, 500) if isinstance(code, int) and code < 100 else code
    status = status if isinstance(status, int) else 500
    body = orjson.dumps({"error": {**error, "code": status}})
    return result_of(key, gemini.parse_response(status, {}, body))


# --- files -----------------------------------------------------------------------------------------------------------


def start_request(options: EngineOptions, name: str, size_bytes: int) -> wire.HttpRequest:
    """The POST that declares a file of ours and its length."""
    body = orjson.dumps({"file": {"name": f"files/{name}", "displayName": name}})
    request = gemini.account_request(options, "/files", body=body, place="/upload")
    headers = {
        "X-Goog-Upload-Protocol": "resumable",
        "X-Goog-Upload-Command": "start",
        "X-Goog-Upload-Header-Content-Length": str(size_bytes),
        "X-Goog-Upload-Header-Content-Type": "application/jsonl",
    }
    return wire.HttpRequest(request.url, {**request.headers, **headers}, body)


def piece_request(url: str, offset: int, piece: bytes, *, is_last: bool) -> wire.HttpRequest:
    """The POST of one piece to the address that `start_request` has got. It needs no key."""
    command = "upload, finalize" if is_last else "upload"
    return wire.HttpRequest(url, {"X-Goog-Upload-Offset": str(offset), "X-Goog-Upload-Command": command}, piece)


def file_request(options: EngineOptions, file_id: str) -> wire.HttpRequest:
    """A GET of what is known of a file."""
    return gemini.account_request(options, f"/{_id(file_id)}")


def delete_request(options: EngineOptions, file_id: str) -> wire.HttpRequest:
    """The DELETE of a file."""
    return gemini.account_request(options, f"/{_id(file_id)}", method="DELETE")


def content_request(options: EngineOptions, file_id: str) -> wire.HttpRequest:
    """A GET of the bytes of a result."""
    return gemini.account_request(options, f"/{_id(file_id)}:download", {"alt": "media"}, place="/download")


def files_request(options: EngineOptions, after: str | None) -> wire.HttpRequest:
    """A GET of a page of the list of files."""
    return gemini.account_request(options, "/files", {"pageSize": "100"} | ({"pageToken": after} if after else {}))


def read_file(payload: Any) -> RemoteFile | None:
    """The file in a reply; after an upload it is wrapped."""
    payload = payload.get("file", payload) if isinstance(payload, dict) else None
    if not isinstance(payload, dict) or not isinstance(payload.get("name"), str):
        return None
    size = str(payload.get("sizeBytes") or "")
    shown = str(payload.get("displayName") or payload["name"].removeprefix("files/"))
    return RemoteFile(
        payload["name"], shown, int(size) if size.isdecimal() else None, payload.get("state") != "PROCESSING"
    )


# --- batches ---------------------------------------------------------------------------------------------------------


def create_request(options: EngineOptions, file_id: str, tag: str) -> wire.HttpRequest:
    """The POST that begins a batch, and costs money."""
    body = orjson.dumps({"batch": {"displayName": tag, "inputConfig": {"fileName": file_id}}})
    return gemini.account_request(options, f"{gemini.model_route(options)}:batchGenerateContent", body=body)


def batch_request(options: EngineOptions, batch_id: str) -> wire.HttpRequest:
    """A GET of one batch."""
    return gemini.account_request(options, f"/{_id(batch_id)}")


def cancel_request(options: EngineOptions, batch_id: str) -> wire.HttpRequest:
    """The POST that cancels a batch."""
    return gemini.account_request(options, f"/{_id(batch_id)}:cancel", body=b"{}")


def batches_request(options: EngineOptions, after: str | None) -> wire.HttpRequest:
    """A GET of a page of the list of batches. Without a page size it would be empty."""
    return gemini.account_request(options, "/batches", {"pageSize": "100"} | ({"pageToken": after} if after else {}))


_STATES = {
    "SUCCEEDED": RemoteState.COMPLETED,
    "PARTIALLY_SUCCEEDED": RemoteState.COMPLETED,
    "FAILED": RemoteState.FAILED,
    "EXPIRED": RemoteState.EXPIRED,
    "CANCELLED": RemoteState.CANCELLED,
}


def read_batch(payload: Any) -> RemoteBatch | None:
    """The batch in an operation. Counts are text, and absent when zero."""
    if not isinstance(payload, dict) or not isinstance(payload.get("name"), str):
        return None
    metadata, response, error = (wire.as_dict(payload.get(name)) for name in ("metadata", "response", "error"))
    status = str(metadata.get("state") or "").removeprefix("BATCH_STATE_").removeprefix("JOB_STATE_")
    output = wire.as_dict(metadata.get("output")).get("responsesFile") or response.get("responsesFile")
    stats, tag = wire.as_dict(metadata.get("batchStats")), metadata.get("displayName")
    source = wire.as_dict(metadata.get("inputConfig")).get("fileName")
    count = str(stats.get("requestCount") or "")
    return RemoteBatch(
        payload["name"],
        _STATES.get(status, RemoteState.RUNNING),
        tag=tag if isinstance(tag, str) else None,
        input_file=source if isinstance(source, str) else None,
        created_s=wire.unix_time(metadata.get("createTime")),
        outputs=(output,) if isinstance(output, str) and output else (),
        is_accepted=status in {"RUNNING", "SUCCEEDED", "PARTIALLY_SUCCEEDED"},
        code=TOKEN_LIMIT if error.get("code") == _EXHAUSTED else str(error.get("code") or ""),
        message=str(error.get("message") or ""),
        lines=int(count) if count.isdecimal() else None,
    )


def read_list(payload: Any) -> tuple[list[Any], str | None]:
    """The files or batches on a page of their list, and where the next begins."""
    listed = wire.as_dict(payload)
    entries, following = listed.get("files") or listed.get("operations"), listed.get("nextPageToken")
    return entries if isinstance(entries, list) else [], following if isinstance(following, str) and following else None


def _id(name: str) -> str:
    return quote(name, safe="/")
