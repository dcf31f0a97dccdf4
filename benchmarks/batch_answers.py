"""Answers what the documentation of batch APIs leaves open, with a real key, for less than a dollar.

    OPENAI_API_KEY=... python -m benchmarks.batch_answers openai --model gpt-5.6-luna
    OPENAI_API_KEY=... python -m benchmarks.batch_answers openai --model DEPLOYMENT \
        --base-url https://NAME.openai.azure.com/openai/v1
    GEMINI_API_KEY=... python -m benchmarks.batch_answers gemini --model gemini-3.8-flash

It makes about eight batches of five small pages, prints a line for each answer, and at the end, also when it is
interrupted, deletes what it has made. A batch takes minutes or hours: `--wait` bounds the wait for each. `--large`
uploads a file of 205 MB, too, which costs nothing. It was never run with a real key, only against the tests' provider.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import tempfile
import time
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import orjson
from PIL import Image
from pydantic import SecretStr

from one_ocr_ray.engines.defaults import DEFAULT_BASE_URLS, DEFAULT_MODELS
from one_ocr_ray.engines.llm.batch import gemini_batch
from one_ocr_ray.engines.llm.batch.client import BatchClient
from one_ocr_ray.engines.llm.codec import CODECS
from one_ocr_ray.engines.llm.http import HttpReply, HttpSender
from one_ocr_ray.engines.llm.wire import HttpRequest
from one_ocr_ray.engines.options import EngineOptions
from one_ocr_ray.environment import KEY_VARIABLES, provider_key
from one_ocr_ray.model import Failure, PageImage, PageRequest
from one_ocr_ray.policy.batch.remote import BatchRefusal, RemoteBatch

if TYPE_CHECKING:
    from one_ocr_ray.model import Answer
    from one_ocr_ray.policy.batch.remote import RemoteFile

PAGES = 5
LISTED_S = 1200.0
# Longer than the least that providers cache.
ASK = PageRequest(prompt="Say: blank. " + "This sentence is the same in each request. " * 200, output_tokens_cap=64)
SCHEMA = '{"type":"object","properties":{"title":{"type":"string"}},"required":["title"],"additionalProperties":false}'


def page(number: int) -> PageImage:
    encoded = io.BytesIO()
    Image.new("RGB", (256, 256), (255, 255 - number, 255)).save(encoded, "JPEG")
    data = encoded.getvalue()
    return PageImage(number, 256, 256, data, sha256(data).hexdigest(), 0, 0)


@dataclass
class Questions:
    """One account that is asked. `files`, `made`: files and batches that are to be gone at the end."""

    client: BatchClient
    folder: Path
    wait_s: float
    poll_s: float
    tag: str = field(default_factory=lambda: f"oo-answers-{token_hex(4)}")
    files: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    batches: int = 0

    async def uploaded(self, ask: PageRequest = ASK, fields: dict[str, Any] | None = None, pages: int = PAGES) -> str:
        """Upload a file of requests; gives its id. `fields` are put into each of its lines, too."""
        options, codec = self.client.options, CODECS[self.client.options.name]
        images = [page(number) for number in range(pages)]
        images[-1] = replace(images[-1], data=b"no image")  # a line that the provider refuses alone
        bodies = [orjson.loads(codec.build_body(options, image, ask)) | (fields or {}) for image in images]
        lines = [
            self.client.codec.build_line(options, f"{at:04d}", orjson.dumps(body)) for at, body in enumerate(bodies)
        ]
        file = self.folder / f"{self.tag}-{token_hex(4)}.jsonl"
        await asyncio.to_thread(file.write_bytes, b"".join(lines))
        found = await self.client.upload(file)
        if isinstance(found, Failure):
            raise SystemExit(found.message)
        self.files.append(found.file_id)
        return found.file_id

    def next_tag(self) -> str:
        self.batches += 1
        return f"{self.tag}-{self.batches}"

    async def asked(self, file_id: str, client: BatchClient | None = None, tag: str = "") -> RemoteBatch | BatchRefusal:
        """Ask for a batch, which is not to stay."""
        made = await (client or self.client).create(file_id, tag or self.next_tag())
        self.made += [made.batch_id] if isinstance(made, RemoteBatch) else []
        return made

    async def created(self, file_id: str) -> RemoteBatch:
        """Create a batch, or end."""
        made = await self.asked(file_id)
        if isinstance(made, BatchRefusal):
            raise SystemExit(made.failure.message)
        return made

    async def until(self, batch: RemoteBatch, *, running: bool = False) -> RemoteBatch:
        """The batch when it has ended, or is past validation, or at the end of our patience."""
        began_s = time.monotonic()
        while time.monotonic() - began_s < self.wait_s:
            now = await self.client.batch(batch.batch_id)
            if not isinstance(now, Failure) and (now.state.is_over or (running and now.is_accepted)):
                return now
            await asyncio.sleep(self.poll_s)
        return batch

    async def told(self, batch: RemoteBatch) -> str:
        """How a batch has ended, and what its lines say; its results go."""
        ended = await self.until(batch)
        answers = [answer for output in ended.outputs for answer in await self._lines(output)]
        good = [answer for answer in answers if answer is not None and answer.failure is None]
        faults = sorted({answer.failure.code.value for answer in answers if answer is not None and answer.failure})
        used = [answer.usage for answer in answers if answer is not None]
        tokens = (sum(each.input_tokens or 0 for each in used), sum(each.cached_tokens or 0 for each in used))
        return (
            f"{ended.state}{f' ({ended.code})' if ended.code else ''}, {len(good)} good of {len(answers)} lines, "
            f"faults {', '.join(faults) or 'none'}; {tokens[0]} input tokens, {tokens[1]} of them cached"
        )

    async def _lines(self, output: str) -> list[Answer | None]:
        path = self.folder / token_hex(4)
        if await self.client.download(output, path) is not None:
            return []
        read = [self.client.codec.read_line(line) for line in (await asyncio.to_thread(path.read_bytes)).splitlines()]
        return [result.answer for result in read if result is not None]

    # --- the questions, in the order of their numbers

    async def listing(self) -> RemoteBatch:
        """How soon a list shows a new batch, and what it shows of it."""
        batch = await self.created(await self.uploaded())
        began_s, seen = time.monotonic(), None
        while seen is None and time.monotonic() - began_s < LISTED_S:
            listed = [each async for each in self.client.batches() if isinstance(each, RemoteBatch)]
            seen = next((each for each in listed if each.batch_id == batch.batch_id), None)
            await asyncio.sleep(1 if seen is None else 0)
        if seen is None:
            print(f"1. No list has shown a new batch within {LISTED_S:.0f} s.")
            return batch
        print(f"1. A list shows a new batch after {time.monotonic() - began_s:.1f} s,")
        print(f"   with our tag: {seen.tag == f'{self.tag}-1'}; with its input file: {seen.input_file is not None}.")
        return batch

    async def order(self) -> None:
        """In which order a list shows batches."""
        listed = [each async for each in self.client.batches() if isinstance(each, RemoteBatch)]
        times = [each.created_s or 0.0 for each in listed]
        order = "newest first" if times == sorted(times, reverse=True) else "in another order"
        print(f"1. A list of {len(times)} batches shows them {order}.")

    async def fences(self) -> None:
        """What becomes of a batch whose input is deleted."""
        file_id = await self.uploaded()
        early = await self.created(file_id)
        fault = await self.client.delete_file(file_id)
        print(f"2. Deleting the input of a new batch: {fault.message if fault else 'done'}.")
        refused = await self.asked(file_id)
        late_file = await self.uploaded()
        late = await self.until(await self.created(late_file), running=True)
        fault = await self.client.delete_file(late_file)
        print(f"   Deleting the input of one that runs: {fault.message if fault else 'done'}.")
        said = refused.failure.message if isinstance(refused, BatchRefusal) else f"taken; {await self.told(refused)}"
        print(f"   Creating a batch of a deleted file: {said}")
        print(f"   The new one: {await self.told(early)}.")
        print(f"   The one that ran: {await self.told(late)}.")

    async def cancelling(self) -> None:
        """What a batch gives that is cancelled while it runs; names at Gemini."""
        running = await self.until(await self.created(await self.uploaded()), running=True)
        fault = await self.client.cancel(running.batch_id)
        print(f"3. Cancelling a batch that runs: {fault.message if fault else 'taken'}; {await self.told(running)}.")
        if self.client.options.name == "gemini":
            path = self.folder / f"{self.tag}-twice.jsonl"
            await asyncio.to_thread(path.write_bytes, b"{}\n")
            first, second = await self.client.upload(path), await self.client.upload(path)
            self.files += [each.file_id for each in (first,) if not isinstance(each, Failure)]
            print(f"   The same name twice: {second.message if isinstance(second, Failure) else 'taken twice'}")
            print(f"   Asking how much of an upload has come: {await self._queried(path)}")

    async def _queried(self, path: Path) -> str:
        """What the provider says of an upload of which one piece has come."""
        options, sender = self.client.options, HttpSender(timeout_s=60.0)
        begun = await sender.send(gemini_batch.start_request(options, f"{path.stem}-query", 1 << 20))
        url = begun.headers.get("x-goog-upload-url", "") if isinstance(begun, HttpReply) else ""
        if url:
            await sender.send(gemini_batch.piece_request(url, 0, b" " * (256 << 10), is_last=False))
        told = await sender.send(HttpRequest(url, {"X-Goog-Upload-Command": "query"}, b"")) if url else begun
        await sender.close()
        if isinstance(told, Failure):
            return told.message
        received = told.headers.get("x-goog-upload-size-received", "no size")
        return f"HTTP {told.status}, {received} of {256 << 10} bytes"

    async def fields(self) -> None:
        """A service tier in a line, and answers by a JSON Schema."""
        name = "serviceTier" if self.client.options.name == "gemini" else "service_tier"
        for what, file_id in (
            (f"{name} in a line", await self.uploaded(fields={name: "flex"})),
            ("a JSON Schema", await self.uploaded(replace(ASK, json_schema=SCHEMA))),
        ):
            made = await self.asked(file_id)
            said = made.failure.message if isinstance(made, BatchRefusal) else await self.told(made)
            print(f"4. With {what}: {said}")

    async def repeating(self, *, large: bool) -> None:
        """The effect of an idempotency key, and how large a file may be."""
        options = replace(self.client.options, headers={"Idempotency-Key": SecretStr(token_hex(8))})
        file_id, twice = await self.uploaded(), BatchClient(options)
        tag = self.next_tag()
        made = [await self.asked(file_id, twice, tag) for _ in range(2)]
        await twice.close()
        found = [each.batch_id for each in made if isinstance(each, RemoteBatch)]
        print(f"5. Created twice with one Idempotency-Key: {len(set(found))} batches.")
        if large:
            path = self.folder / f"{self.tag}-large.jsonl"
            line = self.client.codec.build_line(self.client.options, "0000", b"{}")
            await asyncio.to_thread(path.write_bytes, line[:-1] + b" " * (205_000_000 - len(line)) + b"\n")
            sent: RemoteFile | Failure = await self.client.upload(path)
            print(f"   A file of 205,000,000 bytes: {sent.message if isinstance(sent, Failure) else 'taken'}")
            self.files += [] if isinstance(sent, Failure) else [sent.file_id]

    async def polling(self, batch: RemoteBatch, seconds: int) -> None:
        """Whether a look a second is too many."""
        faults = 0
        for _ in range(seconds):
            faults += isinstance(await self.client.batch(batch.batch_id), Failure)
            await asyncio.sleep(1)
        print(f"6. Looking once a second, {seconds} times: {faults} faults.")

    async def clean(self) -> None:
        """End every batch and delete every file that is ours."""
        for batch_id in dict.fromkeys(self.made):
            now = await self.client.batch(batch_id)
            if isinstance(now, RemoteBatch) and not now.state.is_over:
                await self.client.cancel(batch_id)
            self.files += now.outputs if isinstance(now, RemoteBatch) else ()
        faults = {file_id: await self.client.delete_file(file_id) for file_id in self.files}
        for file_id, fault in faults.items():
            if fault is not None:
                print(f"   A name of {len(file_id)} characters cannot be deleted: {fault.message}")
        print(LEFT_OPEN)


LEFT_OPEN = """Open are the tokens that a refusal counts for an image (5.), what a 429 at a creation brings along (6.),
and whether lines that failed or were cut off are billed (3., 6.): compare the tokens above with the bill."""


async def answers(questions: Questions, *, looks: int, large: bool) -> None:
    """Ask everything; what takes long goes last."""
    try:
        first = await questions.listing()
        await questions.polling(first, looks)
        await questions.repeating(large=large)
        await questions.fences()
        await questions.cancelling()
        await questions.fields()
        print(f"6. The first batch, whose last line has no image: {await questions.told(first)}.")
        await questions.order()
    finally:
        await questions.clean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=["openai", "gemini"])
    parser.add_argument("--model")
    parser.add_argument("--base-url")
    parser.add_argument("--wait", type=float, default=7200.0, metavar="S", help="seconds to wait for each batch")
    parser.add_argument("--poll", type=float, default=10.0, metavar="S", help="seconds between looks")
    parser.add_argument("--looks", type=int, default=60, help="looks of the sixth question")
    parser.add_argument("--large", action="store_true", help="upload a file of 205 MB, too")
    given = parser.parse_args()
    key = provider_key(given.engine)
    if key is None:
        parser.error(f"set {KEY_VARIABLES[given.engine][0]}: these questions are answered with a key alone")
    options = EngineOptions(
        name=given.engine,
        model=given.model or DEFAULT_MODELS[given.engine],
        base_url=given.base_url or DEFAULT_BASE_URLS[given.engine],
        api_key=key,
    )

    async def run() -> None:
        client = BatchClient(options)
        try:
            with tempfile.TemporaryDirectory() as folder:
                questions = Questions(client, Path(folder), given.wait, given.poll)
                await answers(questions, looks=given.looks, large=given.large)
        finally:
            await client.close()

    asyncio.run(run())


if __name__ == "__main__":
    main()
