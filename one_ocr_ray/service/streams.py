"""Counts long requests, in all and per owner: event streams and waiting status requests."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from typing import TYPE_CHECKING

from one_ocr_ray.service.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator


class Streams:
    """The open streams. For one event loop.

    Where all places are taken, the owner with the most gives its oldest one to an owner that would still have fewer. A
    stream that is ended early comes back by itself, and misses nothing.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._open: dict[str, OrderedDict[asyncio.Event, None]] = {}  # by owner, oldest first

    @contextlib.contextmanager
    def opened(self, owner: str) -> Iterator[asyncio.Event]:
        """Hold a place for `owner`; the event is set when it must be given up. Raises Problem when none is free."""
        mine = len(self._open.get(owner, ()))
        largest = max(self._open, key=lambda each: len(self._open[each]), default=owner)
        is_full = sum(map(len, self._open.values())) >= self._most
        if mine >= self._most_of_one or (is_full and mine + 1 >= len(self._open[largest])):
            raise Problem("too_many_streams", "Too many event streams are open; close some.", retry_after_s=5)
        if is_full:
            oldest = next(iter(self._open[largest]))
            oldest.set()
            self._close(largest, oldest)
        given_up = asyncio.Event()
        self._open.setdefault(owner, OrderedDict())[given_up] = None
        try:
            yield given_up
        finally:
            self._close(owner, given_up)

    def _close(self, owner: str, given_up: asyncio.Event) -> None:
        open_of_owner = self._open.get(owner, OrderedDict())
        open_of_owner.pop(given_up, None)
        if not open_of_owner:
            self._open.pop(owner, None)
