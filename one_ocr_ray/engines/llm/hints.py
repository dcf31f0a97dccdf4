"""Parses waits and rate limits in headers, and in sentences ("try again in 1.1s").

Pure, without a clock: a hint that is an instant counts from the reply's own `Date`.
"""

from __future__ import annotations

import re
from contextlib import suppress
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


_UNIT_S = {"ms": 0.001, "milli": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}  # by how it begins


def duration_s(text: str) -> float | None:
    """Seconds in `6m0s`, `12ms`, `1h12m28.8s` or a bare number of seconds; None for anything else."""
    text = text.strip()
    if re.fullmatch(_NUMBER, text):
        return float(text)
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text):
        return None
    return sum(
        float(number) * next(seconds for name, seconds in _UNIT_S.items() if unit.startswith(name))
        for number, unit in parts
    )


def wait_hint_s(headers: Mapping[str, str], message: str) -> float | None:
    """The longest wait that a reply asks for, in its headers or in its sentence. None if it names none.

    A `Retry-After` that is a date or a Unix time counts from the reply's own `Date`, because clocks may differ.
    """
    waits: list[float | None] = []
    if (milliseconds := duration_s(headers.get("retry-after-ms", ""))) is not None:
        waits.append(milliseconds / 1000)
    retry_after = headers.get("retry-after", "")
    date = headers.get("date", "")
    waits.append(until_s(retry_after, date))
    # Raises for text that is no date, and for two dates of which only one has a time zone.
    with suppress(ValueError, TypeError, OverflowError):
        waits.append(max(0.0, (parsedate_to_datetime(retry_after) - parsedate_to_datetime(date)).total_seconds()))
    if found := _HINT.search(message[:4000].lower()):
        waits.append(duration_s(found.group(1)))
    return max((wait for wait in waits if wait is not None), default=None)


# Larger numbers are Unix times (a wait would be 30 years): above the first in seconds, above the second in ms.
_UNIX_TIME_S, _UNIX_TIME_MS = 1e9, 1e11


def until_s(text: str, date: str) -> float | None:
    """The seconds in `text`: a duration, or the time from `date` to a Unix time (s or ms)."""
    seconds = duration_s(text)
    if seconds is None or seconds < _UNIX_TIME_S:
        return seconds
    try:
        now = parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, (seconds / 1000 if seconds >= _UNIX_TIME_MS else seconds) - now)


def account_limits(headers: Mapping[str, str]) -> AccountLimits | None:
    """The limits in the `x-ratelimit-*` headers (OpenAI rate-limit guide). None if there are none.

    Azure sends -1 or 0 for limits that it keeps to itself. The other headers of that kind mean nothing then.
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
