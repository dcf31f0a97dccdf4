"""Page selections: the grammar of `--pages` (`1-3,8,10-`) and the pages it selects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from operator import itemgetter

_PART = re.compile(r"(?P<first>[1-9]\d{0,8})(?:(?P<dash>-)(?P<last>[1-9]\d{0,8})?)?")


@dataclass(frozen=True, slots=True)
class PageSelection:
    """Disjoint ascending ranges of 1-based page numbers, both ends included. The last end may be None: it is open."""

    ranges: tuple[tuple[int, int | None], ...]

    def of(self, page_count: int) -> list[int]:
        """The selected page numbers of a document of `page_count` pages, ascending."""
        return [
            page
            for first, last in self.ranges
            for page in range(first, min(last if last is not None else page_count, page_count) + 1)
        ]

    def __str__(self) -> str:
        if self == ALL_PAGES:
            return "all"
        return ",".join(
            f"{first}" if first == last else f"{first}-{last if last is not None else ''}"
            for first, last in self.ranges
        )


ALL_PAGES = PageSelection(((1, None),))


def parse_selection(text: str) -> PageSelection:
    """Parse `1-3,8,10-` or `all`. Raise ValueError with a sentence that shows the grammar."""
    if text.strip().lower() in {"all", ""}:
        return ALL_PAGES
    ranges: list[tuple[int, int | None]] = []
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{part.strip()!r} is not a page or a range of pages; write for example 1-3,8,10-")
        first = int(match["first"])
        last = first if match["dash"] is None else (int(match["last"]) if match["last"] else None)
        if last is not None and last < first:
            raise ValueError(f"the range {part.strip()} runs backwards")
        ranges.append((first, last))
    merged: list[tuple[int, int | None]] = []
    for first, last in sorted(ranges, key=itemgetter(0)):
        before_first, before_last = merged[-1] if merged else (0, -1)
        if before_last is None or first <= before_last + 1:
            end = None if before_last is None or last is None else max(before_last, last)
            merged[-1:] = [(before_first, end)]
        else:
            merged.append((first, last))
    return PageSelection(tuple(merged))
