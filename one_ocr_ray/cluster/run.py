"""One whole run, from settings to summary: what `one-ocr run` and `jobs/ocr.py` do."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from one_ocr_ray.cluster.asking import ask_of, engine_choice, fingerprint_of, prices_of
from one_ocr_ray.cluster.budget import start_till
from one_ocr_ray.cluster.interruption import Interruption
from one_ocr_ray.cluster.job import Job, Tally
from one_ocr_ray.cluster.pipeline import Pipeline, Todo, check_engine
from one_ocr_ray.cluster.planning import Known, Planner
from one_ocr_ray.cluster.readers import PAGES_PER_READER, start_readers
from one_ocr_ray.cluster.rendering import PdfOptions
from one_ocr_ray.cluster.session import ending_actors, ray_session, working_nodes
from one_ocr_ray.cluster.worker import start_workers
from one_ocr_ray.errors import UsageError
from one_ocr_ray.model import Outcome
from one_ocr_ray.policy.documents import RunIdentity
from one_ocr_ray.policy.journal import best_pages
from one_ocr_ray.policy.plan import ShardPacker
from one_ocr_ray.policy.ratelimit.messages import Limits
from one_ocr_ray.policy.selection import PageSelection, parse_selection
from one_ocr_ray.policy.summary import COUNTED_COLUMNS, OutputCounts, RunSummary
from one_ocr_ray.settings import password_of, ray_address
from one_ocr_ray.storage.dataset import Dataset
from one_ocr_ray.storage.inputs import find_inputs
from one_ocr_ray.storage.journal import Journal, half_replaced
from one_ocr_ray.storage.lease import held_lease
from one_ocr_ray.storage.objects import Objects, is_remote, without_credentials
from one_ocr_ray.storage.run_dir import RunDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from one_ocr_ray.engines.choice import EngineChoice
    from one_ocr_ray.model import Ask, Shard
    from one_ocr_ray.policy.progress import Progress
    from one_ocr_ray.settings import Settings
    from one_ocr_ray.storage.inputs import InputFile


def run(settings: Settings, on_progress: Callable[[Progress], None], say: Callable[[str], None]) -> RunSummary:
    """Read what `settings` ask for, resuming what earlier runs left open; `say` gets a sentence now and then.

    Raises UsageError before any work, StoppedError when the run ended early and can be resumed.
    """
    started = time.monotonic()
    selection = _selection(settings)
    choice, ask = engine_choice(settings), ask_of(settings)
    fingerprint = fingerprint_of(settings, choice, ask, selection)
    files = _some_present(find_inputs(settings.inputs), settings.inputs)
    files = itertools.chain([next(files)], files)  # the user's mistakes come before anything is written
    output = Objects(_output_uri(settings))
    work = _Run(
        settings=settings,
        choice=choice,
        ask=ask,
        prompt_sha256=fingerprint.prompt_sha256,
        selection=selection,
        config=asdict(fingerprint),
        identity=RunIdentity(f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{token_hex(3)}", fingerprint.config_id),
        output=output,
        dataset=Dataset(output, asdict(fingerprint)),
        run_dir=RunDirectory(output),
        interruption=Interruption(),
    )
    work.run_dir.claim(fingerprint)
    with held_lease(output, work.identity.run_id, say, work.interruption.lost):
        tally = work.read_what_is_open(files, on_progress)
        counts = work.counts()
    return RunSummary(
        run_id=work.identity.run_id,
        output=output.root,
        counts=counts,
        requests=tally.requests,
        input_tokens=tally.input_tokens,
        output_tokens=tally.output_tokens,
        cost_usd=tally.cost_usd,
        elapsed_s=time.monotonic() - started,
        exit_code=counts.exit_code,
        pages_read=tally.pages_read,
    )


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One run on one output, whose lease is held."""

    settings: Settings
    choice: EngineChoice | None
    ask: Ask
    prompt_sha256: str | None
    selection: PageSelection
    config: dict[str, Any]
    identity: RunIdentity
    output: Objects
    dataset: Dataset
    run_dir: RunDirectory
    interruption: Interruption

    def read_what_is_open(self, files: Iterator[InputFile], on_progress: Callable[[Progress], None]) -> Tally:
        """Shards that earlier runs left open, then what is new in `files`; Ray is started only when there is any."""
        known = Known(self.run_dir.plan())
        todo = self._todo(known)
        new_files = (file for file in files if not known.covers(file))
        first = list(itertools.islice(new_files, 1))
        if not todo and not first:
            return Tally()
        with ray_session(ray_address(self.settings)):
            return asyncio.run(self._read(known, todo, itertools.chain(first, new_files), on_progress))

    def _todo(self, known: Known) -> Todo:
        committed = self.dataset.committed() - half_replaced(self.output)
        open_shards = [shard for shard in known.shards if shard.shard_id not in committed]
        if not self.settings.retry_failed:
            return Todo(open_shards)
        failed = [
            shard
            for shard in known.shards
            if shard.shard_id in committed and not shard.copies
            if any(row["outcome"] != Outcome.COMPLETE for row in self.dataset.counts(shard.shard_id, ["outcome"]))
        ]
        changing = {shard.shard_id for shard in failed}
        copies = [
            shard
            for shard in known.shards
            if shard.copies and changing & {known.home[each.document_id] for each in shard.documents}
        ]
        return Todo(open_shards, failed, [shard for shard in copies if shard.shard_id in committed])

    def counts(self) -> OutputCounts:
        """What stands in the output now."""
        counts = OutputCounts()
        for shard in Known(self.run_dir.plan()).shards:
            counts.add(self.dataset.counts(shard.shard_id, COUNTED_COLUMNS), copies=shard.copies)
        return counts

    async def _read(
        self,
        known: Known,
        todo: Todo,
        files: Iterator[InputFile],
        on_progress: Callable[[Progress], None],
    ) -> Tally:
        """Start the actors, run the pipeline, end the actors."""
        with self.interruption.ends_this_task(), ending_actors() as actors:
            nodes = working_nodes()
            run_id = self.identity.run_id
            readers = {} if self.choice else start_readers(nodes, run_id)
            actors.extend(readers.values())
            till = None
            if self.settings.max_cost is not None:
                till, keeper = start_till(self.settings.max_cost - self._spent_usd(todo.open_shards), run_id)
                actors.append(keeper)
            count = min(self.settings.workers or len(nodes), self.settings.max_in_flight)
            job = self._job(sum(int(node.cpus) for node in nodes), len(readers), count, till)
            workers = start_workers(job, nodes, count, list(readers))
            actors.extend(workers)
            await check_engine(workers)
            packer = ShardPacker(
                self.selection, shard_pages=self.settings.shard_pages, workers=count, next_number=known.next_number
            )
            planner = Planner(self.run_dir, packer, known, job.pdf)
            pipeline = Pipeline(workers, planner, known, self.selection, on_progress)
            return await pipeline.run(todo, files, inspections=2 * len(nodes))

    def _spent_usd(self, open_shards: Sequence[Shard]) -> float:
        """What this output has cost so far, in committed shards and in the journals of open ones."""
        costs = [self.counts().cost_usd]
        for shard in open_shards:
            journal = Journal(self.output, shard.shard_id, self.identity.config_id)
            costs.extend(page.cost_usd for page in best_pages(journal.read()).values())
        known = [cost for cost in costs if cost is not None]
        if len(known) < len(costs):
            raise UsageError("What this output has cost so far is unknown, so --max-cost cannot be kept.")
        return sum(known)

    def _job(self, cpus: int, readers: int, workers: int, till: str | None) -> Job:
        settings = self.settings
        places = settings.max_in_flight if self.choice else PAGES_PER_READER * readers
        return Job(
            output=self.output.root,
            config=self.config,
            identity=self.identity,
            selection=self.selection,
            pdf=_pdf_options(settings),
            ask=self.ask,
            prompt_sha256=self.prompt_sha256,
            engine=self.choice,
            limits=Limits(settings.rpm, settings.tpm, settings.rpd, settings.max_in_flight),
            prices=prices_of(settings),
            till=till,
            pages_at_once=max(1, places // workers),
            render_tasks=max(1, cpus // workers),
        )


def _pdf_options(settings: Settings) -> PdfOptions:
    password = password_of(settings)
    return PdfOptions(
        longest_side_px=settings.longest_side,
        max_pages=settings.max_pages,
        max_file_bytes=settings.max_file_bytes,
        password=SecretStr(password) if password is not None else None,
    )


def _selection(settings: Settings) -> PageSelection:
    try:
        return parse_selection(settings.pages)
    except ValueError as error:
        raise UsageError(f"--pages: {error}.") from error


def _output_uri(settings: Settings) -> str:
    if not settings.output:
        raise UsageError("Say where the results go: --output URI.")
    return settings.output if is_remote(settings.output) else str(Path(settings.output).expanduser().absolute())


def _some_present(files: Iterator[InputFile], arguments: tuple[str, ...]) -> Iterator[InputFile]:
    """`files` as they are, once one of them is there; a missing file among others is for the run to report."""
    missing: list[InputFile] = []
    for file in files:
        if file.version is not None:
            yield from missing
            yield file
            yield from files
            return
        missing.append(file)
    if missing:
        raise UsageError(f"There is no file or folder {without_credentials(missing[0].uri)}.")
    raise UsageError(f"No PDF files in {' '.join(arguments)}." if arguments else "Say what to read: INPUT...")
