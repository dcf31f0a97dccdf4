"""What the task page shows without scripts: the states of its pages, and one page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from one_ocr_ray.model import PageStatus
from one_ocr_ray.policy.dataset.selection import parse_selection
from one_ocr_ray.policy.route.reader_use import cost_and_without, has_choice, in_order
from one_ocr_ray.service.web.block_view import shown_blocks
from one_ocr_ray.service.web.markdown import MAX_CHARACTERS
from one_ocr_ray.service.web.templates import cost, count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.model import PageResult
    from one_ocr_ray.policy.tasks.task import TaskView
    from one_ocr_ray.service.dependencies import Service
    from one_ocr_ray.service.web.block_view import ShownBlocks
    from one_ocr_ray.service.web.i18n import Catalog

SHEET = 120  # pages that the grid shows at once
VIEWS = ("blocks", "rendered", "source")
_WAITING = "."
_MARKS = {PageStatus.OK: "o", PageStatus.BLANK: "b", PageStatus.FAILED: "f"}


@dataclass(frozen=True, slots=True)
class ShownTask:
    """`numbers` are the selected pages. `marks` has a letter for each: `o`, `b`, `f`, or `.` before it is read."""

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
        """The number of the shown page."""
        return self.numbers[self.at] if self.numbers else 1

    @property
    def note(self) -> str:
        """The key of the note beside the text of the page. Empty where there is none."""
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
    """The task with its page `page_number`, else its first page, as blocks, text or source."""
    rows = {row.page_number: row for row in await service.pages(view)}
    numbers = selected(view, service.settings.max_pages)
    at = numbers.index(page_number) if page_number in numbers else 0
    row = rows.get(numbers[at]) if numbers else None
    failing = {failure.page_number for failure in view.failures}
    marks = {  # a failed row that the task no longer lists as failed is being read again
        number: _MARKS[row.status] for number, row in rows.items() if row.status is not PageStatus.FAILED
    } | dict.fromkeys(failing, _MARKS[PageStatus.FAILED])
    first = at - at % SHEET
    owner, sheet = view.record.owner, range(first, min(first + SHEET, len(numbers)))
    blocks = await service.executor.run(owner, lambda: shown_blocks(row))
    if wanted not in VIEWS or (wanted == "blocks" and blocks is None):
        wanted = "blocks" if blocks is not None and blocks.has_places else "rendered"
    html = await service.html(owner, row.markdown) if row and row.markdown and wanted == "rendered" else ""
    letters = "".join(marks.get(number, _WAITING) for number in numbers)
    return ShownTask(numbers, letters, at, sheet, row, html, blocks, wanted)


def readers_line(view: TaskView, t: Catalog) -> str:
    """One line on who has read how many pages, and what that has saved. Empty where there was no choice."""
    if not has_choice(view.readers):
        return ""
    shares = [
        t(key if key in t.sentences else "readers.model", pages=count(use.pages), model=use.model or name)
        for name, use in in_order(view.readers)
        for key in [f"readers.{name}"]
    ]
    text = t("readers.pages", shares=t("readers.joint").join(shares))
    money = cost_and_without(view.readers)
    return text if money is None else text + t("readers.money", cost=cost(money[0]), without=cost(money[1]))


def selected(view: TaskView, max_pages: int) -> list[int]:
    """The pages that the task reads; none before its PDF has been opened."""
    chosen = parse_selection(view.record.options.pages or "all").of(max_pages)
    return list(chosen[: view.pages_total or 0])
