"""A provider's batches and files in one vocabulary for all dialects."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from one_ocr_ray.model import Failure


LONGEST_CODE = 40


class RemoteState(StrEnum):
    """The state of a provider's batch. What is not known counts as running: only a known end is one."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"  # refused as a whole; no line ran
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    LOST = "lost"  # the provider does not know it any more, and it can run no more

    @property
    def is_over(self) -> bool:
        return self is not RemoteState.RUNNING


@dataclass(frozen=True, slots=True)
class RemoteBatch:
    """One batch. Times are the provider's, in seconds since 1970."""

    batch_id: str
    state: RemoteState
    tag: str | None = None
    input_file: str | None = None
    created_s: float | None = None
    outputs: tuple[str, ...] = ()  # files with lines: answers, and errors where they stand apart
    is_accepted: bool = False  # past validation
    code: str = ""  # of a batch that failed
    message: str = ""  # the provider's sentence about it; may repeat what was sent, so it is for rules and never shown
    lines: int | None = None

    @property
    def shown_code(self) -> str:
        """The provider's code for people, unless it is none."""
        is_code = self.code.replace("_", "").isalnum() and len(self.code) < LONGEST_CODE
        return self.code if is_code else "no reason given"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file."""

    file_id: str
    name: str
    size_bytes: int | None = None
    is_ready: bool = True


@dataclass(frozen=True, slots=True)
class BatchRefusal:
    """A creation that was not answered with a batch. `is_sure`: there is certainly no batch."""

    failure: Failure
    is_sure: bool


@dataclass(frozen=True, slots=True)
class ParcelLimits:
    """How much one file may hold, and what the provider keeps for how long."""

    most_bytes: int
    most_pages: int
    input_kept_s: float  # a file that was uploaded
    result_kept_s: float  # counted from the creation of the batch, to be on the safe side
    live_at_once: int  # batches
    least_poll_s: float = 0.0
    lost_after_s: float = float("inf")  # since it was asked for; a batch that is not known then can run no more
    most_stored_bytes: float = float("inf")  # of our files at once; beyond it nothing more is rendered
