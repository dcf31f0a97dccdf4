"""`one-ocr estimate`: looks at the input as a run would, and asks nobody. No Ray, no key, no request."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from one_ocr_ray.engines.defaults import DEFAULT_MODELS
from one_ocr_ray.job_settings import (
    engine_options_of,
    limits_of,
    metering_of,
    page_request_of,
    pdf_options_of,
    prices_of,
    selection_of,
    settings_without_effect,
)
from one_ocr_ray.policy.cost.estimate import LOCAL_PAGE, Estimate, Survey, llm_page, seconds_by_bound
from one_ocr_ray.reading.inspection import inspect_all
from one_ocr_ray.storage.inputs import find_present_inputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from one_ocr_ray.engines.options import EngineOptions
    from one_ocr_ray.policy.cost.estimate import PageNeed
    from one_ocr_ray.settings import Settings


def estimate(settings: Settings, say: Callable[[str], None] = lambda _: None) -> Estimate:
    """What a run of `settings` would take on an empty output, with the CPUs of this machine.

    Opens every input file, in as many child processes as there are CPUs; those that cannot be read are named in the
    result. Raises UsageError for settings that a run would refuse, and when there is no input.
    """
    selection, llm = selection_of(settings), engine_options_of(settings)
    page = _page_need(settings, llm)
    if idle := settings_without_effect(settings):
        say(idle)
    options = pdf_options_of(settings)
    files = find_present_inputs(settings.inputs, say)
    cpus = os.cpu_count() or 1
    survey = Survey(selection)
    for document in inspect_all(files, options, children=cpus):
        survey.add(document)
    limits = limits_of(settings) if llm else None
    return Estimate(
        engine=settings.engine,
        model=llm.model if llm else DEFAULT_MODELS["local"],
        survey=survey,
        page=page,
        seconds_by=seconds_by_bound(survey.pages, page, limits, cpus),
        cpus=cpus,
        limits=limits,
    )


def _page_need(settings: Settings, llm: EngineOptions | None) -> PageNeed:
    ask = page_request_of(settings)
    if llm is None:
        return LOCAL_PAGE
    metering = metering_of(llm, prices_of(settings), ask)
    return llm_page(metering, ask, settings.longest_side)
