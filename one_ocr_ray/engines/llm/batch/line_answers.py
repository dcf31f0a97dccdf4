"""Answers out of the lines of a batch, for both dialects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from one_ocr_ray.model import Action

if TYPE_CHECKING:
    from one_ocr_ray.model import Answer


@dataclass(frozen=True, slots=True)
class LineResult:
    """What a line says: the answer to the request `key`. None if the provider has not run it."""

    key: str
    answer: Answer | None


def result_of(key: str, answer: Answer) -> LineResult:
    """The result of a line that was run. A throttle there is a fault like others: nothing slows a batch down."""
    failure = answer.failure
    if failure is not None and failure.action in {Action.THROTTLED, Action.RETRY_NOW}:
        answer = replace(answer, failure=replace(failure, action=Action.RETRY, retry_after_s=None))
    return LineResult(key, replace(answer, limits=None))
