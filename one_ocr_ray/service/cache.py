"""A cache that keeps the values used last, bounded by their size."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class BoundedCache(Generic[_Key, _Value]):
    """For one event loop. A value larger than the bound is not kept."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._values: OrderedDict[_Key, tuple[_Value, int]] = OrderedDict()

    def get(self, key: _Key) -> _Value | None:
        """The value of `key`, if it is still there."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: _Key, value: _Value, size_bytes: int) -> None:
        """Keep `value`; drop those that were not used for the longest time."""
        self._drop(key)
        if size_bytes > self._max_bytes:
            return
        self._values[key] = value, size_bytes
        self._bytes += size_bytes
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._values)))

    def discard(self, unwanted: Callable[[_Key], bool]) -> None:
        """Drop every value whose key is `unwanted`."""
        for key in [key for key in self._values if unwanted(key)]:
            self._drop(key)

    def _drop(self, key: _Key) -> None:
        found = self._values.pop(key, None)
        if found is not None:
            self._bytes -= found[1]
