"""What a death may cost: the provider's ledger and the output, held against the promise of the contract.

A death may repeat the calls that were in flight and those that were answered in its last second, at most 16 a worker;
what stood in the journal or in a committed file is never asked for again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.dataset.verify import verify
from one_ocr_ray.storage.journal import WORK, Journal
from one_ocr_ray.storage.plan_index import PlanIndex
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.store.objects import Objects
from tests.provider import Identity
from tests.provider.ledger import most_in_flight

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from one_ocr_ray.model import PageResult
    from tests.provider import Row

ROWS_AT_RISK = 16  # a worker
RISK_S = 1.0


@dataclass(frozen=True, slots=True)
class Death:
    """When a process was killed, when the last that it took with it had gone, and the pages that were safe then."""

    killed_s: float
    gone_s: float
    safe: frozenset[str]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one death has cost: pages asked for again, and how many could be."""

    in_flight: int  # most calls under way at one moment, from the kill until the last process it took was gone
    just_answered: int  # in the second before the end, and since the kill
    repeated: int
    repeated_safe: tuple[str, ...]  # must be none

    def is_within_the_promise(self, workers: int = 1) -> bool:
        allowed = self.in_flight + min(self.just_answered, ROWS_AT_RISK * workers)
        return not self.repeated_safe and self.repeated <= allowed


def safe_pages(root: str, by_s: float) -> frozenset[str]:
    """The identities of all pages that stand in the output at `root`: committed, or in the journal.

    Of those that were read by then, in seconds of the monotonic clock: whoever is left goes on, and soon makes safe
    what was lost.
    """
    by = datetime.now(UTC) - timedelta(seconds=time.monotonic() - by_s)
    output = Objects(root)
    fingerprint = RunDirectory(output).fingerprint()
    if fingerprint is None:
        return frozenset()
    dataset = Dataset(output, {})
    planned = {shard.shard_id for batch in RunDirectory(output).plan() for shard in batch}
    rows = [row for shard_id in planned for row in dataset.pages(shard_id)]
    for shard_id in {info.path.split("/")[1] for info in output.list(WORK)}:
        rows.extend(Journal(output, shard_id, fingerprint.config_id).read())
    return frozenset(identity_of(row) for row in rows if row.failure is None and row.finished_at <= by)


def identity_of(row: PageResult) -> str:
    """The identity that the page must have by its place."""
    document = int(row.source_name.removeprefix("doc-").removesuffix(".pdf"))
    return str(Identity(document, row.page_number))


def costs_of(deaths: Sequence[Death], rows: Sequence[Row]) -> list[Cost]:
    """What each of `deaths`, in order, has cost by the ledger's `rows`. A lost call is the first death's after it."""
    costs: list[Cost] = []
    since_s = 0.0
    for death in deaths:
        later = {row.page for row in rows if row.arrived_s > death.gone_s}
        life = [row for row in rows if row.page and since_s < row.arrived_s <= death.gone_s]
        costs.append(_cost(death, life, later))
        since_s = death.gone_s
    return costs


def _cost(death: Death, life: Sequence[Row], later: Set[str | None]) -> Cost:
    """`life`: the calls between the death before and this one; `later`: the pages that were asked for after it."""
    at_the_end = [row for row in life if row.finished_s > death.killed_s]
    clipped = [replace(row, arrived_s=max(row.arrived_s, death.killed_s)) for row in at_the_end]
    just = {row.page for row in life if row.answered and row.finished_s > death.killed_s - RISK_S}
    lost = {row.page for row in life} & later
    return Cost(most_in_flight(clipped), len(just), len(lost), tuple(sorted(death.safe & later)))


def wrong_in(root: str, expected: set[str]) -> list[str]:
    """What is wrong with the finished output at `root`: pages missing, doubled or swapped, and what `verify` says."""
    found = list(verify(root))
    output = Objects(root)
    dataset = Dataset(output, {})
    seen: list[str] = []
    for shard_id in PlanIndex.load(RunDirectory(output)).shard_ids():
        for row in dataset.pages(shard_id):
            seen.append(identity_of(row))
            if str(Identity.parse(row.markdown or "doc-0000 page 0")) != seen[-1]:
                found.append(f"{seen[-1]} has the text of another page")
    if sorted(seen) != sorted(expected):
        found.append(f"{len(expected - set(seen))} pages missing, {len(seen) - len(set(seen))} doubled")
    return found
