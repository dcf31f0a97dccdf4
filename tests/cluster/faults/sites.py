"""A provider, a folder of pages that say who they are, and runs on them that something happens to."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from tests.cluster.outputs import read
from tests.faults.death_costs import Death, costs_of, safe_pages, wrong_in
from tests.provider import Identity, Latency, write_identity_pdfs
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from one_ocr_ray.policy.dataset.summary import RunSummary
    from tests.provider import ProviderProcess
    from tests.provider.ledger import Row

LATENCY = Latency(shape="uniform", seconds=0.1, to_s=0.3)


class Site:
    """One output, its source of `documents` times `pages`, and a model of its own at the provider."""

    def __init__(self, folder: Path, provider: ProviderProcess, documents: int = 4, pages: int = 20) -> None:
        self.provider = provider
        self.source, self.output = folder / "in", str(folder / "out")
        self.source.mkdir()
        write_identity_pdfs(self.source, range(1, documents + 1), pages, lines=2)
        self.expected = {str(Identity(d, p)) for d in range(1, documents + 1) for p in range(1, pages + 1)}
        self.flags: dict[str, Any] = {
            "engine": "openai", "model": uuid4().hex, "base_url": provider.openai_url, "rpm": 100_000,
            "max_in_flight": 16, "longest_side": 800,
        }  # fmt: skip
        provider.reset(latency=LATENCY, text_chars=100)

    def use_two_endpoints(self) -> None:
        """Have the provider asked at two addresses, each with a limiter of its own; its ledger is one."""
        url = self.provider.openai_url
        self.flags["base_url"] = f"{url},{url.replace('127.0.0.1', 'localhost')}"

    def arguments(self, *more: str) -> list[str]:
        """The flags of a command."""
        flags = [text for name, value in self.flags.items() for text in (f"--{name.replace('_', '-')}", str(value))]
        return [str(self.source), "--output", self.output, *flags, *more]

    def read(self, **flags: Any) -> RunSummary:
        """A run in this process."""
        return read(self.output, self.source, **self.flags | flags)  # type: ignore[arg-type]

    def answered(self) -> int:
        """Calls that somebody paid for, so far."""
        return int(self.provider.summary()["answered"])

    def sent(self) -> list[Row]:
        """Requests for pages that have ended."""
        return [row for row in self.provider.rows() if row.operation == "read"]

    def stop_after(self, answers: int) -> None:
        """Let the provider answer so many calls from now on, and keep the others waiting: a run stands still there."""
        until(lambda: self.provider.summary()["in_flight"] == 0, "the end of the calls of whoever was killed")
        self.provider.change(passes=answers)

    def go_on(self) -> None:
        """Let the provider answer everything again."""
        self.provider.change(passes=None)

    def stands_still(self) -> bool:
        """True if as many calls wait for an answer as a run may have under way."""
        return bool(self.provider.summary()["in_flight"] == self.flags["max_in_flight"])

    def death(self, killed_s: float, gone_s: float) -> Death:
        """A death that has just been."""
        return Death(killed_s, gone_s, safe_pages(self.output, gone_s))

    def assert_kept(self, *deaths: Death, workers: int = 1) -> None:
        """The output is whole, and each of `deaths` has cost no more than the contract allows."""
        assert wrong_in(self.output, self.expected) == []
        for cost in costs_of(deaths, self.provider.rows()):
            assert cost.is_within_the_promise(workers), cost


class Saboteur:
    """Kills something, in a thread, when so many calls have been answered and no more are; `deaths` says when."""

    def __init__(self, site: Site, after: int, kill: Callable[[], None]) -> None:
        self.deaths: list[Death] = []
        self._site = site
        self._after = after
        self._kill = kill
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._wait_and_kill, daemon=True)

    def __enter__(self) -> Self:
        self._site.stop_after(self._after)
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _wait_and_kill(self) -> None:
        try:
            while self._site.answered() < self._after:
                if self._ended.wait(0.05):
                    return
            killed_s = time.monotonic()
            self._kill()
            self.deaths.append(self._site.death(killed_s, time.monotonic()))
        finally:
            self._site.go_on()
