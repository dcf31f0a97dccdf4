"""From the service's settings and an upload's options to the `Job` of one task."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, astuple, dataclass, replace
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from one_ocr_ray.errors import OptionsError, StoppedError, UsageError
from one_ocr_ray.job import Job
from one_ocr_ray.job_settings import (
    engine_options_of,
    fingerprint_of,
    general_request_of,
    limits_of,
    page_request_of,
    pdf_options_of,
    prices_of,
    route_of,
    selection_of,
    worst_case_of,
)
from one_ocr_ray.model import ErrorCode, PageRequest
from one_ocr_ray.policy.cost.pricing import estimate_usd
from one_ocr_ray.policy.dataset.documents import RunIdentity
from one_ocr_ray.policy.lease import deployment
from one_ocr_ray.policy.page.prompts import EXTRACT
from one_ocr_ray.policy.route.chain import LOCAL, needs_embedded_engine
from one_ocr_ray.settings import Settings
from one_ocr_ray.storage.spending import spending_with
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from one_ocr_ray.engines.options import EngineOptions
    from one_ocr_ray.policy.dataset.fingerprint import Fingerprint
    from one_ocr_ray.policy.tasks.task import RetryOrder, TaskOptions, TaskRecord
    from one_ocr_ray.routing import Route
    from one_ocr_ray.service_settings import ServiceSettings
    from one_ocr_ray.storage.tasks.task_store import TaskStore

# Settings that hold for the configured engine alone.
_OF_ONE_ENGINE = ("model", "base_url", "service_tier", "prompt_file", "schema", "max_cost", "route", "escalate")


# The limits of the configured engine's account are not another's.
_NO_LIMITS = dict.fromkeys(("rpm", "tpm", "rpd"))
_NO_ROUTE = dict.fromkeys(("route", "escalate"))


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """What the task manager and its workers need of the service's settings. It holds no key and no file's name."""

    settings: ServiceSettings
    engines: Mapping[str, tuple[EngineOptions | None, PageRequest]]  # by name; a choice of None is the embedded engine
    deployment: str  # of two services on one store the one that was deployed later has it


@dataclass(frozen=True, slots=True)
class TaskAssignment:
    """A task as it is handed to a worker."""

    record: TaskRecord
    retry: RetryOrder | None = None

    @property
    def key(self) -> str:
        return self.record.task_id

    @property
    def name(self) -> str:
        return "this document"


def service_config_of(settings: ServiceSettings) -> ServiceConfig:
    """The configuration of a service with `settings`. Raises UsageError for settings that cannot be used."""
    selection_of(settings)
    route_of(settings)
    names = dict.fromkeys((settings.engine, *settings.engines))
    engines = {name: _engine(settings, name) for name in names}
    return ServiceConfig(settings, engines, deployment(time.time(), token_hex(4)))


def _engine(settings: ServiceSettings, name: str) -> tuple[EngineOptions | None, PageRequest]:
    settings = _settings_for(settings, name)
    return engine_options_of(settings), page_request_of(settings)


def _settings_for(settings: ServiceSettings, name: str) -> ServiceSettings:
    """The settings with that engine."""
    if name == settings.engine:
        return settings
    if name not in {"local", "openai", "gemini"}:
        raise UsageError(f"--engines: there is no engine {name}; choose of local, openai, gemini.")
    others: dict[str, Any] = dict.fromkeys(_OF_ONE_ENGINE) | {"engine": name, "headers": {}, "query": {}}
    if name != "local":  # a prompt and a ceiling are any LLM's
        others |= {"prompt_file": settings.prompt_file, "schema": settings.schema}
    return settings.model_copy(update=others)


def task_job(service: ServiceConfig, assignment: TaskAssignment, store: TaskStore) -> tuple[Job, Fingerprint]:
    """The job of one task. Raises OptionsError for options that this service cannot follow."""
    options = assignment.record.options
    llm, ask = _asked(service, options)
    engine = options.engine or service.settings.engine
    settings = service.settings.model_copy(
        update={
            **({} if engine == service.settings.engine else _NO_LIMITS | _NO_ROUTE),
            **({"route": options.route, "escalate": None} if options.route or options.schema else {}),
            **({"profile": "generic"} if options.schema else {}),
            "engine": engine,
            **({"longest_side": options.longest_side} if options.longest_side else {}),
            "pages": options.pages or service.settings.pages,
        }
    )
    selection, route = selection_of(settings), _route(service, settings, ask)
    fingerprint = fingerprint_of(settings, llm, ask, selection)
    run_id = assignment.retry.run_id if assignment.retry else assignment.record.task_id
    job = Job(
        output=store.output_uri(assignment.record.task_id),
        config=asdict(fingerprint),
        identity=RunIdentity(run_id, fingerprint.config_id),
        selection=selection,
        pdf=pdf_options_of(settings),
        ask=ask,
        prompt_sha256=fingerprint.prompt_sha256,
        engine=llm,
        limits=limits_of(settings),
        prices=prices_of(settings),
        budget=None,
        pages_at_once=settings.max_in_flight,
        render_tasks=1,
        stop_wait_s=settings.stop_wait if llm else 0.0,
        route=route,
    )
    return job, fingerprint


def has_embedded_engine(service: ServiceConfig) -> bool:
    """Whether the service keeps processes of the embedded engine: it offers it, or its own route needs it."""
    return LOCAL in service.engines or needs_embedded_engine(route_of(service.settings))


def _route(service: ServiceConfig, settings: ServiceSettings, ask: PageRequest) -> Route:
    """The route of a task. Raises OptionsError for one that this service cannot follow."""
    try:
        route = route_of(settings)
    except UsageError as error:
        raise OptionsError(str(error), ErrorCode.INVALID_OPTIONS) from error
    if ask.json_schema is not None and len(route.names) > 1:
        raise OptionsError("A schema needs a model for every page.", ErrorCode.INVALID_OPTIONS)
    if needs_embedded_engine(route) and not has_embedded_engine(service):
        raise OptionsError("This service has no embedded engine for that route.", ErrorCode.INVALID_OPTIONS)
    return route


def _asked(service: ServiceConfig, options: TaskOptions) -> tuple[EngineOptions | None, PageRequest]:
    name = options.engine or service.settings.engine
    if name not in service.engines:
        raise OptionsError(f"This service does not offer the engine {name}.", ErrorCode.INVALID_OPTIONS)
    llm, ask = service.engines[name]
    if llm is None:
        if options.model or options.prompt or options.max_cost_usd or options.schema:
            raise OptionsError("model, prompt, max_cost_usd and schema need an LLM engine.", ErrorCode.INVALID_OPTIONS)
        return None, ask
    if options.model not in (None, llm.model, *service.settings.models):
        raise OptionsError(
            f"This service does not offer the model {options.model}; its operator names them by --models.",
            ErrorCode.MODEL_NOT_FOUND,
        )
    if options.model:
        settings = _settings_for(service.settings, name).model_copy(update={"model": options.model})
        llm, ask = replace(llm, model=options.model), page_request_of(settings)
    if options.schema:
        prompt = ask.prompt if service.settings.prompt_file else EXTRACT.text
        ask = general_request_of(service.settings, prompt, options.schema)
    return llm, replace(ask, prompt=options.prompt) if options.prompt else ask


def left_usd(service: ServiceConfig, assignment: TaskAssignment, job: Job, store: TaskStore) -> float | None:
    """What the task may still cost; None without a ceiling. Raises StoppedError when it is unknown."""
    ceilings_usd = [
        each for each in (assignment.record.options.max_cost_usd, service.settings.max_cost) if each is not None
    ]
    if not ceilings_usd or job.engine is None:
        return None
    if estimate_usd(1, 1, job.engine.model, job.engine.service_tier, job.prices) is None:
        raise StoppedError(f"The price of {job.engine.model} is unknown, so no ceiling can be kept.", ErrorCode.BUDGET)
    dearest = worst_case_of(job.engine, job.prices, job.ask, job.pdf)
    spent_usd = spending_with(Objects(job.output), store.pages(assignment.record.task_id), dearest).most_usd
    if spent_usd is None:
        raise StoppedError("What this task has cost so far is unknown, so no ceiling can be kept.", ErrorCode.BUDGET)
    return min(ceilings_usd) - spent_usd


def identity_of(service: ServiceConfig, version: str = __version__) -> str:
    """A digest that tells one service's work, its code included, from another's."""
    names = (
        *Settings.model_fields,
        "store",
        "expiry_days",
        "models",
        "key_budget_usd",
        "callback_hosts",
        "callback_private",
    )
    told = [(name, _plain(getattr(service.settings, name))) for name in names]
    asks = [(name, llm and llm.model, astuple(ask)) for name, (llm, ask) in service.engines.items()]
    return hashlib.sha256(repr((version, told, asks)).encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return {name: _plain(each) for name, each in value.items()} if isinstance(value, dict) else str(value)
