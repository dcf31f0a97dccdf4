"""What the page of a task shows before any script runs: the states of its pages, and one page with its text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.model import PageStatus
from one_ocr_ray.policy.dataset.selection import parse_selection
from one_ocr_ray.service.web.block_view import shown_blocks
from one_ocr_ray.service.web.markdown import MAX_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.model import PageResult
    from one_ocr_ray.policy.tasks.task import TaskView
    from one_ocr_ray.service.dependencies import Service
    from one_ocr_ray.service.web.block_view import ShownBlocks

SHEET = 120  # pages that the grid shows at once
VIEWS = ("blocks", "rendered", "source")  # the first one where the page has blocks, else the second
_WAITING = "."
_MARKS = {PageStatus.OK: "o", PageStatus.BLANK: "b", PageStatus.FAILED: "f"}


@dataclass(frozen=True, slots=True)
class ShownTask:
    """`numbers` are the selected pages, `marks` one letter for each: `o`, `b`, `f`, or `.` for one that is to come."""

    numbers: Sequence[int]
    marks: str
    at: int  # the index of the page that is shown
    sheet: range  # indices of the pages in the grid
    row: PageResult | None
    html: str
    blocks: ShownBlocks | None
    view: str  # of `VIEWS`

    @property
    def number(self) -> int:
        """The page that is shown."""
        return self.numbers[self.at] if self.numbers else 1

    @property
    def note(self) -> str:
        """The key of what is to be said beside the page's text; empty where there is nothing to say."""
        if self.row is None:
            return "viewer.waiting"
        if self.row.status is PageStatus.BLANK:
            return "viewer.blank"
        if self.row.status is PageStatus.OK and not (self.row.markdown or "").strip():
            return "viewer.empty"
        if len(self.row.markdown or "") > MAX_CHARACTERS:
            return "viewer.too_long"
        return "viewer.truncated" if self.row.truncated else ""


async def shown_task(service: Service, view: TaskView, page_number: int, wanted: str) -> ShownTask:
    """`view` with the page `page_number`, or its first one, as blocks, text or source."""
    rows = {row.page_number: row for row in await service.pages(view)}
    numbers = selected(view, service.settings.max_pages)
    at = numbers.index(page_number) if page_number in numbers else 0
    row = rows.get(numbers[at]) if numbers else None
    failing = {failure.page_number for failure in view.failures}
    marks = "".join(_mark(rows.get(number), number in failing) for number in numbers)
    first = at - at % SHEET
    owner, sheet = view.record.owner, range(first, min(first + SHEET, len(numbers)))
    blocks = await service.making.run(owner, lambda: shown_blocks(row))
    wanted = wanted if wanted in VIEWS else VIEWS[0]
    chosen = "rendered" if wanted == "blocks" and blocks is None else wanted
    html = await service.html(owner, row.markdown) if row and row.markdown and chosen == "rendered" else ""
    return ShownTask(numbers, marks, at, sheet, row, html, blocks, chosen)


def selected(view: TaskView, max_pages: int) -> list[int]:
    """The pages that the task reads; none before its PDF was opened."""
    chosen = parse_selection(view.record.options.pages or "all").of(max_pages)
    return list(chosen[: view.pages_total or 0])


def _mark(row: PageResult | None, failing: bool) -> str:
    """A failed row whose failure the task no longer lists is being read again."""
    if failing:
        return _MARKS[PageStatus.FAILED]
    return _WAITING if row is None or row.status is PageStatus.FAILED else _MARKS[row.status]
