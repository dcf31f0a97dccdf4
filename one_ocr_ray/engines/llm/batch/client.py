"""`BatchClient`: files and batches of one account. It sends each request once; the caller decides what to repeat.

Files go from disk to the provider and back piece by piece; none is ever in memory whole.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from one_ocr_ray.engines.llm import wire
from one_ocr_ray.engines.llm.batch import gemini_batch, openai_batch
from one_ocr_ray.engines.llm.http import UNREACHABLE, HttpReply, HttpSender
from one_ocr_ray.model import Action, ErrorCode, Failure
from one_ocr_ray.policy.batch.remote import BatchRefusal, RemoteBatch, RemoteFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path
    from typing import Any, TypeVar

    from one_ocr_ray.engines.llm.batch.line_answers import LineResult
    from one_ocr_ray.engines.llm.wire import HttpRequest
    from one_ocr_ray.engines.options import EngineOptions
    from one_ocr_ray.policy.batch.remote import ParcelLimits

    _Read = TypeVar("_Read")

CALL_TIMEOUT_S = 60.0
CREATE_TIMEOUT_S = 300.0  # an answer that is given up leaves it open whether the batch is there
FILE_TIMEOUT_S = 3600.0
PIECE_BYTES = 8 << 20
READY_LOOKS, READY_FIRST_S, READY_S = 64, 0.05, 2.0  # a file is checked before it can be used
# Statuses by which a provider says, in its own words, that it has not created a batch.
_REFUSED = frozenset({400, 401, 403, 404, 413, 422, 429})


class BatchCodec(Protocol):
    """Builds requests and parses replies of one dialect. Sends nothing, remembers nothing."""

    def limits(self, options: EngineOptions) -> ParcelLimits: ...
    def build_line(self, options: EngineOptions, key: str, body: bytes) -> bytes: ...
    def read_line(self, line: bytes) -> LineResult | None: ...
    def file_request(self, options: EngineOptions, file_id: str) -> HttpRequest: ...
    def delete_request(self, options: EngineOptions, file_id: str) -> HttpRequest: ...
    def content_request(self, options: EngineOptions, file_id: str) -> HttpRequest: ...
    def files_request(self, options: EngineOptions, after: str | None) -> HttpRequest: ...
    def read_file(self, payload: Any) -> RemoteFile | None: ...
    def create_request(self, options: EngineOptions, file_id: str, tag: str) -> HttpRequest: ...
    def batch_request(self, options: EngineOptions, batch_id: str) -> HttpRequest: ...
    def cancel_request(self, options: EngineOptions, batch_id: str) -> HttpRequest: ...
    def batches_request(self, options: EngineOptions, after: str | None) -> HttpRequest: ...
    def read_batch(self, payload: Any) -> RemoteBatch | None: ...
    def read_list(self, payload: Any) -> tuple[list[Any], str | None]: ...
    def parse_error(
        self, status: int, headers: Mapping[str, str], payload: Any, *, key_works: bool = False
    ) -> Failure: ...


BATCH_CODECS: Mapping[str, BatchCodec] = {"openai": openai_batch, "gemini": gemini_batch}
_ODD = wire.BAD_REPLY.failure(200)
TOO_LARGE = Failure(ErrorCode.PROVIDER_REJECTED, "The file is too large for the provider, or a proxy before it.")


class BatchClient:
    """One account with its files and batches. A failed call gives a `Failure`, never an exception."""

    def __init__(self, options: EngineOptions) -> None:
        """`options` have the key. Raise UsageError for an address or a key that no request can be made with."""
        wire.check_endpoint(options.base_url, options.api_key)
        self.options = options
        self.codec = BATCH_CODECS[options.name]
        self.limits = self.codec.limits(options)
        self._http = HttpSender(timeout_s=CALL_TIMEOUT_S)

    async def upload(self, file: Path) -> RemoteFile | Failure:
        """Upload `file` under its name without the ending, and wait until it can be used.

        `TOO_LARGE` is the one failure that a smaller file mends.
        """
        if self.options.name == "gemini":
            found = await self._upload_pieces(file)
        else:
            request = openai_batch.upload_request(self.options)
            fields = openai_batch.upload_fields(self.options)
            reply = await self._http.send_form(request, fields, file, timeout_s=FILE_TIMEOUT_S)
            found = TOO_LARGE if _is_too_large(reply) else self._read(reply, self.codec.read_file)
        for look in range(READY_LOOKS):
            if isinstance(found, Failure) or found.is_ready:
                break
            await asyncio.sleep(min(READY_S, READY_FIRST_S * 2**look))
            found = await self.file(found.file_id)
        return found

    async def _upload_pieces(self, file: Path) -> RemoteFile | Failure:
        size = (await asyncio.to_thread(file.stat)).st_size
        reply = await self._http.send(gemini_batch.start_request(self.options, file.stem, size))
        url = reply.headers.get("x-goog-upload-url") if isinstance(reply, HttpReply) else None
        if url is None:
            return reply if isinstance(reply, Failure) else TOO_LARGE if _is_too_large(reply) else self._failure(reply)
        with file.open("rb") as source:
            for offset in range(0, size, PIECE_BYTES):
                piece = source.read(PIECE_BYTES)
                request = gemini_batch.piece_request(url, offset, piece, is_last=offset + len(piece) >= size)
                reply = await self._http.send(request, timeout_s=FILE_TIMEOUT_S)
                if isinstance(reply, Failure) or reply.status >= 300:
                    break
        return TOO_LARGE if _is_too_large(reply) else self._read(reply, self.codec.read_file)

    async def file(self, file_id: str) -> RemoteFile | Failure:
        """What is known of a file."""
        return self._read(await self._http.send(self.codec.file_request(self.options, file_id)), self.codec.read_file)

    async def files(self) -> AsyncIterator[RemoteFile | Failure]:
        """All input files; ends with a Failure where the list breaks off."""
        async for entry in self._pages(self.codec.files_request, self.codec.read_file):
            yield entry

    async def delete_file(self, file_id: str) -> Failure | None:
        """Delete a file; that it is gone already is no failure."""
        reply = await self._http.send(self.codec.delete_request(self.options, file_id))
        if isinstance(reply, Failure):
            return reply
        return None if reply.status < 300 or reply.status == 404 else self._failure(reply)

    async def download(self, file_id: str, file: Path) -> Failure | None:
        """Write the bytes of a file to `file`."""
        request = self.codec.content_request(self.options, file_id)
        reply = await self._http.download(request, file, timeout_s=FILE_TIMEOUT_S)
        if isinstance(reply, Failure):
            return reply
        return None if reply.status == 200 else self._failure(reply)

    async def create(self, file_id: str, tag: str) -> RemoteBatch | BatchRefusal:
        """Begin a batch. This is the one call that costs money, and it must never be sent again in doubt."""
        request = self.codec.create_request(self.options, file_id, tag)
        reply = await self._http.send(request, timeout_s=CREATE_TIMEOUT_S)
        if isinstance(reply, Failure):
            return BatchRefusal(reply, is_sure=reply in UNREACHABLE)
        payload = wire.read_json(reply.body)
        if reply.status < 300:
            batch = self.codec.read_batch(payload)
            return BatchRefusal(_ODD, is_sure=False) if batch is None else batch
        is_sure = reply.status in _REFUSED and wire.read_error(payload) is not None
        return BatchRefusal(self.codec.parse_error(reply.status, reply.headers, payload), is_sure=is_sure)

    async def batch(self, batch_id: str) -> RemoteBatch | Failure:
        """One batch by its name: the only thing that decides that it is over."""
        reply = await self._http.send(self.codec.batch_request(self.options, batch_id))
        return self._read(reply, self.codec.read_batch)

    async def batches(self) -> AsyncIterator[RemoteBatch | Failure]:
        """All batches of the account; ends with a Failure where the list breaks off. It may lag behind."""
        async for entry in self._pages(self.codec.batches_request, self.codec.read_batch):
            yield entry

    async def cancel(self, batch_id: str) -> Failure | None:
        """Ask for the end of a batch. It ends some time later, or has ended already."""
        reply = await self._http.send(self.codec.cancel_request(self.options, batch_id))
        if isinstance(reply, Failure):
            return reply
        return None if reply.status < 300 else self._failure(reply)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _pages(
        self,
        ask: Callable[[EngineOptions, str | None], HttpRequest],
        read: Callable[[Any], _Read | None],
    ) -> AsyncIterator[_Read | Failure]:
        after: str | None = None
        while True:
            reply = await self._http.send(ask(self.options, after))
            page = self._read(reply, self.codec.read_list)
            if isinstance(page, Failure):
                yield page
                return
            for entry in page[0]:
                if (found := read(entry)) is not None:
                    yield found
            if page[1] is None or page[1] == after:
                return
            after = page[1]

    def _read(self, reply: HttpReply | Failure, read: Callable[[Any], _Read | None]) -> _Read | Failure:
        if isinstance(reply, Failure):
            return reply
        if reply.status >= 300:
            return self._failure(reply)
        found = read(wire.read_json(reply.body))
        return _ODD if found is None else found

    def _failure(self, reply: HttpReply) -> Failure:
        payload = wire.read_json(reply.body)
        failure = self.codec.parse_error(reply.status, reply.headers, payload)
        if failure.code is ErrorCode.MODEL_NOT_FOUND:  # a file or a batch is not there, or is another key's
            return Failure(ErrorCode.PROVIDER_REJECTED, failure.message, Action.FAIL, reply.status)
        return failure


def _is_too_large(reply: HttpReply | Failure) -> bool:
    """True if the size was refused, by 413 or OpenAI's 400 "File is too large."."""
    if isinstance(reply, Failure) or reply.status not in {400, 413}:
        return False
    error = wire.read_error(wire.read_json(reply.body))
    return reply.status == 413 or (error is not None and "too large" in error.message.lower())
