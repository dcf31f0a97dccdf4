"""How an account's limits are enforced: pure arithmetic, `now_s` passed in, exact to a rounding error.

Three ways are seen in the field (OpenAI refills a bucket, Azure looks at windows of 1 s and 10 s, Gemini at minutes and
days), and clients must keep a limit whichever it is:

    bucket    refills evenly, holds at most `burst`
    sliding   never more than `limit` in any window of `window_s`
    fixed     a counter that falls to zero at every multiple of `window_s`; a day is a fixed window of 86,400 s
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict

_ROUNDING = 1e-6  # of a second, a request or a token
_DAY_LIKE_S = 3600.0


class Unit(StrEnum):
    REQUESTS = "requests"
    TOKENS = "tokens"


class Mode(StrEnum):
    BUCKET = "bucket"
    SLIDING = "sliding"
    FIXED = "fixed"


class Quota(BaseModel):
    """One limit: `limit` requests or tokens per `window_s` seconds, enforced in `mode`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: Unit
    limit: float
    window_s: float = 60.0
    mode: Mode = Mode.SLIDING
    burst: float | None = None  # of a bucket, which starts full; None = the whole limit

    @property
    def per_minute(self) -> float:
        """The limit as a rate, in units per minute."""
        return self.limit * 60.0 / self.window_s

    @property
    def is_daily(self) -> bool:
        return self.window_s >= _DAY_LIKE_S


def strict_minute(limit: int, unit: Unit = Unit.REQUESTS, tolerance: float = 0.1) -> tuple[Quota, ...]:
    """`limit` in any 60 s, and no second over its sixtieth by more than `tolerance`."""
    return (
        Quota(unit=unit, limit=limit),
        Quota(unit=unit, limit=math.floor(limit / 60 * (1 + tolerance) + _ROUNDING), window_s=1.0),
    )


class GcraMeter(Protocol):
    """The state of one quota. Calls come with `now_s` that never falls."""

    quota: Quota

    def wait_s(self, now_s: float, cost: float) -> float:
        """Seconds until `cost` fits: 0.0 when it fits now, infinity when it never will."""

    def charge(self, now_s: float, cost: float) -> None:
        """Count `cost`, whether it fits or not."""

    def remaining(self, now_s: float) -> float:
        """What still fits now."""

    def reset_s(self, now_s: float) -> float:
        """Seconds until nothing is counted any more, which is what `x-ratelimit-reset-*` says."""


class Bucket:
    """A refill: overdrawn never, so what a refused request costs is at most what was left."""

    def __init__(self, quota: Quota, now_s: float) -> None:
        self.quota = quota
        self._rate = quota.limit / quota.window_s
        self._size = quota.limit if quota.burst is None else quota.burst
        self._level, self._at_s = self._size, now_s

    def wait_s(self, now_s: float, cost: float) -> float:
        missing = cost - self.remaining(now_s)
        if cost > self._size + _ROUNDING:
            return math.inf
        return missing / self._rate if missing > _ROUNDING else 0.0

    def charge(self, now_s: float, cost: float) -> None:
        self._level = max(0.0, self.remaining(now_s) - cost)
        self._at_s = now_s

    def remaining(self, now_s: float) -> float:
        return min(self._size, self._level + (now_s - self._at_s) * self._rate)

    def reset_s(self, now_s: float) -> float:
        return (self._size - self.remaining(now_s)) / self._rate


