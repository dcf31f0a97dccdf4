"""What replies say of time and limits: waits in headers and sentences, and the account's rate limits.

Pure: no clock; where a hint is an instant, it counts from the reply's own `Date`.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from one_ocr_ray.model import AccountLimits

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,12})?"
_UNIT = r"(?:milliseconds?|ms|seconds?|s|minutes?|m|hours?|h|days?|d)(?![a-z])"
_PART = re.compile(rf"({_NUMBER})\s*({_UNIT})\s*")
# "Please try again in 1.146s", "Please retry in 58.934310785s.", "Please retry after 37 seconds."
_HINT = re.compile(rf"(?:try again in|retry in|retry after)\s+((?:{_NUMBER}\s*{_UNIT}\s*)+)")


def _unit_s(unit: str) -> float:
    return 0.001 if unit.startswith(("ms", "milli")) else {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}[unit[0]]


def duration_s(text: str) -> float | None:
    """Seconds in `6m0s`, `12ms`, `1h12m28.8s` or a bare number of seconds; None for anything else."""
    text = text.strip()
    if re.fullmatch(_NUMBER, text):
        return float(text)
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text):
        return None
    return sum(float(number) * _unit_s(unit) for number, unit in parts)


def wait_hint_s(headers: Mapping[str, str], message: str) -> float | None:
    """The longest wait that a reply asks for, in its headers or in its sentence; None when it names none.

    A `Retry-After` that is a date or a Unix time counts from the reply's own `Date`: the two clocks need
    not agree.
    """
    waits: list[float | None] = []
    if (milliseconds := duration_s(headers.get("retry-after-ms", ""))) is not None:
        waits.append(milliseconds / 1000)
    retry_after = headers.get("retry-after", "")
    date = headers.get("date", "")
    waits += [until_s(retry_after, date), _until_date_s(retry_after, date)]
    if found := _HINT.search(message[:4000].lower()):
        waits.append(duration_s(found.group(1)))
    return max((wait for wait in waits if wait is not None), default=None)


# A number from here on is an instant: nobody asks for a wait of 30 years. From the second on it is in milliseconds.
_UNIX_TIME_S, _UNIX_TIME_MS = 1e9, 1e11


def until_s(text: str, date: str) -> float | None:
    """Seconds that `text` names: a duration, or what is left from `date` until a Unix time (in seconds or ms)."""
    seconds = duration_s(text)
    if seconds is None or seconds < _UNIX_TIME_S:
        return seconds
    try:
        now = parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, (seconds / 1000 if seconds >= _UNIX_TIME_MS else seconds) - now)


def _until_date_s(then: str, now: str) -> float | None:
    try:
        return max(0.0, (parsedate_to_datetime(then) - parsedate_to_datetime(now)).total_seconds())
    except (ValueError, TypeError, OverflowError):  # not dates, or one with a zone and one without
        return None


def account_limits(headers: Mapping[str, str]) -> AccountLimits | None:
    """What the `x-ratelimit-*` headers say (OpenAI rate-limit guide); None when they say nothing.

    Azure sends -1 and 0 for limits that it does not tell; then the rest of that kind means nothing either.
    """
    requests, tokens = _limit_of(headers, "requests"), _limit_of(headers, "tokens")
    if requests[0] is None and tokens[0] is None:
        return None
    return AccountLimits(
        requests_per_minute=requests[0],
        tokens_per_minute=tokens[0],
        remaining_requests=requests[1],
        remaining_tokens=tokens[1],
        reset_requests_s=requests[2],
        reset_tokens_s=tokens[2],
    )


def _limit_of(headers: Mapping[str, str], kind: str) -> tuple[float | None, float | None, float | None]:
    limit = duration_s(headers.get(f"x-ratelimit-limit-{kind}", ""))
    if not limit:
        return None, None, None
    remaining = duration_s(headers.get(f"x-ratelimit-remaining-{kind}", ""))
    return limit, remaining, duration_s(headers.get(f"x-ratelimit-reset-{kind}", ""))
