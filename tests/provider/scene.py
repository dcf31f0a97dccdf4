"""What a fault is given to play with, and what a fault is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.provider.questions import Question
    from tests.provider.replies import Reply, Used
    from tests.provider.scenario import Hint


@dataclass(frozen=True, slots=True)
class Scene:
    """One question on its way to a reply, with what a good answer would have said."""

    question: Question
    text: str
    used: Used
    hint: Hint
    seconds: float | None  # of the rule that called the fault
    now_at: float  # wall clock
    key: str = ""


Fault = Callable[[Scene], "Reply"]
