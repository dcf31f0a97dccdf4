"""What a worker has heard providers say of failures, for the driver to tell the user once; never logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.model import Action
from one_ocr_ray.reading.page.events import FailureReported

if TYPE_CHECKING:
    from one_ocr_ray.policy.ratelimit.messages import Held
    from one_ocr_ray.reading.page.events import ReadingEvent


class FailureNotes:
    """The first sentence for each error code, and the one for throttles."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}
        self._said_of_throttle: dict[str, str] = {}

    def observe(self, event: ReadingEvent) -> None:
        """Note what the provider says of a failure that is reported."""
        if not isinstance(event, FailureReported):
            return
        failure, sentence = event.answer.failure, event.answer.provider_message
        if failure is not None and sentence:
            said = self._said_of_throttle if failure.action is Action.THROTTLED else self._said
            said.setdefault(failure.code.value, f"{failure.message} The provider says: {sentence}")

    def told(self, held: Held | None) -> dict[str, str]:
        """What is worth telling: a throttle only while it holds the run up."""
        return self._said if held is None else self._said_of_throttle | self._said
