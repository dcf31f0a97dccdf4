"""The tasks in memory, and the turns that their owners take. No Ray."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from one_ocr_ray.policy.tasks.task import TaskRecord, TaskState, TaskView
from one_ocr_ray.reading.limits.fair_semaphore import FairSemaphore
from one_ocr_ray.tasks.registry import TaskEntry, TaskRegistry
from tests.values import NOON


def entry(number: int, owner: str = "a", **changes: object) -> TaskEntry:
    """Task `number`, created that many seconds after noon."""
    record = TaskRecord(f"t_{number:022d}", f"b_{number % 2}", owner, "a.pdf", 1, "", NOON + timedelta(seconds=number))
    return TaskEntry(replace(TaskView(record, TaskState.PENDING, rev=1), **changes))  # type: ignore[arg-type]


def ids(table: TaskRegistry, owner: str = "a", cursor: str = "", **narrowed: object) -> tuple[list[int], str | None]:
    """The numbers of a page of the list, and its cursor."""
    page = table.page(
        owner,
        cursor,
        **{"state": None, "batch_id": None, "limit": 2, "now": NOON, **narrowed},  # type: ignore[arg-type]
    )
    return [int(view.record.task_id[2:]) for view in page.items], page.next_cursor


def test_the_list_is_by_age_and_survives_what_comes_and_goes() -> None:
    """A cursor stays good while tasks are added and removed."""
    table = TaskRegistry()
    entries = [entry(number) for number in (3, 1, 5, 2, 4)]
    for each in (*entries, entry(9, owner="b")):
        table.add(each)
    first, cursor = ids(table)
    assert first == [5, 4]
    table.add(entry(6))
    table.remove(entries[4])
    table.remove(entries[0])
    assert ids(table, cursor=cursor or "") == ([2, 1], None)
    assert ids(table, batch_id="b_1", limit=10) == ([5, 1], None)
    assert ids(table, state=TaskState.SUCCESS) == ([], None)
    assert ids(table, owner="nobody") == ([], None)


def test_expired_tasks_are_not_listed() -> None:
    """They are still known, for whoever asks by id."""
    table = TaskRegistry()
    table.add(entry(1, state=TaskState.SUCCESS, expires_at=NOON))
    assert ids(table) == ([], None)
    assert table.get("a", f"t_{1:022d}") is not None


@pytest.mark.parametrize("cursor", ["x", "é", "bm8gY3Vyc29y", "MjAyNi0wMS0wMVQwMDowMDowMA=="])
def test_a_cursor_that_was_never_given_is_refused(cursor: str) -> None:
    """Whatever it is made of."""
    with pytest.raises(ValueError, match=r".*"):
        ids(TaskRegistry(), cursor=cursor)


async def test_who_waits_is_told() -> None:
    """Of a change and of the removal; and not later than asked."""
    table, one = TaskRegistry(), entry(1)
    table.add(one)
    await one.news_within(0.0)
    waiting = asyncio.create_task(one.news_within(60.0))
    await asyncio.sleep(0)
    table.publish(one, replace(one.view, rev=2))
    await waiting
    waiting = asyncio.create_task(one.news_within(60.0))
    await asyncio.sleep(0)
    table.remove(one)
    await waiting
    assert one.deleted


async def test_turns_go_round_the_owners() -> None:
    """Someone who comes late with one task does not wait for all the tasks of someone else."""
    turns, order = FairSemaphore(1), list[str]()

    async def work(owner: str, name: str) -> None:
        async with turns.turn(owner):
            order.append(name)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(work("many", f"m{number}")) for number in range(9)]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(work("few", "f")))
    await asyncio.gather(*tasks)
    assert order.index("f") <= 4
    assert len(order) == 10


async def test_a_turn_that_is_not_wanted_any_more_is_passed_on() -> None:
    """Cancelled while it waits, or in the instant of its turn."""
    turns = FairSemaphore(1)
    ended = asyncio.Event()

    async def hold() -> None:
        async with turns.turn("a"):
            await ended.wait()

    first = asyncio.create_task(hold())
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(hold()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    ended.set()
    await first
    waiting[1].cancel()  # its turn has come in this very instant
    await asyncio.wait_for(waiting[2], 5)
    async with asyncio.timeout(5), turns.turn("b"):
        pass


@pytest.mark.parametrize("seed", range(5))
def test_lists_and_counts_are_those_of_the_tasks_after_any_changes(seed: int) -> None:
    """They are kept as tasks come, change and go, so that nobody has to look at all of them."""
    chance, table = random.Random(seed), TaskRegistry()
    entries: list[TaskEntry] = []
    for number in range(300):
        if not entries or chance.random() < 0.4:
            record = TaskRecord(
                f"t_{number:022d}", f"b_{number % 7}", chance.choice("xy"), "a.pdf", 1, "", NOON + timedelta(number)
            )
            entries.append(TaskEntry(TaskView(record, chance.choice(list(TaskState)), rev=1)))
            table.add(entries[-1])
        elif chance.random() < 0.8:
            entry = chance.choice(entries)
            table.publish(entry, replace(entry.view, state=chance.choice(list(TaskState)), pages_total=5))
        else:
            table.remove(entries.pop(chance.randrange(len(entries))))
    views = [entry.view for entry in entries]
    unfinished = [view for view in views if not view.state.terminal]
    assert table.load() == (len(unfinished), sum(view.pages_total or 1 for view in unfinished))
    assert table.by_state() == Counter({state.value: sum(v.state is state for v in views) for state in TaskState})
    for owner, state, batch_id in product("xyz", (None, *TaskState), (None, "b_1", "b_9")):
        found = table.page(owner, "", state=state, batch_id=batch_id, limit=1000, now=NOON).items
        assert list(found) == [
            view
            for view in reversed(views)
            if view.record.owner == owner and state in (None, view.state) and batch_id in (None, view.record.batch_id)
        ]
