"""`_run/lease/<generation>.json`: one driver per output, over all machines; `policy/lease.py` has the rules."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from one_ocr_ray.errors import OutputInUseError, StorageError
from one_ocr_ray.policy.lease import HEARTBEAT_S, Lease, Takeover, decide_takeover, decode_lease, is_of_machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from one_ocr_ray.storage.store.objects import Objects

FOLDER = "_run/lease"
LOOK_AGAIN_S = 0.5


class Leases:
    """The generations of one lease, as objects in a folder."""

    def __init__(self, objects: Objects, folder: str) -> None:
        self.root = objects.root
        self._objects = objects
        self._folder = folder

    def highest(self) -> tuple[int, Lease | None]:
        """The highest generation and its lease; 0 if there is none."""
        generation = max(self.generations(), default=0)
        data = self.get(generation) if generation else None
        return (generation, decode_lease(data)) if data is not None else (0, None)

    def generations(self) -> list[int]:
        """All generations, in no order; foreign files are ignored."""
        names = [info.path.rpartition("/")[2].removesuffix(".json") for info in self._objects.list(self._folder)]
        return [int(name) for name in names if name.isascii() and name.isdecimal()]

    def get(self, generation: int) -> bytes | None:
        """The bytes of a generation; None if it is gone."""
        return self._objects.get(self._path(generation))

    def put_new(self, generation: int, lease: Lease, *, lasting: bool = False) -> bool:
        """Claim a generation; False if another process has it."""
        return self._objects.put_new(self._path(generation), lease.encode(), lasting=lasting)

    def put(self, generation: int, data: bytes) -> None:
        """Replace the bytes of a generation."""
        self._objects.put(self._path(generation), data, lasting=False)

    def delete(self, generation: int) -> None:
        """Delete a generation."""
        self._objects.delete(self._path(generation))

    def beat_until(self, ended: threading.Event, generation: int, mine: Lease, on_lost: Callable[[], None]) -> None:
        """Keep `generation` alive; call `on_lost` and return once there is a higher one. Blocks."""
        while not ended.wait(HEARTBEAT_S):
            mine = replace(mine, beat=mine.beat + 1)
            try:
                if self.highest()[0] != generation:
                    on_lost()
                    return
                self.put(generation, mine.encode())
            except StorageError:
                continue  # the work itself will fail and say so; a missed beat does no harm

    def _path(self, generation: int) -> str:
        return f"{self._folder}/{generation:06d}.json"


@contextmanager
def held_lease(
    output: Objects, run_id: str, on_wait: Callable[[str], None], on_lost: Callable[[], None]
) -> Iterator[None]:
    """Hold the lease of `output` during the block.

    Raise OutputInUseError if another driver works on it. `on_wait` gets one sentence while a silent lease is waited
    out; `on_lost` is called in a thread if another driver has taken over.
    """
    leases, mine = Leases(output, FOLDER), my_lease(run_id)
    while True:
        last, holder = leases.highest()
        if last and not may_take(leases, last, holder, on_wait):
            where = f" by process {holder.pid} on {holder.host}" if holder else ""
            raise OutputInUseError(f"The output {leases.root} is in use{where}. Wait for that run, or stop it.")
        if leases.put_new(last + 1, mine):
            break
    generation = last + 1
    ended = threading.Event()
    heart = threading.Thread(
        target=leases.beat_until, args=(ended, generation, mine, on_lost), name="lease", daemon=True
    )
    heart.start()
    try:
        yield
    finally:
        ended.set()
        heart.join()
        with suppress(StorageError):  # others wait until the lease has been silent long enough
            for number in leases.generations():
                if number <= generation:
                    leases.delete(number)


def my_lease(run_id: str) -> Lease:
    """A lease of this process."""
    return Lease(socket.gethostname(), os.getpid(), run_id, machine=_machine())


def may_take(leases: Leases, generation: int, first: Lease | None, on_wait: Callable[[str], None]) -> bool:
    """True if the holder of `generation`, first seen as `first`, is gone. Waits until that is known."""
    started = time.monotonic()
    notified = False
    while True:
        data = leases.get(generation)
        if data is None:
            return True  # released
        decision = decide_takeover(first, decode_lease(data), time.monotonic() - started, holder_is_dead=is_dead(first))
        if decision is not Takeover.WAIT:
            return decision is Takeover.TAKE
        if not notified and time.monotonic() - started > HEARTBEAT_S + LOOK_AGAIN_S:
            notified = True
            on_wait(f"Another process was at work on {leases.root} and has gone silent; taking over within 10 s.")
        time.sleep(LOOK_AGAIN_S)


def is_dead(holder: Lease | None) -> bool:
    """True if the holder of a lease is known to be gone. Nothing is known of another machine."""
    if holder is None or not is_of_machine(holder, _machine()):
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it is alive, and another user's
        return False
    return False


def _machine() -> str:
    """This boot of this kernel and this process's pid namespace. Empty if the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""
