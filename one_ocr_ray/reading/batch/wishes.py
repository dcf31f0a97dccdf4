"""Turns settings of provider batches into a run's wishes, and refuses conflicts among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.errors import UsageError
from one_ocr_ray.policy.route.chain import LOCAL, TEXT_LAYER
from one_ocr_ray.reading.batch.run_batches import BatchWishes

if TYPE_CHECKING:
    from one_ocr_ray.routing import Route
    from one_ocr_ray.settings.run import Settings


HOSTED = frozenset({"openai", "gemini"})  # own servers have no batches, and would give no discount


def batch_wishes_of(settings: Settings, route: Route) -> BatchWishes:
    """What the user wants of batches. Raises UsageError for settings that do not go together with --batch."""
    if settings.batch and settings.engine not in HOSTED:
        raise UsageError("--batch needs a provider with batches: add --engine openai or gemini.")
    if settings.batch and settings.service_tier is not None:
        raise UsageError("--batch has a price of its own: leave --service-tier out.")
    if settings.batch and route.audit is not None:
        raise UsageError("--batch and --audit do not go together yet: audit an output that was read online.")
    embedded = [name in {LOCAL, TEXT_LAYER} for name in route.names]
    if settings.batch and (embedded[-1] or not all(embedded[:-1])):
        raise UsageError("--batch: a --route names one model then, as its last reader.")
    wait_s, strict = settings.batch_wait, settings.batch_strict
    return BatchWishes(settings.batch, settings.batch_rest, wait_s, settings.batch_tokens, strict)
