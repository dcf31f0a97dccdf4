"""All settings, declared once: flags, `ONE_OCR_*` variables and the configuration file come from this declaration.

The only module that reads the environment. Secrets are `SecretStr`: they hide themselves in every repr, log and dump.
"""

from __future__ import annotations

import os
import tomllib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson
import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from one_ocr_ray.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

ENV_PREFIX = "ONE_OCR_"
LOCAL_RAY = "local"

# `schema` is the contract's name for the setting; pydantic keeps a long deprecated method of that name.
warnings.filterwarnings("ignore", message='Field name "schema" in "Settings" shadows', category=UserWarning)


def _flag(metavar: str | None, group: str, text: str, default: Any = None, **limits: Any) -> Any:
    """A setting with what its command-line flag needs: the name of its value, its help group and one line of help."""
    return Field(default, description=text, json_schema_extra={"metavar": metavar, "group": group}, **limits)


class ModelPrice(BaseModel):
    """USD per million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input_usd: float = Field(ge=0)
    output_usd: float = Field(ge=0)
    cached_usd: float | None = Field(None, ge=0)


class Settings(BaseSettings):
    """One run. Precedence: flag > environment > file > default; unknown keys are refused."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True, env_ignore_empty=True)

    inputs: tuple[str, ...] = Field((), description="PDF files, folders, globs, s3:// or gs:// URIs, or @list.txt")
    output: str = _flag("URI", "Input and output", "folder or s3://bucket/prefix of the result dataset", "")
    pages: str = _flag("SPEC", "Input and output", "pages of each document, such as 1-3,8,10-", "all")
    max_pages: int = _flag("N", "Input and output", "refuse a document with more pages", 5000, ge=1)
    max_file_bytes: int = _flag("N", "Input and output", "refuse a larger file", 2 << 30, ge=1)
    password: SecretStr | None = _flag("TEXT", "Input and output", "for encrypted PDFs")
    password_file: Path | None = _flag("F", "Input and output", "file that holds the password")
    retry_failed: bool = _flag(None, "Input and output", "process again the pages and documents that failed", False)

    engine: Literal["local", "openai", "gemini"] = _flag("NAME", "Engine", "local, openai or gemini", "local")
    model: str | None = _flag("NAME", "Engine", "model at that engine")
    base_url: str | None = _flag("URL", "Engine", "endpoint of the engine")
    timeout: float = _flag("S", "Engine", "seconds for one request to the provider, in all", 300.0, gt=0)
    longest_side: int = _flag("PX", "Engine", "longest side of the page image", 1600, ge=64, le=8000)
    prompt_file: Path | None = _flag("F", "Engine", "replaces the built-in transcription prompt")
    output_tokens: int = _flag("N", "Engine", "cap on the tokens of one answer", 8192, ge=64)
    reasoning: str = _flag("LEVEL", "Engine", "reasoning effort or thinking level; off sends none", "low")
    detail: Literal["low", "high", "original", "auto"] = _flag(
        "LEVEL", "Engine", "openai: how closely an image is looked at", "high"
    )
    media_resolution: Literal["low", "medium", "high"] = _flag(
        "LEVEL", "Engine", "gemini: how closely an image is looked at", "high"
    )
    service_tier: str | None = _flag("TIER", "Engine", "flex is half the price where the model has it")
    headers: dict[str, SecretStr] = _flag("JSON", "Engine", "more HTTP headers, for gateways", {})
    query: dict[str, SecretStr] = _flag("JSON", "Engine", "more query parameters, such as api-version", {})
    prices: dict[str, ModelPrice] = _flag("JSON", "Engine", "USD per million tokens of models the table lacks", {})
    schema: Path | None = _flag("F", "Engine", "JSON Schema: structured extraction into the column data")  # type: ignore[assignment]

    rpm: float | None = _flag("N", "Limits of the account", "requests per minute, whole cluster", gt=0)
    tpm: float | None = _flag("N", "Limits of the account", "tokens per minute, whole cluster", gt=0)
    rpd: int | None = _flag("N", "Limits of the account", "requests per day, whole cluster", gt=0)
    max_in_flight: int = _flag("N", "Limits of the account", "requests under way at once, whole job", 256, ge=1)
    max_cost: float | None = _flag("USD", "Limits of the account", "stop before this output has cost more", gt=0)

    address: str | None = _flag("ADDR", "Cluster", "Ray cluster; auto inside a Ray job, else a local Ray")
    workers: int | None = _flag("N", "Cluster", "worker actors; default: one per node", ge=1)
    shard_pages: int = _flag("N", "Cluster", "about how many pages one result file holds", 500, ge=1)

    @field_validator("headers", "query", "prices", mode="before")
    @classmethod
    def _from_json(cls, value: Any) -> Any:
        """A flag gives text; the environment and the file give objects already."""
        try:
            return orjson.loads(value) if isinstance(value, str) else value
        except orjson.JSONDecodeError:
            raise ValueError('not JSON, such as {"name": "value"}') from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags first, then the environment; `load` adds the file behind them. No .env file, no secrets folder."""
        return init_settings, env_settings


# Settings of the service and of the environment itself, which no run reads but which are not mistakes either.
_OTHER_VARIABLES = frozenset({"ONE_OCR_API_KEYS_FILE", "ONE_OCR_STORE"})


def load(flags: dict[str, Any], config_file: Path | None = None) -> Settings:
    """Settings from `flags` (only those given), the environment and `config_file`.

    Raises UsageError, one sentence that names the setting.
    """
    known = {ENV_PREFIX + name.upper() for name in Settings.model_fields} | _OTHER_VARIABLES
    for variable in os.environ:
        if variable.upper().startswith(ENV_PREFIX) and variable.upper() not in known:
            raise UsageError(
                f"The environment variable {variable} is not a setting of one-ocr; see one-ocr run --help."
            )
    try:
        return _with_file(config_file)(**flags)
    except ValidationError as error:
        raise UsageError(_sentence(error)) from error


def _with_file(config_file: Path | None) -> type[Settings]:
    if config_file is None:
        return Settings
    values = _read_config(config_file)

    class SettingsFromFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *sources: PydanticBaseSettingsSource, **named: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            flags_and_environment = super().settings_customise_sources(settings_cls, *sources, **named)
            return *flags_and_environment, InitSettingsSource(settings_cls, values)

    return SettingsFromFile


def _read_config(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The configuration file {path} cannot be read.") from error
    except (tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"The configuration file {path} is not valid {path.suffix.lstrip('.').upper()}.") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UsageError(f"The configuration file {path} must hold settings, one `name: value` a line.")
    return values


def _sentence(error: ValidationError) -> str:
    """The first complaint in one sentence; never with the value, which may be a secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"Unknown setting {name}; see one-ocr run --help."
    return f"Setting {name}: {first['msg']}."


