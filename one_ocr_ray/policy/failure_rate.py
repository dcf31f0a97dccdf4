"""When a job must stop because its pages fail: a wrong setting or a sick provider should not eat a whole bucket."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from one_ocr_ray.model import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Mapping

WINDOW_PAGES = 200
MAX_FAILED_SHARE = 0.2
# A request that the provider rejects from the first page on is a setting that it does not know.
FIRST_REJECTED_PAGES = 3
# A page's own fault says nothing about the job: one hostile file may have thousands of such pages.
_OF_THE_PAGE = frozenset({ErrorCode.RENDER_FAILED, ErrorCode.RENDER_CRASHED, ErrorCode.RENDER_TIMEOUT})


def fails_as_before(code: ErrorCode, before: ErrorCode | None) -> bool:
    """Whether a page that is read again fails as it did `before`, for a reason that lasts: filtered, refused, rejected.

    A retry of many such pages goes through; else it would stop at the same page each time, and pay each time.
    """
    return code == before and not code.retryable


class FailureRateGuard:
    """Watches how pages end, a handful at a time."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, Counter[str]]] = deque()
        self._pages = 0
        self._failed: Counter[str] = Counter()
        self._any_good = False

    def add(self, pages: int, failed: Mapping[str, int]) -> ErrorCode | None:
        """Take `pages` more finished pages, `failed` of them by code; the code to stop for, if any."""
        counted = Counter({code: number for code, number in failed.items() if code not in _OF_THE_PAGE})
        self._recent.append((pages, counted))
        self._pages += pages
        self._failed += counted
        self._any_good = self._any_good or pages > sum(failed.values())
        while self._recent and self._pages - self._recent[0][0] >= WINDOW_PAGES:
            old_pages, old_failed = self._recent.popleft()
            self._pages -= old_pages
            self._failed -= old_failed
        return self._reason()

    def _reason(self) -> ErrorCode | None:
        if not self._failed:
            return None
        code, number = self._failed.most_common(1)[0]
        if number > MAX_FAILED_SHARE * max(WINDOW_PAGES, self._pages):
            return ErrorCode(code)
        rejected = self._failed[ErrorCode.PROVIDER_REJECTED]
        return ErrorCode.PROVIDER_REJECTED if rejected >= FIRST_REJECTED_PAGES and not self._any_good else None
