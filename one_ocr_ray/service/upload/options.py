"""The options of an upload: the JSON in its field `options`."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from one_ocr_ray.engines.defaults import DEFAULT_MODELS
from one_ocr_ray.policy.cost.pricing import Price, estimate_usd
from one_ocr_ray.policy.dataset.selection import parse_selection
from one_ocr_ray.policy.page.extraction import foreign_schema_fault, schema_fault
from one_ocr_ray.policy.route.chain import LOCAL, needs_embedded_engine, parse_route
from one_ocr_ray.policy.tasks.callback import callback_fault
from one_ocr_ray.policy.tasks.task import TaskOptions
from one_ocr_ray.routing import Escalation
from one_ocr_ray.service.problems import Problem
from one_ocr_ray.settings.engines import ENGINE_KINDS
from one_ocr_ray.setup.job import route_of
from one_ocr_ray.tasks.service_config import settings_of_task

if TYPE_CHECKING:
    from one_ocr_ray.settings.engines import EngineSettings
    from one_ocr_ray.settings.service import ServiceSettings

_RANGE = r"[1-9]\d{0,8}(-([1-9]\d{0,8})?)?"
_PAGES = rf"^(all|{_RANGE}( *, *{_RANGE})*)$"
_KIND = f"({'|'.join(Escalation)})"
_KINDS = rf"^{_KIND}( *, *{_KIND}){{0,3}}$"
_RANGE_ENDS = re.compile(r"(\d+)-(\d+)")

# Fields of their own in the form of a browser without scripts.
FORM_OPTIONS = ("engine", "model", "pages", "route", "escalate")
LONGEST_SIDE_PX = 4000  # twice what any provider uses: a larger image costs memory and gives no more text
LLM_OPTIONS = ("model", "prompt", "max_cost_usd", "schema")  # not for the embedded engine


# The contract names an option `schema`; pydantic still has a deprecated method of that name.
warnings.filterwarnings("ignore", message='Field name "schema" in "UploadOptions" shadows', category=UserWarning)


class UploadOptions(BaseModel):
    """What is not given is as the service is configured; an unknown key is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    engine: str | None = Field(None, max_length=40, description="local, openai or gemini, where the service offers it")
    model: str | None = Field(
        None, min_length=1, max_length=200, pattern=r"^[\w.:/@+-]+$", description="the name of its model"
    )
    pages: str | None = Field(None, max_length=1000, pattern=_PAGES, description="pages such as 1-3,8,10-, or all")
    prompt: str | None = Field(None, min_length=1, max_length=20_000, description="a text in place of the built-in one")
    longest_side: int | None = Field(
        None, ge=64, le=LONGEST_SIDE_PX, description="pixels of the page image sent, 64 to 4000"
    )
    max_cost_usd: float | None = Field(None, gt=0, le=1e6, description="USD before which the task stops, more than 0")
    callback_url: str | None = Field(
        None,
        max_length=2000,
        pattern=r"^https?://[!-~]+$",
        description="http:// or https://, told by a signed POST at the end",
    )
    route: str | None = Field(None, max_length=200, description="readers of a page in order, or auto")
    escalate: str | None = Field(
        None,
        pattern=_KINDS,
        description="pages for the next reader of the route: tables, formulas, handwriting, low-confidence",
    )
    schema: dict[str, Any] | None = Field(  # type: ignore[assignment]
        None, description="JSON Schema of the data that the model takes from each page"
    )


def options_in(texts: Mapping[str, str]) -> str:
    """The JSON of the options in the fields of a form. An empty field asks for nothing."""
    fields = {name: texts[name].strip() for name in FORM_OPTIONS if texts.get(name, "").strip()}
    return texts.get("options") or json.dumps(fields)


def offered_engines(settings: ServiceSettings) -> set[str]:
    """The engines that an upload may choose."""
    return {settings.engine, *settings.engines}


def offered_models(settings: ServiceSettings, engine: str) -> list[str]:
    """The models that an upload may choose at `engine`: its own and the operator's."""
    own = _of_engine(settings, engine)
    return sorted({own.model or DEFAULT_MODELS[own.engine], *settings.models})


def _of_engine(settings: ServiceSettings, name: str) -> ServiceSettings | EngineSettings:
    """The settings of the engine `name`. The flags' model and tier are for the configured engine only."""
    return settings if name == settings.engine else settings.engines[name]


def offered_routes(settings: ServiceSettings) -> list[str]:
    """The routes that an upload may choose with the configured engine."""
    names = dict.fromkeys(("text-layer", LOCAL, settings.engine))
    chains = [",".join(each) for size in range(1, len(names) + 1) for each in permutations(names, size)]
    routes = []
    for route in ("auto", *chains):
        with suppress(Problem):
            _check_route(route, settings.engine, settings)
            routes.append(route)
    return routes


