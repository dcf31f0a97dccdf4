"""A parcel: pages of a shard in one batch of a provider, and their stage.

What is known of a parcel are objects that are written once. Its stage follows from which of them are there; so a
process that is killed anywhere goes on at the right place. The one rule that keeps money: an intent stands before a
batch is created and a receipt after, and while the last intent has no receipt no other batch is created.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from one_ocr_ray.policy.batch.remote import RemoteState

if TYPE_CHECKING:
    from one_ocr_ray.model import PageImage
    from one_ocr_ray.policy.batch.remote import RemoteBatch

PageKey = tuple[str, int]  # document id, page number
TOKEN_LIMIT = "token_limit_exceeded"  # noqa: S105 - a provider's code


class Stage(StrEnum):
    """Where a parcel stands. The values are those of the metric `one_ocr_batch_parcels`."""

    ABANDONED = "abandoned"  # its pages are open again; a file may be left at the provider
    UPLOADED = "uploaded"  # its file waits for a batch
    UNSURE = "unsure"  # a batch was asked for, and nobody knows whether it is there
    LIVE = "live"  # the provider has it
    ENDED = "ended"  # results wait at the provider
    FETCHED = "fetched"  # they are in our store, as they came
    COLLECTED = "collected"  # their rows are safe
    CLEANED = "cleaned"  # and nothing of it is left at the provider

    @property
    def holds_pages(self) -> bool:
        """True if nobody else may ask for its pages."""
        return self in _HOLDING

    @property
    def is_owed(self) -> bool:
        """True if it has answers, or may get some, that are not in rows yet."""
        return self in _OWED

    @property
    def is_reserved(self) -> bool:
        """True if its dearest outcome counts towards a ceiling, since its cost is unknown."""
        return self in _RESERVED


_HOLDING = frozenset({Stage.UPLOADED, Stage.UNSURE, Stage.LIVE})
_OWED = _HOLDING | {Stage.ENDED, Stage.FETCHED}
_RESERVED = frozenset({Stage.UNSURE, Stage.LIVE, Stage.ENDED, Stage.FETCHED})


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A parcel's file at the provider."""

    file_id: str
    size_bytes: int
    pages: int
    tokens: int  # about what the provider counts as enqueued
    most_usd: float | None  # the most that its lines can cost
    uploaded_s: float


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of an intent: a batch, or `code`, the reason why there is none."""

    batch_id: str | None
    created_s: float
    how: str  # answered, found, refused
    code: str = ""


@dataclass(frozen=True, slots=True)
class Try:
    """One creation of a batch, whose intent was written at `asked_s`.

    `fenced_s`: since then its file is deleted, so that a batch that comes late could read nothing.
    """

    tag: str
    asked_s: float
    fenced_s: float | None = None
    receipt: Receipt | None = None
    ended: RemoteBatch | None = None

    @property
    def stage(self) -> Stage:
        """Where a parcel stands whose last creation this is."""
        if self.receipt is None:
            return Stage.UNSURE
        if self.receipt.batch_id is None:
            return Stage.ABANDONED if self.receipt.code == NOT_FOUND else Stage.UPLOADED
        if self.ended is None:
            return Stage.LIVE
        if self.ended.state is RemoteState.FAILED:
            return Stage.UPLOADED if self.ended.code == TOKEN_LIMIT else Stage.ABANDONED
        return Stage.ENDED


@dataclass(frozen=True, slots=True)
class LostTry:
    """A creation whose batch nobody has seen, so that its pages are asked for again. One that comes late must end."""

    tag: str
    asked_s: float
    pages: int
    most_usd: float | None


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is known of one parcel. `marks`: the objects without content that matter here."""

    shard_id: str
    number: int
    file: UploadedFile | None = None
    tries: tuple[Try, ...] = ()
    marks: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return f"{self.shard_id}/{self.number:04d}"

    @property
    def batch_id(self) -> str | None:
        """The provider's name of its batch, if it has one."""
        receipt = self.tries[-1].receipt if self.tries else None
        return receipt.batch_id if receipt is not None else None

    @property
    def stage(self) -> Stage:
        for mark in (Stage.CLEANED, Stage.COLLECTED, Stage.FETCHED, Stage.ABANDONED):
            if mark.value in self.marks:
                return mark
        if self.file is None:
            return Stage.ABANDONED
        return self.tries[-1].stage if self.tries else Stage.UPLOADED


NOT_FOUND = "not_found"  # nobody has seen the batch, and its file is deleted: it can never run


@dataclass(frozen=True, slots=True)
class LinePage:
    """A page whose request is a line of a parcel."""

    key: str
    document_id: str
    image: PageImage  # without its bytes
    reason: str | None  # why earlier readers of the route have sent the page on
    attempts: int = 0  # theirs

    @property
    def page(self) -> PageKey:
        return self.document_id, self.image.page_number


def tag_of(output_id: str, parcel: str, what: str) -> str:
    """Our name for a thing at the provider: `oo-` and 26 of `a-z2-7`. Every provider takes it."""
    digest = hashlib.sha256("\n".join((output_id, parcel, what)).encode()).digest()
    return "oo-" + base64.b32encode(digest).decode().lower()[:26]
