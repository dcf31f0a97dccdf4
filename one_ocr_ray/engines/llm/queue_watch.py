"""`QueueWatch` reads the queue of one's own server from `/metrics`, between page requests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from one_ocr_ray.engines.llm.http import HttpReply
from one_ocr_ray.engines.llm.wire import HttpRequest
from one_ocr_ray.policy.servers.queue import queue_of

if TYPE_CHECKING:
    from one_ocr_ray.engines.llm.http import HttpSender

EVERY_S = 2.0
ANSWER_S = 2.0


class QueueWatch:
    """Asks servers at `http` addresses, which are not hosted ones. One without such metrics is not asked again."""

    def __init__(self, http: HttpSender, base_url: str) -> None:
        address = urlsplit(base_url)
        self._http = http
        # Without the key: these servers ask for none there.
        self._request = HttpRequest(f"http://{address.netloc.rpartition('@')[2]}/metrics", {})
        self._next_s = 0.0 if address.scheme == "http" else float("inf")

    async def look(self) -> tuple[int, int] | None:
        """Requests that the server works on, and that wait. None if it does not report them, or did so just now."""
        if time.monotonic() < self._next_s:
            return None
        self._next_s = time.monotonic() + EVERY_S
        reply = await self._http.send(self._request, timeout_s=ANSWER_S)
        if not isinstance(reply, HttpReply):  # it may be busy, or gone for a while
            return None
        queue = queue_of(reply.body) if reply.status == 200 else None
        if queue is None:
            self._next_s = float("inf")
        return queue
