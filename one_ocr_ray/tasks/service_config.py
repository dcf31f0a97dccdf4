"""From the service's settings and an upload's options to the `Job` of one task."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, astuple, dataclass, replace
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, SecretStr

from one_ocr_ray.errors import OptionsError, StoppedError, UsageError
from one_ocr_ray.job import Job
from one_ocr_ray.model import ErrorCode, PageRequest
from one_ocr_ray.policy.cost.pricing import estimate_usd
from one_ocr_ray.policy.dataset.documents import RunIdentity
from one_ocr_ray.policy.lease import deployment
from one_ocr_ray.policy.page.prompts import EXTRACT, prompt_sha256
from one_ocr_ray.policy.route.chain import LOCAL, models_of, needs_embedded_engine
from one_ocr_ray.settings.engines import ENGINE_KINDS
from one_ocr_ray.settings.run import Settings
from one_ocr_ray.setup.job import (
    engine_options_of,
    fingerprint_of,
    llm_setup_of,
    page_request_of,
    pdf_options_of,
    route_of,
    selection_of,
    settings_of_engine,
    worst_case_of,
)
from one_ocr_ray.setup.languages import line_models_of
from one_ocr_ray.setup.profile import general_request_of
from one_ocr_ray.storage.spending.total import spending_with
from one_ocr_ray.storage.store.objects import Objects
from one_ocr_ray.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from one_ocr_ray.job import LlmSetup
    from one_ocr_ray.policy.dataset.fingerprint import Fingerprint
    from one_ocr_ray.policy.tasks.task import RetryOrder, TaskOptions, TaskRecord
    from one_ocr_ray.routing import Route
    from one_ocr_ray.settings.service import ServiceSettings
    from one_ocr_ray.storage.tasks.task_store import TaskStore


NOT_OFFERED = "This service does not offer the engine {engine}."


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """What the task manager and its workers need of the service's settings. It holds no key and no file's name."""

    settings: ServiceSettings
    engines: Mapping[str, LlmSetup | None]  # by name; None is the embedded engine
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
    settings = settings.model_copy(update={"audit": None})  # of runs alone
    selection_of(settings)
    route_of(settings)
    line_models_of(settings)
    names = dict.fromkeys((settings.engine, *settings.engines))
    engines: dict[str, LlmSetup | None] = {}
    for name in names:
        own = settings_of_engine(settings, name)
        engines[name] = None
        if own.engine != LOCAL:
            # The price of another model is asked for when a task with a ceiling names it.
            own = own if name == settings.engine else own.model_copy(update={"max_cost": None})
            engines[name] = llm_setup_of(own, name)
        elif name == settings.engine:
            engine_options_of(own)  # refuses settings that need a model
    return ServiceConfig(settings, engines, deployment(time.time(), token_hex(4)))


def task_job(service: ServiceConfig, assignment: TaskAssignment, store: TaskStore) -> tuple[Job, Fingerprint]:
    """The job of one task. Raises OptionsError for options that this service cannot follow."""
    options = assignment.record.options
    settings = settings_of_task(service.settings, options)
    selection, route = selection_of(settings), _route(service, settings, with_schema=options.schema is not None)
    asked = _asked(service, options)
    engines: dict[str, LlmSetup] = {}
    for name in models_of(route):
        setup = asked.get(name) or service.engines.get(name)
        if setup is None:
            raise OptionsError(NOT_OFFERED.format(engine=name), ErrorCode.INVALID_OPTIONS)
        engines[name] = setup
    fingerprint = fingerprint_of(settings, engines, selection)
    run_id = assignment.retry.run_id if assignment.retry else assignment.record.task_id
    job = Job(
        output=store.output_uri(assignment.record.task_id),
        config=asdict(fingerprint),
        identity=RunIdentity(run_id, fingerprint.config_id),
        selection=selection,
        pdf=pdf_options_of(settings),
        request=PageRequest(positions=settings.positions),
        engines=engines,
        budget=None,
        pages_at_once=settings.max_in_flight,
        render_tasks=1,
        stop_wait_s=settings.stop_wait if engines else 0.0,
        route=route,
        line_models=line_models_of(settings),
    )
    return job, fingerprint


def settings_of_task(settings: ServiceSettings, options: TaskOptions) -> ServiceSettings:
    """The service's settings as if they were those of a run with `options`."""
    name = options.engine or settings.engine
    of_task: dict[str, Any] = {"pages": options.pages or settings.pages}
    if options.longest_side:
        of_task["longest_side"] = options.longest_side
    if name != settings.engine:
        # An engine with a name of its own is a reader of a route without another engine.
        is_kind = name in ENGINE_KINDS
        of_task |= {"engine": name if is_kind else LOCAL, "route": None if is_kind else name, "escalate": None}
    if options.route or options.schema:
        of_task |= {"route": options.route or (name if name != settings.engine else None), "escalate": None}
    if options.schema:
        of_task["profile"] = "generic"
    if options.escalate:
        of_task["escalate"] = options.escalate
    return settings.model_copy(update=of_task)


