"""What both kinds of settings share: flags, the file behind `--config`, words for mistakes."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import orjson
import yaml
from pydantic import Field

from one_ocr_ray.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pydantic import ValidationError


def flag(metavar: str | None, group: str, text: str, default: Any = None, **limits: Any) -> Any:
    """A setting with its command-line flag, help group and line of help.

    `repeats`: the flag may be given several times.
    """
    extra = {"metavar": metavar, "group": group, "repeats": limits.pop("repeats", False)}
    return Field(default, description=text, json_schema_extra=extra, **limits)


def read_config(path: Path) -> dict[str, Any]:
    """The settings in `path`; `max-cost` equals `max_cost`. Raises UsageError, which names the file."""
    toml = path.suffix.lower() == ".toml"
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text) if toml else yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The configuration file {path} cannot be read.") from error
    except (tomllib.TOMLDecodeError, yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"The configuration file {path} is not valid {'TOML' if toml else 'YAML'}.") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UsageError(f"The configuration file {path} must hold settings, one `name: value` a line.")
    return {str(name).replace("-", "_"): value for name, value in values.items()}


def share_of(value: Any) -> Any:
    """The share 0-1 in a text such as `1%` or `0.01`. Anything else as it is."""
    try:
        number = float(value.strip().removesuffix("%"))
    except (AttributeError, ValueError):
        return value
    return number / 100 if value.strip().endswith("%") else number


def one_or_several(value: Any) -> Any:
    """A text as a list: a JSON list's items, or else the text alone. Anything else as it is."""
    try:
        several = orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        return [value]
    return [value] if isinstance(value, str) and not isinstance(several, list) else several


def listed(value: Any) -> Any:
    """The names in a text, which commas separate; anything else as it is."""
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


def unknown_variables_sentence(names: Sequence[str], known: Sequence[str]) -> str:
    """One sentence that names each variable and the setting it resembles. Never a value: it may be a secret."""
    parts = []
    for name in sorted(names):
        alike = get_close_matches(name.upper(), known, n=1, cutoff=0.8)
        parts.append(f"{name} (do you mean {alike[0]}?)" if alike else name)
    return f"Not a setting, and without effect: {', '.join(parts)}."


def error_sentence(error: ValidationError) -> str:
    """The first error in one sentence. Never the value: it may be a secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"Unknown setting {name}; see one-ocr run --help."
    # A check of several settings names them itself.
    return f"Setting {name}: {first['msg']}." if name else f"{first['msg']}."
