"""`usage/<owner>/` in the service's store: what each API key has used, exact through crashes.

runs/<digest>.json   what one run of a task (its first reading, or a retry) has used; written before its end is told
sum.json             all earlier runs together, and the names of those that were added last

Runs are added to the sum once their end is durable. They are deleted after the sum is written, which names them, so a
crash in between counts none twice. Every call blocks.
"""

from __future__ import annotations

import hashlib
import logging
from datetime import date, timedelta
from typing import TYPE_CHECKING

import orjson

from one_ocr_ray.policy.tasks.usage import added, decoded, encoded, since
from one_ocr_ray.storage.store.objects import Objects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from one_ocr_ray.policy.tasks.usage import DailyUse

log = logging.getLogger(__name__)

USAGE = "usage"
KEPT_FOR = timedelta(days=400)
_NO_KEYS = "all"  # the owner's folder where the service has no keys


class UsageLedger:
    """The usage in the store at `root`. One process writes, any may read."""

    def __init__(self, root: str) -> None:
        self._objects = Objects(root)

    def put(self, owner: str, run_id: str, use: DailyUse) -> None:
        """Store what a run has used; repeated until its end is durable."""
        if use:
            self._objects.put(f"{_folder(owner)}/runs/{_name_of(run_id)}.json", orjson.dumps(encoded(use)))

    def use(self, owner: str) -> DailyUse:
        """What `owner` has used, day by day."""
        runs = dict(self._runs(_folder(owner)))  # before the sum: one that is added meanwhile is named there
        total, names = self._sum(_folder(owner)) or ({}, set())
        return added((total, *(use for name, use in runs.items() if name not in names)))

    def add_up(self, open_runs: Iterable[str], today: date) -> None:
        """Add all runs to their owners' sums, except open ones, whose end is not durable. Forget days long gone."""
        still_open = {_name_of(run_id) for run_id in open_runs}
        for owner in self._objects.folders(USAGE):
            folder = f"{USAGE}/{owner}"
            names = self._run_names(folder)
            stands = self._sum(folder)
            if stands is None:  # what it holds must not be overwritten
                continue
            total, before = stands
            for name in before & names:
                self._objects.delete(f"{folder}/runs/{name}.json")
            ended = dict(self._runs(folder, names - before - still_open))
            if not ended:
                continue
            total = since(added((total, *ended.values())), today - KEPT_FOR)
            self._objects.put(f"{folder}/sum.json", orjson.dumps({"days": encoded(total), "runs": sorted(ended)}))
            for name in ended:
                self._objects.delete(f"{folder}/runs/{name}.json")

    def _run_names(self, folder: str) -> set[str]:
        paths = (info.path.rpartition("/")[2] for info in self._objects.list(f"{folder}/runs"))
        return {path.removesuffix(".json") for path in paths if path.endswith(".json")}

    def _runs(self, folder: str, names: Iterable[str] | None = None) -> Iterable[tuple[str, DailyUse]]:
        chosen = sorted(self._run_names(folder) if names is None else names)
        found = self._objects.get_many([f"{folder}/runs/{name}.json" for name in chosen])
        for name, data in zip(chosen, found, strict=True):
            try:
                if data is not None:
                    yield name, decoded(orjson.loads(data))
            except (ValueError, TypeError, AttributeError):
                log.warning("what the run %s has used cannot be read", name)

    def _sum(self, folder: str) -> tuple[DailyUse, set[str]] | None:
        """The sum, and the runs that were added last. None if the file cannot be understood."""
        data = self._objects.get(f"{folder}/sum.json")
        try:
            values = {"days": {}, "runs": []} if data is None else orjson.loads(data)
            return decoded(values["days"]), set(values["runs"])
        except (ValueError, TypeError, KeyError, AttributeError):
            log.warning("%s/sum.json is damaged, or of a newer release; it is left as it is", folder)
            return None


def _name_of(run_id: str) -> str:
    """The name of a run's file: nothing in the store names a deleted task."""
    return hashlib.sha256(run_id.encode()).hexdigest()[:32]


def _folder(owner: str) -> str:
    return f"{USAGE}/{owner or _NO_KEYS}"
