"""Start-time fair queueing (Goyal, Vin, Cheng 1996) over seconds of the bucket."""

from __future__ import annotations

_CATCH_UP_S = 1.0


class FairShares:
    """What each key has received. The key with the lowest `virtual_time` goes next.

    A key that was away for a moment (its next acquire is on the way) catches up by a second of the bucket at most.
    Longer absence earns no credit, and a new key starts where the others are.
    """

    def __init__(self) -> None:
        self._received: dict[str, float] = {}
        self._level = 0.0  # virtual time of the key that was served last

    def virtual_time(self, key: str) -> float:
        return max(self._received.get(key, self._level), self._level - _CATCH_UP_S)

    def charge(self, key: str, seconds: float) -> None:
        start = self.virtual_time(key)
        self._level = max(self._level, start)
        self._received[key] = start + seconds

    def forget(self, key: str) -> None:
        self._received.pop(key, None)
