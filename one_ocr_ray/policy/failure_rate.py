"""Stops a job if too many pages fail. A wrong setting must not use up the whole input."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from one_ocr_ray.model import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Mapping

WINDOW_PAGES = 200
MAX_FAILED_SHARE = 0.2
# If the provider rejects even the first pages, it does not know a setting.
FIRST_REJECTED_PAGES = 3
# Faults of the page itself say nothing about the job: one hostile file may have thousands of them.
OF_THE_PAGE = frozenset({ErrorCode.RENDER_FAILED, ErrorCode.RENDER_CRASHED, ErrorCode.RENDER_TIMEOUT})


def fails_as_before(code: ErrorCode, before: ErrorCode | None) -> bool:
    """True if a retried page fails as `before` for a permanent reason, such as filtered.

    Such pages do not stop a retry; otherwise it would stop, and pay, at the same page each time.
    """
    return code == before and not code.retryable


class FailureRateGuard:
    """Watches the share of failed pages."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, Counter[str]]] = deque()
        self._pages = 0
        self._failed: Counter[str] = Counter()
        self._any_good = False

    def add(self, pages: int, failed: Mapping[str, int]) -> ErrorCode | None:
        """Add `pages` finished pages, `failed` of them by code. Gives the code to stop for, if any."""
        counted = Counter({code: number for code, number in failed.items() if code not in OF_THE_PAGE})
        self._recent.append((pages, counted))
        self._pages += pages
        self._failed += counted
        self._any_good = self._any_good or pages > sum(failed.values())
        while self._recent and self._pages - self._recent[0][0] >= WINDOW_PAGES:
            old_pages, old_failed = self._recent.popleft()
            self._pages -= old_pages
            self._failed -= old_failed
        if not self._failed:
            return None
        code, number = self._failed.most_common(1)[0]
        if number > MAX_FAILED_SHARE * max(WINDOW_PAGES, self._pages):
            return ErrorCode(code)
        rejected = self._failed[ErrorCode.PROVIDER_REJECTED]
        return ErrorCode.PROVIDER_REJECTED if rejected >= FIRST_REJECTED_PAGES and not self._any_good else None
