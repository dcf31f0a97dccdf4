"""From a name to an engine: which LLM engine a run uses, and with what. Holds no key; that is added on the node."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from one_ocr_ray.engines.defaults import DEFAULT_BASE_URLS
from one_ocr_ray.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

    from one_ocr_ray.engines.llm.gemini import GeminiEngine
    from one_ocr_ray.engines.llm.openai import OpenAIEngine


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """An LLM engine of a run as it travels to the workers. `headers` and `query` may be secret and hide themselves."""

    name: str
    model: str
    base_url: str = field(repr=False)
    timeout_s: float
    detail: str
    media_resolution: str
    service_tier: str | None
    output_cap_field: str | None
    headers: Mapping[str, SecretStr]
    query: Mapping[str, SecretStr]

    @property
    def look(self) -> str:
        """How closely images are looked at, in this engine's own word."""
        return self.media_resolution if self.name == "gemini" else self.detail


def llm_engine(choice: EngineChoice, key: SecretStr | None) -> OpenAIEngine | GeminiEngine:
    """The engine itself, whose module is loaded here, for most processes need none.

    Raises UsageError when the provider's own endpoint is asked for without a key.
    """
    if key is None and choice.base_url == DEFAULT_BASE_URLS[choice.name]:
        variable = "GEMINI_API_KEY" if choice.name == "gemini" else "OPENAI_API_KEY"
        raise UsageError(f"The engine {choice.name} needs a key: set {variable} (or {variable}_FILE) on every node.")
    headers = {name: value.get_secret_value() for name, value in choice.headers.items()}
    query = {name: value.get_secret_value() for name, value in choice.query.items()}
    if choice.name == "gemini":
        from one_ocr_ray.engines.llm import gemini  # noqa: PLC0415

        return gemini.GeminiEngine(
            gemini.GeminiOptions(
                model=choice.model,
                api_key=key,
                base_url=choice.base_url,
                media_resolution=choice.media_resolution,
                service_tier=choice.service_tier,
                extra_headers=headers,
                extra_query=query,
                timeout_s=choice.timeout_s,
            )
        )
    from one_ocr_ray.engines.llm import openai  # noqa: PLC0415

    return openai.OpenAIEngine(
        openai.OpenAIOptions(
            model=choice.model,
            api_key=key,
            base_url=choice.base_url,
            detail=choice.detail,
            service_tier=choice.service_tier,
            output_cap_field=choice.output_cap_field,
            extra_headers=headers,
            extra_query=query,
            timeout_s=choice.timeout_s,
        )
    )
