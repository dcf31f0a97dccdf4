"""What time it is, for erasing: a clock that jumps must not erase what it takes for old. No clock, no I/O."""

from __future__ import annotations

from datetime import datetime, timedelta

# A clock that is a week ahead, once by mistake, is set right within hours: until then it has made few things old. One
# that is right, after a week in which nothing ran, is believed again after as many hours.
CATCH_UP = 60


def believed(last: datetime, now: datetime, elapsed_s: float) -> datetime:
    """The time to erase by, when the clock says `now` and `elapsed_s` have passed since `last` was believed."""
    return min(now, last + timedelta(seconds=CATCH_UP * elapsed_s))
