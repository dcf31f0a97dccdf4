"""Output on a terminal or in a log: progress, summaries, and other commands' findings. No decisions."""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO

import orjson

from one_ocr_ray.policy.cost.estimate import ANSWER_S, BOUNDS, CPU_S_BY_READER
from one_ocr_ray.policy.doctor import CheckStatus
from one_ocr_ray.policy.progress import hold_text
from one_ocr_ray.policy.route.audit import audit_line
from one_ocr_ray.policy.route.reader_use import has_choice, use_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from one_ocr_ray.policy import progress as run_progress
    from one_ocr_ray.policy.cost.estimate import Estimate
    from one_ocr_ray.policy.dataset.export import ExportReport
    from one_ocr_ray.policy.dataset.summary import RunSummary
    from one_ocr_ray.policy.doctor import Check
    from one_ocr_ray.policy.evaluation.report import EvalReport

    Show = Callable[[run_progress.RunProgress], None]

MOST_LABEL = 60  # characters of a name in a table
LINE_EVERY_S = 5.0
HELD_LINE_EVERY_S = 60.0  # while nothing else changes


def progress(err: TextIO) -> AbstractContextManager[Show]:
    """Shows progress: a bar on a terminal, else a plain line every few seconds."""
    return _bar(err) if err.isatty() else nullcontext(_lines(err))


