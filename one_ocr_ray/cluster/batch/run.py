"""One whole run, from settings to summary: what `one-ocr run` and `jobs/ocr.py` do."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING

from one_ocr_ray.cluster.batch.open_batches import open_batches
from one_ocr_ray.cluster.batch.run_setup import RunSetup
from one_ocr_ray.cluster.engine_setup import start_limiters_early
from one_ocr_ray.cluster.servers.own import start_servers
from one_ocr_ray.cluster.session import ending_actors, ray_session, run_metadata
from one_ocr_ray.cluster.worker_scaler import first_nodes, request_nodes
from one_ocr_ray.errors import OneOcrError, StoppedError
from one_ocr_ray.policy.cost.spending import Spending
from one_ocr_ray.policy.dataset.documents import RunIdentity
from one_ocr_ray.policy.dataset.summary import RunSummary
from one_ocr_ray.reading.limits.budget import OwnBudget
from one_ocr_ray.reading.reuse import reuse_root
from one_ocr_ray.reading.run_totals import RunTotals
from one_ocr_ray.settings.run import LOCAL_RAY, ray_address
from one_ocr_ray.setup.job import (
    fingerprint_of,
    llm_setups_of,
    output_uri_of,
    page_request_of,
    route_of,
    selection_of,
    settings_without_effect,
)
from one_ocr_ray.setup.servers import VLLM
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
from one_ocr_ray.storage.spending.records import record_spending
from one_ocr_ray.storage.store.objects import Objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from one_ocr_ray.cluster.batch.run_driver import RunDriver
    from one_ocr_ray.policy.dataset.summary import OutputCounts
    from one_ocr_ray.policy.progress import RunProgress
    from one_ocr_ray.reading.batch.run_batches import RunBatches
    from one_ocr_ray.settings.run import Settings
    from one_ocr_ray.storage.inputs import InputFile
    from one_ocr_ray.storage.pending_work import PendingWork


def run(
    settings: Settings,
    on_progress: Callable[[RunProgress], None],
    say: Callable[[str], None],
    on_stop: Callable[[RunSummary], None] = lambda _: None,
) -> RunSummary:
    """Read what `settings` ask for and resume what earlier runs left open. `say` gets a sentence now and then.

    Raises UsageError before any work. Raises StoppedError when the run ended early and can be resumed, and OneOcrError
    when rows of the plan are missing at the end; `on_stop` gets the summary before.
    """
    started = time.monotonic()
    selection = selection_of(settings)
    engines, request = llm_setups_of(settings), page_request_of(settings)
    fingerprint = fingerprint_of(settings, engines, selection)
    if idle := settings_without_effect(settings):
        say(idle)
    files = find_present_inputs(settings.inputs, say)  # the user's mistakes come before anything is written
    output = Objects(output_uri_of(settings))
    work = _Run(
        settings=settings,
        engines=engines,
        request=request,
        route=route_of(settings),
        reuse=reuse_root(settings.reuse, output.root, fingerprint, say),
        selection=selection,
        config=asdict(fingerprint),
        identity=RunIdentity(f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{token_hex(3)}", fingerprint.config_id),
        output=output,
        dataset=Dataset(output, asdict(fingerprint)),
        interruption=Interruption(settings.stop_wait if engines else 0.0, say),
    )
    with work.interruption, held_lease(output, work.identity.run_id, say, work.interruption.lost):
        run_dir = RunDirectory(output)
        run_dir.claim(fingerprint)
        plan = PlanIndex.load(run_dir, selection)
        try:
            committed = work.dataset.committed()
            work.batches = open_batches(settings, engines, work.route, output, committed=committed, say=say)
            work.read_pending(plan, files, on_progress, say)
        except StoppedError as stopped:
            on_stop(work.summary(count_rows(work.dataset, plan), time.monotonic() - started, stopped.exit_code))
            if work.batches is not None and work.batches.is_waiting:
                raise work.batches.with_deadline(stopped) from None
            raise
        counts, fault = check_row_counts(work.dataset, plan, output.root)
        summary = work.summary(counts, time.monotonic() - started, OneOcrError.exit_code if fault else counts.exit_code)
    if fault is not None:
        on_stop(summary)
        raise OneOcrError(fault)
    return summary


@dataclass(kw_only=True)
class _Run(RunSetup):
    """One run on one output, whose lease is held."""

    totals: RunTotals = field(default_factory=RunTotals)  # what was used, once the reading has ended

    def read_pending(
        self,
        plan: PlanIndex,
        files: Iterator[InputFile],
        on_progress: Callable[[RunProgress], None],
        say: Callable[[str], None],
    ) -> None:
        """Read what earlier runs left open, then what is new in `files`.

        Ray is started only when there is any, and ends with it, unless it is a cluster's.
        """
        new_files = (file for file in files if not plan.has_unchanged(file))
        retry_failed = self.settings.retry_failed
        with ExitStack() as joined:
            while True:
                pending = find_pending_work(plan, self.dataset, self.output, retry_failed=retry_failed)
                due = pending if self.batches is None else self.batches.due(pending, self.dataset.committed())
                first, retry_failed = list(itertools.islice(new_files, 1)), False
                if due or first:
                    with self._driver(plan, due, on_progress, say) as driver:
                        asyncio.run(driver.run(due, itertools.chain(first, new_files)))
                if self.batches is None or not self._wait_for_batches(self.batches, plan, joined):
                    return

    @contextmanager
    def _driver(
        self,
        plan: PlanIndex,
        due: PendingWork,
        on_progress: Callable[[RunProgress], None],
        say: Callable[[str], None],
    ) -> Iterator[RunDriver]:
        """The driver over workers for what is `due`. They and a Ray of this run's own end with the block."""
        address = ray_address(self.settings)
        with ExitStack() as ending:
            ending.enter_context(self._ray())
            ending.callback(self._count_idle_servers, say)
            self.servers = start_servers(self.settings, self.engines, ending, say, self.interruption.end)
            if self.servers is not None:
                self.servers.fleet.wait_for_first(self.settings.ready_timeout)
                self.engines = {**self.engines, VLLM: self.servers.setup}
            if address == LOCAL_RAY:  # a Ray of its own, so the workers have the same keys
                start_limiters_early(self.engines.values())
            actors = ending.enter_context(ending_actors())
            nodes = first_nodes(say, autoscaled=address != LOCAL_RAY)
            driver = self.start_driver(nodes, actors, plan, due, on_progress=on_progress, say=say)
            try:
                yield driver
            finally:
                self.totals += driver.totals
                if address != LOCAL_RAY:
                    request_nodes(0)

    def _count_idle_servers(self, say: Callable[[str], None]) -> None:
        """Count the idle time of own servers. With the requests that they answered it is the whole bill."""
        idle_usd = self.servers.usd - self.totals.servers_usd if self.servers is not None else 0.0
        if idle_usd > 0:
            idle = Spending(known_usd=idle_usd, readers={VLLM: idle_usd})
            record_spending(self.output, idle)
            self.totals.add_spending(idle)
            say(f"Start-up and idle time of the model servers: {idle_usd:.4f} USD.")

    def _ray(self) -> AbstractContextManager[None]:
        metadata = run_metadata(self.identity.run_id, self.settings, self.output.root, str(self.config["model"]))
        return ray_session(ray_address(self.settings), metadata)

    def _wait_for_batches(self, batches: RunBatches, plan: PlanIndex, joined: ExitStack) -> bool:
        """Wait until batches have something for a worker; no worker is there meanwhile. False when all is done."""
        pending = find_pending_work(plan, self.dataset, self.output, retry_failed=False)
        if not batches.is_waiting:
            return bool(pending)
        if ray_address(self.settings) != LOCAL_RAY:
            joined.enter_context(self._ray())  # a cluster shows the metrics of those who have joined it
        more = bool(set(pending.open_shards) - batches.watch.waiting_shards)
        left_usd = self.left_usd(plan, pending.open_shards)
        budget = OwnBudget(left_usd) if left_usd is not None else None
        written = count_rows(self.dataset, plan).pages.total()
        asyncio.run(batches.wait(self.interruption.ends_this_task, budget, more_to_render=more, written=written))
        return True

    def summary(self, counts: OutputCounts, elapsed_s: float, exit_code: int) -> RunSummary:
        """What stands in the output and what the run has used. Costs include journaled pages of unfinished shards."""
        spending = self.spending(counts, shards_at_work(self.output))
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
            batch=self.batches.use() if self.batches is not None else None,
            audit=audit_of(self.output, self.route.audit),
        )
