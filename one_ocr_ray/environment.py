"""Reads a node's environment, except settings: keys of providers, S3, the surrounding Ray job.

Only this module reads `os.environ`. Libraries read their own: pydantic the settings, urllib HTTPS_PROXY for
`engines/llm/http.py`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import SecretStr

from one_ocr_ray.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The variables of each provider's key. Each also exists as NAME_FILE, the path of a file that holds the key.
KEY_VARIABLES = {"openai": ("OPENAI_API_KEY",), "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY")}
CALLBACK_SECRET = "ONE_OCR_CALLBACK_SECRET"  # noqa: S105 - the name of the variable; it, too, exists as NAME_FILE


def provider_key(engine: str, variable: str | None = None) -> SecretStr | None:
    """The key for `engine` on this node, or None. Raises UsageError for a file that cannot be read.

    With `variable` only that one, or its ..._FILE, is looked at.
    """
    for name in (variable,) if variable else KEY_VARIABLES[engine]:
        if os.environ.get(name):
            return SecretStr(os.environ[name].strip())
        if os.environ.get(f"{name}_FILE"):
            return SecretStr(read_secret(Path(os.environ[f"{name}_FILE"])).strip())
    return None


def callback_secret() -> SecretStr:
    """The secret that signs callbacks on this node. Raises UsageError if there is none, or its file cannot be read."""
    secret = os.environ.get(CALLBACK_SECRET) or ""
    if not secret and (file := os.environ.get(f"{CALLBACK_SECRET}_FILE")):
        secret = read_secret(Path(file))
    if not secret.strip():
        raise UsageError(f"Callbacks are signed: set {CALLBACK_SECRET} (or {CALLBACK_SECRET}_FILE) on every node.")
    return SecretStr(secret.strip())


def openai_base_urls() -> tuple[str, ...]:
    """The base URLs in `OPENAI_BASE_URL`, parted by commas."""
    return tuple(url.strip() for url in os.environ.get("OPENAI_BASE_URL", "").split(",") if url.strip())


def s3_endpoint() -> str | None:
    """The address of an S3 other than Amazon's, as obstore reads it."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT")


def s3_region() -> str | None:
    """The region of the bucket, or None."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")


def s3_is_anonymous() -> bool:
    """True if requests to S3 carry no key."""
    return os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in ("1", "true", "on", "yes")


def variables(prefix: str) -> list[str]:
    """The names of all variables that begin with `prefix`, in any case."""
    return [name for name in os.environ if name.upper().startswith(prefix)]


def for_child_programs() -> dict[str, str]:
    """The environment that a child program of this node gets, without providers' keys."""
    keys = {name for names in KEY_VARIABLES.values() for name in names} | {CALLBACK_SECRET}
    return {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in keys}


def keys_in(runtime_env: Mapping[str, Any], more: Iterable[str] = ()) -> list[str]:
    """The variables of a Ray `runtime_env` that hold a key or secret. `more` are the user's own.

    NAME_FILE variables hold none.
    """
    variables = runtime_env.get("env_vars") or {}
    known = {name for names in KEY_VARIABLES.values() for name in names} | {CALLBACK_SECRET, *more}
    return sorted(name for name in known if variables.get(name))


def refuse_keys_in(runtime_env: Mapping[str, Any], more: Iterable[str] = ()) -> None:
    """Raise UsageError if a Ray `runtime_env` holds a key. Ray shows it to everyone who sees the job."""
    if found := keys_in(runtime_env, more):
        raise UsageError(
            f"The runtime_env holds {' and '.join(found)}, and Ray shows it to everyone who sees the job. Remove it, "
            f"replace that key, and set {found[0]} (or {found[0]}_FILE) on every node instead."
        )


_JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # what `ray job submit` hands to the job it starts


def submitted_runtime_env() -> dict[str, Any]:
    """The `runtime_env` of the surrounding Ray job as it was submitted; empty outside a job."""
    return orjson.loads(os.environ.get(_JOB_CONFIG, "{}")).get("runtime_env") or {}


def is_inside_ray_job() -> bool:
    """True if `ray job submit` started this process."""
    return _JOB_CONFIG in os.environ


def prepare_for_own_ray() -> None:
    """Set defaults for a Ray that this process starts. Variables that the user has set stay."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Several threads allocate pages. glibc would keep a heap, with its freed memory, for each thread.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", "4000000")
    # By default Ray writes a token file into the home folder, and the user's next `ray start` uses it. A token that
    # only this process tree knows avoids that.
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = os.urandom(16).hex()


def read_secret(path: Path) -> str:
    """The single line in `path`. Raises UsageError, which names the file."""
    try:
        return path.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The file {path} cannot be read.") from error