@contextmanager
def _bar(err: TextIO) -> Iterator[Show]:
    from rich.console import Console  # noqa: PLC0415 - only for a terminal
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    bar = Progress(
        TextColumn("pages"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        console=Console(file=err),
        transient=True,
    )
    task = bar.add_task("pages", total=None, speed="starting")

    def show(now: run_progress.RunProgress) -> None:
        bar.update(task, completed=now.pages_done, total=now.pages_total or None, speed=_speed(now))

    with bar:
        yield show


def _lines(err: TextIO) -> Show:
    last_s, last_state = float("-inf"), ("", False)  # of the last line

    def show(now: run_progress.RunProgress) -> None:
        nonlocal last_s, last_state
        finished = now.plan_complete and now.pages_done == now.pages_total
        counts = f"pages {now.pages_done}/{now.pages_total}{'' if now.plan_complete else '+'}"
        state, since_s = (counts, now.held is not None), time.monotonic() - last_s
        changed = state != last_state and (finished or since_s >= LINE_EVERY_S)
        if changed or (now.held is not None and since_s >= HELD_LINE_EVERY_S):
            last_s, last_state = time.monotonic(), state
            print(f"{counts}  {_speed(now)}".rstrip(), file=err, flush=True)

    return show


def _speed(now: run_progress.RunProgress) -> str:
    if now.held is not None:
        return hold_text(now.held)
    if not now.pages_done:
        return "starting"
    parts = [f"{now.pages_per_s:.1f} pages/s"] if now.pages_per_s else []
    if now.eta_s is not None:
        parts.append(f"ETA {_duration(now.eta_s)}")
    if now.pages_failed:
        parts.append(f"{now.pages_failed} failed")
    return "  ".join(parts)


def line_printer(err: TextIO) -> Callable[[str], None]:
    """A function that prints each sentence on a line of its own."""
    return lambda sentence: print(sentence, file=err, flush=True)


def timed_line_printer(err: TextIO) -> Callable[[str], None]:
    """Like `line_printer`, with the seconds since now before each sentence."""
    begun_s = time.monotonic()
    return lambda sentence: print(f"[{time.monotonic() - begun_s:5.1f} s] {sentence}", file=err, flush=True)


def _reader_lines(summary: RunSummary) -> list[str]:
    """Who has read how much, and where the requests went."""
    lines = [f"{use_line(summary.readers)}."] if has_choice(summary.readers) else []
    for reader, endpoints in summary.requests_by_endpoint.items():
        lines.append(f"Requests of {reader}: {', '.join(f'{name} {number:,}' for name, number in endpoints.items())}.")
    return lines


def print_summary(summary: RunSummary, *, as_json: bool, out: TextIO, err: TextIO) -> None:
    """Print the end of a run as a few lines on `err`. With `as_json` also as one JSON object on `out`."""
    if as_json:
        print_json(summary, out)
    figures = summary.as_json()
    pages, documents = figures["pages"], figures["documents"]
    if summary.pages_read == pages["total"] == 0:
        lines = ["There was no page to read."]
    elif summary.pages_read == 0:
        lines = ["Nothing left to read: every page of this input is in the output already."]
    else:
        lines = [f"Read {_count(summary.pages_read, 'page')} in {_duration(summary.elapsed_s)}."]
    lines.append(
        f"{summary.output}: {_count(documents['total'], 'document')} "
        f"({documents['ok']} complete, {documents['partial']} partial, {documents['failed']} failed), "
        f"{_count(pages['total'], 'page')} ({pages['ok']} ok, {pages['blank']} blank, {pages['failed']} failed)."
    )
    if unopened := summary.counts.unopened:
        codes = ", ".join(f"{number} {code}" for code, number in sorted(unopened.items()))
        lines.append(f"Documents that cannot be opened: {codes}.")
    lines += _reader_lines(summary)
    lines += [f"{audit_line(summary.audit)}."] if summary.audit else []
    if figures["cost_usd_total"]:
        lines.append(f"Cost: {figures['cost_usd']:.4f} USD this run, {figures['cost_usd_total']:.4f} USD in all.")
    if summary.counts.unknown_usd:
        lines.append(f"Requests that told no cost may have cost up to {summary.counts.unknown_usd:.4f} USD more.")
    if summary.warnings:
        codes = ", ".join(f"{code} on {_count(pages, 'page')}" for code, pages in sorted(summary.warnings.items()))
        lines.append(f"Warnings: {codes}; column `warnings` names them.")
    if summary.exit_code:
        lines.append("Columns `error` say why pages and documents failed; --retry-failed reads them again.")
    for line in lines:
        print(line, file=err, flush=True)


def print_json(summary: RunSummary, out: TextIO) -> None:
    """Print the summary of a run, finished or stopped, as one JSON object."""
    print(orjson.dumps(summary.as_json()).decode(), file=out, flush=True)


def print_estimate(estimate: Estimate, *, as_json: bool, out: TextIO) -> None:
    """Print an estimate: one JSON object, or lines with the assumptions and the unreadable files."""
    figures = estimate.as_json()
    if as_json:
        print(orjson.dumps(figures).decode(), file=out)
        return
    documents, page = figures["documents"], estimate.page
    rows = [
        ("Engine", f"{figures['engine']}, {figures['model']}"),
        ("Documents", f"{documents['total']:,} ({documents['unreadable']} unreadable, {documents['copies']} copies)"),
        ("Pages", f"{figures['pages']:,}"),
    ]
    if figures["sample_pages"]:
        judged, is_all = figures["sample_pages"], figures["sample_pages"] >= figures["pages"]
        shares = (
            f"{name} {each['pages']:,}" + ("" if is_all else f" ({each['pages_low']:,}-{each['pages_high']:,})")
            for name, each in figures["readers"].items()
        )
        known = "every page was judged" if is_all else f"95 % interval from {_count(judged, 'page')} read"
        rows.append(("Readers", f"{', '.join(shares)}; {known}"))
    if figures["audit"]:
        audited = (f"{_count(pages, 'page')} by {name}" for name, pages in figures["audit"].items())
        rows.append(("Audit", ", ".join(audited)))
    if page.input_tokens is not None:
        tokens = figures["tokens"]
        rows.append(("Tokens", f"{tokens['input']:,} in, {tokens['output']:,} out"))
    rows.append(("Cost", _cost_text(estimate, figures)))
    if estimate.batch is not None:
        batch = estimate.batch
        files = f"{_count(batch.parcels, 'file')}, {batch.uploaded_bytes / 1e9:,.1f} GB to upload"
        rounds = "" if batch.waves is None else f"; {_count(batch.waves, 'round')} under --batch-tokens"
        rows.append(("Batches", f"{files}; each takes up to a day{rounds}"))
    rows.append(("Time", _time_text(estimate, figures)))
    for name, text in rows:
        print(f"{name:<10} {text}", file=out)
    print(f"Assumed: {'; '.join(_assumptions(estimate))}.", file=out)
    for each in figures["unreadable"]:
        print(f"{each['code']}: {each['source_uri']}", file=out)


def _cost_text(estimate: Estimate, figures: Mapping[str, Any]) -> str:
    if (cost_usd := figures["cost_usd"]) is not None:
        low, high = figures["cost_usd_low"], figures["cost_usd_high"]
        most = "unknown" if high is None else f"{high:,.4f}"
        return f"{cost_usd:,.4f} USD" + ("" if low == high else f" ({low:,.4f}-{most})")
    if estimate.server_hour_usd is not None:
        return f"{estimate.server_hour_usd:,.4f} USD an hour for each server; its speed is not known before it is tried"
    return "unknown: no price"


def _time_text(estimate: Estimate, figures: Mapping[str, Any]) -> str:
    if estimate.seconds is None or estimate.bound_by is None:
        return "unknown: nobody knows the speed of own servers before they are tried"
    low, high = map(_duration, (figures["seconds_low"], figures["seconds_high"]))
    spread = "" if low == high else f" ({low} to {high})"
    return f"about {_duration(estimate.seconds)}{spread}, held back by {BOUNDS[estimate.bound_by]}"


def _assumptions(estimate: Estimate) -> Iterator[str]:
    page = estimate.page
    if page.input_tokens is not None:
        yield f"A4 pages of {page.input_tokens:,} tokens in and {page.output_tokens:,} out, none blank, no retries"
        if estimate.seconds is not None:
            yield f"{ANSWER_S:g} s for an answer"
    if estimate.later_usd != 0.0:
        yield f"no page that {estimate.engine} passes on, and at the upper end all"
    *earlier, last = estimate.shares.names
    before = "".join(f", {CPU_S_BY_READER[name]:g} by {name}" for name in earlier if name in CPU_S_BY_READER)
    by_last = f" by {last}" if before else ""
    yield f"{page.cpu_s:g} CPU seconds a page{by_last}{before}, on the {_count(estimate.cpus, 'CPU')} of this machine"
    if estimate.limits_unknown:
        yield "no limit of the account, for neither --rpm nor --tpm is given"


def print_export(report: ExportReport, folder: str, err: TextIO) -> None:
    """Print what an export has written."""
    documents = _count(report.documents, "document")
    wrote = documents if report.pieces is None else f"{report.pieces} {report.lacking} of {documents}"
    left_out = f"; {_count(report.left_out, 'document')} without {report.lacking} left out" if report.left_out else ""
    print(f"Wrote {wrote} to {folder}{left_out}.", file=err)
    if report.refused:
        print(f"{_count(report.refused, 'document')} not written, for the reasons above.", file=err)
    if report.unopened:
        documents = _count(report.unopened, "document")
        print(f"{documents} left out: the file is not there any more, is another one, or cannot be opened.", file=err)


def print_findings(findings: Iterable[str], out: TextIO) -> int:
    """Print a line for each finding and return how many there were."""
    number = 0
    for number, finding in enumerate(findings, start=1):  # noqa: B007 - the last number is the count
        print(finding, file=out)
    print("The dataset is sound." if not number else f"{_count(number, 'finding')}.", file=out)
    return number


def print_evaluation(report: EvalReport, *, as_json: bool, out: TextIO) -> None:
    """A table of the figures, by reader, route reason and document; or one JSON object."""
    if as_json:
        print(orjson.dumps(report.as_json()).decode(), file=out)
        return
    groups = {"": {"all": report.all}, "reader": report.readers, "reason": report.reasons, "document": report.documents}
    rows = {
        f"{title} {name}".strip(): totals.figures()
        for title, group in groups.items()
        for name, totals in sorted(group.items())
    }
    width = min(MOST_LABEL, max(map(len, rows)))
    heads = ("pages", "CER", "WER", "order", "TEDS", "heads")
    print(" " * width + "".join(f"{head:>8}" for head in heads), file=out)
    for label, told in rows.items():
        shares = (told[key] for key in ("cer", "wer", "order", "teds", "headings_f1"))
        cells = ["" if share is None else f"{share:.4f}" for share in shares]
        shown = label if len(label) <= width else f"{label[: width // 2]}…{label[width // 2 + 1 - width :]}"
        print(f"{shown:<{width}}{told['pages']:>8}" + "".join(f"{cell:>8}" for cell in cells), file=out)
    print(f"Pages without a truth: {report.without_truth}. Truths without a page: {report.unread}.", file=out)


def print_checks(checks: Sequence[Check], *, as_json: bool, out: TextIO) -> int:
    """Print a line for each check, or one JSON object, and return how many failed."""
    if as_json:
        print(orjson.dumps({"checks": [asdict(check) for check in checks]}).decode(), file=out)
    else:
        for check in checks:
            print(f"{check.status:<4}  {check.name:<14}  {check.sentence}", file=out)
    return sum(check.status is CheckStatus.FAIL for check in checks)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
