"""Runs, crashes, reruns, retries, new files and pages that fail now and then, in any order Hypothesis thinks of."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.faults.invariants import assert_finished, visible_rows
from tests.faults.small_run import Key, SmallRun, dying
from tests.values import document

PAPERS = [document(number, page_count=number) for number in (1, 2, 3, 4)]
KEYS = [(paper.document_id, number) for paper in PAPERS for number in range(1, (paper.page_count or 0) + 1)]
MOST_STEPS = 40  # a run of all papers changes the disk about so often


class CrashError(BaseException):
    """The end of a run, at once. What Python does on its way out is left to the killed processes of another test."""


class AnyOrder(RuleBasedStateMachine):
    """One output over many runs. The model: which papers were given, which page is safe and how."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.root = self.folder / "out"
        self.given = 1
        self.bad: set[Key] = set()
        self.good: set[Key] = set()  # safe for good: never to be called again
        self.failed: set[Key] = set()  # safe, and failed at the last reading
        self.runs = 0
        self.retrying = False
        self.finished = True

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(key=st.sampled_from(KEYS))
    def page_fails(self, key: Key) -> None:
        self.bad.add(key)

    @rule(key=st.sampled_from(KEYS))
    def page_is_ok_again(self, key: Key) -> None:
        self.bad.discard(key)

    @rule()
    def a_file_is_added(self) -> None:
        self.given = min(self.given + 1, len(PAPERS))

    @rule()
    def run(self) -> None:
        self._run()
        assert_finished(self.root, self._expected())

    @rule()
    def retry_failed(self) -> None:
        self._run(retry=True)
        assert_finished(self.root, self._expected())
        assert self.failed <= self.bad

    @rule(step=st.integers(1, MOST_STEPS), torn=st.booleans(), retry=st.booleans())
    def crash(self, step: int, torn: bool, retry: bool) -> None:
        def die() -> None:
            raise CrashError

        try:
            with dying(step, die, torn=torn):
                self._run(retry=retry)
        except CrashError:
            pass

    @invariant()
    def what_is_visible_is_whole(self) -> None:
        rows = visible_rows(self.root)
        assert {key for key, status in rows.items() if status == "ok"} <= self.good

    def _run(self, *, retry: bool = False) -> None:
        self.runs += 1
        self.retrying = retry
        papers = PAPERS[: self.given]
        SmallRun(self.root, papers, f"run {self.runs}", self.bad.__contains__, self._called, self._safe).run(
            retry_failed=retry
        )

    def _called(self, key: Key) -> None:
        assert key not in self.good, f"{key} was safe and is paid again"
        assert self.retrying or key not in self.failed, f"{key} has failed and is read again unasked"

    def _safe(self, key: Key, good: bool) -> None:
        (self.good if good else self.failed).add(key)
        if good:
            self.failed.discard(key)

    def _expected(self) -> dict[Key, str]:
        given = {paper.document_id for paper in PAPERS[: self.given]}
        return {key: "ok" if key in self.good else "failed" for key in KEYS if key[0] in given}


AnyOrder.TestCase.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAnyOrder = AnyOrder.TestCase
