"""What commands show: progress lines, a bar on a terminal, the summary, the estimate, the doctor's lines."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import pytest

from one_ocr_ray.cli import console
from one_ocr_ray.policy.dataset.row_counts import RowCounts
from one_ocr_ray.policy.dataset.summary import OutputCounts, RunSummary
from one_ocr_ray.policy.doctor import Check, CheckStatus
from one_ocr_ray.policy.progress import RunProgress
from one_ocr_ray.policy.ratelimit.messages import GateState, Held
from one_ocr_ray.policy.route.reader_use import ReaderUse
from one_ocr_ray.storage.dataset.export import ExportReport


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def progress(done: int, total: int, **changes: object) -> RunProgress:
    now = RunProgress(pages_total=total, pages_done=done, plan_complete=True, elapsed_s=10.0, pages_per_s=2.0)
    for name, value in changes.items():
        setattr(now, name, value)
    return now


def shown(*states: RunProgress) -> list[str]:
    err = io.StringIO()
    with console.progress(err) as show:
        for state in states:
            show(state)
    return err.getvalue().splitlines()


def test_a_log_gets_a_line_at_first_and_at_the_end() -> None:
    """Not one for each call, and never the same counts twice; the last counts are not left out."""
    lines = shown(progress(0, 100), *(progress(done, 100) for done in range(1, 101)), progress(100, 100))
    assert (lines[0], lines[-1]) == ("pages 0/100  starting", "pages 100/100  2.0 pages/s  ETA 0.0 s")
    assert len(lines) == len(set(lines)) < 50


def test_a_plan_that_still_grows_has_no_end() -> None:
    """A plus sign instead of a total, and no time to come; failures are told."""
    (line,) = shown(progress(10, 32, plan_complete=False, pages_failed=3))
    assert line == "pages 10/32+  2.0 pages/s  3 failed"


def test_pages_of_an_earlier_run_are_no_speed() -> None:
    """What the journal gives at once counts as done; the speed and the end are those of this run."""
    now = RunProgress(pages_total=160, plan_complete=True)
    for done, at_s in ((0, 1.0), (80, 2.0)):
        now.update({"ok": done}, elapsed_s=at_s)
    assert shown(now) == ["pages 80/160"]
    now.update({"ok": 84}, elapsed_s=3.0)
    assert shown(now) == ["pages 84/160  4.0 pages/s  ETA 19.0 s"]


PAUSED, BROKEN = Held(GateState.PAUSED, 11.4), Held(GateState.BROKEN, 290.0)


def test_pages_that_a_dead_worker_takes_along_are_no_speed_below_zero() -> None:
    """The next worker reads them again, and the count rises from where it fell to."""
    now = RunProgress(pages_total=160, plan_complete=True)
    for second, done in enumerate((20, 98, 50)):
        now.update({"ok": done}, elapsed_s=float(second))
        assert now.pages_per_s >= 0


def test_a_wait_for_the_provider_is_said() -> None:
    """In place of a speed that means nothing, in the log and in the bar, also while no page ends."""
    assert shown(progress(0, 4, held=PAUSED)) == ["pages 0/4  provider refuses: rate limit, next try in 12 s"]
    assert shown(progress(0, 4, held=BROKEN)) == ["pages 0/4  provider fails, next try in 5 min"]
    err = Terminal()
    with console.progress(err) as show:
        show(progress(0, 4, held=PAUSED))
    assert "provider refuses: rate limit, next try in 12 s" in err.getvalue()


def test_a_wait_is_said_though_the_counts_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it begins, once a minute while it lasts, and when it is over."""
    now_s = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now_s)
    err = io.StringIO()
    with console.progress(err) as show:
        for now_s in range(200):
            show(progress(1, 4, held=PAUSED if 10 <= now_s < 150 else None))
    assert [line.startswith("pages 1/4  provider refuses") for line in err.getvalue().splitlines()] == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_long_times_are_read_as_clocks() -> None:
    """Seconds, minutes, hours."""
    for left, text in ((10, "5.0 s"), (240, "2:00"), (2 * 3725, "1:02:05")):
        (line,) = shown(progress(1, 1 + left))
        assert line.endswith(f"ETA {text}")


def test_a_terminal_gets_a_bar() -> None:
    """With the counts in it, and gone at the end."""
    err = Terminal()
    with console.progress(err) as show:
        show(progress(7, 9))
    assert "7/9" in err.getvalue()


def summary(**changes: object) -> RunSummary:
    counts = OutputCounts(
        Counter(complete=1, partial=1, failed=1), Counter(ok=10, blank=1, failed=2), cost_usd=0.5,
        planned=RowCounts(4, 13), unopened=Counter(pdf_not_found=2, not_pdf=1),
    )  # fmt: skip
    values = {
        "run_id": "r", "output": "/out", "counts": counts, "requests": {"sent": 12, "retried": 1}, "input_tokens": 5,
        "output_tokens": 6, "cost_usd": 0.25, "elapsed_s": 3.14159, "exit_code": 3, "pages_read": 13,
        "warnings": {}, "readers": {"openai": ReaderUse(2, 0.25, 0.0, "gpt"), "text-layer": ReaderUse(10, 0.0, 1.25)},
    }  # fmt: skip
    return RunSummary(**{**values, **changes})  # type: ignore[arg-type]


