"""A run by a route of two models that is killed at every change it makes on disk: no paid answer is asked for again."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.model import Answer, PageRequest, Shard, TokenUsage
from one_ocr_ray.policy.cost.metering import ProviderMetering
from one_ocr_ray.policy.cost.pricing import Price
from one_ocr_ray.policy.page.quality import judge
from one_ocr_ray.reading.limits.token_bucket import NoLimit
from one_ocr_ray.reading.route.reader import Reader
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.journal import WORK, Journal
from one_ocr_ray.storage.spending.records import recorded_spending
from one_ocr_ray.storage.store.objects import Objects
from tests.faults.small_run import dying
from tests.scripted_engine import ScriptedEngine
from tests.shard_runs import FINGERPRINT, read_shard
from tests.values import document

if TYPE_CHECKING:
    from pathlib import Path

    from one_ocr_ray.model import PageImage

KILLED = 9
PAGES = 12
UNUSABLE = {2, 3, 7, 8, 12}  # by the small model
ASK_S = {"small": 0.005, "large": 0.1}  # so that pages are on their way to the large one while others are written
ASK = PageRequest(prompt="Read.")
SHARD = Shard("000000-a", (document(1, page_count=PAGES),))
USED = TokenUsage(1000, 100)
GOOD = Answer(text="one two three four", usage=USED, finish_reason="stop")
ENDLESS = Answer(text="and so on and on and on " * 100, usage=USED)
COST_USD = {"small": (1000 * 1.0 + 100 * 1.0) / 1e6, "large": (1000 * 10.0 + 100 * 10.0) / 1e6}

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["pytest", "tests.faults.test_routes"])  # what each process would import anew


class LoggedEngine(ScriptedEngine):
    """Appends each request to a file that survives its process."""

    def __init__(self, name: str, log: Path, unusable: frozenset[int]) -> None:
        usable = set(range(1, PAGES + 1)) - unusable
        script = {**dict.fromkeys(unusable, (ENDLESS,)), **dict.fromkeys(usable, (GOOD,))}
        super().__init__(script, model=name, latency_s=ASK_S[name])
        self.name = name
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def analyze_image_async(self, image: PageImage, request: PageRequest) -> Answer:
        answer = await super().analyze_image_async(image, request)
        os.write(self._log, f"{self.name} {image.page_number}\n".encode())
        return answer


def run(root: Path, log: str, step: int = 0, *, torn: bool = False) -> int:
    """One run, which ends at `step`; every answer that somebody paid for goes to the file `log`. Gives the steps."""
    route = []
    for name, unusable in (("small", frozenset(UNUSABLE)), ("large", frozenset())):
        usd = {"small": 1.0, "large": 10.0}[name]
        metering = ProviderMetering(
            lambda *_: 1000, name, image_detail="high", prices={name: Price(usd, usd)}, output_cap=1000
        )
        engine = LoggedEngine(name, root.parent / log, unusable)
        route.append(Reader(engine, NoLimit(), ASK, "p" * 64, metering, judge))
    with dying(step, lambda: os._exit(KILLED), torn=torn) as changes:
        asyncio.run(read_shard(root, tuple(route), SHARD, log, pages_at_once=6))
    return len(changes)


def killed(root: Path, step: int, *, torn: bool) -> None:
    """A run in a process that is killed at `step`."""
    process = context.Process(target=run, args=(root, "first", step), kwargs={"torn": torn})
    process.start()
    process.join(120)
    assert process.exitcode == KILLED


def answers_in(log: Path) -> list[tuple[str, int]]:
    """The model and the page of each answer that was paid for."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [(line.split()[0], int(line.split()[1])) for line in lines]


def test_a_route_killed_at_every_step_asks_no_reader_again_whose_answer_was_safe(tmp_path: Path) -> None:
    """Neither for a page that was read nor for one that was under way at the next model; the money adds up.

    Every other change is torn.
    """
    (tmp_path / "whole").mkdir()
    steps = run(tmp_path / "whole" / "out", "log")
    went_on = 0
    for step in range(1, steps + 1):
        root = tmp_path / str(step) / "out"
        root.parent.mkdir()
        killed(root, step, torn=step % 2 == 0)
        output = Objects(str(root))
        journal = Journal(output, SHARD.shard_id, FINGERPRINT.config_id)
        safe = [*journal.read(), *Dataset(output, {}).pages(SHARD.shard_id)]
        read, passed = {row.page_number for row in safe}, {row.page_number for row in journal.passed}
        run(root, "second")
        again = answers_in(root.parent / "second")
        assert not [page for _, page in again if page in read]
        assert not [page for model, page in again if model == "small" and page in passed]
        went_on += len(passed - read)
        rows = Dataset(output, {}).pages(SHARD.shard_id)
        assert [row.engine for row in rows] == ["large" if n in UNUSABLE else "small" for n in range(1, PAGES + 1)]
        on_the_way = [row for row in journal.passed if row.page_number not in read]
        before_usd = sum(row.cost_usd or 0.0 for row in {row.page_number: row for row in (*safe, *on_the_way)}.values())
        known_usd = recorded_spending(output, None).known_usd + sum(row.cost_usd or 0.0 for row in rows)
        assert known_usd == pytest.approx(before_usd + sum(COST_USD[model] for model, _ in again)), step
        assert not output.folders(WORK)
    assert went_on  # some were killed between two models
