"""An event loop whose time jumps to the next timer: minutes of asyncio in milliseconds, the same at every run."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

_T = TypeVar("_T")


class _Jump(selectors.DefaultSelector):
    """Waits for nothing: what it was to wait for has passed."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits, and no timer is set")
        self.now += max(0.0, timeout)
        return super().select(0)


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, jump: _Jump) -> None:
        super().__init__(jump)
        self._jump = jump

    def time(self) -> float:
        return self._jump.now


def run_virtually(main: Coroutine[Any, Any, _T]) -> _T:
    """`asyncio.run`, with time that takes no time."""
    with asyncio.Runner(loop_factory=lambda: _VirtualLoop(_Jump())) as runner:
        return runner.run(main)
