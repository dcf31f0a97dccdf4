"""`book/<generation>.json` in the service's store: which task manager owns the store, and its epoch.

Of two services the one that was deployed later owns the store. Its manager claims the next generation, waits until the
manager before it has ended (or is dead or silent), and only then reads tasks. A manager of an earlier deployment does
not start beside a later one. No generation is used twice: a manager that ended leaves its file there, empty. The
generation is the epoch that revisions of tasks are numbered in.
"""

from __future__ import annotations

import threading
import time
from secrets import token_hex
from typing import TYPE_CHECKING

from one_ocr_ray.errors import StorageError, StoreInUseError
from one_ocr_ray.policy.lease import HEARTBEAT_S, Lease, Takeover, decide_takeover, decode_lease, is_later
from one_ocr_ray.storage.lease import LOOK_AGAIN_S, Leases, is_dead, may_take, my_lease
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.storage.tasks.task_store import MANAGER

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = MANAGER
ENDED = b""


class ManagerLease:
    """One task manager's lease of the store at `root`. Its calls block."""

    def __init__(self, root: str, deployment: str) -> None:
        """`deployment`: the service that the manager belongs to, as `policy.lease.deployment` names it."""
        self._leases = Leases(Objects(root), FOLDER)
        # The token keeps two managers that start together from writing equal objects, which a store takes for retries.
        self._mine = my_lease(f"{deployment}.{token_hex(8)}")
        self._ended = threading.Event()
        self._heart: threading.Thread | None = None
        self.generation = 0

    def take(self, on_lost: Callable[[], None]) -> int:
        """Become the only manager; gives its generation. Keeps the lease until `release`.

        Raise StoreInUseError if a manager of a later deployment is at work; call `release` then, too. `on_lost` is
        called in a thread if one starts later.
        """
        highest, holder = self._leases.highest()
        later = holder is not None and is_later(holder, self._mine)
        if later and not may_take(self._leases, highest, holder, lambda _: None):
            raise in_use(self._leases.root, holder)
        generation = highest + 1
        while not self._leases.put_new(generation, self._mine, lasting=True):
            generation += 1
        self.generation = generation
        lost = threading.Event()

        def on_lost_unless_ended() -> None:
            lost.set()
            if not self._ended.is_set():
                on_lost()

        beating = (self._ended, generation, self._mine, on_lost_unless_ended)
        self._heart = threading.Thread(target=self._leases.beat_until, args=beating, name="manager-lease", daemon=True)
        self._heart.start()
        for number in sorted(self._leases.generations()):
            if number < generation:
                self._await_end(number, lost)
                self._leases.delete(number)
        return generation

    def release(self) -> None:
        """Let the next manager start."""
        self._ended.set()
        if self._heart is not None and self._heart is not threading.current_thread():
            self._heart.join(HEARTBEAT_S)
        try:
            if self.generation:
                self._leases.put(self.generation, ENDED)
        except StorageError:
            return  # others wait until the lease has been silent long enough

    def _await_end(self, generation: int, lost: threading.Event) -> None:
        """Wait until the manager of an earlier generation has stopped."""
        data = self._leases.get(generation)
        first, first_s = decode_lease(data or ENDED), time.monotonic()
        while data:
            now = decode_lease(data)
            if now != first:  # it is alive, and checks for a later generation at each heartbeat
                first, first_s = now, time.monotonic()
            if decide_takeover(first, now, time.monotonic() - first_s, holder_is_dead=is_dead(now)) is Takeover.TAKE:
                return
            if lost.wait(LOOK_AGAIN_S):
                raise in_use(self._leases.root, self._leases.highest()[1])
            data = self._leases.get(generation)


def refuse_held_store(root: str, on_wait: Callable[[str], None]) -> None:
    """Raise StoreInUseError while another service works on the store at `root`."""
    leases = Leases(Objects(root), FOLDER)
    generation, holder = leases.highest()
    if holder is not None and not may_take(leases, generation, holder, on_wait):
        raise in_use(root, holder)


def in_use(root: str, holder: Lease | None) -> StoreInUseError:
    """The error for the second service."""
    by = f" (process {holder.pid} on {holder.host})" if holder is not None else ""
    return StoreInUseError(
        f"Another service{by} is at work on the store {root}. Stop that one, or give another --store."
    )
