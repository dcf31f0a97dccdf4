"""What a provider is: a module of pure functions between pages and HTTP.

A new provider is a new module in `CODECS`, and a line in `engines/defaults.py`, `environment.KEY_VARIABLES` and the
settings that name engines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from one_ocr_ray.engines.llm import gemini, openai

if TYPE_CHECKING:
    from collections.abc import Mapping

    from one_ocr_ray.engines.llm.wire import HttpRequest
    from one_ocr_ray.engines.options import EngineOptions
    from one_ocr_ray.model import Answer, Failure, PageImage, PageRequest


class Codec(Protocol):
    """Builds requests and parses replies. Sends nothing, waits for nothing, remembers nothing.

    A batch file is written with `build_body` and read with `parse_response`.
    LIMIT_COUNTS_OUTPUT: the account's limit on tokens counts the answers, too.
    """

    LIMIT_COUNTS_OUTPUT: bool

    def image_tokens(self, model: str, width_px: int, height_px: int, detail: str) -> int:
        """About how many input tokens a page image costs."""

    def build_request(self, options: EngineOptions, image: PageImage, page_request: PageRequest) -> HttpRequest:
        """The request for one page."""

    def build_body(self, options: EngineOptions, image: PageImage, page_request: PageRequest) -> bytes:
        """The JSON body of that request."""

    def parse_response(
        self, status: int, headers: Mapping[str, str], body: bytes, *, key_works: bool = False
    ) -> Answer:
        """The answer in one reply. Never raises; what is not a good answer has `failure` set.

        key_works: an earlier reply came from a model, so a bare 403 means this page.
        """

    def parse_error(self, status: int, headers: Mapping[str, str], payload: Any, *, key_works: bool = False) -> Failure:
        """The failure in a reply that is no good answer. `headers` have lower-case names; `payload` is its JSON."""

    def adapt(self, sent: EngineOptions, status: int, body: bytes) -> EngineOptions:
        """The options for later requests to this server; `sent` itself where the reply teaches nothing.

        `status` and `body` answer a request that was built from `sent`. An error that teaches something means that the
        request can be sent again at once.
        """

    def model_request(self, options: EngineOptions) -> HttpRequest:
        """A GET that asks whether the server knows the model."""

    def models_request(self, options: EngineOptions) -> HttpRequest:
        """A GET for the server's list of models."""

    def lacks_model(self, options: EngineOptions, models: Any) -> bool:
        """True if the list of models in this JSON is complete and lacks the model."""


CODECS: Mapping[str, Codec] = {"openai": openai, "gemini": gemini}
