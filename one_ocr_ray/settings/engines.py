"""The settings of one LLM engine, for `--engine` and for entries of `engines`.

Declared once for both. A new setting of an engine comes here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode

from one_ocr_ray.settings.declaring import flag

ENGINE_KINDS = ("local", "openai", "gemini")
# Names of readers are values of the column `engine`, labels of metrics and words of `--route`.
_READER_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,39}")
_RESERVED = frozenset({"text-layer", "auto"})


def from_json(value: Any) -> Any:
    """Parse JSON in a text; anything else as it is."""
    try:
        return orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        raise PydanticCustomError("json", 'Input should be JSON, such as {"name": "value"}') from None


class ModelPrice(BaseModel):
    """USD per million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input_usd: float = Field(ge=0)
    output_usd: float = Field(ge=0)
    cached_usd: float | None = Field(None, ge=0)


# The environment gives these as plain text, which the validators below split.
Texts = Annotated[tuple[str, ...], NoDecode]
_Secrets = Annotated[dict[str, SecretStr], NoDecode, BeforeValidator(from_json)]
_Prices = Annotated[dict[str, ModelPrice], NoDecode, BeforeValidator(from_json)]
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class EndpointSettings(BaseModel):
    """One server or account that answers for an engine."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,39}$")
    base_url: str | None = Field(default=None, repr=False)
    api_key_env: str | None = Field(default=None, pattern=_VARIABLE)
    rpm: float | None = Field(default=None, gt=0)
    tpm: float | None = Field(default=None, gt=0)
    rpd: int | None = Field(default=None, gt=0)
    weight: float = Field(default=1.0, gt=0)


_Endpoints = Annotated[tuple[EndpointSettings, ...], NoDecode, BeforeValidator(from_json)]


class LlmSettings(BaseModel):
    """One LLM engine: model, address, account and how it is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str | None = flag("NAME", "Engine", "model at that engine")
    base_url: Texts = flag(
        "URL", "Engine", "address of the engine; again for more endpoints, each as URL#VARIABLE with its key", (),
        repr=False, repeats=True,
    )  # fmt: skip
    endpoints: _Endpoints = flag("JSON", "Engine", "endpoints with limits and weights; best in the --config file", ())
    api_key_env: str | None = flag("NAME", "Engine", "variable of the nodes that holds the key", pattern=_VARIABLE)
    profile: str = flag("NAME", "Engine", "how an OCR model is asked: auto, generic, a name, or a file", "auto")
    timeout: float = flag("S", "Engine", "seconds for one request to the provider, in total", 300.0, gt=0)
    output_tokens: int = flag("N", "Engine", "cap on the tokens of one answer", 8192, ge=64)
    output_cap_field: Literal["auto", "max_tokens", "max_completion_tokens"] = flag(
        "NAME", "Engine", "openai: name of that cap in a request; auto learns it", "auto"
    )
    reasoning: str = flag("LEVEL", "Engine", "reasoning effort or thinking level; off sends none", "low")
    detail: Literal["low", "high", "original", "auto"] = flag(
        "LEVEL", "Engine", "openai: how closely an image is looked at", "high"
    )
    media_resolution: Literal["low", "medium", "high"] = flag(
        "LEVEL", "Engine", "gemini: how closely an image is looked at", "high"
    )
    service_tier: str | None = flag("TIER", "Engine", "flex is half the price where the model has it")
    headers: _Secrets = flag("JSON", "Engine", "more HTTP headers, for gateways", {})
    query: _Secrets = flag("JSON", "Engine", "more query parameters, such as api-version", {})
    prices: _Prices = flag("JSON", "Engine", "USD per million tokens of models the table lacks", {})

    rpm: float | None = flag("N", "Limits of the account", "requests per minute, whole cluster", gt=0)
    tpm: float | None = flag("N", "Limits of the account", "tokens per minute, whole cluster", gt=0)
    rpd: int | None = flag("N", "Limits of the account", "requests per day, whole cluster", gt=0)
    max_in_flight: int = flag("N", "Limits of the account", "requests in flight at once, whole job", 256, ge=1)

    @field_validator("headers")
    @classmethod
    def _sendable(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        """Refuse a header that no request can carry."""
        for name, text in value.items():
            if _HEADER_NAME.fullmatch(name) is None or _CONTROL.search(text.get_secret_value()):
                raise PydanticCustomError("header", "Input should be HTTP headers: names without spaces, no line ends")
        return value

    @field_validator("base_url", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        """Split addresses at commas. Flags and the environment give text, the file either."""
        given = [value] if isinstance(value, str) else value or []
        return [part.strip() for each in given for part in str(each).split(",") if part.strip()]


# Of one account: another engine does not inherit them from the flags.
OF_ONE_ACCOUNT = frozenset(
    {"model", "profile", "base_url", "endpoints", "api_key_env", "service_tier", "headers", "query"}
    | {"rpm", "tpm", "rpd"}
)


class EngineSettings(LlmSettings):
    """One entry of `engines`. What it leaves out is as the flags say, apart from `OF_ONE_ACCOUNT`."""

    engine: Literal["local", "openai", "gemini"]

    @field_validator("prices", mode="before")
    @classmethod
    def _of_its_model(cls, value: Any) -> Any:
        """Accept one price instead of prices by model; "" stands for the engine's own model."""
        alone = isinstance(value, Mapping) and bool(value) and set(value) <= set(ModelPrice.model_fields)
        return {"": value} if alone else value


def engine_entries(value: Any) -> Any:
    """`engines` as a mapping. Names alone, parted by commas or as a list, are engines without changes."""
    if isinstance(value, str) and not value.lstrip().startswith("{"):
        value = [name.strip() for name in value.split(",") if name.strip()]
    value = from_json(value)
    if isinstance(value, list | tuple):
        value = {str(name): {} for name in value}
    if not isinstance(value, Mapping):
        return value
    return {str(name): _entry(str(name), given) for name, given in value.items()}


def _entry(name: str, given: Any) -> Any:
    if _READER_NAME.fullmatch(name) is None or name in _RESERVED:
        raise PydanticCustomError(
            "reader", "The name {name} cannot be used: take lower-case letters, digits, - and _", {"name": repr(name)}
        )
    if not isinstance(given, Mapping):
        return given
    given = {str(key).replace("-", "_"): each for key, each in given.items()}
    if name == "local" and given.get("engine", name) != name:
        raise PydanticCustomError("reader", "The name local is that of the embedded engine: take another one")
    if "engine" not in given and name not in ENGINE_KINDS:
        raise PydanticCustomError(
            "engine", "Say which engine {name} is: `engine: openai` or `engine: gemini`", {"name": name}
        )
    return {"engine": name, **given}
