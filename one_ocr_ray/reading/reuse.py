"""Takes pages from an earlier dataset instead of reading them again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from one_ocr_ray.errors import UsageError
from one_ocr_ray.model import PageImage
from one_ocr_ray.policy.dataset.reuse import ReuseRule, reused_row, why_not_reused
from one_ocr_ray.policy.page.blank import is_blank
from one_ocr_ray.storage.dataset.earlier_pages import EarlierPages, fingerprint_at
from one_ocr_ray.storage.store.uris import root_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from one_ocr_ray.model import DocumentRef, PageResult, RenderedPage
    from one_ocr_ray.policy.dataset.fingerprint import Fingerprint
    from one_ocr_ray.reading.page.loop import ReadContext


def reuse_root(uri: str | None, output: str, now: Fingerprint, say: Callable[[str], None]) -> str | None:
    """Where the dataset is whose pages this run takes. None without one, and where none of them can be taken.

    Raises UsageError where there is no dataset, or it is the output itself.
    """
    if uri is None:
        return None
    root = root_of(uri)
    if root == output:
        raise UsageError("--reuse: give another dataset than --output; a run resumes its own output anyway.")
    if difference := why_not_reused(fingerprint_at(root), now):
        say(f"No page of {uri} can be taken, since it was made otherwise ({difference}); all pages are read.")
        return None
    return root


class Reuse:
    """The pages of the dataset at `root`, for a run along `route`. The index is made when the first page comes."""

    def __init__(self, root: str, route: str) -> None:
        self._root = root
        self._route = route
        self._lock = asyncio.Lock()
        self._earlier: EarlierPages | None = None
        self._same_route = False

    async def page(self, document: DocumentRef, page: RenderedPage, context: ReadContext) -> PageResult | None:
        """The row of the page, if the earlier dataset has it."""
        if not isinstance(page, PageImage) or is_blank(page.ink_cells):
            return None
        async with self._lock:
            row = await asyncio.to_thread(self._found, document, page, context)
        return row and reused_row(row, document, page, context.identity, context.clock.utc())

    def _found(self, document: DocumentRef, page: PageImage, context: ReadContext) -> PageResult | None:
        if self._earlier is None:
            self._same_route = fingerprint_at(self._root).route == self._route
            self._earlier = EarlierPages(self._root)
        answerers = tuple((each.called, each.engine.model, each.prompt_sha256) for each in context.readers)
        rule = ReuseRule(answerers, self._same_route)
        return next((row for row in self._earlier.with_image(page.sha256) if rule.takes(row, document, page)), None)
