"""`_run/batches/`: what is known of provider batches, in objects that never change.

_run/batches/account.json          the account, and a random name of this output
_run/batches/<shard>/<number>/     a parcel: pages, file, intent-, fence-, receipt-, ended-, output-<n>, marks
_run/batches/lost/<tag>/           a creation that was given up, while a batch of it may still come: asked, counted

The state is not under `_work/`: what stands there belongs to a shard that is being read. When a shard is committed its
parcels shrink to the mark `cleaned`, so that no number, and with it no tag, is ever used again.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import orjson

from one_ocr_ray.blocks import PageBox, TextLayer
from one_ocr_ray.errors import DamagedError, UsageError
from one_ocr_ray.model import PageImage
from one_ocr_ray.policy.batch.parcel import LinePage, LostTry, Parcel, Receipt, Stage, Try, UploadedFile, tag_of
from one_ocr_ray.policy.batch.remote import RemoteBatch, RemoteState
from one_ocr_ray.policy.cost.spending import Spending
from one_ocr_ray.storage.spending.records import record_spending

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pydantic import SecretStr

    from one_ocr_ray.storage.store.objects import Objects

BATCHES = "_run/batches"
ACCOUNT = f"{BATCHES}/account.json"
LOST = f"{BATCHES}/lost"
PROVED = f"{BATCHES}/proved.json"
_NAME = re.compile(rf"{BATCHES}/([^/]+)/(\d+)/([a-z]+)(?:-(\d+))?(?:\.json|\.z)?")
_MARKS = {each.value for each in (Stage.CLEANED, Stage.COLLECTED, Stage.FETCHED, Stage.ABANDONED)}


@dataclass(frozen=True, slots=True)
class Account:
    """Where the batches of an output lie. `key_digest` tells keys apart and reveals none."""

    output_id: str
    engine: str
    model: str
    base_url: str
    key_digest: str


class BatchState:
    """The parcels of one output. Calls block."""

    def __init__(self, output: Objects) -> None:
        self._output = output

    def account(self) -> Account | None:
        """The account whose batches these are; None before the first."""
        data = self._output.get(ACCOUNT)
        return Account(**_json(ACCOUNT, data)) if data is not None else None

    def claim(self, engine: str, model: str, base_url: str, key_digest: str) -> Account:
        """The account of this output. Raises UsageError when it is another one and parcels lie there."""
        mine = Account(token_hex(16), engine, model, base_url, key_digest)
        self._output.put_new(ACCOUNT, orjson.dumps(asdict(mine)))
        found = self.account() or mine
        if replace(mine, output_id=found.output_id) == found:
            return found
        if any(each.stage is not Stage.CLEANED for each in self.parcels()):
            raise UsageError(
                "Batches of this output lie in another account. Use the key and address with which they were made, "
                "or end them there with `one-ocr batch cancel OUTPUT`."
            )
        mine = replace(mine, output_id=found.output_id)
        self._output.put(ACCOUNT, orjson.dumps(asdict(mine)))
        return mine

    def parcels(self, shard_id: str | None = None) -> Iterator[Parcel]:
        """All parcels, or those of one shard, in order."""
        names: dict[tuple[str, int], list[str]] = defaultdict(list)
        for info in self._output.list(f"{BATCHES}/{shard_id}" if shard_id else BATCHES):
            if (match := _NAME.fullmatch(info.path)) is not None:
                names[match[1], int(match[2])].append(info.path)
        for (shard, number), paths in sorted(names.items()):
            yield self._parcel(shard, number, paths)

    def parcel(self, shard_id: str, number: int) -> Parcel:
        """One parcel as it stands."""
        folder = _folder(shard_id, number)
        return self._parcel(shard_id, number, [info.path for info in self._output.list(folder)])

    def _parcel(self, shard_id: str, number: int, paths: Iterable[str]) -> Parcel:
        found = [match for match in map(_NAME.fullmatch, paths) if match is not None]
        marks = frozenset(match[3] for match in found if match[3] in _MARKS)
        parcel = Parcel(shard_id, number, marks=marks)
        if Stage.CLEANED in marks and not any(match[3] == "file" for match in found):
            return parcel  # a tombstone
        wanted = sorted(match[0] for match in found if match[3] in {"file", "intent", "fence", "receipt", "ended"})
        objects = dict(zip(wanted, self._output.get_many(wanted), strict=True))
        read = {path.rpartition("/")[2].removesuffix(".json"): _json(path, data) for path, data in objects.items()}
        tries = []
        for name in sorted(each for each in read if each.startswith("intent-")):
            at = name.removeprefix("intent-")
            receipt, ended = read.get(f"receipt-{at}"), read.get(f"ended-{at}")
            if ended:
                ended |= {"state": RemoteState(ended["state"]), "outputs": tuple(ended["outputs"])}
            tries.append(
                Try(
                    **read[name],
                    **read.get(f"fence-{at}", {}),
                    receipt=Receipt(**receipt) if receipt else None,
                    ended=RemoteBatch(**ended) if ended else None,
                )
            )
        file = UploadedFile(**read["file"]) if "file" in read else None
        return replace(parcel, file=file, tries=tuple(tries))

    # --- writing, in the order of a parcel's life

    def put_pages(self, shard_id: str, number: int, pages: Sequence[LinePage]) -> bool:
        """Record which pages a parcel holds, before its file is uploaded. False if the number is taken."""
        rows = [_plain(page) for page in pages]
        data = zlib.compress(orjson.dumps(rows), 1)
        return self._output.put_new(f"{_folder(shard_id, number)}/pages.z", data)

    def pages(self, parcel: Parcel) -> list[LinePage]:
        """The pages of a parcel."""
        path = f"{_folder(parcel.shard_id, parcel.number)}/pages.z"
        data = self._output.get(path)
        if data is None:
            return []
        try:
            return [_line_page(row) for row in orjson.loads(zlib.decompress(data))]
        except (zlib.error, orjson.JSONDecodeError, TypeError, KeyError) as error:
            raise _damaged(path) from error

    def put_file(self, shard_id: str, number: int, file: UploadedFile) -> None:
        """Record an upload."""
        self._output.put_new(f"{_folder(shard_id, number)}/file.json", orjson.dumps(asdict(file)))

    def put_intent(self, parcel: Parcel, tag: str, now_s: float) -> bool:
        """Record that a batch is about to be created. Only who gets True may create it."""
        path = f"{_folder(parcel.shard_id, parcel.number)}/intent-{len(parcel.tries):04d}.json"
        # The random part tells two writers apart: the store takes equal bytes for the same writer's.
        return self._output.put_new(path, orjson.dumps({"tag": tag, "asked_s": now_s, "writer": token_hex(8)}))

    def put_fence(self, parcel: Parcel, now_s: float) -> None:
        """Record that the file of the last intent is deleted."""
        self._put_last(parcel, "fence", {"fenced_s": now_s})

    def put_receipt(self, parcel: Parcel, receipt: Receipt) -> None:
        """Record what became of the last intent."""
        self._put_last(parcel, "receipt", asdict(receipt))

    def put_ended(self, parcel: Parcel, batch: RemoteBatch) -> None:
        """Record the end of the batch as the provider told it."""
        self._put_last(parcel, "ended", asdict(batch))

    def put_output(self, parcel: Parcel, at: int, file: Path) -> None:
        """Keep a result, compressed, before anything of it is read."""
        packed = file.with_suffix(".z")
        packer = zlib.compressobj(1)
        with file.open("rb") as source, packed.open("wb") as out:
            while piece := source.read(1 << 20):
                out.write(packer.compress(piece))
            out.write(packer.flush())
        self._output.put(f"{_folder(parcel.shard_id, parcel.number)}/output-{at:04d}.z", packed)
        packed.unlink()

    def output_lines(self, parcel: Parcel) -> Iterator[bytes]:
        """The lines of all results of a parcel, as they came."""
        folder = _folder(parcel.shard_id, parcel.number)
        for path in sorted(info.path for info in self._output.list(folder) if "/output-" in info.path):
            try:
                text = zlib.decompress(self._output.get(path) or b"")
            except zlib.error as error:
                raise _damaged(path) from error
            yield from (line for line in text.split(b"\n") if line)

    def mark(self, parcel: Parcel, stage: Stage, values: Mapping[str, Any] | None = None) -> None:
        """Set the mark of a stage: fetched, collected, cleaned or abandoned."""
        self._output.put_new(
            f"{_folder(parcel.shard_id, parcel.number)}/{stage.value}.json", orjson.dumps(values or {})
        )

    def marked(self, parcel: Parcel, stage: Stage) -> dict[str, Any]:
        """What was written with the mark of a stage; empty without one."""
        path = f"{_folder(parcel.shard_id, parcel.number)}/{stage.value}.json"
        data = self._output.get(path)
        return _json(path, data) if data is not None else {}

    def prove(self) -> None:
        """Record that pages of this output were answered well."""
        self._output.put_new(PROVED, b"{}")

    def is_proved(self) -> bool:
        """True once pages of this output were answered well."""
        return self._output.get(PROVED) is not None

    # --- creations that nobody has seen a batch of

    def put_lost(self, lost: LostTry) -> None:
        """Record a creation that is given up."""
        self._output.put_new(f"{LOST}/{lost.tag}/asked.json", orjson.dumps(asdict(lost)))

    def lost(self) -> list[LostTry]:
        """All of them that may still come to light."""
        paths = [info.path for info in self._output.list(LOST) if info.path.endswith("/asked.json")]
        found = zip(paths, self._output.get_many(paths), strict=True)
        return [LostTry(**_json(path, data)) for path, data in found]

    def count_lost(self, lost: LostTry) -> bool:
        """Count what a batch can have cost that nobody reads. False if that is done already."""
        if self._output.get(f"{LOST}/{lost.tag}/counted.json") is not None:
            return False
        record_spending(self._output, Spending(requests=lost.pages, unknown_usd=lost.most_usd))
        self._output.put_new(f"{LOST}/{lost.tag}/counted.json", b"{}")
        return True

    def forget_lost(self, lost: LostTry) -> None:
        """Leave nothing of a creation whose batch can do no more."""
        self._output.delete(f"{LOST}/{lost.tag}/asked.json")  # first: without the other it would be counted again
        self._output.delete_all(f"{LOST}/{lost.tag}")

    def shrink(self, parcel: Parcel) -> None:
        """Leave nothing of a cleaned parcel but its mark."""
        folder = _folder(parcel.shard_id, parcel.number)
        self._output.delete_all(folder, but=f"{folder}/{Stage.CLEANED.value}.json")

    def _put_last(self, parcel: Parcel, what: str, values: dict[str, Any]) -> None:
        at = len(parcel.tries) - 1
        self._output.put_new(f"{_folder(parcel.shard_id, parcel.number)}/{what}-{at:04d}.json", orjson.dumps(values))


def key_digest(base_url: str, key: SecretStr | None) -> str:
    """What tells the account of a key, and does not tell the key."""
    text = f"{base_url}\0{key.get_secret_value() if key is not None else ''}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_tag(account: Account, shard_id: str, number: int) -> str:
    """Our name for the file of a parcel."""
    return tag_of(account.output_id, f"{shard_id}/{number:04d}", "file")


def batch_tag(account: Account, parcel: Parcel) -> str:
    """Our name for the next batch of a parcel."""
    return tag_of(account.output_id, parcel.name, f"batch {len(parcel.tries)}")


def _folder(shard_id: str, number: int) -> str:
    return f"{BATCHES}/{shard_id}/{number:04d}"


def _json(path: str, data: bytes | None) -> dict[str, Any]:
    try:
        values: dict[str, Any] = orjson.loads(data or b"")
    except orjson.JSONDecodeError as error:
        raise _damaged(path) from error
    values.pop("writer", None)
    return values


def _damaged(path: str) -> DamagedError:
    return DamagedError(
        f"The file {path} of this output is damaged; it says what lies at the provider. Put it back from a copy."
    )


def _plain(page: LinePage) -> dict[str, Any]:
    layer = page.image.layer
    image = asdict(replace(page.image, layer=None))
    del image["data"]
    image["layer"] = layer and [layer.data.hex(), layer.ink.hex(), layer.ink_columns, layer.document_id]
    return {"key": page.key, "document_id": page.document_id, "reason": page.reason, "attempts": page.attempts, **image}


def _line_page(row: Mapping[str, Any]) -> LinePage:
    box, layer = row["page_box"], row["layer"]
    places: dict[str, Any] = {
        "page_box": PageBox(**box) if box else None,
        "layer": TextLayer(bytes.fromhex(layer[0]), bytes.fromhex(layer[1]), *layer[2:]) if layer else None,
    }
    own = {name: row[name] for name in ("key", "document_id", "reason", "attempts")}
    image = {name: value for name, value in row.items() if name not in own and name not in places}
    return LinePage(**own, image=PageImage(data=b"", **image, **places))
