"""The audit: a share of the pages is read by a second reader too, and the run says how far the two disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from one_ocr_ray.errors import StoppedError, UsageError
from one_ocr_ray.model import Action, Answer, ErrorCode, Failure, Shard
from one_ocr_ray.policy.evaluation.page_score import disagreement
from one_ocr_ray.policy.intervals import clustered, wilson
from one_ocr_ray.policy.route.audit import AuditedPage, audit_line, audit_report, is_audited, second_reader
from one_ocr_ray.policy.route.chain import needs_embedded_engine
from one_ocr_ray.reading.route.audit import Audit
from one_ocr_ray.settings.run import load
from one_ocr_ray.setup.job import route_of
from one_ocr_ray.storage.audit_records import audit_of, audited_pages
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.spending.records import recorded_spending
from one_ocr_ray.storage.store.objects import Objects
from tests.shard_runs import COST_USD, READ, read_shard, readers
from tests.values import document

if TYPE_CHECKING:
    from pathlib import Path


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
    assert audit_line(report).startswith("Audit: of 300 words 8.7 % (")
    assert "no page" in audit_line(audit_report(0.01, [audited(None, 5)]))


NO_CREDIT = Answer(failure=Failure(ErrorCode.BILLING, "No credit.", Action.STOP))


async def test_a_stop_in_the_audit_is_made_up_by_the_next_run(tmp_path: Path) -> None:
    """The rows are the first reader's and are read once; each page is audited once; the cost is all there."""
    shard, output = Shard("000000-a", (document(1),)), Objects(str(tmp_path))
    route = readers(second=[NO_CREDIT])
    with pytest.raises(StoppedError, match="No credit"):
        await read_shard(tmp_path, route, shard, "run-1", audit=Audit(1.0, route))
    assert audit_of(output, 1.0) == audit_report(1.0, [])
    before = len(route[0].engine.asked)  # type: ignore[attr-defined]

    again = readers(second=[READ])
    watch = await read_shard(tmp_path, again, shard, "run-2", audit=Audit(1.0, again))
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
