"""`ParcelSpool` collects a shard's request lines in a local file, and uploads each full parcel."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from one_ocr_ray.engines.llm.batch.client import TOO_LARGE
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.model import Action, Failure
from one_ocr_ray.policy.batch.parcel import UploadedFile
from one_ocr_ray.policy.known_sums import add_known
from one_ocr_ray.storage.batches import file_tag

if TYPE_CHECKING:
    from pathlib import Path

    from one_ocr_ray.clock import Clock
    from one_ocr_ray.engines.llm.batch.client import BatchClient
    from one_ocr_ray.job import BatchJob
    from one_ocr_ray.policy.batch.parcel import LinePage
    from one_ocr_ray.policy.batch.remote import RemoteFile
    from one_ocr_ray.reading.stopping import Ending
    from one_ocr_ray.storage.batches import BatchState

UPLOAD_TRIES = 6
BACK_OFF_S = 2.0
NO_UPLOAD = "A file of requests could not be uploaded. {message} The same command resumes."
TAKEN = "Another run has taken this output over."


@dataclass(frozen=True, slots=True)
class _Line:
    page: LinePage
    size_bytes: int
    tokens: int
    most_usd: float | None


@dataclass(slots=True)
class _Open:
    """The file that is being filled."""

    path: Path
    lines: list[_Line] = field(default_factory=list)
    size_bytes: int = 0
    tokens: int = 0
    most_usd: float | None = 0.0

    def add(self, line: _Line) -> None:
        self.lines.append(line)
        self.size_bytes += line.size_bytes
        self.tokens += line.tokens
        self.most_usd = add_known(self.most_usd, line.most_usd)

    def halves(self) -> list[_Open]:
        """The two halves of a full file, as files beside it. Blocks."""
        found, middle = [], len(self.lines) // 2
        with self.path.open("rb") as whole:
            for number, lines in enumerate((self.lines[:middle], self.lines[middle:])):
                half = _Open(self.path.with_suffix(f".{number}"))
                with half.path.open("wb") as out:
                    for line in lines:
                        out.write(whole.read(line.size_bytes))
                        half.add(line)
                found.append(half)
        self.path.unlink()
        return found


class ParcelSpool:
    """For the coroutines of one event loop. At most one file is on disk; a line waits while the full one is sent."""

    def __init__(
        self,
        state: BatchState,
        client: BatchClient,
        job: BatchJob,
        shard_id: str,
        first_number: int,
        *,
        folder: Path,
        clock: Clock,
    ) -> None:
        self._state = state
        self._client = client
        self._job = job
        self._shard_id = shard_id
        self._number = first_number
        self._folder = folder
        self._clock = clock
        self._open: _Open | None = None
        self._lock = asyncio.Lock()
        self.uploaded_bytes = 0

    async def add(self, page: LinePage, body: bytes, tokens: int, most_usd: float | None, ending: Ending) -> None:
        """Add a line for `page`. Raises StoppedError when a file cannot be uploaded."""
        async with self._lock:
            if self._open is not None and self._is_full(self._open, len(body), tokens, most_usd):
                await self._send(self._open, ending)
            if self._open is None:
                self._open = _Open(self._folder / "open.jsonl")
            now = self._open
            key = f"{len(now.lines):04d}"
            line = self._client.codec.build_line(self._client.options, key, body)
            await asyncio.to_thread(_append, now.path, line)
            now.add(_Line(replace(page, key=key), len(line), tokens, most_usd))

    def _is_full(self, now: _Open, body_bytes: int, tokens: int, most_usd: float | None) -> bool:
        limits, ceiling = self._client.limits, self._job.parcel_usd
        return (
            now.size_bytes + body_bytes + 200 > limits.most_bytes
            or len(now.lines) >= limits.most_pages
            or now.tokens + tokens > self._job.parcel_tokens
            or (ceiling is not None and (now.most_usd or 0.0) + (most_usd or 0.0) > ceiling)
        )

    async def close(self, ending: Ending) -> None:
        """Upload what is left. Nothing once the run ends early: those pages are asked for by the next one."""
        async with self._lock:
            if self._open is not None and ending.reason is None:
                await self._send(self._open, ending)

    async def _send(self, full: _Open, ending: Ending) -> None:
        """Upload a file, in halves where it is too large there. The parcel of the whole file then stays without one."""
        number, pages = self._number, [line.page for line in full.lines]
        if not await asyncio.to_thread(self._state.put_pages, self._shard_id, number, pages):
            raise StoppedError(TAKEN)
        self._number += 1
        path = self._folder / f"{file_tag(self._job.account, self._shard_id, number)}.jsonl"
        full.path = await asyncio.to_thread(full.path.rename, path)
        with ending.requesting():
            file = await self._upload(path, is_one_line=len(pages) == 1)
        if file is None:
            self._client.limits = replace(self._client.limits, most_bytes=full.size_bytes // 2)
            for half in await asyncio.to_thread(full.halves):
                await self._send(half, ending)
            return
        now_s = self._clock.utc().timestamp()
        record = UploadedFile(file.file_id, full.size_bytes, len(pages), full.tokens, full.most_usd, now_s)
        await asyncio.to_thread(self._state.put_file, self._shard_id, number, record)
        await asyncio.to_thread(path.unlink)
        self.uploaded_bytes += full.size_bytes
        self._open = None

    async def _upload(self, path: Path, *, is_one_line: bool) -> RemoteFile | None:
        """Upload a file; again after a fault, when nothing of that name is left there. None: it is too large."""
        attempt = 0
        while isinstance(found := await self._client.upload(path), Failure):
            if found is TOO_LARGE and not is_one_line:
                return None
            attempt += 1
            if found.action not in {Action.RETRY, Action.THROTTLED} or attempt == UPLOAD_TRIES:
                raise StoppedError(NO_UPLOAD.format(message=found.message), found.code)
            await self._clock.sleep(max(found.retry_after_s or 0.0, BACK_OFF_S * 2 ** (attempt - 1)))
            await delete_named(self._client, path.stem)
        return found


async def delete_named(client: BatchClient, name: str) -> bool:
    """Delete files of the account with our `name`; False if that could not be done."""
    done = True
    async for file in client.files():
        if isinstance(file, Failure):
            return False
        if file.name == name:
            done = await client.delete_file(file.file_id) is None and done
    return done


def _append(path: Path, line: bytes) -> None:
    with path.open("ab") as out:
        out.write(line)