class SlidingWindow:
    """A log of the last `window_s` seconds. What was counted at `t` is forgotten at exactly `t + window_s`."""

    def __init__(self, quota: Quota, now_s: float) -> None:
        self.quota = quota
        self._counted: deque[tuple[float, float]] = deque()  # (forgotten at, cost)
        self._sum = 0.0
        self._forget(now_s)

    def wait_s(self, now_s: float, cost: float) -> float:
        excess = cost - self.remaining(now_s)
        if excess <= _ROUNDING:
            return 0.0
        for forgotten_at_s, counted in self._counted:
            excess -= counted
            if excess <= _ROUNDING:
                return forgotten_at_s - now_s
        return math.inf

    def charge(self, now_s: float, cost: float) -> None:
        self._counted.append((now_s + self.quota.window_s, cost))
        self._sum += cost

    def remaining(self, now_s: float) -> float:
        self._forget(now_s)
        return self.quota.limit - self._sum

    def reset_s(self, now_s: float) -> float:
        self._forget(now_s)
        return self._counted[-1][0] - now_s if self._counted else 0.0

    def _forget(self, now_s: float) -> None:
        while self._counted and self._counted[0][0] <= now_s + _ROUNDING:
            self._sum -= self._counted.popleft()[1]


class FixedWindow:
    """A counter per window; windows begin at multiples of `window_s` after the meter was made."""

    def __init__(self, quota: Quota, now_s: float) -> None:
        self.quota = quota
        self._origin_s = now_s
        self._window, self._used = 0, 0.0

    def wait_s(self, now_s: float, cost: float) -> float:
        if cost <= self.remaining(now_s) + _ROUNDING:
            return 0.0
        return self.reset_s(now_s) if cost <= self.quota.limit + _ROUNDING else math.inf

    def charge(self, now_s: float, cost: float) -> None:
        self._turn(now_s)
        self._used += cost

    def remaining(self, now_s: float) -> float:
        self._turn(now_s)
        return self.quota.limit - self._used

    def reset_s(self, now_s: float) -> float:
        return self._origin_s + (self._turn(now_s) + 1) * self.quota.window_s - now_s

    def _turn(self, now_s: float) -> int:
        window = math.floor((now_s - self._origin_s) / self.quota.window_s + _ROUNDING)
        if window != self._window:
            self._window, self._used = window, 0.0
        return window


_METERS: dict[Mode, type[Bucket | SlidingWindow | FixedWindow]] = {
    Mode.BUCKET: Bucket,
    Mode.SLIDING: SlidingWindow,
    Mode.FIXED: FixedWindow,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which quota said no, and when it would say yes."""

    quota: Quota
    wait_s: float  # infinity: never, the request is larger than the limit
    used: float
    requested: float


class Account:
    """All quotas of one account: a request passes all of them or is charged to none.

    Where `failed_requests_count` (OpenAI: "unsuccessful requests contribute to your per-minute limit"), a refused one
    is charged to the request quotas all the same.
    """

    def __init__(self, quotas: tuple[Quota, ...], now_s: float, *, failed_requests_count: bool = True) -> None:
        self._meters: list[GcraMeter] = [_METERS[quota.mode](quota, now_s) for quota in quotas]
        self._failed_requests_count = failed_requests_count

    def admit(self, now_s: float, tokens: float) -> Refusal | None:
        """Charge one request of `tokens` tokens, or say why not; the wait of a refusal is true when it is given."""
        if all(meter.wait_s(now_s, _cost(meter, tokens)) <= 0.0 for meter in self._meters):
            for meter in self._meters:
                meter.charge(now_s, _cost(meter, tokens))
            return None
        refusing = max(self._meters, key=lambda meter: meter.wait_s(now_s, _cost(meter, tokens)))
        used = refusing.quota.limit - refusing.remaining(now_s)
        if self._failed_requests_count:
            for meter in self._meters:
                if meter.quota.unit is Unit.REQUESTS:
                    meter.charge(now_s, 1.0)
        wait_s = max(meter.wait_s(now_s, _cost(meter, tokens)) for meter in self._meters)
        return Refusal(refusing.quota, wait_s, used, _cost(refusing, tokens))

    def meter(self, unit: Unit) -> GcraMeter | None:
        """The quota of `unit` that rate-limit headers speak of: the longest one below a day."""
        meters = [meter for meter in self._meters if meter.quota.unit is unit and not meter.quota.is_daily]
        return max(meters, key=lambda meter: meter.quota.window_s, default=None)


def _cost(meter: GcraMeter, tokens: float) -> float:
    return 1.0 if meter.quota.unit is Unit.REQUESTS else tokens
