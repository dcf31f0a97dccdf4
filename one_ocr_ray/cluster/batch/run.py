"""One whole run, from settings to summary: what `one-ocr run` and `jobs/ocr.py` do."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from one_ocr_ray.cluster.batch.ocr_worker import start_ocr_worker
from one_ocr_ray.cluster.batch.planner import Planner
from one_ocr_ray.cluster.batch.run_driver import RunDriver
from one_ocr_ray.cluster.budget import start_budget
from one_ocr_ray.cluster.engine_pool import PAGES_PER_READER, start_readers
from one_ocr_ray.cluster.engine_setup import start_limiters_early
from one_ocr_ray.cluster.servers.fleet import start_servers
from one_ocr_ray.cluster.session import ending_actors, ray_session, run_metadata
from one_ocr_ray.cluster.worker_pool import WorkerPool
from one_ocr_ray.cluster.worker_scaler import NodeDemand, WorkerScaler, ask_autoscaler, first_nodes
from one_ocr_ray.errors import OneOcrError, StoppedError, UsageError
from one_ocr_ray.job import Job
from one_ocr_ray.job_settings import (
    fingerprint_of,
    llm_setups_of,
    output_uri_of,
    page_request_of,
    pdf_options_of,
    route_of,
    selection_of,
    settings_without_effect,
    worst_case_of,
)
from one_ocr_ray.policy.dataset.documents import RunIdentity
from one_ocr_ray.policy.dataset.plan import ShardPacker
from one_ocr_ray.policy.dataset.summary import RunSummary
from one_ocr_ray.policy.route.chain import needs_embedded_engine
from one_ocr_ray.reading.run_totals import RunTotals
from one_ocr_ray.settings import LOCAL_RAY, ray_address
from one_ocr_ray.shutdown import Interruption
from one_ocr_ray.storage.audit_records import audit_of
from one_ocr_ray.storage.dataset.row_counts import check_row_counts, count_rows
from one_ocr_ray.storage.dataset.shard_files import Dataset
from one_ocr_ray.storage.inputs import find_present_inputs
from one_ocr_ray.storage.journal import shards_at_work
from one_ocr_ray.storage.lease import held_lease
from one_ocr_ray.storage.pending_work import find_pending_work
from one_ocr_ray.storage.plan_index import PlanIndex
from one_ocr_ray.storage.run_dir import RunDirectory
from one_ocr_ray.storage.sent_requests import recently_sent
from one_ocr_ray.storage.spending import spending_of
from one_ocr_ray.storage.store.objects import Objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ray.actor import ActorHandle

    from one_ocr_ray.cluster.nodes import Node
    from one_ocr_ray.job import LlmSetup
    from one_ocr_ray.model import PageRequest
    from one_ocr_ray.policy.cost.spending import Spending
    from one_ocr_ray.policy.dataset.selection import PageSelection
    from one_ocr_ray.policy.dataset.summary import OutputCounts
    from one_ocr_ray.policy.progress import Progress
    from one_ocr_ray.routing import Route
    from one_ocr_ray.settings import Settings
    from one_ocr_ray.storage.inputs import InputFile
    from one_ocr_ray.storage.pending_work import PendingWork


def run(
    settings: Settings,
    on_progress: Callable[[Progress], None],
    say: Callable[[str], None],
    on_stop: Callable[[RunSummary], None] = lambda _: None,
) -> RunSummary:
    """Read what `settings` ask for and resume what earlier runs left open; `say` gets a sentence now and then.

    Raises UsageError before any work. Raises StoppedError when the run ended early and can be resumed, and OneOcrError
    when rows of the plan are missing at the end; `on_stop` gets the summary before.
    """
    started = time.monotonic()
    selection = selection_of(settings)
    engines, ask = llm_setups_of(settings), page_request_of(settings)
    fingerprint = fingerprint_of(settings, engines, selection)
    if idle := settings_without_effect(settings):
        say(idle)
    files = find_present_inputs(settings.inputs, say)  # the user's mistakes come before anything is written
    output = Objects(output_uri_of(settings))
    work = _Run(
        settings=settings,
        engines=engines,
        ask=ask,
        route=route_of(settings),
        selection=selection,
        config=asdict(fingerprint),
        identity=RunIdentity(f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{token_hex(3)}", fingerprint.config_id),
        output=output,
        dataset=Dataset(output, asdict(fingerprint)),
        run_dir=RunDirectory(output),
        interruption=Interruption(settings.stop_wait if engines else 0.0, say),
    )
    with work.interruption, held_lease(output, work.identity.run_id, say, work.interruption.lost):
        work.run_dir.claim(fingerprint)
        plan = PlanIndex.load(work.run_dir, selection)
        try:
            work.read_pending(plan, files, on_progress, say)
        except StoppedError as stopped:
            on_stop(work.summary(count_rows(work.dataset, plan), time.monotonic() - started, stopped.exit_code))
            raise
        counts, fault = check_row_counts(work.dataset, plan, output.root)
        summary = work.summary(counts, time.monotonic() - started, OneOcrError.exit_code if fault else counts.exit_code)
    if fault is not None:
        on_stop(summary)
        raise OneOcrError(fault)
    return summary


@dataclass(kw_only=True)
class _Run:
    """One run on one output, whose lease is held."""

    settings: Settings
    engines: Mapping[str, LlmSetup]
    ask: PageRequest
    route: Route
    selection: PageSelection
    config: dict[str, Any]
    identity: RunIdentity
    output: Objects
    dataset: Dataset
    run_dir: RunDirectory
    interruption: Interruption
    totals: RunTotals = field(default_factory=RunTotals)  # what was used, once the reading has ended

    def read_pending(
        self,
        plan: PlanIndex,
        files: Iterator[InputFile],
        on_progress: Callable[[Progress], None],
        say: Callable[[str], None],
    ) -> None:
        """Read what earlier runs left open, then what is new in `files`. Ray is started only when there is any."""
        pending = find_pending_work(plan, self.dataset, self.output, retry_failed=self.settings.retry_failed)
        new_files = (file for file in files if not plan.has_unchanged(file))
        first = list(itertools.islice(new_files, 1))
        if not pending and not first:
            return
        address = ray_address(self.settings)
        metadata = run_metadata(self.identity.run_id, self.settings, self.output.root, str(self.config["model"]))
        with ExitStack() as ending:
            ending.enter_context(ray_session(address, metadata))
            self.engines = start_servers(self.settings, self.engines, ending, say, self.interruption.end)
            if address == LOCAL_RAY:  # a Ray of its own, so the workers have the same keys
                start_limiters_early(self.engines.values())
            actors = ending.enter_context(ending_actors())
            nodes = first_nodes(say, autoscaled=address != LOCAL_RAY)
            driver = self._start_driver(nodes, actors, plan, pending, on_progress=on_progress, say=say)
            try:
                asyncio.run(driver.run(pending, itertools.chain(first, new_files), inspections=2 * len(nodes)))
            finally:
                self.totals = driver.totals
                if address != LOCAL_RAY:
                    ask_autoscaler(0)

    def summary(self, counts: OutputCounts, elapsed_s: float, exit_code: int) -> RunSummary:
        """What stands in the output and what the run has used. Costs include journaled pages of unfinished shards."""
        spending = self._spending(counts, shards_at_work(self.output))
        counts.cost_usd, counts.unknown_usd = spending.spent_usd, spending.unknown_usd
        return RunSummary(
            run_id=self.identity.run_id,
            output=self.output.root,
            counts=counts,
            requests=self.totals.requests,
            input_tokens=self.totals.input_tokens,
            output_tokens=self.totals.output_tokens,
            cost_usd=self.totals.cost_usd,
            elapsed_s=elapsed_s,
            exit_code=exit_code,
            pages_read=self.totals.pages_read,
            warnings=self.totals.warnings,
            readers=self.totals.readers,
            endpoints=self.totals.endpoints,
            audit=audit_of(self.output, self.route.audit),
        )

    def _start_driver(
        self,
        nodes: Sequence[Node],
        actors: list[ActorHandle[Any]],
        plan: PlanIndex,
        pending: PendingWork,
        *,
        on_progress: Callable[[Progress], None],
        say: Callable[[str], None],
    ) -> RunDriver:
        """Start the workers on `nodes` with what they share; all go to `actors`."""
        settings, run_id = self.settings, self.identity.run_id
        readers = start_readers(nodes, run_id) if needs_embedded_engine(self.route) else {}
        actors.extend(readers.values())
        budget = None
        open_shards = (*pending.open_shards, *pending.failed_shards)
        if settings.max_cost is not None:
            spent_usd = self._spending(count_rows(self.dataset, plan), open_shards).most_usd
            if spent_usd is None:
                raise UsageError("What this output has cost so far is unknown, so --max-cost cannot be kept.")
            budget, actor = start_budget(settings.max_cost - spent_usd, run_id)
            actors.append(actor)
        count = min(settings.workers or len(nodes), settings.max_in_flight)
        cpus = sum(int(node.cpus) for node in nodes)
        job = replace(self._job(cpus, len(readers), count, budget), engines=self._with_sent_before(plan, open_shards))
        packer = ShardPacker(
            self.selection,
            shard_pages=settings.shard_pages,
            workers=count,
            next_number=plan.next_number,
            is_new=plan.mark_seen,
        )

        def start_on(node: Node, number: int) -> list[ActorHandle[Any]]:
            own = start_readers([node], run_id) if needs_embedded_engine(self.route) else {}
            return [start_ocr_worker(job, number, list(own), node), *own.values()]

        workers = [start_ocr_worker(job, number, list(readers), nodes[number % len(nodes)]) for number in range(count)]
        actors.extend(workers)
        grows = not settings.workers
        return RunDriver(
            WorkerPool(workers),
            Planner(plan, packer, job.pdf, self.output),
            plan,
            self.selection,
            on_progress,
            interruption=self.interruption,
            say=say,
            scaler=WorkerScaler(nodes, count, start_on, actors) if grows else None,
            demand=NodeDemand(settings.max_in_flight if self.engines else None)
            if grows and ray_address(settings) != LOCAL_RAY
            else None,
        )

    def _spending(self, counts: OutputCounts, open_shards: Iterable[str]) -> Spending:
        """What this output has cost so far, by its documents and by what is recorded beside them."""
        return spending_of(
            self.output,
            self.dataset,
            counts,
            open_shards=open_shards,
            config_id=self.identity.config_id,
            dearest=worst_case_of(self.engines.values(), pdf_options_of(self.settings)),
        )

    def _with_sent_before(self, plan: PlanIndex, open_shards: Iterable[str]) -> dict[str, LlmSetup]:
        """The LLM readers; where they have a limit per day, with what earlier runs have sent of it."""
        setups, names = dict(self.engines), list(self.engines)
        for name, setup in self.engines.items():
            if any(endpoint.limits.requests_per_day for endpoint in setup.endpoints):
                sent_before = recently_sent(
                    self.output,
                    self.dataset,
                    readers=names[names.index(name) :],
                    shards=plan.shard_ids(copies=False),
                    open_shards=open_shards,
                    config_id=self.identity.config_id,
                    now=datetime.now(UTC),
                )
                setups[name] = replace(setup, sent_before=sent_before)
        return setups

    def _job(self, cpus: int, readers: int, workers: int, budget: str | None) -> Job:
        pages_at_once = self.settings.max_in_flight if self.engines else PAGES_PER_READER * readers
        return Job(
            output=self.output.root,
            config=self.config,
            identity=self.identity,
            selection=self.selection,
            pdf=pdf_options_of(self.settings),
            ask=self.ask,
            engines=self.engines,
            budget=budget,
            pages_at_once=max(1, pages_at_once // workers),
            render_tasks=max(1, cpus // workers),
            stop_wait_s=self.settings.stop_wait if self.engines else 0.0,
            route=self.route,
        )
