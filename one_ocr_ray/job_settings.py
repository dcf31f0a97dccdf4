"""Turns settings into what a run works with: engine, request, limits, pages. The driver does it once, without Ray."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr, TypeAdapter, ValidationError

from one_ocr_ray.blocks import Positions
from one_ocr_ray.engines.defaults import DEFAULT_BASE_URLS, DEFAULT_MODELS
from one_ocr_ray.engines.llm.codec import CODECS
from one_ocr_ray.engines.options import EngineOptions
from one_ocr_ray.errors import UsageError
from one_ocr_ray.model import PageRequest
from one_ocr_ray.pdf.reader import PdfOptions
from one_ocr_ray.policy.cost.metering import ProviderMetering
from one_ocr_ray.policy.cost.pricing import Price, estimate_usd
from one_ocr_ray.policy.dataset.fingerprint import Fingerprint
from one_ocr_ray.policy.dataset.selection import parse_selection
from one_ocr_ray.policy.page.extraction import schema_fault
from one_ocr_ray.policy.page.prompts import EXTRACT, TRANSCRIBE, prompt_sha256
from one_ocr_ray.policy.profiles.catalog import NAMES, profile_named, profile_of_model
from one_ocr_ray.policy.ratelimit.messages import Limits
from one_ocr_ray.policy.route.chain import TEXT_LAYER, parse_route, told
from one_ocr_ray.profile import ModelProfile
from one_ocr_ray.settings import base_url, password_of
from one_ocr_ray.settings_reading import error_sentence, read_config
from one_ocr_ray.storage.spending import WorstCase
from one_ocr_ray.storage.store.uris import root_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from one_ocr_ray.policy.dataset.selection import PageSelection
    from one_ocr_ray.routing import Route
    from one_ocr_ray.settings import Settings


# The engines that use a setting. Settings that are not listed concern every engine, or are refused with a wrong one.
_LLM = frozenset({"openai", "gemini"})
ENGINES_OF_SETTING = {
    **dict.fromkeys(("rpm", "tpm", "rpd", "max_in_flight", "timeout", "stop_wait", "output_tokens", "reasoning"), _LLM),
    **dict.fromkeys(("service_tier", "headers", "query", "prices"), _LLM),
    **dict.fromkeys(("detail", "output_cap_field", "profile"), frozenset({"openai"})),
    "media_resolution": frozenset({"gemini"}),
}


def settings_without_effect(settings: Settings) -> str | None:
    """One sentence that names the flags without effect on the chosen engine. None if there are none."""
    unused = [
        f"--{name.replace('_', '-')}"
        for name, engines in ENGINES_OF_SETTING.items()
        if name in settings.model_fields_set and settings.engine not in engines
    ]
    return f"Without effect with --engine {settings.engine}: {', '.join(unused)}." if unused else None


def engine_options_of(settings: Settings) -> EngineOptions | None:
    """The LLM engine of a run; None for the embedded one. Raises UsageError for flags that need an LLM engine."""
    if settings.engine == "local":
        for name in ("model", "base_url", "prompt_file", "schema", "max_cost"):
            if getattr(settings, name) is not None:
                raise UsageError(f"--{name.replace('_', '-')} needs an LLM engine: add --engine openai or gemini.")
        return None
    model = settings.model or DEFAULT_MODELS[settings.engine]
    if settings.max_cost is not None and estimate_usd(1, 1, model, settings.service_tier, prices_of(settings)) is None:
        raise UsageError(f"--max-cost: the price of {model} is unknown; give it as `prices` in a --config file.")
    return EngineOptions(
        name=settings.engine,
        model=model,
        base_url=(base_url(settings) or DEFAULT_BASE_URLS[settings.engine]).rstrip("/"),
        timeout_s=settings.timeout,
        image_detail=settings.media_resolution if settings.engine == "gemini" else settings.detail,
        service_tier=settings.service_tier,
        output_cap_fields=() if settings.output_cap_field == "auto" else (settings.output_cap_field,),
        headers=settings.headers,
        query=settings.query,
    )


def page_request_of(settings: Settings) -> PageRequest:
    """The request for each page. Raises UsageError for an unusable prompt or schema."""
    if settings.engine == "local":
        return PageRequest(positions=settings.positions)
    schema = _text(settings.schema, "--schema") if settings.schema else None
    if schema is not None and (fault := schema_fault(schema)):
        raise UsageError(f"--schema: {fault}")
    built_in = EXTRACT if schema is not None else TRANSCRIBE
    prompt = _text(settings.prompt_file, "--prompt-file") if settings.prompt_file else built_in.text
    request = general_request_of(settings, prompt, schema)
    return request if (profile := profile_of(settings)) is None else _with_profile(request, profile, settings)


def general_request_of(settings: Settings, prompt: str, schema: str | None) -> PageRequest:
    """The request for each page as a model without a profile is asked."""
    return PageRequest(
        prompt=prompt,
        json_schema=schema,
        output_tokens_cap=settings.output_tokens,
        reasoning=None if settings.reasoning == "off" else settings.reasoning,
        positions=settings.positions,
    )


def _with_profile(request: PageRequest, profile: ModelProfile, settings: Settings) -> PageRequest:
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
    if settings.engine != "openai" or settings.schema is not None or settings.profile == "generic":
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


def longest_side_px_of(settings: Settings) -> int:
    """The longest side of page images: as set, else as the model wants it."""
    profile = None if "longest_side" in settings.model_fields_set else profile_of(settings)
    return (profile and profile.longest_side_px) or settings.longest_side


def selection_of(settings: Settings) -> PageSelection:
    """The selected pages. Raises UsageError for an invalid selection."""
    try:
        return parse_selection(settings.pages)
    except ValueError as error:
        raise UsageError(f"--pages: {error}.") from error


def route_of(settings: Settings) -> Route:
    """The readers of each page. Raises UsageError for a route that does not fit the chosen engine."""
    try:
        route = parse_route(settings.route, settings.engine, settings.escalate)
    except ValueError as error:
        raise UsageError(f"--route: {error}.") from error
    if settings.schema is not None and len(route.names) > 1:
        raise UsageError(f"--schema needs a model for every page: give --route {settings.engine}, or no route.")
    return replace(route, gates=settings.gates) if settings.gates else route


def pdf_options_of(settings: Settings) -> PdfOptions:
    """How to open and render documents. Raises UsageError for an unreadable password file."""
    password = password_of(settings)
    # The words of a model's answers get their places from text layers.
    layer_has_places = settings.engine != "local" and settings.positions is Positions.WORDS
    return PdfOptions(
        longest_side_px=longest_side_px_of(settings),
        max_pages=settings.max_pages,
        max_file_bytes=settings.max_file_bytes,
        password=SecretStr(password) if password is not None else None,
        layer=TEXT_LAYER in route_of(settings).names or layer_has_places,
    )


def output_uri_of(settings: Settings) -> str:
    """The URI or absolute path of the results. Raises UsageError if there is none."""
    if not settings.output:
        raise UsageError("Say where the results go: --output URI.")
    return root_of(settings.output)


def limits_of(settings: Settings) -> Limits:
    """The account's limits as the user set them."""
    return Limits(settings.rpm, settings.tpm, settings.rpd, settings.max_in_flight)


