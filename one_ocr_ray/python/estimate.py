"""`one_ocr_ray.estimate` inspects the input like a run. It needs no Ray and no key, and sends nothing."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from one_ocr_ray.engines.defaults import DEFAULT_MODELS
from one_ocr_ray.engines.llm.batch.client import BATCH_CODECS
from one_ocr_ray.policy.batch.estimate import estimate_batches
from one_ocr_ray.policy.cost.estimate import LOCAL_PAGE, Estimate, Survey, llm_page, seconds_by_bound
from one_ocr_ray.policy.cost.route_shares import RouteShares
from one_ocr_ray.policy.known_sums import sum_known
from one_ocr_ray.python.run import with_inputs
from one_ocr_ray.reading.batch.wishes import batch_wishes_of
from one_ocr_ray.reading.inspection import inspect_all
from one_ocr_ray.reading.route.sample import PageSample, sampled_readers
from one_ocr_ray.settings.run import load
from one_ocr_ray.setup.endpoints import total_limits
from one_ocr_ray.setup.job import (
    llm_setups_of,
    longest_side_px_of,
    pdf_options_of,
    route_of,
    selection_of,
    settings_without_effect,
)
from one_ocr_ray.setup.metering import metering_of
from one_ocr_ray.setup.servers import VLLM
from one_ocr_ray.storage.inputs import find_present_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from one_ocr_ray.job import LlmSetup
    from one_ocr_ray.policy.cost.estimate import PageNeed
    from one_ocr_ray.policy.ratelimit.messages import Limits
    from one_ocr_ray.settings.run import Settings


def estimate(
    inputs: str | Path | Sequence[str | Path], *, say: Callable[[str], None] | None = None, **settings: Any
) -> Estimate:
    """Estimate what a run of `inputs` would take: pages, tokens, cost, time; nothing is sent.

    `settings` are those of `one_ocr_ray.run`. The result's `as_json()` has the figures, and names unreadable files.
    Raises UsageError for settings that a run would refuse, and if there is no input.
    """
    return estimate_run(load(with_inputs(settings, inputs)), say or (lambda _: None))


def estimate_run(settings: Settings, say: Callable[[str], None]) -> Estimate:
    """Estimate a run of `settings` on an empty output, with the CPUs of this machine.

    Opens every input file, with one child process per CPU, and judges a sample of pages where a route has several
    readers; no model is asked. The result names unreadable files. Raises UsageError for
    settings that a run would refuse, and if there is no input.
    """
    selection, engines = selection_of(settings), llm_setups_of(settings)
    page, llm = LOCAL_PAGE, next(iter(engines.values()), None)  # the first model takes what the others leave
    route = route_of(settings)
    in_batches = batch_wishes_of(settings, route).submits
    if llm is not None:
        page = _page_of(llm, settings, "batch" if in_batches else llm.options.service_tier)
    if unused := settings_without_effect(settings):
        say(unused)
    options = pdf_options_of(settings)
    files = find_present_inputs(settings.inputs, say)
    cpus = os.cpu_count() or 1
    survey, sample = Survey(selection), PageSample()
    for document in inspect_all(files, options, children=cpus):
        if survey.add(document) and document.page_count is not None:
            sample.add(document, selection.of(document.page_count))
    judged = sampled_readers(sample, route, options) if len(route.names) > 1 else {}
    # How many of its pages a model passes on to the next, nobody knows before it is asked.
    names = tuple(name for name in route.names if name not in engines or engines[name] is llm)
    shares = RouteShares(names, judged, model=llm.name if llm else None).with_audit(route.audit, route.names)
    # Those of the first model are counted with the pages that it takes.
    auditors = [engines[name] for name in shares.audited if name in engines and name not in names]
    costs = [(each.name, _page_of(each, settings, each.options.service_tier).cost_usd) for each in auditors]
    audit_usd = sum_known(
        None if cost is None else cost * round(shares.audited[name] * survey.pages) for name, cost in costs
    )
    later_usd = sum_known(
        _page_of(engines[name], settings, engines[name].options.service_tier).cost_usd
        for name in route.names
        if name in engines and name not in names
    )
    own_servers = llm is not None and llm.name == VLLM
    limits = total_limits(llm.endpoints) if llm and not (in_batches or own_servers) else None
    batch = None
    if llm is not None and in_batches:
        pages = round(survey.pages * shares.share(shares.dearest))
        of_file = BATCH_CODECS[llm.options.name].limits(llm.options)
        batch = estimate_batches(pages, page.input_tokens or 0, settings.batch_tokens, of_file)
    return Estimate(
        engine=llm.name if llm else settings.engine,
        model=llm.options.model if llm else DEFAULT_MODELS["local"],
        survey=survey,
        page=page,
        seconds_by=seconds_by_bound(survey.pages, page, limits, cpus, shares),
        seconds_range=None if own_servers else _seconds_range(survey.pages, page, limits, cpus, shares),
        shares=shares,
        cpus=cpus,
        limits=limits,
        audit_usd=audit_usd,
        later_usd=later_usd,
        batch=batch,
        own_servers=own_servers,
        server_hour_usd=llm.options.usd_per_s * 3600 if llm and llm.options.usd_per_s is not None else None,
    )


def _seconds_range(
    pages: int, page: PageNeed, limits: Limits | None, cpus: int, shares: RouteShares
) -> tuple[float, float]:
    """The shortest and the longest time, by the interval of the pages that the dearest reader takes."""
    likely = shares.share(shares.dearest)
    spread = [shares.with_share(share) for share in shares.bounds(shares.dearest, pages) if share != likely]
    seconds = [max(seconds_by_bound(pages, page, limits, cpus, each).values()) for each in (shares, *spread)]
    return min(seconds), max(seconds)


def _page_of(llm: LlmSetup, settings: Settings, tier: str | None) -> PageNeed:
    """What one page takes at that model, at the prices of the service tier."""
    metering = metering_of(replace(llm.options, service_tier=tier), llm.prices, llm.request)
    return llm_page(metering, llm.request, longest_side_px_of(settings))
