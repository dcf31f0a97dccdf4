"""Estimates a run in provider batches: uploads, batches, and rounds under a cap on tokens."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

from one_ocr_ray.policy.batch.flow import parcel_tokens

if TYPE_CHECKING:
    from one_ocr_ray.policy.batch.remote import ParcelLimits

LINE_BYTES = 400_000  # a dense page at 1600 px as base64, with its prompt
UPLOAD_BYTES_PER_S = 50e6
WORST_DAYS = 1.0  # of one batch


@dataclass(frozen=True, slots=True)
class BatchEstimate:
    """Figures of all batches of a run. `waves`: so many times over as much as the cap lets in; None without a cap."""

    parcels: int
    uploaded_bytes: int
    upload_s: float
    waves: int | None
    worst_days: float | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def estimate_batches(pages: int, tokens_each: int, cap: int | None, limits: ParcelLimits) -> BatchEstimate:
    """The batches of `pages` pages of `tokens_each` input tokens, under the cap of --batch-tokens."""
    size_bytes, tokens = pages * LINE_BYTES, pages * tokens_each
    pages_each = max(
        1, min(limits.most_pages, limits.most_bytes // LINE_BYTES, parcel_tokens(cap) // max(1, tokens_each))
    )
    waves = ceil(tokens / cap) if cap is not None else None
    return BatchEstimate(
        parcels=ceil(pages / pages_each),
        uploaded_bytes=size_bytes,
        upload_s=round(size_bytes / UPLOAD_BYTES_PER_S, 1),
        waves=waves,
        worst_days=waves * WORST_DAYS if waves is not None else None,
    )
