"""Turns settings into what a run works with: engine, request, limits, pages. The driver does it once, without Ray."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from one_ocr_ray.blocks import Positions
from one_ocr_ray.engines.defaults import DEFAULT_MODELS
from one_ocr_ray.engines.ocr.languages import SHIPPED_MODEL
from one_ocr_ray.engines.options import EngineOptions
from one_ocr_ray.errors import UsageError
from one_ocr_ray.gates import MEASURED
from one_ocr_ray.job import Endpoint, LlmSetup
from one_ocr_ray.model import PageRequest
from one_ocr_ray.pdf.reader import PdfOptions
from one_ocr_ray.policy.cost.pricing import Price, estimate_usd
from one_ocr_ray.policy.dataset.fingerprint import Fingerprint
from one_ocr_ray.policy.dataset.selection import parse_selection
from one_ocr_ray.policy.page.extraction import schema_fault
from one_ocr_ray.policy.page.prompts import EXTRACT, TRANSCRIBE, prompt_sha256
from one_ocr_ray.policy.ratelimit.messages import NO_QUOTA, Limits
from one_ocr_ray.policy.route.chain import LOCAL, TEXT_LAYER, models_of, needs_embedded_engine, parse_route, route_text
from one_ocr_ray.settings.engines import OF_ONE_ACCOUNT, EngineSettings, LlmSettings
from one_ocr_ray.settings.run import password_of
from one_ocr_ray.settings.servers import ServerSettings
from one_ocr_ray.settings.service import ServiceSettings
from one_ocr_ray.setup.endpoints import address_of, endpoint_settings_of, endpoints_of
from one_ocr_ray.setup.languages import line_models_of
from one_ocr_ray.setup.metering import metering_of
from one_ocr_ray.setup.profile import general_request_of, profile_of, with_profile
from one_ocr_ray.setup.servers import VLLM, own_server_options
from one_ocr_ray.storage.spending.total import WorstCase
from one_ocr_ray.storage.store.uris import root_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from one_ocr_ray.policy.dataset.selection import PageSelection
    from one_ocr_ray.routing import Route
    from one_ocr_ray.settings.run import Settings


# The engines that use a setting. Settings that are not listed concern every engine, or are refused with a wrong one.
_LLM = frozenset({"openai", "gemini", VLLM})
_HOSTED = frozenset({"openai", "gemini"})
_NEED_LLM = ("model", "base_url", "endpoints", "prompt_file", "schema", "max_cost")
ENGINES_OF_SETTING = {
    **dict.fromkeys(("rpm", "tpm", "rpd", "max_in_flight", "timeout", "stop_wait", "output_tokens", "reasoning"), _LLM),
    **dict.fromkeys(("service_tier", "headers", "query", "prices", "api_key_env"), _HOSTED),
    **dict.fromkeys(("detail", "output_cap_field", "profile"), frozenset({"openai", VLLM})),
    **dict.fromkeys(ServerSettings.model_fields, frozenset({VLLM})),
    **dict.fromkeys(("batch_wait", "batch_rest", "batch_tokens"), _HOSTED),
    "media_resolution": frozenset({"gemini"}),
    **dict.fromkeys(("language", "language_models"), frozenset({LOCAL})),
}


def settings_without_effect(settings: Settings) -> str | None:
    """One sentence that names the flags without effect on the chosen engines. None if there are none."""
    route = route_of(settings)
    on_route = {LOCAL if needs_embedded_engine(route) else settings.engine}
    on_route |= {settings_of_engine(settings, name).engine for name in models_of(route)}
    unused = [
        f"--{name.replace('_', '-')}"
        for name, engines in ENGINES_OF_SETTING.items()
        if name in settings.model_fields_set
        and not engines & ({settings.engine} if name in OF_ONE_ACCOUNT else {settings.engine, *on_route})
    ]
    return f"Without effect with --engine {settings.engine}: {', '.join(unused)}." if unused else None


def readers_of(settings: Settings) -> tuple[str, ...]:
    """The LLM readers that a route may name beside `--engine`. Uploads may name those that the operator offers."""
    as_they_come = () if isinstance(settings, ServiceSettings) else sorted(_HOSTED)
    return tuple(dict.fromkeys((*settings.engines, *as_they_come)))


def settings_of_engine(settings: Settings, name: str) -> Settings:
    """The settings as engine `name` has them: from `--engine`, or an entry of `engines`."""
    if name == settings.engine:
        return settings
    entry = settings.engines.get(name) or EngineSettings.model_validate({"engine": name})
    own: dict[str, Any] = {field: getattr(entry, field) for field in entry.model_fields_set}
    own["prices"] = settings.prices | entry.prices
    of_its_account = {field: LlmSettings.model_fields[field].default for field in OF_ONE_ACCOUNT}
    return settings.model_copy(update=of_its_account | own)


def llm_setups_of(settings: Settings) -> dict[str, LlmSetup]:
    """The LLM readers of the route, by name in its order.

    Raises UsageError for what no reader could be asked with, and for flags that need an LLM engine.
    """
    if settings.engine == "local":
        engine_options_of(settings)
    return {name: llm_setup_of(settings_of_engine(settings, name), name) for name in models_of(route_of(settings))}


def llm_setup_of(settings: Settings, name: str) -> LlmSetup:
    """The LLM reader `name` with `settings` of its own. Raises UsageError for unusable ones."""
    options, request = engine_options_of(settings), page_request_of(settings)
    if options is None:
        raise UsageError(f"--route: {name} is no engine that models answer for.")
    started_by_the_run = (Endpoint(name, options, limits_of(settings)),)  # their addresses come later
    return LlmSetup(
        name=name,
        endpoints=started_by_the_run if settings.engine == VLLM else endpoints_of(settings, options),
        request=request,
        prompt_sha256=prompt_sha256(request.prompt),
        prices=prices_of(settings),
        may_grow=settings.engine == VLLM,
    )


def engine_options_of(settings: Settings) -> EngineOptions | None:
    """The engine of `--engine`, None for the embedded one. Raises UsageError for flags that need an LLM engine."""
    if settings.engine == "local":
        needing = ("model", "base_url", "endpoints") if models_of(_parsed_route(settings)) else _NEED_LLM
        for name in needing:
            if getattr(settings, name):
                raise UsageError(f"--{name.replace('_', '-')} needs an LLM engine: add --engine openai or gemini.")
        return None
    if settings.engine == VLLM:
        return own_server_options(settings)
    model = settings.model or DEFAULT_MODELS[settings.engine]
    if settings.max_cost is not None and estimate_usd(1, 1, model, settings.service_tier, prices_of(settings)) is None:
        raise UsageError(f"--max-cost: the price of {model} is unknown; give it as `prices` in a --config file.")
    return EngineOptions(
        name=settings.engine,
        model=model,
        base_url=address_of(endpoint_settings_of(settings)[0], settings.engine),
        key_variable=settings.api_key_env,
        timeout_s=settings.timeout,
        image_detail=settings.media_resolution if settings.engine == "gemini" else settings.detail,
        service_tier=settings.service_tier,
        output_cap_fields=() if settings.output_cap_field == "auto" else (settings.output_cap_field,),
        headers=settings.headers,
        query=settings.query,
    )


def page_request_of(settings: Settings) -> PageRequest:
    """The request for each page. Raises UsageError for an unusable prompt or schema."""
    if settings.engine == "local" and not models_of(route_of(settings)):
        return PageRequest(positions=settings.positions)
    schema = _text(settings.schema, "--schema") if settings.schema else None
    if schema is not None and (fault := schema_fault(schema)):
        raise UsageError(f"--schema: {fault}")
    built_in = EXTRACT if schema is not None else TRANSCRIBE
    prompt = _text(settings.prompt_file, "--prompt-file") if settings.prompt_file else built_in.text
    request = general_request_of(settings, prompt, schema)
    return request if (profile := profile_of(settings)) is None else with_profile(request, profile, settings)


def longest_side_px_of(settings: Settings) -> int:
    """The longest side of page images: as set, else the largest that a model wants."""
    if "longest_side" in settings.model_fields_set:
        return settings.longest_side
    readers = (settings_of_engine(settings, name) for name in models_of(_parsed_route(settings)))
    wanted = [(profile := profile_of(each)) and profile.longest_side_px for each in readers]
    return max((side or settings.longest_side for side in wanted), default=settings.longest_side)


def selection_of(settings: Settings) -> PageSelection:
    """The selected pages. Raises UsageError for an invalid selection."""
    try:
        return parse_selection(settings.pages)
    except ValueError as error:
        raise UsageError(f"--pages: {error}.") from error


def _parsed_route(settings: Settings) -> Route:
    readers = readers_of(settings)
    try:
        parse_route(settings.route, settings.engine, others=readers)
    except ValueError as error:
        raise UsageError(f"--route: {error}.") from error
    try:
        return parse_route(settings.route, settings.engine, settings.escalate, readers)
    except ValueError as error:
        raise UsageError(f"--escalate: {error}.") from error


def route_of(settings: Settings) -> Route:
    """The readers of each page. Raises UsageError for a route that does not fit the chosen engine."""
    route = _parsed_route(settings)
    if settings.schema is not None and models_of(route) != route.names and len(route.names) > 1:
        raise UsageError(f"--schema needs a model for every page: give --route {settings.engine}, or no route.")
    if settings.audit is not None and route.names == (LOCAL,):
        raise UsageError("--audit: with --route local there is no second reader; put text-layer or a model beside it.")
    if settings.audit is not None and settings.schema is not None:
        raise UsageError("--audit compares texts, and with --schema there are none: leave one of them out.")
    ocr_places = settings.positions is Positions.WORDS and bool(models_of(route)) and settings.schema is None
    return replace(route, gates=settings.gates or MEASURED, audit=settings.audit, ocr_places=ocr_places)


def pdf_options_of(settings: Settings) -> PdfOptions:
    """How to open and render documents. Raises UsageError for an unreadable password file."""
    password = password_of(settings)
    route = route_of(settings)
    return PdfOptions(
        longest_side_px=longest_side_px_of(settings),
        max_pages=settings.max_pages,
        max_file_bytes=settings.max_file_bytes,
        password=SecretStr(password) if password is not None else None,
        layer=TEXT_LAYER in route.names or route.ocr_places,  # layers have places, too
    )


def output_uri_of(settings: Settings) -> str:
    """The URI or absolute path of the results. Raises UsageError if there is none."""
    if not settings.output:
        raise UsageError("Say where the results go: --output URI.")
    return root_of(settings.output)


def limits_of(settings: Settings) -> Limits:
    """The account's limits as the user set them. The run's own servers have none but those."""
    rate = settings.rpm or (NO_QUOTA if settings.engine == VLLM else None)
    return Limits(rate, settings.tpm, settings.rpd, settings.max_in_flight)


def fingerprint_of(settings: Settings, engines: Mapping[str, LlmSetup], selection: PageSelection) -> Fingerprint:
    """The fingerprint of a run's configuration. Runs with the same one can share an output.

    `engines`: the LLM readers of its route. Where they are reached is not a part of it.
    """
    own, some = engines.get(settings.engine), next(iter(engines.values()), None)
    others = {name: each.options for name, each in engines.items() if each is not own}
    models = {name: f"{options.name}/{options.model}" for name, options in others.items()}
    schema = some.request.json_schema if some else None
    revision = f"@{settings.revision}" if settings.revision else ""
    return Fingerprint(
        engine=settings.engine,
        model=f"{own.options.model}{revision}" if own else DEFAULT_MODELS["local"],
        prompt_sha256=some.prompt_sha256 if some else None,
        schema_sha256=prompt_sha256(schema) if schema is not None else None,
        longest_side_px=longest_side_px_of(settings),
        pages=str(selection),
        positions=settings.positions,
        route=route_text(route_of(settings), settings.engine, models),
        line_models=None if (models_of_lines := line_models_of(settings)) == SHIPPED_MODEL else models_of_lines.name,
    )


def worst_case_of(engines: Iterable[LlmSetup], pdf: PdfOptions) -> WorstCase:
    """How much requests of unknown cost count towards a ceiling."""
    asked = tuple((metering_of(each.options, each.prices, each.request), each.request) for each in engines)
    return WorstCase(asked, pdf.longest_side_px)


def prices_of(settings: Settings) -> dict[str, Price]:
    """The user's prices, which override the table's. "" stands for the engine's own model."""
    return {
        name or settings.model or DEFAULT_MODELS[settings.engine]: Price(**price.model_dump())
        for name, price in settings.prices.items()
    }


def _text(path: Path, flag: str) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{flag}: the file {path} cannot be read.") from error
    if not text.strip():
        raise UsageError(f"{flag}: the file {path} is empty.")
    return text
