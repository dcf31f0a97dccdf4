"""How files and batches play: durations, caps and faults. Values of the scenario, and the dice of its rules (pure)."""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import BaseModel, ConfigDict

Step = Literal["upload", "create", "get", "list", "cancel", "content", "delete"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StepRule(_Part):
    """A fault of one step: after the first `after` of its kind, `times` times.

    fault: `429` or any status refuses, `500 done` does it first; `cut` closes the connection, `cut done` after doing
    it; `short` sends half of a content; `unknown state`, `Validating` and `null counts` alter what a get shows.
    """

    step: Step
    fault: str
    after: int = 0
    times: int = 1


class LineRule(_Part):
    """A fault of the lines of one page: `missing`, `doubled`, `status 0`, `foreign`, `expired`."""

    fault: Literal["missing", "doubled", "status 0", "foreign", "expired"]
    page: str = "*"
    times_per_page: int | None = None


class BatchPlay(_Part):
    """Everything there is to set of files and batches; seconds are those of the provider's clock."""

    validate_s: float = 0.0
    run_s: float = 0.0
    listed_after_s: float = 0.0
    pending_s: float = 0.0  # a file of Azure's is checked before a batch may be made of it
    cap_tokens: int | None = None  # enqueued at once, by key and model
    fail_codes: tuple[str, ...] = ()  # the first batches fail validation with these
    expire_first: int = 0  # so many first batches expire: half done at OpenAI, nothing at Gemini
    steps: tuple[StepRule, ...] = ()
    lines: tuple[LineRule, ...] = ()


class BatchScript:
    """The rules at play: counts steps, and which page was struck how often."""

    def __init__(self, play: BatchPlay) -> None:
        self._play = play
        self._steps: Counter[str] = Counter()
        self._struck: Counter[tuple[int, str]] = Counter()

    def step(self, step: Step) -> str:
        """The fault that strikes this step; '' for none."""
        self._steps[step] += 1
        seen = self._steps[step]
        for rule in self._play.steps:
            if rule.step == step and rule.after < seen <= rule.after + rule.times:
                return rule.fault
        return ""

    def line(self, page: str) -> str:
        """The fault that strikes a line of this page; '' for none."""
        for index, rule in enumerate(self._play.lines):
            if fnmatchcase(page, rule.page) and (
                rule.times_per_page is None or self._struck[index, page] < rule.times_per_page
            ):
                self._struck[index, page] += 1
                return rule.fault
        return ""
