"""`LlmEngine`: sends page images to one endpoint, in the wire format of its codec."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from one_ocr_ray.engines.llm.http import CHECK_TIMEOUT_S, UNREACHABLE, HttpReply, HttpSender
from one_ocr_ray.engines.llm.queue_watch import QueueWatch
from one_ocr_ray.engines.llm.wire import (
    OTHER_FIELD_NAME,
    check_endpoint,
    is_from_model,
    lacks_scope,
    read_json,
    with_provider_message,
)
from one_ocr_ray.model import Action, Answer, ErrorCode, Failure

if TYPE_CHECKING:
    from one_ocr_ray.engines.llm.codec import Codec
    from one_ocr_ray.engines.options import EngineOptions
    from one_ocr_ray.model import PageImage, PageRequest


CHECK_EVERY_S = 0.5  # jobs that share the engine share a check


class LlmEngine:
    """Reads page images with one model at one endpoint. It learns how the server wants to be asked."""

    def __init__(self, options: EngineOptions, codec: Codec) -> None:
        """Raise UsageError for an address or a key that no request can be made with."""
        check_endpoint(options.base_url, options.api_key)
        self._options = options
        self._codec = codec
        self._http = HttpSender(timeout_s=options.timeout_s)
        self._key_works = False
        self._queue = QueueWatch(self._http, options.base_url)
        self._check: asyncio.Task[Failure | None] | None = None
        self._checked_s = 0.0

    @property
    def name(self) -> str:
        """The codec's name."""
        return self._options.name

    @property
    def model(self) -> str:
        """The model's name as it was asked for."""
        return self._options.model

    async def analyze_image_async(self, image: PageImage, page_request: PageRequest) -> Answer:
        """Send one request for `image`; a failed one is an `Answer` with `failure` set."""
        sent = self._options
        reply = await self._http.send(self._codec.build_request(sent, image, page_request))
        if isinstance(reply, Failure):
            return Answer(failure=reply)
        if (adapted := self._codec.adapt(sent, reply.status, reply.body)) is not sent:
            self._options = adapted
            if reply.status != 200:
                return Answer(failure=OTHER_FIELD_NAME.failure(reply.status))
        answer = self._codec.parse_response(reply.status, reply.headers, reply.body, key_works=self._key_works)
        self._key_works = self._key_works or is_from_model(answer)
        answer = replace(answer, queue=await self._queue.look())
        return with_provider_message(answer, reply.body, sent, page_request)

    async def check(self) -> Failure | None:
        """What is wrong with address, key or model, found without a request to the model.

        Many servers lack such a route, so only a plain refusal counts; None means that nothing speaks against a start.
        An unknown model (`model_not_found`) is a hint: gateways answer for more names than they list.
        """
        if self._check is None or (self._check.done() and time.monotonic() - self._checked_s >= CHECK_EVERY_S):
            self._check, self._checked_s = asyncio.create_task(self._ask_for_model()), time.monotonic()
        return await asyncio.shield(self._check)

    async def _ask_for_model(self) -> Failure | None:
        reply = await self._http.send(self._codec.model_request(self._options), timeout_s=CHECK_TIMEOUT_S)
        if isinstance(reply, Failure):
            return reply if reply in UNREACHABLE else None
        if reply.status == 200:
            return None
        payload = read_json(reply.body)
        failure = self._codec.parse_error(reply.status, reply.headers, payload)
        if failure.code is ErrorCode.MODEL_NOT_FOUND:
            models = await self._http.send(self._codec.models_request(self._options), timeout_s=CHECK_TIMEOUT_S)
            if not isinstance(models, HttpReply) or models.status != 200:
                return None
            return failure if self._codec.lacks_model(self._options, read_json(models.body)) else None
        return failure if failure.action is Action.STOP and not lacks_scope(payload) else None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()
