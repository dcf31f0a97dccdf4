"""What a `ScriptedReader` does: its text, its delays, its failures."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import PageBox, Positions
from one_ocr_ray.model import DocumentRef, ErrorCode, Failure, PageResult, PageStatus
from one_ocr_ray.policy.dataset.packing import pack
from one_ocr_ray.policy.writers.markdown import to_markdown

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from one_ocr_ray.blocks import Block
    from one_ocr_ray.policy.dataset.documents import RunIdentity
    from one_ocr_ray.policy.tasks.task import TaskRecord


def plain_page(record: TaskRecord, page_number: int) -> str:
    """A page with what pages have: a heading, a table, a formula."""
    return (
        f"# Page {page_number} of {record.filename}\n\nSome text with **bold** words and $x^2 + y^2$.\n\n"
        "| fruit | count |\n|---|---:|\n| apples | 3 |\n| pears | 14 |\n"
    )


@dataclass(slots=True)
class Script:
    """What the engine does. `failures` are by page number, and gone once a retry has read the page."""

    text: Callable[[TaskRecord, int], str] = plain_page
    page_delay_s: float = 0.0
    start_delay_s: float = 0.0
    failures: dict[int, ErrorCode] = field(default_factory=dict)
    blocks: Callable[[TaskRecord, int], Sequence[Block]] | None = None  # in place of `text`, on a page of `page_box`
    page_box: PageBox = field(default_factory=lambda: PageBox(612, 792))
    rotation: int = 0  # the clockwise turn that the reader found
    blank_pages: frozenset[int] = frozenset()
    gate: asyncio.Event | None = None  # no page is read before it is set
    expires_in: timedelta = timedelta(days=7)

    def page(
        self, record: TaskRecord, document: DocumentRef, page_number: int, identity: RunIdentity, *, again: bool
    ) -> PageResult:
        """The row of a page; `again` for one that a retry reads, which is good."""
        code = None if again else self.failures.get(page_number)
        blank = page_number in self.blank_pages
        blocks = None if code or blank or self.blocks is None else self.blocks(record, page_number)
        text = to_markdown(blocks) if blocks is not None else self.text(record, page_number)
        now = datetime.now(UTC)
        return PageResult(
            document_id=document.document_id,
            page_number=page_number,
            page_count=document.page_count or page_number,
            source_uri=document.uri,
            source_name=document.name,
            status=PageStatus.FAILED if code else PageStatus.BLANK if blank else PageStatus.OK,
            engine="local",
            model="scripted",
            started_at=now,
            finished_at=now,
            run_id=identity.run_id,
            config_id=identity.config_id,
            markdown=None if code else "" if blank else text,
            failure=Failure(code, f"The script says {code.value}.") if code else None,
            attempts=3 if code else 1,
            input_tokens=100,
            output_tokens=50,
            cost_usd=0.0,
            confidence=None if code else 0.97,
            rotation=self.rotation,
            page_box=self.page_box if blocks else None,
            blocks=pack(blocks, Positions.WORDS),
            latency_ms=round(self.page_delay_s * 1000),
        )
