"""The current rate of a bucket, from configured limits, the provider's headers and throttles.

OpenAI's rate-limit guide: failed requests count against the limit; `Retry-After` is a minimum, to which a small random
delay is added; after `slow_down` the rate is raised slowly. If the configured limit is twice too high, pausing alone
loses a fifth of the account; pausing and cutting the rate loses one to three per cent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from one_ocr_ray.policy.ratelimit.messages import NO_QUOTA, Limits

if TYPE_CHECKING:
    from one_ocr_ray.model import AccountLimits
    from one_ocr_ray.policy.ratelimit.messages import Throttle

CUT = 0.8
CUT_AFTER_SLOW_DOWN = 0.5
CUT_EVERY_S = 2.0  # the throttles of all requests in flight are one event
LOWEST_SHARE = 0.02
FULL_SHARE = 0.999  # 1, apart from rounding
RECOVERY_PER_S = 0.01  # of the ceiling
# The true limit lies near the share that was throttled last: to approach it slowly saves most of the throttles. This
# does not hold after a throttle at the full rate, which says nothing about the configured limit.
CREEP_PER_S = 0.002
CREEP_FROM, CREEP_TO = 0.9, 1.05  # times that share
# A throttle at the full rate after a while without any is an outlier: the limit was kept until then, and some requests
# bunched up on their way. If it was the limit after all, the next throttle comes soon.
OUTLIER_AFTER_S = 20.0
OUTLIER_RECOVERY_SPEED = 5.0
PAUSE_S = 1.0  # when the provider gave no hint

# Left unused, so that a late wake-up does not push one request too many into the provider's window. A provider that
# counts single seconds leaves no tolerance under 10 a second: 11 instead of 10 are 10 % over, 2 instead of 1 are 100 %.
HEADROOM = 0.005
HEADROOM_WHEN_SLOW = 0.02
SLOW_PER_S = 10.0

# A rate up to this starts at once: evenly spaced requests are no burst. A higher rate starts at a fifth (or at this)
# and doubles every five seconds, which takes at most twelve.
RAMP_FREE_PER_S = 100.0
RAMP_START = 0.2
DOUBLING_S = 5.0

PROBE_START_PER_S = 1.0
PROBE_FLOOR_PER_S = 0.02
_SENT_OVER_S = 2.0


@dataclass(frozen=True, slots=True)
class Rate:
    """Rates per second; None = unlimited."""

    requests: float | None
    tokens: float | None


class AdaptiveRate:
    """The share of the ceiling in use: throttles cut it, time raises it again."""

    def __init__(self, now: float) -> None:
        self.paused_until = now
        self._share = 1.0
        self._share_at = now
        self._throttled_share = 0.0
        self._recovery_speed = 1.0
        self._cut_at = now - OUTLIER_AFTER_S

    def share(self, now: float) -> float:
        left_s = max(0.0, now - self._share_at)
        self._share_at = max(self._share_at, now)
        for bound, per_s in (
            (CREEP_FROM * self._throttled_share, RECOVERY_PER_S),
            (CREEP_TO * self._throttled_share, CREEP_PER_S),
            (1.0, RECOVERY_PER_S),
        ):
            needed_s = max(0.0, min(bound, 1.0) - self._share) / (per_s * self._recovery_speed)
            self._share += min(needed_s, left_s) * per_s * self._recovery_speed
            left_s -= min(needed_s, left_s)
        if self._share >= FULL_SHARE:
            self._recovery_speed = 1.0
        return self._share

    def throttle(self, throttle: Throttle, now: float, jitter: float) -> bool:
        """Pause, and cut the share unless it was cut just now. True if it was cut. `jitter` is 0-1."""
        hint_s = PAUSE_S if throttle.retry_after_s is None else throttle.retry_after_s
        share = self.share(now)
        # Until then throttles are of requests before the cut.
        fresh_until = max(self._cut_at + CUT_EVERY_S, self.paused_until)
        self.paused_until = max(self.paused_until, now + hint_s + jitter * (0.1 * hint_s + 0.5))
        self._share_at = max(self._share_at, self.paused_until)  # nothing is learned while nothing is sent
        if now < fresh_until:
            return False
        outlier = share >= FULL_SHARE and now - self._cut_at >= OUTLIER_AFTER_S
        self._cut_at = now
        self._share = max(LOWEST_SHARE, share * (CUT_AFTER_SLOW_DOWN if throttle.slow_down else CUT))
        self._throttled_share = share if share < FULL_SHARE else 0.0
        self._recovery_speed = 0.5 if throttle.slow_down else OUTLIER_RECOVERY_SPEED if outlier else 1.0
        return True


class Probe:
    """Finds an account's rate by trying, if neither user nor provider names a limit.

    The rate starts at 60 a minute and doubles every five seconds until the first throttle, then grows 1 % a second. It
    never exceeds twice what is really sent, so that it is meaningful when the throttle comes.
    """

    def __init__(self, now: float) -> None:
        self._rate = PROBE_START_PER_S
        self._growth_per_s = 2 ** (1 / DOUBLING_S)
        self._sent_per_s = 0.0
        self._at = now
        self._answered = False

    def answered(self) -> None:
        """Start probing: an answer came without limits, so none will be announced."""
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
    """The rates of a bucket: the ceiling, and the share in use now."""

    def __init__(self, now: float) -> None:
        self.adaptive = AdaptiveRate(now)
        self.probe = Probe(now)
        self._announced = Limits()
        self._configured = Limits()
        self._longer: set[str] = set()  # kinds whose announced limit is not one per minute
        self.ceiling = Limits()
        self._ramp_since = now
        self.tells_queue = False  # the server has told how many requests it works on
        self._has_no_quota = False

    @property
    def known(self) -> bool:
        """True if the user or the provider has named a rate."""
        return bool(self.ceiling.requests_per_minute or self.ceiling.tokens_per_minute)

    @property
    def unlimited(self) -> bool:
        """True if only the window of requests in flight limits the server: nobody has named a rate, and it has none."""
        return not self.known and (self._has_no_quota or self.tells_queue)

    @property
    def windowed(self) -> bool:
        """True if the window of requests in flight counts, beside a rate or alone."""
        return not self.known or self.tells_queue

    def set_configured(self, limits: Limits, now: float) -> None:
        """Take the limits that the users of the jobs have configured."""
        if limits != self._configured:
            self._configured = limits
            self._find_ceiling(now)

    def observe_headers(self, limits: AccountLimits, now: float) -> None:
        """Take the limits that the provider announces. Gateways without a limit send 0 or -1 instead of nothing."""
        requests, tokens = limits.requests_per_minute, limits.tokens_per_minute
        if is_of_longer(requests, limits.remaining_requests, limits.reset_requests_s):
            self._longer.add("requests")
        if is_of_longer(tokens, limits.remaining_tokens, limits.reset_tokens_s):
            self._longer.add("tokens")
        announced = Limits(
            requests_per_minute=None if "requests" in self._longer else _positive(requests),
            tokens_per_minute=None if "tokens" in self._longer else _positive(tokens),
        )
        if announced != self._announced and (self._longer or announced != Limits()):
            self._announced = announced
            self._find_ceiling(now)

    def throttle(self, throttle: Throttle, now: float, jitter: float) -> None:
        if self.adaptive.throttle(throttle, now, jitter) and not self.known:
            self.probe.cut(CUT_AFTER_SLOW_DOWN if throttle.slow_down else CUT, now)

    def at(self, now: float) -> Rate:
        if not self.known:
            return Rate(None if self.unlimited else self.probe.rate(now), None)
        share = self.adaptive.share(now)
        requests = self.ceiling.requests_per_minute and self.ceiling.requests_per_minute / 60
        tokens = self.ceiling.tokens_per_minute and self.ceiling.tokens_per_minute / 60
        if requests:
            doublings = min((now - self._ramp_since) / DOUBLING_S, 10.0)
            ramp = max(RAMP_FREE_PER_S, RAMP_START * requests) * 2**doublings
            headroom = HEADROOM_WHEN_SLOW if requests < SLOW_PER_S else HEADROOM
            requests = min(requests * share, ramp) * (1 - headroom)
        return Rate(
            requests,
            tokens and tokens * share * (1 - HEADROOM),
        )

    def _find_ceiling(self, now: float) -> None:
        before = self.ceiling.requests_per_minute or 0.0
        self.ceiling = Limits.lowest((self._configured, self._announced))
        self._has_no_quota = self.ceiling.requests_per_minute == NO_QUOTA
        if self._has_no_quota:
            self.ceiling = replace(self.ceiling, requests_per_minute=None)
        if (self.ceiling.requests_per_minute or 0.0) > before:
            self._ramp_since = now


# The limit of a minute is free again after a minute at most; the rest is tolerance.
_MINUTE_RESET_AT_MOST_S = 90.0
_DAY_S = 86400.0
_ABOUT = 0.02


def is_of_longer(limit: float | None, remaining: float | None, reset_s: float | None) -> bool:
    """True if an announced limit is one per day or hour. No header says so (Groq, OpenAI's free tier).

    `reset_s` is the time until the whole limit is free again. In a bucket that refills evenly the used share shows the
    window: if 30 of 14,400 requests come back in 180 s, the window is a day.
    """
    if not limit or reset_s is None:
        return False
    if reset_s > _MINUTE_RESET_AT_MOST_S:
        return True
    used = 0.0 if remaining is None else limit - remaining
    return used > 0 and abs(reset_s * limit / used - _DAY_S) <= _ABOUT * _DAY_S


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None
