"""The settings of the service: those of a run, and what HTTP needs. Declared here once."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic needs it
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BeforeValidator, ValidationError, create_model, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from one_ocr_ray import environment
from one_ocr_ray.errors import UsageError
from one_ocr_ray.settings.declaring import error_sentence, flag, listed, unknown_variables_sentence
from one_ocr_ray.settings.run import ENV_PREFIX, Engines, Settings, load_as

if TYPE_CHECKING:
    from collections.abc import Iterable

_Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(listed)]

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


class ServiceSettings(Settings):
    """The settings of the service: those of a run and what HTTP needs. Limits hold for one replica."""

    store: str = flag("URI", "Service", "folder or s3://bucket/prefix for uploads and results", "one-ocr-store")
    host: str = flag("H", "Service", "address to listen on; any but loopback needs API keys", "127.0.0.1")
    port: int = flag("P", "Service", "port to listen on", 8000, ge=0, le=65535)
    api_keys_file: Path | None = flag("F", "Service", "file of API keys, one per line; without it: loopback only")
    allowed_hosts: _Names = flag("NAMES", "Service", "more host names it answers to, separated by commas", ())
    engines: Engines = flag("NAMES", "Service", "more engines that uploads may choose, separated by commas", {})
    models: _Names = flag("NAMES", "Service", "more models that uploads may name, separated by commas", ())
    key_budget_usd: float | None = flag(
        "USD", "Service limits", "what uploads of one API key may cost per day (UTC)", gt=0
    )
    callback_hosts: _Names = flag(
        "NAMES", "Service", "hosts that a callback_url may name; ONE_OCR_CALLBACK_SECRET signs", ()
    )
    callback_private: bool = flag(None, "Service", "callbacks may go to private addresses, as in an intranet", False)
    session_hours: float = flag("H", "Service", "how long a browser stays logged in", 12.0, gt=0)
    expiry_days: float = flag("D", "Service", "uploads and results are removed after this", 7.0, gt=0)

    max_file_bytes: int = flag("N", "Service limits", "refuse a larger file", 100 << 20, ge=1)
    max_request_bytes: int = flag("N", "Service limits", "refuse a larger request", 256 << 20, ge=1)
    max_files: int = flag("N", "Service limits", "files of one upload", 50, ge=1, le=200)
    upload_timeout: float = flag("S", "Service limits", "seconds for one request's body", 300.0, gt=0)
    stall_timeout: float = flag("S", "Service limits", "seconds without a byte of a request's body", 30.0, gt=0)
    spool: Path | None = flag("DIR", "Service limits", "folder for uploads in progress; default: the system's")
    min_free_bytes: int = flag("N", "Service limits", "disk space the spool leaves free", 512 << 20, ge=0)
    requests_per_second: float = flag("N", "Service limits", "requests per second of one key", 200.0, gt=0)
    max_streams: int = flag("N", "Service limits", "event streams open at once", 800, ge=1)
    max_streams_per_key: int = flag("N", "Service limits", "event streams one key has open at once", 64, ge=1)
    max_open_tasks: int = flag("N", "Service limits", "unfinished tasks before uploads are put off", 2000, ge=1)
    max_open_pages: int = flag("N", "Service limits", "unfinished pages before uploads are put off", 200_000, ge=1)

    @field_validator("port", mode="before")
    @classmethod
    def _ignore_kubernetes(cls, value: Any) -> Any:
        """Ignore an address: beside a Kubernetes Service named `one-ocr`, each container finds one in ONE_OCR_PORT."""
        return 8000 if isinstance(value, str) and value.startswith(("tcp://", "udp://")) else value

    @model_validator(mode="after")
    def _loopback_without_keys(self) -> Self:
        if self.api_keys_file is None and self.host not in LOOPBACK_HOSTS:
            raise PydanticCustomError(
                "keys", "Setting host: without api_keys_file, a file of API keys, only 127.0.0.1 can be served"
            )
        return self


def unknown_variables() -> str | None:
    """One sentence about variables that look like settings but are none. None if there are none.

    Cluster software and CI set such names, so it is only a warning. One environment may hold the settings of runs and
    of the service, so both know both.
    """
    secret = environment.CALLBACK_SECRET
    known = [*(ENV_PREFIX + name.upper() for name in ServiceSettings.model_fields), secret, f"{secret}_FILE"]
    found = [name for name in environment.variables(ENV_PREFIX) if name.upper() not in known]
    return unknown_variables_sentence(found, known) if found else None


def load_service(flags: dict[str, Any], config_file: Path | None = None) -> ServiceSettings:
    """Like `load`, for the service."""
    return load_as(ServiceSettings, flags, config_file)


class _PartialSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="ignore", env_ignore_empty=True)


def some_of_service(names: Iterable[str]) -> dict[str, Any]:
    """These settings of the service, from the environment only.

    For a process that does not know the flags and needs no other settings. Raises UsageError, one sentence that names
    the setting.
    """
    declared = ServiceSettings.model_fields
    fields: dict[str, Any] = {name: (declared[name].annotation, declared[name]) for name in names}
    try:
        return create_model("PartialSettings", __base__=_PartialSettings, **fields)().model_dump()
    except ValidationError as error:
        raise UsageError(error_sentence(error)) from error
