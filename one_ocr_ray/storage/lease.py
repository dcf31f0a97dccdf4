"""`_run/lease/<generation>.json`: one driver per output, seen from any machine; see `policy/lease.py` for the rules."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from one_ocr_ray.errors import OutputInUseError, StorageError
from one_ocr_ray.policy.lease import HEARTBEAT_S, Lease, Verdict, decode_lease, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from one_ocr_ray.storage.objects import Objects

FOLDER = "_run/lease"
LOOK_AGAIN_S = 0.5


@contextmanager
def held_lease(
    output: Objects, run_id: str, on_wait: Callable[[str], None], on_lost: Callable[[], None]
) -> Iterator[None]:
    """Hold the lease of `output` for the time of the block.

    Raises OutputInUseError when another driver is at work. `on_wait` gets one sentence when a lease that stands still
    is waited out; `on_lost` is called, in a thread, when another driver has taken over.
    """
    generation = _acquire(output, _mine(run_id), on_wait)
    ended = threading.Event()
    heart = threading.Thread(
        target=_beat, args=(output, generation, _mine(run_id), ended, on_lost), name="lease", daemon=True
    )
    heart.start()
    try:
        yield
    finally:
        ended.set()
        heart.join()
        _release(output, generation)


def _mine(run_id: str) -> Lease:
    return Lease(socket.gethostname(), os.getpid(), run_id)


def _acquire(output: Objects, mine: Lease, on_wait: Callable[[str], None]) -> int:
    """Become the highest generation; its number."""
    while True:
        generation, holder = _highest(output)
        if generation and not _may_take(output, generation, holder, on_wait):
            where = f" by process {holder.pid} on {holder.host}" if holder else ""
            raise OutputInUseError(f"The output {output.root} is in use{where}. Wait for that run, or stop it.")
        if output.put_new(_path(generation + 1), mine.encode(), lasting=False):
            return generation + 1


def _may_take(output: Objects, generation: int, first: Lease | None, on_wait: Callable[[str], None]) -> bool:
    started = time.monotonic()
    told = False
    while True:
        data = output.get(_path(generation))
        if data is None:
            return True  # released
        dead = first is not None and first.host == socket.gethostname() and not _is_alive(first.pid)
        verdict = judge(first, decode_lease(data), time.monotonic() - started, holder_is_dead=dead)
        if verdict is not Verdict.WAIT:
            return verdict is Verdict.TAKE
        if not told and time.monotonic() - started > HEARTBEAT_S + LOOK_AGAIN_S:
            told = True
            on_wait(
                "Another run was at work on this output and has gone silent; waiting up to 10 s before taking over."
            )
        time.sleep(LOOK_AGAIN_S)


def _beat(output: Objects, generation: int, mine: Lease, ended: threading.Event, on_lost: Callable[[], None]) -> None:
    while not ended.wait(HEARTBEAT_S):
        mine = replace(mine, beat=mine.beat + 1)
        try:
            if _highest(output)[0] != generation:
                on_lost()
                return
            output.put(_path(generation), mine.encode(), lasting=False)
        except StorageError:
            continue  # the work itself will meet the same trouble and say so; a missed beat is no harm


def _release(output: Objects, generation: int) -> None:
    try:
        for number in _generations(output):
            if number <= generation:
                output.delete(_path(number))
    except StorageError:
        return  # it will stand still and be waited out


def _highest(output: Objects) -> tuple[int, Lease | None]:
    """The highest generation and its lease; 0 when there is none."""
    generation = max(_generations(output), default=0)
    data = output.get(_path(generation)) if generation else None
    return (generation, decode_lease(data)) if data is not None else (0, None)


def _generations(output: Objects) -> list[int]:
    names = [info.path.rpartition("/")[2].removesuffix(".json") for info in output.list(FOLDER)]
    return [int(name) for name in names if name.isdecimal()]


def _path(generation: int) -> str:
    return f"{FOLDER}/{generation:06d}.json"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
