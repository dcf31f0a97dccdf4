"""What a page has saved: the difference to what the last reader of the route, the dearest, would have cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from one_ocr_ray.model import PageStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from one_ocr_ray.model import PageResult
    from one_ocr_ray.reading.reader import Reader


def saved_usd(row: PageResult, readers: Sequence[Reader]) -> float | None:
    """What `row` has cost less than it would have at the last of `readers`; None where that is unknown.

    The other reader would have been shown the same image and have answered the same text. A page that it answered, a
    blank page and a failed one have saved nothing.
    """
    last = readers[-1]
    if row.status is not PageStatus.OK or (row.engine, row.model) == (last.called, last.engine.model):
        return 0.0
    would_usd = last.metering.likely_usd(row.image_width or 0, row.image_height or 0, last.ask, row.markdown or "")
    return None if would_usd is None or row.cost_usd is None else max(0.0, would_usd - row.cost_usd)
