"""How fast a bucket may go now: what was told, what the provider's headers said, and what throttles have taught.

OpenAI's rate-limit guide: failed requests count against the limit; `Retry-After` is a minimum, to which a small random
delay is added; after `slow_down` the rate is raised slowly. Pausing alone loses a fifth of an account that is told
twice too high; pausing and cutting the rate loses one to three per cent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.policy.ratelimit.messages import Limits

if TYPE_CHECKING:
    from one_ocr_ray.model import AccountLimits
    from one_ocr_ray.policy.ratelimit.messages import Throttle

CUT = 0.8
CUT_WHEN_TOLD = 0.5  # after `slow_down`
CUT_EVERY_S = 2.0  # the throttles of all requests under way are one event
LOWEST_SHARE = 0.02
FULL_SHARE = 0.999  # but for rounding
RECOVERY_PER_S = 0.01  # of the ceiling
# Near the share that was throttled last the truth is close, and to creep past it saves most of the throttles. Not after
# a throttle at the full rate: a stray one, which says nothing about the limit that was told.
CREEP_PER_S = 0.002
CREEP_FROM, CREEP_TO = 0.9, 1.05  # times that share
# A throttle at the full rate after a while without any: the limit was kept until then, so it is not far off, and this
# one came of requests that met on their way. If it was the limit all the same, the next throttle comes soon.
STRAY_AFTER_S = 20.0
STRAY_VIGOUR = 5.0  # times the recovery
PAUSE_S = 1.0  # when the provider gave no hint

# Left unused, so that a late wake-up does not push one request too many into somebody's window. Under 10 a second, a
# provider that looks at single seconds leaves no room at all (11 in a second are 10 % over, 2 instead of 1 are 100 %).
HEADROOM = 0.005
HEADROOM_WHEN_SLOW = 0.02
SLOW_PER_S = 10.0

# A rate up to this starts at once: evenly spaced it is no burst to anybody. A higher one starts at a fifth (or at this)
# and doubles every five seconds, which takes at most twelve.
RAMP_FREE_PER_S = 100.0
RAMP_START = 0.2
DOUBLING_S = 5.0

PROBE_START_PER_S = 1.0
PROBE_FLOOR_PER_S = 0.02
_SENT_OVER_S = 2.0


@dataclass(frozen=True, slots=True)
class Rate:
    """Per second; None = unlimited."""

    requests: float | None
    tokens: float | None


class AdaptiveRate:
    """The share of the ceiling in use: down at throttles, up again with time."""

    def __init__(self, now: float) -> None:
        self.paused_until = now
        self._share = 1.0
        self._share_at = now
        self._throttled_share = 0.0
        self._vigour = 1.0  # of the recovery
        self._cut_at = now - STRAY_AFTER_S

    def share(self, now: float) -> float:
        left_s = max(0.0, now - self._share_at)
        self._share_at = max(self._share_at, now)
        for bound, per_s in (
            (CREEP_FROM * self._throttled_share, RECOVERY_PER_S),
            (CREEP_TO * self._throttled_share, CREEP_PER_S),
            (1.0, RECOVERY_PER_S),
        ):
            needed_s = max(0.0, min(bound, 1.0) - self._share) / (per_s * self._vigour)
            self._share += min(needed_s, left_s) * per_s * self._vigour
            left_s -= min(needed_s, left_s)
        if self._share >= FULL_SHARE:
            self._vigour = 1.0
        return self._share

    def throttle(self, throttle: Throttle, now: float, jitter: float) -> bool:
        """Pause; cut, if the last cut is not too fresh. `jitter` is 0-1. Whether there was a cut."""
        hint_s = PAUSE_S if throttle.retry_after_s is None else throttle.retry_after_s
        share = self.share(now)
        fresh_until = max(self._cut_at + CUT_EVERY_S, self.paused_until)  # what is throttled till then was sent before
        self.paused_until = max(self.paused_until, now + hint_s + jitter * (0.1 * hint_s + 0.5))
        self._share_at = max(self._share_at, self.paused_until)  # nothing is learned while nothing is sent
        if now < fresh_until:
            return False
        stray = share >= FULL_SHARE and now - self._cut_at >= STRAY_AFTER_S
        self._cut_at = now
        self._share = max(LOWEST_SHARE, share * (CUT_WHEN_TOLD if throttle.slow_down else CUT))
        self._throttled_share = share if share < FULL_SHARE else 0.0
        self._vigour = 0.5 if throttle.slow_down else STRAY_VIGOUR if stray else 1.0
        return True


class Probe:
    """The rate of an account that nobody told and whose answers carry no limits: found by trying.

    Doubles every five seconds from 60 a minute until the first throttle, then grows 1 % a second; never beyond twice
    what is really sent, so that it means something when the throttle comes.
    """

    def __init__(self, now: float) -> None:
        self._rate = PROBE_START_PER_S
        self._growth_per_s = 2 ** (1 / DOUBLING_S)
        self._sent_per_s = 0.0
        self._at = now
        self._answered = False

    def answered(self) -> None:
        """An answer without limits has come: there are none to wait for."""
        self._answered = True

    def sent(self, requests: int, now: float) -> None:
        self.rate(now)
        self._sent_per_s += requests / _SENT_OVER_S

    def rate(self, now: float) -> float:
        passed_s = now - self._at
        self._at = now
        self._sent_per_s *= math.exp(-passed_s / _SENT_OVER_S)
        if self._answered:
            bound = max(self._rate, 2 * self._sent_per_s)
            self._rate = min(self._rate * self._growth_per_s**passed_s, bound)
        return self._rate

    def cut(self, factor: float, now: float) -> None:
        self._rate = max(PROBE_FLOOR_PER_S, self.rate(now) * factor)
        self._growth_per_s = 1 + RECOVERY_PER_S


class Rates:
    """The rates of a bucket from all of the above."""

    def __init__(self, now: float) -> None:
        self.pace = AdaptiveRate(now)
        self.probe = Probe(now)
        self._heard = Limits()
        self._told = Limits()
        self._longer: set[str] = set()  # kinds whose heard limit is not one a minute
        self.ceiling = Limits()
        self._ramp_since = now

    @property
    def known(self) -> bool:
        """Whether anybody has told a rate."""
        return bool(self.ceiling.requests_per_minute or self.ceiling.tokens_per_minute)

    def tell(self, limits: Limits, now: float) -> None:
        """What the jobs were told."""
        if limits != self._told:
            self._told = limits
            self._find_ceiling(now)

    def hear(self, limits: AccountLimits, now: float) -> None:
        """What the provider said. Gateways that know no limit say 0 or -1 instead of nothing."""
        requests, tokens = limits.requests_per_minute, limits.tokens_per_minute
        if is_of_longer(requests, limits.remaining_requests, limits.reset_requests_s):
            self._longer.add("requests")
        if is_of_longer(tokens, limits.remaining_tokens, limits.reset_tokens_s):
            self._longer.add("tokens")
        heard = Limits(
            requests_per_minute=None if "requests" in self._longer else _positive(requests),
            tokens_per_minute=None if "tokens" in self._longer else _positive(tokens),
        )
        if heard != self._heard and (self._longer or heard != Limits()):
            self._heard = heard
            self._find_ceiling(now)

    def throttle(self, throttle: Throttle, now: float, jitter: float) -> None:
        if self.pace.throttle(throttle, now, jitter) and not self.known:
            self.probe.cut(CUT_WHEN_TOLD if throttle.slow_down else CUT, now)

    def at(self, now: float) -> Rate:
        if not self.known:
            return Rate(self.probe.rate(now), None)
        share = self.pace.share(now)
        requests = self.ceiling.requests_per_minute and self.ceiling.requests_per_minute / 60
        tokens = self.ceiling.tokens_per_minute and self.ceiling.tokens_per_minute / 60
        return Rate(
            requests and min(requests * share, self._ramp(requests, now)) * (1 - _headroom(requests)),
            tokens and tokens * share * (1 - HEADROOM),
        )

    def _ramp(self, requests: float, now: float) -> float:
        start = max(RAMP_FREE_PER_S, RAMP_START * requests)
        if start >= requests:
            return requests
        doublings = min((now - self._ramp_since) / DOUBLING_S, 10.0)
        return start * 2**doublings

    def _find_ceiling(self, now: float) -> None:
        before = self.ceiling.requests_per_minute or 0.0
        self.ceiling = Limits.lowest((self._told, self._heard))
        if (self.ceiling.requests_per_minute or 0.0) > before:
            self._ramp_since = now


# Until all of a minute's limit is free again, a minute passes at most.
_MINUTE_RESET_AT_MOST_S = 90.0
_DAY_S = 86400.0
_ABOUT = 0.02


def is_of_longer(limit: float | None, remaining: float | None, reset_s: float | None) -> bool:
    """Whether a heard limit is one of a day or an hour, which no header's name says (Groq, OpenAI's free tier).

    `reset_s` is the time until all of it is free again. A bucket that refills evenly shows its window in the share that
    is used: 30 of 14,400 requests come back in 180 s where the window is a day.
    """
    if not limit or reset_s is None:
        return False
    if reset_s > _MINUTE_RESET_AT_MOST_S:
        return True
    used = 0.0 if remaining is None else limit - remaining
    return used > 0 and abs(reset_s * limit / used - _DAY_S) <= _ABOUT * _DAY_S


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None


def _headroom(requests_per_s: float) -> float:
    return HEADROOM_WHEN_SLOW if requests_per_s < SLOW_PER_S else HEADROOM
