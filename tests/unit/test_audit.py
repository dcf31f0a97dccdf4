"""The audit: a share of the pages is read by a second reader too, and the run says how far the two disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.blocks import Positions
from one_ocr_ray.errors import StoppedError, UsageError
from one_ocr_ray.job import Job
from one_ocr_ray.job_settings import route_of
from one_ocr_ray.model import Action, Answer, ErrorCode, Failure, PageRequest, Shard, Usage
from one_ocr_ray.pdf.reader import PdfOptions
from one_ocr_ray.policy.cost.metering import ProviderMetering
from one_ocr_ray.policy.cost.pricing import Price
from one_ocr_ray.policy.dataset.documents import RunIdentity
from one_ocr_ray.policy.dataset.selection import ALL_PAGES
from one_ocr_ray.policy.evaluation.page_score import disagreement
from one_ocr_ray.policy.intervals import clustered, wilson
from one_ocr_ray.policy.page.quality import judge
from one_ocr_ray.policy.route.audit import AuditedPage, audit_report, is_audited, second_reader, told_audit
from one_ocr_ray.policy.route.chain import needs_embedded_engine
from one_ocr_ray.reading.audit import Audit
from one_ocr_ray.reading.limits.token_bucket import NoLimit
from one_ocr_ray.reading.page import Reading
from one_ocr_ray.reading.reader import NoMetering, Reader, accept_as_is
from one_ocr_ray.reading.run_totals import RunTotals
from one_ocr_ray.reading.shard_reader import ShardReader, page_slots
from one_ocr_ray.settings import load
from one_ocr_ray.storage.audit_records import audit_of, audited_pages
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.spending_records import recorded_spending
from one_ocr_ray.storage.store.objects import Objects
from tests.scripted_engine import ScriptedEngine
from tests.unit.wire_samples_reader import page_image
from tests.values import document

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from one_ocr_ray.model import DocumentRef, PageResult, RenderedPage
    from one_ocr_ray.policy.cost.spending import Spending
    from one_ocr_ray.policy.dataset.plan import RenderSlice


def audited(errors: int | None, words: int, reader: str = "text-layer", number: int = 1) -> AuditedPage:
    return AuditedPage("sha256:0", number, reader, "checked", "local", 0.01, words, errors, "")


def test_a_share_is_given_in_per_cent_or_as_a_number() -> None:
    """More than everything, or nothing, is no share; somebody else must be there to read; texts must be there."""
    assert route_of(load({"audit": "1%"})).audit == 0.01
    assert route_of(load({"audit": "0.05"})).audit == 0.05
    for wrong in ("101%", "0", "some", "-1%"):
        with pytest.raises(UsageError, match="audit"):
            load({"audit": wrong})
    with pytest.raises(UsageError, match="no second reader"):
        route_of(load({"audit": "1%", "route": "local"}))
    assert needs_embedded_engine(route_of(load({"audit": "1%", "engine": "openai"})))
    assert not needs_embedded_engine(route_of(load({"engine": "openai"})))


def test_the_same_pages_are_drawn_in_every_run() -> None:
    """About as many as asked for, over documents and pages; a larger share holds the smaller one."""
    pages = [(f"sha256:{document}", number) for document in range(50) for number in range(1, 101)]
    some = {page for page in pages if is_audited(*page, 0.05)}
    assert 200 < len(some) < 300
    assert some < {page for page in pages if is_audited(*page, 0.1)}
    assert all(is_audited(*page, 1.0) for page in pages)


def test_the_next_reader_audits_else_the_embedded_engine() -> None:
    """Never the one that answered, nor one that has passed the page on."""
    auto = ("text-layer", "local", "openai")
    assert [second_reader(auto, name) for name in auto] == ["local", "openai", None]
    assert second_reader(("small", "large"), "small") == "large"
    assert second_reader(("openai",), "openai") == second_reader(("text-layer",), "text-layer") == "local"


def test_two_readings_are_compared_by_words() -> None:
    """The words of tables too; marks of Markdown are no words."""
    assert disagreement("# The title\n\none two three", "The title\n\none 2 three") == (1, 5)
    assert disagreement("| a | b |\n|---|---|\n| c | d |", "a b c d") == (0, 4)
    assert disagreement("", "one two") == (2, 2)


def test_the_interval_knows_that_errors_come_in_bad_pages() -> None:
    """Pages that all differ by as much tell more than one page that differs by all; no error is no proof."""
    even, uneven = clustered([(1, 100), (2, 100)] * 10), clustered([(30, 100), *[(0, 100)] * 19])
    assert even[0] < 0.015 < even[1]
    assert uneven[1] - uneven[0] > 5 * (even[1] - even[0])
    assert clustered([(0, 500)] * 30) == wilson(0.0, 30)
    assert clustered([]) == clustered([(0, 0)]) == (0.0, 1.0)


def test_the_report_is_by_reader_and_reason() -> None:
    """A page without an answer of the second reader counts for itself; in words it is one line."""
    report = audit_report(0.01, [audited(2, 100), audited(4, 100), audited(None, 50), audited(20, 100, "local")])
    assert (report["pages"], report["unanswered"], report["words"], report["word_errors"]) == (3, 1, 300, 26)
    assert report["cost_usd"] == pytest.approx(0.04)
    assert report["readers"]["text-layer"]["disagreement"] == 0.03
    assert report["low"] < report["disagreement"] == 0.0867 < report["high"]
    assert report["route_reasons"].keys() == {"checked"}
    assert told_audit(report).startswith("Audit: of 300 words 8.7 % (")
    assert "no page" in told_audit(audit_report(0.01, [audited(None, 5)]))


# ---------------------------------------------------------------- a shard with an audit

NO_CREDIT = Answer(failure=Failure(ErrorCode.BILLING, "No credit.", Action.STOP))
READ = Answer(text="one two three four", usage=Usage(1000, 100), finish_reason="stop")
COST_USD = (1000 * 1.0 + 100 * 10.0) / 1e6


class Engine(ScriptedEngine):
    """A scripted engine of that name."""

    def __init__(self, name: str, answers: Sequence[Answer]) -> None:
        super().__init__(dict.fromkeys((1, 2, 3), answers), model=name)
        self.name = name


class Watch:
    """A `ShardObserver` that adds up what a worker would report."""

    def __init__(self) -> None:
        self.totals = RunTotals()

    def recorded(self, spending: Spending) -> None:
        self.totals.add_untold(spending)

    def safe(self, page: PageResult) -> None:
        self.totals.add_page(page)

    def __getattr__(self, name: str) -> object:
        return lambda *_: None


def readers(*, second: Sequence[Answer]) -> tuple[Reader, Reader]:
    """The embedded engine before a model with a price."""
    metering = ProviderMetering(
        lambda *_: 1000, "model", image_detail="high", prices={"model": Price(1.0, 10.0)}, output_cap=1000
    )
    first = Engine("local", [Answer(text="one two 3 four", confidence=0.99)])
    ask = PageRequest(prompt="Read.")
    return (
        Reader(first, NoLimit(), ask, None, NoMetering(), accept_as_is),
        Reader(Engine("openai", second), NoLimit(), ask, "p" * 64, metering, judge),
    )


async def render(slices: Sequence[RenderSlice]) -> AsyncGenerator[tuple[DocumentRef, RenderedPage]]:
    for item in (item for each in slices for item in each):
        for number in item.pages:
            yield item.document, page_image(number=number)


async def read_shard(output: Path, route: tuple[Reader, Reader], shard: Shard, run_id: str) -> Watch:
    """One run over the shard, all of whose pages are audited."""
    identity = RunIdentity(run_id, "config")
    job = Job(
        output=str(output), config={}, identity=identity, selection=ALL_PAGES,
        pdf=PdfOptions(longest_side_px=1600, max_pages=10, max_file_bytes=1000, password=None),
        ask=PageRequest(positions=Positions.NONE), engines={}, budget=None, pages_at_once=1, render_tasks=1,
        stop_wait_s=0.0,
    )  # fmt: skip
    watch = Watch()
    reading = Reading(route, identity, audit=Audit(1.0, route))
    await ShardReader(job, page_slots(1), render).read(shard, reading, watch)
    return watch


async def test_a_stop_in_the_audit_is_made_up_by_the_next_run(tmp_path: Path) -> None:
    """The rows are the first reader's and are read once; each page is audited once; the cost is all there."""
    shard, output = Shard("000000-a", (document(1),)), Objects(str(tmp_path))
    route = readers(second=[NO_CREDIT])
    with pytest.raises(StoppedError, match="No credit"):
        await read_shard(tmp_path, route, shard, "run-1")
    assert audit_of(output, 1.0) == audit_report(1.0, [])
    before = len(route[0].engine.asked)  # type: ignore[attr-defined]

    again = readers(second=[READ])
    watch = await read_shard(tmp_path, again, shard, "run-2")
    assert before + len(again[0].engine.asked) == 3  # type: ignore[attr-defined]
    rows = Dataset(output, {}).pages(shard.shard_id)
    assert [(row.engine, row.markdown, row.cost_usd) for row in rows] == [("local", "one two 3 four", 0.0)] * 3
    report = audit_of(output, 1.0)
    assert report is not None
    assert (report["pages"], report["words"], report["word_errors"]) == (3, 12, 3)
    assert report["cost_usd"] == pytest.approx(3 * COST_USD)
    assert {page.second for page in audited_pages(output)} == {"openai"}
    assert watch.totals.cost_usd == pytest.approx(3 * COST_USD)
    assert recorded_spending(output, None).known_usd == pytest.approx(3 * COST_USD)
    assert audit_of(output, None) is None
