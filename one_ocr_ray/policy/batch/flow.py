"""How much may lie at a provider at once, and when to look again. Pure: `now_s` is passed in."""

from __future__ import annotations

import re

POLL_FIRST_S, POLL_MOST_S, POLL_GROWTH = 2.0, 600.0, 1.5
POLL_SPREAD = 0.2  # of the interval, so that runs of one account do not come together

LIST_S = 600.0  # so long a new batch may be missing in a list
LOOK_AGAIN_S = 60.0
LOST_EVERY_S = 300.0  # for batches that no list has shown in time
HOLD_S = 900.0  # after a refusal for too many enqueued tokens
CREATE_EVERY_S = 2.0
FIRST_PARCELS = 2
LEARNED_SHARE = 0.7  # of the cap in a refusal: others use the account, too

UNPROVED_PAGES = 500  # the most in batches of a configuration of which nobody has seen an answer
CANARY_PAGES = 5  # so many are then asked for online

PARCEL_TOKENS = 1_000_000  # while the cap is unknown
FETCH_WITHIN = 0.25  # of the time that results are kept; then nothing else of a shard is waited for
FREE_ASKS = 3  # so often a line that was not run is asked again without counting


def poll_after_s(looks: int, least_s: float, jitter: float) -> float:
    """Seconds until the next look at a batch that has been looked at `looks` times."""
    wait_s = min(POLL_MOST_S, POLL_FIRST_S * POLL_GROWTH ** min(looks, 20))
    return max(least_s, wait_s * (1 + POLL_SPREAD * (2 * jitter - 1)))


def parcel_tokens(cap: int | None) -> int:
    """The most tokens of one parcel: a quarter of what may be enqueued."""
    return PARCEL_TOKENS if cap is None else max(1, cap // 4)


def are_good(pages: int, failed: int) -> bool | None:
    """If the first pages of a configuration are worth more batches. None while there are too few to say."""
    return None if pages < CANARY_PAGES else failed * 10 < pages * 9


_LIMIT = re.compile(r"[Ll]imit:?\s*([0-9][0-9,]{0,18})\s+enqueued")


class TokenMeter:
    """The tokens that may be enqueued at one model. Without a known cap it begins with two parcels and doubles."""

    def __init__(self, cap: int | None) -> None:
        self.cap = cap
        self.limit = cap  # of the provider's own telling; the cap leaves room for others
        self._is_set = cap is not None  # by the user
        self._parcels = FIRST_PARCELS
        self._held_until_s = float("-inf")
        self._accepted: set[str] = set()

    def may_enqueue(self, tokens: int, live_tokens: int, live_parcels: int, now_s: float) -> bool:
        """True if a parcel of `tokens` may go beside what is enqueued. One alone is always tried."""
        if now_s < self._held_until_s:
            return False
        if live_parcels == 0:
            return True
        if self.cap is not None:
            return live_tokens + tokens <= self.cap
        return live_parcels < self._parcels

    def accepted(self, batch_id: str) -> None:
        """A batch is past validation."""
        if batch_id not in self._accepted:
            self._accepted.add(batch_id)
            self._parcels += 1  # each one in flight lets one more in, so the number doubles

    def refused(self, message: str, now_s: float) -> None:
        """A batch was refused because too much is enqueued; `message` may tell the cap."""
        found = _LIMIT.search(message)
        if found is not None and not self._is_set:
            self.limit = int(found[1].replace(",", ""))
            self.cap = int(LEARNED_SHARE * self.limit)
        self._parcels = max(1, self._parcels // 2)
        self._held_until_s = now_s + HOLD_S

    def ended(self) -> None:
        """A batch of ours has ended, so that there is room again."""
        self._held_until_s = float("-inf")
