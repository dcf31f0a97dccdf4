"""A sample of an input's pages, and which reader of a route would answer each."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

from one_ocr_ray.engines.ocr.engine import LocalEngine
from one_ocr_ray.model import PageImage
from one_ocr_ray.pdf.reader import PdfChild
from one_ocr_ray.policy.page.blank import is_blank
from one_ocr_ray.policy.route.chain import TEXT_LAYER
from one_ocr_ray.policy.route.gates import ocr_verdict
from one_ocr_ray.reading.inspection import Opener

if TYPE_CHECKING:
    from collections.abc import Iterable

    from one_ocr_ray.model import DocumentRef
    from one_ocr_ray.pdf.reader import PdfOptions
    from one_ocr_ray.routing import Route

SAMPLE_PAGES = 30  # some ten seconds where most have a text layer


class PageSample:
    """A random sample, the same for equal pages in equal order (reservoir sampling, Vitter's R)."""

    def __init__(self, size: int = SAMPLE_PAGES) -> None:
        self._size = size
        self._seen = 0
        self._chance = random.Random(0)  # noqa: S311 - no secret
        self.pages: list[tuple[DocumentRef, int]] = []

    def add(self, document: DocumentRef, page_numbers: Iterable[int]) -> None:
        """Let the pages of `document` take part."""
        for number in page_numbers:
            self._seen += 1
            if len(self.pages) < self._size:
                self.pages.append((document, number))
            elif (place := self._chance.randrange(self._seen)) < self._size:
                self.pages[place] = document, number


def sampled_readers(sample: PageSample, route: Route, options: PdfOptions) -> Counter[str]:
    """How many pages of `sample` each reader of `route` would answer. A model is not asked, it takes what is left.

    Pages without ink, and those that cannot be drawn, count for nobody.
    """
    readers: Counter[str] = Counter()
    engine = LocalEngine()
    with PdfChild() as child:
        opener = Opener(child)
        for document, number in sorted(sample.pages, key=lambda page: (page[0].uri, page[1])):
            if opener.open(document, options) is not None:
                continue
            image = child.render(number, options.longest_side_px, layer=options.layer)
            if isinstance(image, PageImage) and not is_blank(image.ink_cells):
                readers[_reader_of(image, route, engine)] += 1
    return readers


def _reader_of(image: PageImage, route: Route, engine: LocalEngine) -> str:
    for name in route.names[:-1]:
        if name == TEXT_LAYER:
            verdict = engine.read_layer(image, {}, route).answer.verdict
        elif name == engine.name:
            verdict = ocr_verdict(engine.read_page(image), route.escalate, route.gates)
        else:
            return name
        if verdict is not None and verdict.accepted:
            return name
    return route.names[-1]