def has_embedded_engine(service: ServiceConfig) -> bool:
    """True if the service offers the embedded engine, or its own route needs it."""
    return LOCAL in service.engines or needs_embedded_engine(route_of(service.settings))


def _route(service: ServiceConfig, settings: ServiceSettings, *, with_schema: bool) -> Route:
    """The route of a task. Raises OptionsError for one that this service cannot follow."""
    try:
        route = route_of(settings)
    except UsageError as error:
        raise OptionsError(str(error), ErrorCode.INVALID_OPTIONS) from error
    if with_schema:
        route = replace(route, ocr_places=False)  # data has no places
    if with_schema and needs_embedded_engine(route):
        raise OptionsError("A schema needs a model for every page.", ErrorCode.INVALID_OPTIONS)
    if needs_embedded_engine(route) and not has_embedded_engine(service):
        raise OptionsError("This service has no embedded engine for that route.", ErrorCode.INVALID_OPTIONS)
    return route


def _asked(service: ServiceConfig, options: TaskOptions) -> dict[str, LlmSetup]:
    """The LLM reader that the upload chooses, with its model and prompt. Empty without one."""
    name = options.engine or service.settings.engine
    if name not in service.engines:
        raise OptionsError(NOT_OFFERED.format(engine=name), ErrorCode.INVALID_OPTIONS)
    setup = service.engines[name]
    if setup is None:
        if options.model or options.prompt or options.max_cost_usd or options.schema:
            raise OptionsError("model, prompt, max_cost_usd and schema need an LLM engine.", ErrorCode.INVALID_OPTIONS)
        return {}
    if options.model not in (None, setup.options.model, *service.settings.models):
        raise OptionsError(
            f"This service does not offer the model {options.model}; its operator names them by --models.",
            ErrorCode.MODEL_NOT_FOUND,
        )
    request = setup.request
    own = settings_of_engine(service.settings, name)
    if options.model:
        asked = (replace(each, options=replace(each.options, model=options.model)) for each in setup.endpoints)
        setup = replace(setup, endpoints=tuple(asked))
        request = page_request_of(own.model_copy(update={"model": options.model}))
    if options.schema:
        request = general_request_of(own, request.prompt if own.prompt_file else EXTRACT.text, options.schema)
    if options.prompt:
        request = replace(request, prompt=options.prompt)
    return {name: replace(setup, request=request, prompt_sha256=prompt_sha256(request.prompt))}


def left_usd(service: ServiceConfig, assignment: TaskAssignment, job: Job, store: TaskStore) -> float | None:
    """What the task may still cost; None without a ceiling. Raises StoppedError when it is unknown."""
    ceilings_usd = [
        each for each in (assignment.record.options.max_cost_usd, service.settings.max_cost) if each is not None
    ]
    if not ceilings_usd or not job.engines:
        return None
    for options, prices in ((each.options, each.prices) for each in job.engines.values()):
        priced = options.usd_per_s is not None
        if not priced and estimate_usd(1, 1, options.model, options.service_tier, prices) is None:
            raise StoppedError(f"The price of {options.model} is unknown, so no ceiling can be kept.", ErrorCode.BUDGET)
    dearest = worst_case_of(job.engines.values(), job.pdf)
    spent_usd = spending_with(Objects(job.output), store.pages(assignment.record.task_id), dearest).most_usd
    if spent_usd is None:
        raise StoppedError("What this task has cost so far is unknown, so no ceiling can be kept.", ErrorCode.BUDGET)
    return min(ceilings_usd) - spent_usd


def identity_of(service: ServiceConfig, version: str = __version__) -> str:
    """A digest that tells one service's work, its code included, from another's."""
    of_service = ("store", "expiry_days", "models", "key_budget_usd", "callback_hosts", "callback_private")
    names = (*Settings.model_fields, *of_service)
    values = [(name, _plain(getattr(service.settings, name))) for name in names]
    asks = [(name, each and (each.options.model, astuple(each.request))) for name, each in service.engines.items()]
    return hashlib.sha256(repr((version, values, asks)).encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, BaseModel):
        value = dict(value)
    return {name: _plain(each) for name, each in value.items()} if isinstance(value, dict) else str(value)
