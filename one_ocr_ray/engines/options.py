"""How an LLM engine is set up: one model at one endpoint. Travels to the workers; the key is added on the node."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from one_ocr_ray.engines.defaults import DEFAULT_BASE_URLS
from one_ocr_ray.environment import KEY_VARIABLES
from one_ocr_ray.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

    from one_ocr_ray.engines.llm.engine import LlmEngine


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """One model at one endpoint. Everything that can hold a secret is kept out of the repr.

    name: the provider's codec, `openai` or `gemini`.
    base_url: OpenAI's with `/v1`, Gemini's without `/v1beta`. Azure's classic API:
        `https://NAME.openai.azure.com?api-version=V`; there `model` is the deployment.
    image_detail: how closely the model looks at an image, in the provider's own word.
    service_tier: `flex` is half the price; None leaves it to the account.
    output_cap_fields: names of the output cap to try, in this order; () leaves them to the codec.
    usd_per_s: what a server of the run's own costs, instead of a price of its tokens.
    key_variable: the variable of the nodes that holds the key; None: the engine's usual ones.
    """

    name: str
    model: str
    base_url: str = field(repr=False)
    api_key: SecretStr | None = None
    key_variable: str | None = None
    timeout_s: float = 300.0
    image_detail: str = "high"
    service_tier: str | None = None
    usd_per_s: float | None = None
    output_cap_fields: tuple[str, ...] = ()
    headers: Mapping[str, SecretStr] = field(default_factory=dict)
    query: Mapping[str, SecretStr] = field(default_factory=dict)


def llm_engine(options: EngineOptions, key: SecretStr | None) -> LlmEngine:
    """The engine of `options`, with the key of this node.

    Raises UsageError for an unusable address or key, and when the provider's own endpoint is used without a key.
    """
    if key is None and (options.key_variable or options.base_url == DEFAULT_BASE_URLS[options.name]):
        variable = options.key_variable or KEY_VARIABLES[options.name][0]
        raise UsageError(f"The engine {options.name} needs a key: set {variable} (or {variable}_FILE) on every node.")
    from one_ocr_ray.engines.llm.codec import CODECS  # noqa: PLC0415 - most processes send nothing
    from one_ocr_ray.engines.llm.engine import LlmEngine  # noqa: PLC0415

    return LlmEngine(replace(options, api_key=key), CODECS[options.name])