def fingerprint_of(
    settings: Settings, llm: EngineOptions | None, ask: PageRequest, selection: PageSelection
) -> Fingerprint:
    """The fingerprint of a run's configuration. Runs with the same one can share an output."""
    return Fingerprint(
        engine=settings.engine,
        model=llm.model if llm else DEFAULT_MODELS["local"],
        prompt_sha256=prompt_sha256(ask.prompt) if llm else None,
        schema_sha256=prompt_sha256(ask.json_schema) if ask.json_schema is not None else None,
        longest_side_px=longest_side_px_of(settings),
        pages=str(selection),
        positions=settings.positions,
        route=told(route_of(settings), settings.engine),
    )


def metering_of(llm: EngineOptions, prices: Mapping[str, Price], ask: PageRequest) -> ProviderMetering:
    """A new metering for requests to that engine."""
    codec = CODECS[llm.name]
    return ProviderMetering(
        codec.image_tokens,
        llm.model,
        limit_counts_output=codec.LIMIT_COUNTS_OUTPUT,
        image_detail=llm.image_detail,
        tier=llm.service_tier,
        prices=prices,
        output_cap=ask.output_tokens_cap,
    )


def worst_case_of(
    llm: EngineOptions | None, prices: Mapping[str, Price], ask: PageRequest, pdf: PdfOptions
) -> WorstCase:
    """How much requests of unknown cost count towards a ceiling."""
    return WorstCase(metering_of(llm, prices, ask) if llm else None, ask, pdf.longest_side_px)


def prices_of(settings: Settings) -> dict[str, Price]:
    """The user's prices, which override the table's."""
    return {
        model: Price(price.input_usd, price.output_usd, price.cached_usd) for model, price in settings.prices.items()
    }


def _text(path: Path, flag: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{flag}: the file {path} cannot be read.") from error
