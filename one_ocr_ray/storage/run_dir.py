"""`_run/`: the configuration of an output and its plan, in objects that never change.

_run/config.json             the fingerprint, written by the first run
_run/plan/000000.json ...    batches of shards in planning order, each with the inputs it was made from
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from one_ocr_ray.errors import DamagedError, StoppedError, UsageError
from one_ocr_ray.model import DocumentRef, ErrorCode, Failure, Shard
from one_ocr_ray.policy.dataset.fingerprint import Fingerprint, config_difference
from one_ocr_ray.storage.store.objects import existing_objects
from one_ocr_ray.storage.store.uris import root_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from one_ocr_ray.storage.store.objects import Objects

CONFIG = "_run/config.json"
PLAN = "_run/plan"
RESULTS = ("pages", "documents", "_work")
_BATCH = re.compile(rf"{PLAN}/(\d{{6,}})\.json")


def open_dataset(output: str) -> tuple[Objects, Fingerprint]:
    """The dataset at `output` and its configuration. Raise UsageError if there is none; nothing is made."""
    objects = existing_objects(root_of(output))
    fingerprint = None if objects is None else RunDirectory(objects).fingerprint()
    if objects is None or fingerprint is None:
        raise UsageError(f"There is no dataset at {output}.")
    return objects, fingerprint


class RunDirectory:
    """The `_run/` folder of one output."""

    def __init__(self, output: Objects) -> None:
        self._output = output

    def claim(self, fingerprint: Fingerprint) -> None:
        """Store `fingerprint` as the configuration of this output, or check it. The lease must be held.

        While nothing was read it may change: the run before had a wrong key, model or address. Raise UsageError that
        names the difference if the output was made with another configuration.
        """
        body = orjson.dumps(asdict(fingerprint), option=orjson.OPT_INDENT_2)
        if self._output.put_new(CONFIG, body):
            return
        before = self.fingerprint()
        if before is not None and (changed := config_difference(before, fingerprint)):
            if not any(next(iter(self._output.list(folder)), None) for folder in RESULTS):
                self._output.put(CONFIG, body)
                return
            if before.schema_version != fingerprint.schema_version:
                raise UsageError(
                    f"The output {self._output.root} has dataset version {before.schema_version}, and this release "
                    f"writes version {fingerprint.schema_version}. Give another --output; "
                    "`one-ocr verify` and `one-ocr export` still read this one."
                )
            raise UsageError(
                f"The output {self._output.root} was made with another configuration ({changed}). "
                "Give the same settings, or another --output."
            )

    def fingerprint(self) -> Fingerprint | None:
        """The configuration of this output; None if there is none yet."""
        data = self._output.get(CONFIG)
        if data is None:
            return None
        with self._damage_reported(CONFIG):
            return Fingerprint(**{"schema_version": "1", **orjson.loads(data)})

    def plan(self) -> Iterator[tuple[Shard, ...]]:
        """The batches of shards planned so far, in planning order. Raise DamagedError if one is missing or torn.

        A plan that seems empty would be planned, paid and stored once more.
        """
        found = (_BATCH.fullmatch(info.path) for info in self._output.list(PLAN))
        count = max((int(match[1]) + 1 for match in found if match is not None), default=0)
        paths = [_batch_path(number) for number in range(count)]
        for path, data in zip(paths, self._output.get_many(paths), strict=True):
            yield self._batch(path, data)

    def batch(self, number: int) -> tuple[Shard, ...]:
        """Batch `number` of the plan."""
        path = _batch_path(number)
        return self._batch(path, self._output.get(path))

    def _batch(self, path: str, data: bytes | None) -> tuple[Shard, ...]:
        with self._damage_reported(path):
            shards = tuple(
                Shard(**{**values, "documents": tuple(map(_document, values["documents"]))})
                for values in orjson.loads(data or b"")
            )
            if not shards:
                raise ValueError("a batch of no shards is never written")
            return shards

    @contextmanager
    def _damage_reported(self, path: str) -> Iterator[None]:
        try:
            yield
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedError(
                f"The file {path} of the output {self._output.root} is missing, damaged or of a newer "
                "release, so nobody knows what was read already. Put it back from a copy, or give another --output."
            ) from error

    def add_to_plan(self, number: int, shards: Iterable[Shard]) -> None:
        """Write batch `number` of the plan, which must be new. Raise StoppedError if another driver wrote it."""
        body = orjson.dumps([asdict(shard) for shard in shards])
        if not self._output.put_new(_batch_path(number), body):
            raise StoppedError(
                f"Another run has taken this output over: the plan of {self._output.root} was changed by another run."
            )


def _batch_path(number: int) -> str:
    return f"{PLAN}/{number:06d}.json"


def _document(values: dict[str, Any]) -> DocumentRef:
    failure = values.pop("failure")
    if failure is not None:
        failure = Failure(ErrorCode(failure["code"]), failure["message"])
    return DocumentRef(failure=failure, **values)
