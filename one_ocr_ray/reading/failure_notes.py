"""What providers have said of failures, for the driver to tell the user once. Never logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.model import Action
from one_ocr_ray.policy.page.moves import closes_the_endpoint
from one_ocr_ray.reading.page.events import FailureReported, RequestDone

if TYPE_CHECKING:
    from one_ocr_ray.policy.ratelimit.messages import Held
    from one_ocr_ray.reading.page.events import ReadingEvent


class FailureNotes:
    """The first sentence for each error code, for throttles, and for each refusing endpoint."""

    def __init__(self) -> None:
        self._notes: dict[str, str] = {}
        self._of_throttles: dict[str, str] = {}

    def observe(self, event: ReadingEvent) -> None:
        """Note what the provider says of a failure that is reported."""
        if isinstance(event, RequestDone):
            self._note_endpoint(event)
        if not isinstance(event, FailureReported):
            return
        failure, sentence = event.answer.failure, event.answer.provider_message
        if failure is not None and sentence:
            notes = self._of_throttles if failure.action is Action.THROTTLED else self._notes
            notes.setdefault(failure.code.value, f"{failure.message} The provider says: {sentence}")

    def _note_endpoint(self, event: RequestDone) -> None:
        failure = event.answer.failure if event.answer is not None else None
        if failure is not None and event.endpoint is not None and closes_the_endpoint(failure):
            who = " at ".join(event.endpoint)
            self._notes.setdefault(who, f"{who} refuses every page: {failure.message}")

    def to_show(self, held: Held | None) -> dict[str, str]:
        """The notes to show: a throttle only while it holds the run up."""
        return self._notes if held is None else self._of_throttles | self._notes
