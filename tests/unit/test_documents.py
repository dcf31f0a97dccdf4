"""From page results to a document's row."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from one_ocr_ray.model import ErrorCode, Failure, Outcome, PageStatus
from one_ocr_ray.policy.dataset.documents import RunIdentity, document_result, same_bytes_result
from one_ocr_ray.policy.document import PAGE_JOINT
from tests.values import NOON, TIMED_OUT, document, page

RUN = RunIdentity("run", "config")


def test_all_pages_good_is_complete() -> None:
    """Counts, times and sums are those of the pages."""
    paper = document(page_count=2)
    pages = [page(paper, 1, input_tokens=5, cost_usd=0.5), page(paper, 2, input_tokens=7, cost_usd=0.25)]
    pages[1] = page(paper, 2, input_tokens=7, cost_usd=0.25, finished_at=NOON + timedelta(seconds=9))
    row = document_result(paper, pages, RUN, NOON)
    assert (row.outcome, row.pages_ok, row.pages_failed, row.pages_blank) == (Outcome.COMPLETE, 2, 0, 0)
    assert (row.input_tokens, row.output_tokens, row.cost_usd) == (12, None, 0.75)
    assert row.finished_at == NOON + timedelta(seconds=9)


def test_one_failed_page_is_partial_and_all_failed_is_failed() -> None:
    """A document keeps its good pages; without any it has failed, though it could be opened."""
    paper = document(page_count=2)
    good, bad, worse = page(paper, 1), page(paper, 2, failure=TIMED_OUT), page(paper, 1, failure=TIMED_OUT)
    assert document_result(paper, [good, bad], RUN, NOON).outcome is Outcome.PARTIAL
    failed = document_result(paper, [worse, bad], RUN, NOON)
    assert (failed.outcome, failed.failure, failed.markdown, failed.page_ends) == (Outcome.FAILED, None, "", (0, 0))


def test_a_document_that_cannot_be_opened_has_no_text() -> None:
    """Its failure stands in the row, its Markdown is null, its cost is nothing."""
    locked = document(page_count=None, failure=Failure(ErrorCode.PDF_ENCRYPTED, "needs a password"))
    row = document_result(locked, [], RUN, NOON)
    assert (row.outcome, row.markdown, row.page_ends, row.cost_usd) == (Outcome.FAILED, None, (), 0)
    assert row.failure is not None
    assert row.failure.code is ErrorCode.PDF_ENCRYPTED


# Two pages have no running heads, and a text this short is no line that a page break has cut.
PAGES = st.lists(st.one_of(st.none(), st.text(max_size=20)), max_size=2)


@given(PAGES)
def test_page_ends_cut_the_markdown_into_its_pages(texts: list[str | None]) -> None:
    """Between the end of one page and the end of the next stands the joint and that page's text, or nothing."""
    paper = document(page_count=len(texts))
    pages = [
        page(paper, n, markdown=text, status=PageStatus.OK) if text is not None else page(paper, n, failure=TIMED_OUT)
        for n, text in enumerate(texts, start=1)
    ]
    row = document_result(paper, pages, RUN, NOON)
    markdown = row.markdown or ""
    pieces = [markdown[start:end] for start, end in pairwise((0, *row.page_ends))]
    joints = ["" if not any(texts[:n]) else PAGE_JOINT for n in range(len(texts))]
    assert pieces == [joint + text if text else "" for joint, text in zip(joints, texts, strict=True)]
    assert (row.page_ends[-1] if texts else 0) == len(markdown)
    assert markdown == PAGE_JOINT.join(text for text in texts if text)


def test_a_copy_has_its_own_name_and_no_cost() -> None:
    """The pages were paid for once; sums over `documents` must not count them twice."""
    paper = document(page_count=1)
    original = document_result(paper, [page(paper, 1, input_tokens=5, cost_usd=0.5)], RUN, NOON)
    copy = same_bytes_result(original, document(uri="/pdfs/twin.pdf", name="twin.pdf"))
    assert (copy.source_uri, copy.source_name, copy.markdown) == ("/pdfs/twin.pdf", "twin.pdf", original.markdown)
    assert (copy.cost_usd, copy.input_tokens, copy.output_tokens) == (0.0, 0, None)