def password_of(settings: Settings) -> str | None:
    """The password for encrypted PDFs, if any."""
    if settings.password_file is not None:
        return _read_secret(settings.password_file)
    return settings.password.get_secret_value() if settings.password else None


# Where a provider's key stands in the environment of a node; each also as NAME_FILE, the path of a file that holds it.
KEY_VARIABLES = {"openai": ("OPENAI_API_KEY",), "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY")}


def provider_key(engine: str) -> SecretStr | None:
    """The key for `engine` on this node; None when there is none. Raises UsageError for a file that cannot be read."""
    for variable in KEY_VARIABLES[engine]:
        if os.environ.get(variable):
            return SecretStr(os.environ[variable].strip())
        if os.environ.get(f"{variable}_FILE"):
            return SecretStr(_read_secret(Path(os.environ[f"{variable}_FILE"])).strip())
    return None


def base_url(settings: Settings) -> str | None:
    """The endpoint that is set; None for the provider's own."""
    return settings.base_url or (os.environ.get("OPENAI_BASE_URL") if settings.engine == "openai" else None) or None


def keys_in(variables: Mapping[str, object]) -> list[str]:
    """Names among `variables` that hold a provider's key."""
    return sorted(name for names in KEY_VARIABLES.values() for name in names if name in variables)


def ray_address(settings: Settings) -> str:
    """Where Ray is: as set, the cluster of the surrounding Ray job, or `local`, a Ray of this run's own."""
    inside_job = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ
    return settings.address or ("auto" if inside_job else LOCAL_RAY)


def prepare_environment_for_ray(settings: Settings) -> None:
    """Defaults for a Ray of this run's own; what the user has set stays. To be called before Ray is imported."""
    if ray_address(settings) != LOCAL_RAY:
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Left alone, Ray would switch token authentication on and write a token file into the home folder, which changes
    # what the user's next `ray start` does. A token that only this process tree knows has no such effect.
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = os.urandom(16).hex()


def _read_secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The file {path} cannot be read.") from error
