"""One task manager per store: who takes over from whom, and when it starts to read."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.errors import StoreInUseError
from one_ocr_ray.policy.lease import STANDSTILL_S, Lease, deployment, is_later
from one_ocr_ray.storage.lease import Leases
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.tasks.manager_lease import FOLDER, ManagerLease, refuse_held_store
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OLD, NEW = deployment(1_700_000_000.0, "old"), deployment(1_700_000_100.0, "new")


class Manager:
    """What a task manager does with its lease: it ends when there is a later one."""

    def __init__(self, root: Path, of: str, ends_after_s: float = 0.0) -> None:
        self.lease = ManagerLease(str(root), of)
        self.lost = threading.Event()
        self.ended_at = 0.0
        self._ends_after_s = ends_after_s

    def take(self) -> int:
        return self.lease.take(self._end)

    def _end(self) -> None:
        def end() -> None:
            time.sleep(self._ends_after_s)
            self.ended_at = time.monotonic()
            self.lost.set()
            self.lease.release()

        threading.Thread(target=end).start()


@pytest.fixture
def managers() -> Iterator[list[Manager]]:
    made: list[Manager] = []
    yield made
    for each in made:
        each.lease.release()


def test_a_later_deployment_takes_over_when_the_earlier_has_ended(tmp_path: Path, managers: list[Manager]) -> None:
    """The new manager does not start before the old one has stopped its work."""
    managers += [Manager(tmp_path, OLD, ends_after_s=1.0), Manager(tmp_path, NEW)]
    assert [each.take() for each in managers] == [1, 2]
    assert managers[0].lost.is_set()
    assert time.monotonic() > managers[0].ended_at


def test_an_earlier_deployment_does_not_take_over_a_later_one(tmp_path: Path, managers: list[Manager]) -> None:
    """The old cluster of an upgrade starts no manager while the new one works; after its end it does."""
    managers += [Manager(tmp_path, NEW), Manager(tmp_path, OLD), Manager(tmp_path, OLD)]
    assert managers[0].take() == 1
    with pytest.raises(StoreInUseError, match=r"is at work on the store .* Stop that one, or give another --store"):
        managers[1].take()
    managers[0].lease.release()
    assert managers[2].take() == 2


def test_a_second_service_is_told_who_is_at_work(tmp_path: Path, managers: list[Manager]) -> None:
    """While the first lives; not after it has ended."""
    refuse_held_store(str(tmp_path), lambda _: None)
    managers.append(Manager(tmp_path, OLD))
    managers[0].take()
    with pytest.raises(StoreInUseError, match=r"process \d+ on "):
        refuse_held_store(str(tmp_path), lambda _: None)
    managers[0].lease.release()
    refuse_held_store(str(tmp_path), lambda _: None)


def test_a_dead_manager_is_replaced_at_once_and_its_number_is_not_reused(
    tmp_path: Path, managers: list[Manager]
) -> None:
    """Killed in the middle of its work: no wait; revs go on rising."""
    program = (
        f"import os; from one_ocr_ray.storage.tasks.manager_lease import ManagerLease\n"
        f"ManagerLease({str(tmp_path)!r}, {NEW!r}).take(id); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 9
    begun = time.monotonic()
    refuse_held_store(str(tmp_path), lambda _: None)
    managers.append(Manager(tmp_path, OLD))
    assert managers[0].take() == 2
    assert time.monotonic() - begun < STANDSTILL_S
    assert Leases(Objects(str(tmp_path)), FOLDER).generations() == [2]


def test_a_silent_manager_of_another_machine_is_waited_out(tmp_path: Path, managers: list[Manager]) -> None:
    """Nothing is known of it but that it does not move."""
    leases = Leases(Objects(str(tmp_path)), FOLDER)
    leases.put_new(7, Lease("elsewhere", 1, f"{OLD}.1"))
    (tmp_path / FOLDER / ".nfs0001").write_bytes(b"")
    begun, managers = time.monotonic(), [*managers, Manager(tmp_path, OLD)]
    assert managers[-1].take() == 8
    assert time.monotonic() - begun >= STANDSTILL_S
    managers[-1].lease.release()


def test_managers_that_start_together_never_share_a_generation(tmp_path: Path, managers: list[Manager]) -> None:
    """Of ten, each has its own, and the last one alone goes on."""
    managers += [Manager(tmp_path, deployment(1_700_000_000.0 + n, "x")) for n in range(10)]
    taken: list[int] = []

    def take(manager: Manager) -> None:
        try:
            taken.append(manager.take())
        except StoreInUseError:
            manager.lease.release()

    threads = [threading.Thread(target=take, args=(each,)) for each in managers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken)) == len(taken)
    started = [each for each in managers if each.lease.generation in taken]
    until(lambda: sum(not each.lost.is_set() for each in started) == 1, "the end of all but one")


def test_of_two_deployments_the_later_is_later() -> None:
    """Whatever their tokens; one is not later than itself."""
    old, new = Lease("a", 1, f"{OLD}.9"), Lease("b", 2, f"{NEW}.1")
    assert is_later(new, old)
    assert not is_later(old, new)
    assert not is_later(Lease("a", 1, f"{OLD}.8"), old)
