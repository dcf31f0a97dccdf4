"""Who is next: start-time fair queueing (Goyal, Vin, Cheng 1996) over seconds of the bucket."""

from __future__ import annotations

_CATCH_UP_S = 1.0


class FairShares:
    """What each key has had. The key with the lowest `turn` goes next.

    A key that was away a moment (its next question on the way) catches up, by a second of the bucket at most; one that
    was away longer has saved nothing up, and a new one starts where the others are.
    """

    def __init__(self) -> None:
        self._had: dict[str, float] = {}
        self._level = 0.0  # the turn of the key that was served last

    def turn(self, key: str) -> float:
        return max(self._had.get(key, self._level), self._level - _CATCH_UP_S)

    def charge(self, key: str, seconds: float) -> None:
        turn = self.turn(key)
        self._level = max(self._level, turn)
        self._had[key] = turn + seconds

    def forget(self, key: str) -> None:
        self._had.pop(key, None)
