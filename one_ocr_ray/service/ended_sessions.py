"""Sessions that a logout has ended: known here at once, in other replicas within seconds."""

from __future__ import annotations

import asyncio
import hashlib
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from one_ocr_ray.errors import StorageError

if TYPE_CHECKING:
    from one_ocr_ray.storage.tasks.ended_sessions import EndedSessions

LOOK_EVERY_S = 5.0


class EndedSessionCache:
    """For one event loop."""

    def __init__(self, store: EndedSessions) -> None:
        self._store = store
        self._here: set[str] = set()
        self._stored: frozenset[str] = frozenset()
        self._look_at_s = 0.0  # of the monotonic clock

    async def has(self, session: str) -> bool:
        """True where a logout has ended `session`."""
        if time.monotonic() >= self._look_at_s:
            self._look_at_s = time.monotonic() + LOOK_EVERY_S
            with suppress(StorageError):  # the request itself will fail in the same way
                self._stored = await asyncio.to_thread(self._store.digests, time.time())
        return _digest(session) in self._here | self._stored

    async def end(self, session: str, expires_at: int) -> None:
        """End `session` for everybody. Raises StorageError where that cannot be stored."""
        self._here.add(_digest(session))
        await asyncio.to_thread(self._store.add, _digest(session), expires_at)


def _digest(session: str) -> str:
    return hashlib.sha256(session.encode()).hexdigest()
