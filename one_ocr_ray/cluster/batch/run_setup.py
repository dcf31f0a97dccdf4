"""Sets up a run: its job, the cost ceiling, the workers and their driver."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from one_ocr_ray.cluster.batch.ocr_worker import start_ocr_worker
from one_ocr_ray.cluster.batch.planner import INSPECTIONS_PER_NODE, Planner
from one_ocr_ray.cluster.batch.run_driver import RunDriver
from one_ocr_ray.cluster.budget import RemoteBudget, start_budget
from one_ocr_ray.cluster.engine_pool import PAGES_PER_READER, start_readers
from one_ocr_ray.cluster.worker_pool import WorkerPool
from one_ocr_ray.cluster.worker_scaler import NodeDemand, WorkerScaler
from one_ocr_ray.errors import UsageError
from one_ocr_ray.job import Job
from one_ocr_ray.policy.dataset.plan import ShardPacker
from one_ocr_ray.policy.route.chain import needs_embedded_engine
from one_ocr_ray.settings.run import LOCAL_RAY, ray_address
from one_ocr_ray.setup.job import pdf_options_of, worst_case_of
from one_ocr_ray.setup.languages import line_models_of
from one_ocr_ray.storage.dataset.row_counts import count_rows
from one_ocr_ray.storage.spending.batches import batch_spending
from one_ocr_ray.storage.spending.sent_requests import recently_sent
from one_ocr_ray.storage.spending.total import spending_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ray.actor import ActorHandle

    from one_ocr_ray.cluster.nodes import Node
    from one_ocr_ray.cluster.servers.own import OwnServers
    from one_ocr_ray.job import LlmSetup
    from one_ocr_ray.model import PageRequest
    from one_ocr_ray.policy.cost.spending import Spending
    from one_ocr_ray.policy.dataset.documents import RunIdentity
    from one_ocr_ray.policy.dataset.selection import PageSelection
    from one_ocr_ray.policy.dataset.summary import OutputCounts
    from one_ocr_ray.policy.progress import RunProgress
    from one_ocr_ray.reading.batch.run_batches import RunBatches
    from one_ocr_ray.routing import Route
    from one_ocr_ray.settings.run import Settings
    from one_ocr_ray.shutdown import Interruption
    from one_ocr_ray.storage.dataset.shard_files import Dataset
    from one_ocr_ray.storage.pending_work import PendingWork
    from one_ocr_ray.storage.plan_index import PlanIndex
    from one_ocr_ray.storage.store.objects import Objects


@dataclass(kw_only=True)
class RunSetup:
    """What one run works with, on one output whose lease is held."""

    settings: Settings
    engines: Mapping[str, LlmSetup]
    request: PageRequest
    route: Route
    selection: PageSelection
    config: dict[str, Any]
    identity: RunIdentity
    output: Objects
    dataset: Dataset
    interruption: Interruption
    batches: RunBatches | None = None
    reuse: str | None = None  # the earlier dataset whose pages are taken
    servers: OwnServers | None = None  # of --engine vllm

    def start_driver(
        self,
        nodes: Sequence[Node],
        actors: list[ActorHandle[Any]],
        plan: PlanIndex,
        pending: PendingWork,
        *,
        on_progress: Callable[[RunProgress], None],
        say: Callable[[str], None],
    ) -> RunDriver:
        """Start the workers on `nodes` with what they share; all go to `actors`."""
        settings, run_id = self.settings, self.identity.run_id
        models = line_models_of(settings)
        readers = start_readers(nodes, run_id, models) if needs_embedded_engine(self.route) else {}
        actors.extend(readers.values())
        budget = None
        open_shards = (*pending.open_shards, *pending.failed_shards)
        if (left_usd := self.left_usd(plan, open_shards)) is not None:
            budget, actor = start_budget(left_usd, run_id)
            actors.append(actor)
            if self.servers is not None:
                self.servers.draw_on(actor)
            if self.batches is not None:
                self.batches.watch.draw_on(RemoteBudget(actor))
        count = min(settings.workers or len(nodes), settings.max_in_flight)
        cpus = sum(int(node.cpus) for node in nodes)
        batch = self.batches.job(left_usd) if self.batches is not None else None
        engines = self._with_sent_before(plan, open_shards)
        pages_at_once = settings.max_in_flight if self.engines else PAGES_PER_READER * len(readers)
        job = Job(
            output=self.output.root,
            config=self.config,
            identity=self.identity,
            selection=self.selection,
            pdf=pdf_options_of(settings),
            request=self.request,
            engines=engines,
            budget=budget,
            pages_at_once=max(1, pages_at_once // count),
            render_tasks=max(1, cpus // count),
            stop_wait_s=settings.stop_wait if self.engines else 0.0,
            batch=batch,
            route=self.route,
            line_models=models,
            reuse=self.reuse,
        )
        packer = ShardPacker(
            self.selection,
            shard_pages=settings.shard_pages,
            workers=count,
            next_number=plan.next_number,
            is_new=plan.mark_seen,
        )

        def start_on(node: Node, number: int) -> list[ActorHandle[Any]]:
            own = start_readers([node], run_id, models) if needs_embedded_engine(self.route) else {}
            return [start_ocr_worker(job, number, list(own), node), *own.values()]

        workers = [start_ocr_worker(job, number, list(readers), nodes[number % len(nodes)]) for number in range(count)]
        actors.extend(workers)
        grows = not settings.workers
        return RunDriver(
            WorkerPool(workers),
            Planner(plan, packer, job.pdf, self.output, inspections=INSPECTIONS_PER_NODE * len(nodes)),
            plan,
            self.selection,
            on_progress,
            interruption=self.interruption,
            say=say,
            scaler=WorkerScaler(nodes, count, start_on, actors) if grows else None,
            demand=NodeDemand(settings.max_in_flight if self.engines else None, self.servers)
            if grows and ray_address(settings) != LOCAL_RAY
            else None,
            batches=self.batches.watch if self.batches is not None else None,
            servers=self.servers,
        )

    def left_usd(self, plan: PlanIndex, open_shards: Iterable[str]) -> float | None:
        """What is left of the ceiling; None where there is none. Raises UsageError when that is unknown."""
        if self.settings.max_cost is None:
            return None
        spent_usd = self.spending(count_rows(self.dataset, plan), open_shards).most_usd
        if spent_usd is None:
            raise UsageError("What this output has cost so far is unknown, so --max-cost cannot be kept.")
        return self.settings.max_cost - spent_usd

    def spending(self, counts: OutputCounts, open_shards: Iterable[str]) -> Spending:
        """What this output has cost so far, by its documents and the records beside them."""
        spending = spending_of(
            self.output,
            self.dataset,
            counts,
            open_shards=open_shards,
            config_id=self.identity.config_id,
            dearest=worst_case_of(self.engines.values(), pdf_options_of(self.settings)),
        )
        return spending + batch_spending(self.output, self.dataset, self.identity.config_id)

    def _with_sent_before(self, plan: PlanIndex, open_shards: Iterable[str]) -> dict[str, LlmSetup]:
        """The LLM readers. Under a limit per day they know what earlier runs have sent."""
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
