"""`_run/`: the configuration of an output and its plan, as objects that are written once and never change.

_run/config.json             the fingerprint, written by the first run
_run/plan/000000.json ...    batches of shards in planning order, each with the inputs it was made from
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from one_ocr_ray.errors import StoppedError, UsageError
from one_ocr_ray.model import DocumentRef, ErrorCode, Failure, Shard
from one_ocr_ray.policy.fingerprint import Fingerprint, difference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from one_ocr_ray.storage.objects import Objects

CONFIG = "_run/config.json"
PLAN = "_run/plan"


class RunDirectory:
    """The `_run/` folder of one output."""

    def __init__(self, output: Objects) -> None:
        self._output = output

    def claim(self, fingerprint: Fingerprint) -> None:
        """Make `fingerprint` the configuration of this output, or check that it is; its lease must be held.

        An output without a plan changes its configuration: the run before met a wrong key, model or address. Raises
        UsageError, naming the difference, when the output was made with another configuration.
        """
        body = orjson.dumps(asdict(fingerprint), option=orjson.OPT_INDENT_2)
        if self._output.put_new(CONFIG, body):
            return
        before = self.fingerprint()
        if before is not None and (changed := difference(before, fingerprint)):
            if not any(self.plan()):
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
        """The configuration that this output was made with; None when there is none yet."""
        data = self._output.get(CONFIG)
        return Fingerprint(**{"schema_version": "1", **orjson.loads(data)}) if data is not None else None

    def plan(self) -> Iterator[tuple[Shard, ...]]:
        """The batches of shards planned so far, in planning order."""
        paths = sorted(info.path for info in self._output.list(PLAN))
        for data in self._output.get_many(paths):
            yield _batch(data)

    def batch(self, number: int) -> tuple[Shard, ...]:
        """Batch `number` of the plan."""
        return _batch(self._output.get(_batch_path(number)))

    def add_to_plan(self, number: int, shards: Iterable[Shard]) -> None:
        """Write batch `number` of the plan; it must be new. Raises StoppedError when another driver wrote it."""
        body = orjson.dumps([asdict(shard) for shard in shards])
        if not self._output.put_new(_batch_path(number), body):
            raise StoppedError(
                f"Another run has taken this output over: the plan of {self._output.root} was changed by another run."
            )


def _batch_path(number: int) -> str:
    return f"{PLAN}/{number:06d}.json"


def _batch(data: bytes | None) -> tuple[Shard, ...]:
    return tuple(_shard(each) for each in orjson.loads(data or b"[]"))


def _shard(values: dict[str, Any]) -> Shard:
    documents = tuple(_document(each) for each in values.pop("documents"))
    return Shard(documents=documents, **values)


def _document(values: dict[str, Any]) -> DocumentRef:
    failure = values.pop("failure")
    if failure is not None:
        failure = Failure(ErrorCode(failure["code"]), failure["message"])
    return DocumentRef(failure=failure, **values)
