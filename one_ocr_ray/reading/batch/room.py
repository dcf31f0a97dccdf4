"""`Room`: what refusals for too many enqueued tokens teach, and which files never fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.policy.batch.flow import parcel_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from one_ocr_ray.policy.batch.flow import TokenMeter
    from one_ocr_ray.policy.batch.parcel import Parcel

NO_ROOM = "The provider lets no more tokens be enqueued now{cap}; files of requests wait until batches have ended."
TOO_LONG = (
    "Files of requests with {pages:,} pages are longer than that: the pages are rendered again, into smaller files."
)
PATIENT_TRIES = 3  # after so many refusals a file is cut, too, that could just fit in


class Room:
    """Learns how many tokens may be enqueued at one model. Says what is new."""

    def __init__(self, meter: TokenMeter, say: Callable[[str], None]) -> None:
        self.meter = meter
        self._say = say
        self._has_told = False

    @property
    def parcel_tokens(self) -> int:
        """The most tokens of a file that is to fit in."""
        return parcel_tokens(self.meter.cap)

    def refuse(self, message: str, waiting: Iterable[Parcel], now_s: float) -> list[Parcel]:
        """Learn from a refusal; gives the parcels of `waiting` that will never fit in."""
        before = self.meter.cap
        self.meter.refused(message, now_s)
        cap = self.meter.cap
        if not self._has_told or cap != before:
            self._has_told = True
            self._say(NO_ROOM.format(cap=f" (here {cap:,} will be used)" if cap is not None else ""))
        too_long = [each for each in waiting if self._is_too_long(each)]
        if too_long:
            self._say(TOO_LONG.format(pages=sum(each.file.pages for each in too_long if each.file is not None)))
        return too_long

    def _is_too_long(self, parcel: Parcel) -> bool:
        file, limit = parcel.file, self.meter.limit
        if file is None or limit is None or file.pages == 1:
            return False
        return file.tokens > limit or (len(parcel.tries) >= PATIENT_TRIES and file.tokens > self.parcel_tokens)
