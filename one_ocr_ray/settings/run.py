"""All settings, declared once: flags, `ONE_OCR_*` variables and the configuration file come from this declaration.

Secrets are `SecretStr`: they hide themselves in every repr, log and dump.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, InitSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from one_ocr_ray import environment
from one_ocr_ray.blocks import Positions
from one_ocr_ray.errors import UsageError
from one_ocr_ray.gates import Gates
from one_ocr_ray.settings.declaring import error_sentence, one_or_several, read_config, share_of
from one_ocr_ray.settings.declaring import flag as _flag
from one_ocr_ray.settings.engines import EngineSettings, LlmSettings, engine_entries, from_json
from one_ocr_ray.settings.servers import ServerSettings

ENV_PREFIX = "ONE_OCR_"
LOCAL_RAY = "local"

# The contract names a setting `schema`; pydantic still has a deprecated method of that name.
warnings.filterwarnings("ignore", message='Field name "schema" in "Settings" shadows', category=UserWarning)


# The environment and flags give text, and the file gives values.
_Gates = Annotated[Gates | None, NoDecode, BeforeValidator(from_json)]
_Share = Annotated[float | None, BeforeValidator(share_of)]
_Inputs = Annotated[tuple[str, ...], NoDecode, BeforeValidator(one_or_several)]
Engines = Annotated[dict[str, EngineSettings], NoDecode, BeforeValidator(engine_entries)]


class Settings(BaseSettings, LlmSettings, ServerSettings):
    """The settings of a run. Precedence: flag > environment > file > default. Unknown keys are refused."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, extra="forbid", frozen=True, env_ignore_empty=True, allow_inf_nan=False
    )

    inputs: _Inputs = Field(
        (), description="PDFs, images, ZIPs of them, folders, globs, s3:// or gs:// URIs, or @list.txt"
    )
    output: str = _flag("URI", "Input and output", "folder or s3://bucket/prefix of the result dataset", "")
    pages: str = _flag("SPEC", "Input and output", "pages of each document, such as 1-3,8,10-", "all")
    max_pages: int = _flag("N", "Input and output", "refuse a document with more pages", 5000, ge=1)
    max_file_bytes: int = _flag("N", "Input and output", "refuse a larger file", 2 << 30, ge=1)
    reuse: str | None = _flag("URI", "Input and output", "take pages from this dataset where nothing has changed")
    password: SecretStr | None = _flag("TEXT", "Input and output", "for encrypted PDFs")
    password_file: Path | None = _flag("F", "Input and output", "file that holds the password")
    positions: Positions = _flag("WHAT", "Input and output", "places to keep: none, blocks or words", Positions.BLOCKS)
    retry_failed: bool = _flag(None, "Input and output", "process again the pages and documents that failed", False)

    engine: Literal["local", "openai", "gemini", "vllm"] = _flag(
        "NAME", "Engine", "local, openai, gemini or vllm", "local"
    )
    route: str | None = _flag("CHAIN", "Engine", "readers of a page in order, such as text-layer,local,openai; or auto")
    escalate: str | None = _flag(
        "KINDS", "Engine", "pages for the next reader: tables, formulas, handwriting, low-confidence"
    )
    audit: _Share = _flag("SHARE", "Engine", "read this share by a second reader too, such as 1%", gt=0, le=1)
    gates: _Gates = _flag("JSON", "Engine", "thresholds of the readers of a route; docs/routing.md has them")
    engines: Engines = _flag("JSON", "Engine", "more readers for --route by name; best in the --config file", {})
    language: str | None = _flag("CODES", "Engine", "languages that the embedded engine is to read, such as de,ru")
    language_models: Path | None = _flag("DIR", "Engine", "folder of its models; default: ~/.cache/one-ocr/models")
    longest_side: int = _flag("PX", "Engine", "longest side of the page image", 1600, ge=64, le=8000)
    prompt_file: Path | None = _flag("F", "Engine", "replaces the built-in transcription prompt")
    schema: Path | None = _flag("F", "Engine", "JSON Schema: structured extraction into the column data")  # type: ignore[assignment]

    max_cost: float | None = _flag("USD", "Limits of the account", "stop before this output has cost more", gt=0)
    stop_wait: float = _flag(
        "S", "Limits of the account", "seconds for requests in flight when the run must stop", 30.0, ge=0
    )

    batch: bool = _flag(None, "Batches", "ask in provider batches: half the price, within a day", False)
    batch_wait: float | None = _flag("S", "Batches", "seconds to wait for batches; 0: submit and leave", ge=0)
    batch_rest: Literal["auto", "batch", "online"] = _flag(
        "HOW", "Batches", "how to ask again where an answer cannot be used: auto, batch or online", "auto"
    )
    batch_tokens: int | None = _flag("N", "Batches", "input tokens that may be enqueued at once", ge=1)
    batch_strict: bool = _flag(None, "Batches", "stop rather than ask again for what no list shows", False)

    address: str | None = _flag("ADDR", "Cluster", "Ray cluster; auto inside a Ray job, else a local Ray")
    workers: int | None = _flag("N", "Cluster", "worker actors; default: one per node", ge=1)
    shard_pages: int = _flag("N", "Cluster", "about how many pages one result file holds", 500, ge=1)

    @field_validator("inputs")
    @classmethod
    def _named(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse an empty name. It comes from an unset variable, and would mean the current folder."""
        if "" in value:
            raise PydanticCustomError("input", "an INPUT is empty; name the files, or . for this folder")
        return value

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.password is not None and self.password_file is not None:
            raise PydanticCustomError("password", "Give either password or password_file, not both")
        return self

    @model_validator(mode="after")
    def _told_once(self) -> Self:
        """Refuse an entry of `engines` for `--engine`: flags say how that is asked."""
        if (entry := self.engines.get(self.engine)) is not None and entry.model_fields_set > {"engine"}:
            raise PydanticCustomError(
                "reader",
                "engines: {name} is --engine itself; give its settings as flags, or the entry another name",
                {"name": self.engine},
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags first, then the environment; `load` appends the file. No .env file, no secrets folder."""
        return init_settings, env_settings


_Kind = TypeVar("_Kind", bound=Settings)


def load(flags: dict[str, Any], config_file: Path | None = None) -> Settings:
    """The settings of a run from `flags` (only those given), the environment and `config_file`.

    Raises UsageError, one sentence that names the setting.
    """
    return load_as(Settings, flags, config_file)


def load_as(kind: type[_Kind], flags: dict[str, Any], config_file: Path | None) -> _Kind:
    """Like `load`, for `kind`."""
    if "password" in flags or "password_file" in flags:  # each flag wins over both variables
        flags = {"password": None, "password_file": None, **flags}
    try:
        return _with_file(kind, config_file)(**flags)
    except ValidationError as error:
        raise UsageError(error_sentence(error)) from error


def _with_file(kind: type[_Kind], config_file: Path | None) -> type[_Kind]:
    if config_file is None:
        return kind
    values = read_config(config_file)

    class SettingsFromFile(kind):  # type: ignore[valid-type, misc]
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *sources: PydanticBaseSettingsSource, **named: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            flags_and_environment = super().settings_customise_sources(settings_cls, *sources, **named)
            return *flags_and_environment, InitSettingsSource(settings_cls, values)

    return SettingsFromFile


def password_of(settings: Settings) -> str | None:
    """The password for encrypted PDFs, or None."""
    if settings.password_file is not None:
        return environment.read_secret(settings.password_file)
    return settings.password.get_secret_value() if settings.password else None


def base_urls(settings: Settings) -> tuple[str, ...]:
    """The addresses as set. None: the provider's own."""
    return settings.base_url or (environment.openai_base_urls() if settings.engine == "openai" else ())


def key_variables(settings: Settings) -> tuple[str, ...]:
    """The variables that the user has named for keys."""
    of_engines = (settings, *settings.engines.values())
    named = (
        *(each.api_key_env for each in of_engines),
        *(endpoint.api_key_env for each in of_engines for endpoint in each.endpoints),
        *(url.partition("#")[2] for each in of_engines for url in each.base_url),
    )
    return tuple(name for name in named if name)


def ray_address(settings: Settings) -> str:
    """The address of Ray: as set, else that of the surrounding Ray job, else `local`."""
    return settings.address or ("auto" if environment.is_inside_ray_job() else LOCAL_RAY)


def prepare_environment_for_ray(settings: Settings) -> None:
    """Set environment defaults for a Ray of this process. Call it before Ray is imported."""
    if ray_address(settings) == LOCAL_RAY:
        environment.prepare_for_own_ray()