def routes_from_cheap_to_dear(settings: ServiceSettings) -> list[tuple[str, ...]]:
    """The readers of those routes that a person would choose: each after the cheaper ones."""
    price = {"text-layer": 0, LOCAL: 1}
    chains = [tuple(route.split(",")) for route in offered_routes(settings) if route != "auto"]
    return [chain for chain in chains if sorted(chain, key=lambda name: price.get(name, 2)) == list(chain)]


def parse_options(text: str, settings: ServiceSettings) -> TaskOptions:
    """Parse `text` as the options of a task. Raises Problem that names the wrong key, not its value."""
    try:
        options = UploadOptions.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        known = [str(part) for part in first["loc"] if part in UploadOptions.model_fields]
        if first["type"] == "extra_forbidden":
            allowed = ", ".join(UploadOptions.model_fields)
            raise _invalid(f"There is an unknown key; known are {allowed}.") from error
        if not known:
            raise _invalid("It is not a JSON object.") from error
        expected = UploadOptions.model_fields[known[0]].description
        raise _invalid(f"The value of {known[0]} is not allowed. Expected: {expected}.") from error
    _check_engine(options, settings)
    if options.callback_url is not None and (fault := callback_fault(options.callback_url, settings.callback_hosts)):
        raise _invalid(fault)
    pages = options.pages
    if pages is not None:  # a range may be given from either end
        ordered = _RANGE_ENDS.sub(lambda ends: "-".join(sorted(ends.groups(), key=int)), pages)
        pages = str(parse_selection(ordered))
    schema, asked = None, options.model_dump()
    if asked["schema"] is not None:
        schema = json.dumps(asked["schema"], ensure_ascii=False)
        if fault := foreign_schema_fault(asked["schema"], schema) or schema_fault(schema):
            raise _invalid(f"schema: {fault}")
    task = TaskOptions(**{**asked, "pages": pages, "schema": schema})
    names = route_of(settings_of_task(settings, replace(task, escalate=None))).names
    if task.escalate is not None and len(names) < 2:
        raise _invalid(
            f"escalate sends pages on to the next reader, and the route {names[0]} has only one reader: name more in "
            "route, such as auto, or leave escalate out."
        )
    return task


def _check_engine(options: UploadOptions, settings: ServiceSettings) -> None:
    """Raise Problem for options that the engine cannot follow, rather than fail the task."""
    engines = offered_engines(settings)
    engine = options.engine or settings.engine
    if engine not in engines:
        raise _invalid(f"The engine must be one of {', '.join(sorted(engines))}.")
    if options.route is not None:
        _check_route(options.route, engine, settings, with_schema=options.schema is not None)
    if _of_engine(settings, engine).engine == "local":
        if any(getattr(options, name) is not None for name in LLM_OPTIONS):
            raise _invalid(f"{', '.join(LLM_OPTIONS)} need an LLM engine.")
    elif options.model is not None and options.model not in offered_models(settings, engine):
        raise _invalid(f"The model must be one of {', '.join(offered_models(settings, engine))}.")
    elif (options.max_cost_usd or settings.key_budget_usd) and not _has_price(engine, options.model, settings):
        raise _invalid("The price of the model is unknown, so max_cost_usd or the key's budget cannot be kept.")


def _check_route(text: str, engine: str, settings: ServiceSettings, *, with_schema: bool = False) -> None:
    """Raises Problem for a route that this service cannot follow."""
    # An engine with a name of its own is a reader of a route without another engine.
    chosen = engine if engine in (settings.engine, *ENGINE_KINDS) else LOCAL
    try:
        route = parse_route(text, chosen, others=settings.engines)
        own = parse_route(settings.route, settings.engine, others=settings.engines)
    except ValueError as error:
        names = ", ".join(dict.fromkeys(("text-layer", LOCAL, chosen, *settings.engines)))
        needs = f", {chosen} among them" if chosen != LOCAL else ""
        raise _invalid(
            f"The value of route is not allowed. Expected: auto, or readers of {names} in the order in which they are "
            f"asked, each once, text-layer first{needs}."
        ) from error
    if needs_embedded_engine(route) and LOCAL not in offered_engines(settings) and not needs_embedded_engine(own):
        raise _invalid("The service has no embedded engine for that route.")
    if (with_schema or settings.schema is not None) and needs_embedded_engine(route):
        raise _invalid("A schema needs a model for every page: no other reader can be in the route.")


def _has_price(engine: str, model: str | None, settings: ServiceSettings) -> bool:
    """True where the price of `model` is known; None is the engine's own model."""
    own = _of_engine(settings, engine)
    usual = own.model or DEFAULT_MODELS[own.engine]
    known = settings.prices | own.prices
    prices = {name or usual: Price(**price.model_dump()) for name, price in known.items()}
    return estimate_usd(1, 1, model or usual, own.service_tier, prices) is not None


def _invalid(detail: str) -> Problem:
    return Problem("invalid_options", f"The options are not valid. {detail}")
