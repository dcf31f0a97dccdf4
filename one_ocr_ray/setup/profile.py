"""How a model with a profile is asked: by user settings, else the profile."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from one_ocr_ray.errors import UsageError
from one_ocr_ray.model import PageRequest
from one_ocr_ray.policy.profiles.catalog import NAMES, profile_named, profile_of_model
from one_ocr_ray.profile import ModelProfile
from one_ocr_ray.settings.declaring import error_sentence, read_config

if TYPE_CHECKING:
    from one_ocr_ray.settings.run import Settings


def general_request_of(settings: Settings, prompt: str, schema: str | None) -> PageRequest:
    """The request for each page as a model without a profile is asked."""
    return PageRequest(
        prompt=prompt,
        json_schema=schema,
        output_tokens_cap=settings.output_tokens,
        reasoning=None if settings.reasoning == "off" else settings.reasoning,
        positions=settings.positions,
    )


def with_profile(request: PageRequest, profile: ModelProfile, settings: Settings) -> PageRequest:
    """`request` as that model wants it, but for what the user has set."""
    given = settings.model_fields_set
    return replace(
        request,
        prompt=request.prompt if settings.prompt_file else profile.prompt,
        output_tokens_cap=request.output_tokens_cap if "output_tokens" in given else profile.output_tokens,
        reasoning=request.reasoning if "reasoning" in given else None,
        temperature=profile.temperature,
        profile=profile,
    )


def profile_of(settings: Settings) -> ModelProfile | None:
    """How the chosen model is asked; None for one that takes the built-in prompt.

    Raises UsageError for a name that is none, and for a file that holds no profile.
    """
    if settings.engine not in {"openai", "vllm"} or settings.schema is not None or settings.profile == "generic":
        return None
    if settings.profile == "auto":
        return profile_of_model(settings.model or "")
    if (known := profile_named(settings.profile)) is not None:
        return known
    path = Path(settings.profile)
    if path.suffix.lower() not in {".yaml", ".yml", ".toml", ".json"}:
        raise UsageError(
            f"--profile: there is no profile {settings.profile}; choose of auto, {', '.join(NAMES)}, or a file."
        )
    values = {"name": path.stem, **read_config(path)}
    unknown = values.keys() - {field.name for field in fields(ModelProfile)}
    if unknown:
        raise UsageError(f"--profile: {path} has a field that no profile has: {min(unknown)}.")
    try:
        return TypeAdapter(ModelProfile).validate_python(values)
    except ValidationError as error:
        raise UsageError(f"--profile: {path}: {error_sentence(error)}") from error
