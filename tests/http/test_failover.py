"""A provider whose process is killed while pages are read by a route, and that comes back: real processes, no Ray."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

import one_ocr_ray as ocr
from tests.provider import ProviderProcess, identity_pdf, kept_port
from tests.provider.ledger import rows_of
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

PAGES, AT_ONCE = 120, 4
RPM = {"small": 1200, "large": 120}  # the large one alone would take a minute
USD = {"small": 1.0, "large": 10.0}  # per million tokens


def test_a_provider_that_is_killed_and_comes_back_is_used_again(tmp_path: Path) -> None:
    """No page fails, none is paid by both but for those that were under way, and the money of both is counted."""
    file, ledgers = tmp_path / "book.pdf", [tmp_path / "first-life.jsonl", tmp_path / "second-life.jsonl"]
    file.write_bytes(identity_pdf(1, range(1, PAGES + 1), lines=2))
    with ExitStack() as stack:
        port = stack.enter_context(kept_port())
        large = stack.enter_context(ProviderProcess(keys=()))
        small = stack.enter_context(ProviderProcess(keys=(), port=port, ledger_path=ledgers[0]))

        def die_and_come_back() -> None:
            until(lambda: small.summary()["answered"] >= 10, "ten pages")
            os.kill(small.pid, signal.SIGKILL)
            until(lambda: large.summary()["answered"] >= 3, "pages of the next reader")
            stack.enter_context(ProviderProcess(keys=(), port=port, ledger_path=ledgers[1]))

        engines = {
            name: {
                "engine": "openai",
                "model": f"{name}-model",
                "base_url": provider.openai_url,
                "rpm": RPM[name],
                "prices": {"input_usd": USD[name], "output_usd": USD[name]},
            }
            for name, provider in (("small", small), ("large", large))
        }
        fate = threading.Thread(target=die_and_come_back)
        fate.start()
        document = ocr.read(
            file,
            engine="local",
            engines=engines,
            route="small,large",
            max_in_flight=AT_ONCE,
            max_cost=10.0,
            longest_side=800,
        )
        fate.join()
        lives = [[row for row in rows_of(path.read_bytes()) if row.answered and row.page] for path in ledgers]
        by_large = [row for row in large.rows() if row.answered and row.page]
    assert [page.status for page in document.pages] == ["ok"] * PAGES
    assert all(f"page {page.number}" in page.text.splitlines()[0] for page in document.pages)
    assert {(page.row.engine, page.row.route_reason) for page in document.pages} >= {
        ("small", "usable"),
        ("large", "failed_over"),
    }
    assert len(lives[0]) >= 10
    assert lives[1]
    by_small = [*lives[0], *lives[1]]
    paid = Counter(row.page for row in (*by_small, *by_large))
    assert len(paid) == PAGES
    assert paid.total() <= PAGES + AT_ONCE
    billed_usd = sum((row.input_tokens + row.output_tokens) * USD["small"] / 1e6 for row in by_small)
    billed_usd += sum((row.input_tokens + row.output_tokens) * USD["large"] / 1e6 for row in by_large)
    known_usd = [page.row.cost_usd for page in document.pages if page.row.cost_usd is not None]
    assert len(known_usd) >= PAGES - AT_ONCE  # nobody knows what those that were cut off have cost
    assert sum(known_usd) <= billed_usd + 1e-9
    if len(known_usd) == PAGES == paid.total():
        assert sum(known_usd) == pytest.approx(billed_usd)