def printed(told: RunSummary, *, as_json: bool) -> tuple[str, list[str]]:
    out, err = io.StringIO(), io.StringIO()
    console.print_summary(told, as_json=as_json, out=out, err=err)
    return out.getvalue(), err.getvalue().splitlines()


def test_the_json_summary_is_one_object_of_the_contract() -> None:
    """One line on stdout with the contract's names and nothing else; the words go to stderr."""
    out, err = printed(summary(), as_json=True)
    assert out.count("\n") == 1
    assert json.loads(out) == {
        "run_id": "r",
        "inputs": {"found": 4, "committed": 3},
        "documents": {"total": 3, "ok": 1, "partial": 1, "failed": 1},
        "pages": {"total": 13, "ok": 10, "blank": 1, "failed": 2},
        "requests": {"sent": 12, "throttled": 0, "retried": 1},
        "readers": {
            "openai": {"pages": 2, "cost_usd": 0.25, "saved_usd": 0.0},
            "text-layer": {"pages": 10, "cost_usd": 0.0, "saved_usd": 1.25},
        },
        "tokens": {"input": 5, "output": 6},
        "cost_usd": 0.25,
        "cost_usd_total": 0.5,
        "elapsed_s": 3.142,
        "output": "/out",
        "exit_code": 3,
    }
    assert err


def test_the_summary_in_words() -> None:
    """What was read, what stands in the output, what it cost, and what to do about failures."""
    out, err = printed(summary(), as_json=False)
    assert out == ""
    assert err[0] == "Read 13 pages in 3.1 s."
    assert err[1] == (
        "/out: 3 documents (1 complete, 1 partial, 1 failed), 13 pages (10 ok, 1 blank, 2 failed)."
    )  # fmt: skip
    assert err[2] == "Documents that cannot be opened: 1 not_pdf, 2 pdf_not_found."
    assert err[3] == "10 pages from the text layer, 2 by gpt; 0.25 USD instead of 1.5."
    assert err[4] == "Cost: 0.2500 USD this run, 0.5000 USD in all."
    assert "--retry-failed" in err[5]


def test_a_run_with_nothing_to_do_says_so() -> None:
    """And a run without cost or failures says nothing of them."""
    counts = OutputCounts(Counter(complete=1), Counter(ok=1))
    _, err = printed(summary(pages_read=0, counts=counts, exit_code=0, readers={}), as_json=False)
    assert err[0].startswith("Nothing left to read")
    assert err[1] == "/out: 1 document (1 complete, 0 partial, 0 failed), 1 page (1 ok, 0 blank, 0 failed)."
    assert len(err) == 2
    _, err = printed(summary(pages_read=0, counts=OutputCounts(Counter(failed=1)), exit_code=3), as_json=False)
    assert err[0] == "There was no page to read."


def test_an_unknown_cost_of_this_run_is_not_a_crash() -> None:
    """Null in JSON, and words that do not claim an amount."""
    counts = OutputCounts(Counter(complete=1), Counter(ok=1), cost_usd=None)
    out, err = printed(summary(cost_usd=None, counts=counts), as_json=True)
    assert json.loads(out)["cost_usd"] is None
    assert not any("Cost" in line for line in err)


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (ExportReport(1, 0), "Wrote 1 document to md.\n"),
        (ExportReport(1200, 2), "Wrote 1,200 documents to md; 2 documents without text left out.\n"),
    ],
)
def test_an_export_in_one_line(report: ExportReport, line: str) -> None:
    """Counts with their nouns."""
    err = io.StringIO()
    console.print_export(report, Path("md"), err)
    assert err.getvalue() == line


def test_checks_are_a_line_each_and_failures_are_counted() -> None:
    """CheckStatus, name, sentence in columns; or one JSON object."""
    checks = [Check("ray", CheckStatus.OK, "Fine."), Check("output", CheckStatus.FAIL, "Full.")]
    out = io.StringIO()
    assert console.print_checks(checks, as_json=False, out=out) == 1
    assert out.getvalue().splitlines() == ["ok    ray             Fine.", "fail  output          Full."]
    out = io.StringIO()
    assert console.print_checks(checks, as_json=True, out=out) == 1
    assert json.loads(out.getvalue())["checks"][1] == {"name": "output", "status": "fail", "sentence": "Full."}


def test_warnings_of_pages_are_told_at_the_end() -> None:
    """A page that is ok and not whole is no secret of the dataset."""
    _, err = printed(summary(warnings={"lines_dropped": 2, "glyphs_missing": 1}), as_json=False)
    assert "Warnings: glyphs_missing on 1 page, lines_dropped on 2 pages; column `warnings` names them." in err
