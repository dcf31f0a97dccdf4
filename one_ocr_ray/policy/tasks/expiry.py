"""The time by which tasks expire. A clock that jumps must not delete tasks that only seem old."""

from __future__ import annotations

from datetime import datetime, timedelta

# A clock that is a week ahead by mistake is corrected within hours, and until then only few tasks expire. After a week
# in which nothing ran, a correct clock is trusted again after as few hours.
CATCH_UP = 60


def trusted_time(last: datetime, now: datetime, elapsed_s: float) -> datetime:
    """The time that counts for expiry. The clock shows `now`, `elapsed_s` after the trusted time was `last`."""
    return min(now, last + timedelta(seconds=CATCH_UP * elapsed_s))
