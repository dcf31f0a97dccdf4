"""How many event streams are open, in all and for each owner."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING

from one_ocr_ray.service.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator


class Streams:
    """Counts open streams. For one event loop."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._open: Counter[str] = Counter()

    @contextlib.contextmanager
    def opened(self, owner: str) -> Iterator[None]:
        """Hold one stream of `owner` open. Raises Problem when there are too many."""
        if self._open[owner] >= self._most_of_one or self._open.total() >= self._most:
            raise Problem("too_many_streams", "Too many event streams are open; close some.", retry_after_s=5)
        self._open[owner] += 1
        try:
            yield
        finally:
            self._open[owner] -= 1
            if not self._open[owner]:
                del self._open[owner]
