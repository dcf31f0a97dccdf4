"""Jobs on a cluster as an operator sees them: submitted, stopped, submitted again, and watched all the while."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from ray.job_submission import JobStatus

from one_ocr_ray.storage.dataset.verify import verify
from tests.cluster.head import ROOT, Head, running_head
from tests.cluster.local_source import assert_read, write_source
from tests.cluster.outputs import pages_by_source
from tests.cluster.prometheus import lacking, metrics_of, samples
from tests.ports import free_port
from tests.provider import DEFAULT_KEY, BatchPlay, Latency, ProviderProcess, Rule, write_identity_pdfs
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCUMENTS, PAGES = 30, 8
MONITORING = ROOT / "deploy" / "monitoring"
# The contract's metrics with their labels; Ray puts `ray_` before the names.
CONTRACT = {
    "one_ocr_pages_total": {"status", "engine", "model"},
    "one_ocr_documents_total": {"outcome"},
    "one_ocr_requests_total": {"engine", "model", "result"},
    "one_ocr_throttled_total": {"engine", "model"},
    "one_ocr_tokens_total": {"engine", "model", "kind"},
    "one_ocr_cost_usd_total": {"engine", "model"},
    "one_ocr_request_seconds_bucket": {"le"},
    "one_ocr_render_seconds_bucket": {"le"},
    "one_ocr_permit_wait_seconds_bucket": {"le"},
    "one_ocr_in_flight": {"engine", "model"},
    "one_ocr_rate_limit": {"engine", "model", "kind"},
    "one_ocr_reader_pages_total": {"reader", "reason"},
    "one_ocr_saved_usd_total": {"reader"},
    **{f"one_ocr_endpoint_{what}": {"engine", "endpoint"} for what in ("up", "in_flight", "window", "waiting")},
    "one_ocr_replicas": {"model", "state"},
    "one_ocr_replica_restarts_total": {"model", "reason"},
    "one_ocr_gpu_seconds_total": {"model"},
    "one_ocr_tasks": {"state"},
    "one_ocr_batch_parcels": {"state"},
    "one_ocr_batch_pages": {"state"},
    "one_ocr_batch_oldest_seconds": set(),
    "one_ocr_batch_stored_bytes": set(),
    "one_ocr_batch_lines_total": {"result"},
    "one_ocr_batch_creates_total": {"result"},
    "one_ocr_batch_uploaded_bytes_total": set(),
}
BATCH_S = 3600.0
OF_RAY = {"Component", "NodeAddress", "SessionName", "Version", "WorkerId"}
# The service's task manager and a fleet of own servers call this; here a task of another job does, for as long as the
# test looks.
SHOW_TASKS = (
    "import ray, time; from one_ocr_ray.cluster.metrics import count_restart, show_servers, show_tasks; ray.init(); "
    "show = lambda: [(show_tasks({'PENDING': 2, 'STARTED': 1}), show_servers('own', {'ready': 1}, 1.0), "
    "count_restart('own', 'died'), time.sleep(1)) for _ in range(600)]; "
    "ray.get(ray.remote(show).options(num_cpus=0).remote())"
)


@dataclass(frozen=True)
class Watched:
    """What was seen of the job."""

    output: Path
    stopped: JobStatus
    answered_before: int  # pages, when it was stopped
    finished: JobStatus
    log: str
    details: dict[str, Any]
    worker_log: str
    scrape: str
    queries: dict[str, list[Any]]  # what Prometheus answered to the dashboard; empty where there is no Prometheus
    ledger: dict[str, Any]


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    """A cluster that jobs are submitted to; a job that is stopped may take its time."""
    with running_head(OPENAI_API_KEY=DEFAULT_KEY, RAY_JOB_STOP_WAIT_TIME_S="60") as head:
        yield head


@pytest.fixture(scope="module")
def watched(head: Head, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """One job, stopped in the middle and submitted again, with throttles and a page that fails."""
    folder = tmp_path_factory.mktemp("watched")
    source, output = folder / "in", folder / "out"
    source.mkdir()
    write_identity_pdfs(source, range(DOCUMENTS), PAGES)
    rules = (Rule(fault="throttled_requests", probability=0.03), Rule(fault="content_filter", page="doc-0003 page 3"))
    with (
        ProviderProcess(latency=Latency(seconds=2.0), rules=rules) as provider,
        ProviderProcess(batches=BatchPlay(run_s=BATCH_S).model_dump()) as batch_provider,
    ):
        command = (
            f"python jobs/ocr.py {source} --output {output} --engine openai --model gpt-5.6-luna --base-url "
            f"{provider.openai_url} --rpm 60000 --tpm 100000000 --max-in-flight 4 --longest-side 600 --json"
        )
        show_tasks = head.submit(f'python -c "{SHOW_TASKS}"')
        batched = submit_batches(head, folder, batch_provider)
        until(lambda: batch_provider.batches()["live"], "a batch")
        batch_provider.turn_clock(BATCH_S + 1)  # it ends, and the next one is created
        first = head.submit(command)
        until(lambda: provider.summary()["pages_answered"] >= 12, "the first pages")
        head.jobs.stop_job(first)
        stopped, before = head.ended(first), provider.summary()["pages_answered"]
        second = head.submit(command, metadata={"asked_by": "somebody"})
        scrape = until(lambda: complete(head.scrape()), "all metrics of the contract and of the dashboard")
        queries = asked(head)
        for job in (show_tasks, batched):
            head.jobs.stop_job(job)
        provider.change(latency=Latency(seconds=0.02))
        finished = head.ended(second)
        return Watched(
            output, stopped, before, finished, head.jobs.get_job_logs(second),
            details=next(job for job in listed(head) if job["submission_id"] == second),
            worker_log=logs_of_workers(head), scrape=scrape, queries=queries, ledger=provider.summary(),
        )  # fmt: skip


def submit_batches(head: Head, folder: Path, provider: ProviderProcess) -> str:
    """A job of two batches, one after the other: while the second is with the provider, the driver shows them alone."""
    source = folder / "batched"
    source.mkdir()
    write_identity_pdfs(source, range(2), 1)
    return head.submit(
        f"python jobs/ocr.py {source} --output {folder / 'batched-out'} --engine openai --model gpt-5.6-luna "
        f"--base-url {provider.openai_url} --batch --batch-tokens 1 --shard-pages 1 --json"
    )


def complete(scrape: str) -> str | None:
    """`scrape` when it has every metric of the contract, and what each query of the dashboard asks for."""
    wanted = {f"ray_{name}" for name in CONTRACT} | {name for text in expressions() for name in metrics_of(text)}
    seen = samples(scrape)
    return scrape if wanted <= set(seen) and not any(lacking(text, seen) for text in expressions()) else None


def listed(head: Head) -> list[dict[str, Any]]:
    """All jobs as the dashboard has them."""
    with urllib.request.urlopen(f"{head.jobs.get_address()}/api/jobs/", timeout=30) as response:
        return json.loads(response.read())


def logs_of_workers(head: Head) -> str:
    """What the job's worker processes wrote."""
    logs = (head.folder / "session_latest" / "logs").glob("worker-*.err")
    return "".join(log.read_text(errors="replace") for log in logs)


def expressions() -> list[str]:
    """Every query of the dashboard, with Grafana's variables filled in."""
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    texts = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [text.replace("$__rate_interval", "30s").replace("$__range", "30s") for text in texts]


def asked(head: Head) -> dict[str, list[Any]]:
    """The dashboard's queries and their answers from a real Prometheus with our configuration, where there is one."""
    program = shutil.which("prometheus")
    if program is None:
        return {}
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    config["global"]["scrape_interval"] = "1s"
    (discovery,) = config["scrape_configs"][0]["file_sd_configs"]
    discovery["files"] = [file.replace("/tmp/ray", str(head.folder)) for file in discovery["files"]]
    (head.folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    command = [
        program, f"--config.file={head.folder / 'prometheus.yml'}", f"--storage.tsdb.path={head.folder / 'tsdb'}",
        f"--web.listen-address={address}",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as prometheus:
        try:
            deadline_s = time.monotonic() + 90
            answers: dict[str, list[Any]] = {}
            while time.monotonic() < deadline_s and not (answers and all(answers.values())):
                time.sleep(1)
                answers = {text: query(address, text) for text in expressions()}
            return answers
        finally:
            prometheus.terminate()


def query(address: str, expression: str) -> list[Any]:
    """Series that Prometheus has for `expression` now; a NaN is no data."""
    url = f"http://{address}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            series = json.loads(response.read())["data"]["result"]
    except OSError:
        return []  # not up yet; a query that is refused has no answer either
    return [each for each in series if each["value"][1] != "NaN"]


@pytest.mark.timeout(400)
def test_a_job_that_was_stopped_is_finished_by_the_next_one(watched: Watched) -> None:
    """`ray job stop`, then the same submission: every page stands once, and no page was paid twice."""
    assert (watched.stopped, watched.finished) == (JobStatus.STOPPED, JobStatus.FAILED)  # exit 3: one page failed
    assert watched.answered_before < DOCUMENTS * PAGES
    assert len(pages_by_source(watched.output)) == DOCUMENTS * PAGES
    assert list(verify(str(watched.output))) == []
    assert watched.ledger["pages_answered"] == DOCUMENTS * PAGES
    assert watched.ledger["pages_answered_again"] == 0


@pytest.mark.parametrize("name", CONTRACT)
def test_a_metric_of_the_contract_is_in_the_scrape(watched: Watched, name: str) -> None:
    """With the labels of the contract and Ray's own, and no others."""
    found = samples(watched.scrape)[f"ray_{name}"]
    for labels in found:
        ours = {label for label in labels if label not in OF_RAY and not label.startswith("otel_")}
        assert ours == CONTRACT[name]


def test_no_metric_names_a_document(watched: Watched) -> None:
    """Labels are few: no id, no file name, no key."""
    ours = "\n".join(line for line in watched.scrape.splitlines() if line.startswith("ray_one_ocr"))
    for secret in ("doc-00", "sha256", DEFAULT_KEY, str(watched.output)):
        assert secret not in ours


@pytest.mark.parametrize("number", range(len(expressions())))
def test_a_query_of_the_dashboard_finds_its_data(watched: Watched, number: int) -> None:
    """Its metrics, label values and groupings are in the scrape; and Prometheus, where there is one, has an answer."""
    expression = expressions()[number]
    assert lacking(expression, samples(watched.scrape)) == []
    assert not watched.queries or watched.queries[expression]


def test_the_dashboard_says_what_the_job_is(watched: Watched) -> None:
    """Its metadata is what the submitter gave; progress and the end stand in its log; no key."""
    assert DEFAULT_KEY not in json.dumps(watched.details)
    assert watched.details["metadata"] == {"asked_by": "somebody"}
    assert str(watched.output) in watched.details["entrypoint"]
    assert f"pages {DOCUMENTS * PAGES}/{DOCUMENTS * PAGES}" in watched.log
    assert f'"pages":{{"total":{DOCUMENTS * PAGES}' in watched.log
    assert DEFAULT_KEY not in watched.log


def test_workers_write_json_lines_with_ids_and_no_content(watched: Watched) -> None:
    """A failed page names its run, document and code; nothing that was read or is secret stands in a log."""
    lines = [json.loads(line) for line in watched.worker_log.splitlines() if line.startswith("{")]
    failed = next(line for line in lines if line["message"] == "page failed")
    assert failed["code"] == "content_filtered"
    assert (failed["page_number"], failed["levelname"]) == (3, "WARNING")
    assert failed["document_id"].startswith("sha256:")
    assert failed["run_id"]
    assert any(line["message"] == "shard committed" for line in lines)
    assert DEFAULT_KEY not in watched.worker_log
    assert "doc-0003" not in watched.worker_log


def test_a_submitted_job_writes_what_a_local_run_writes(head: Head, tmp_path: Path) -> None:
    """`ray job submit --working-dir . -- python jobs/ocr.py`: the same script, the cluster's Ray, a log to read."""
    source = write_source(tmp_path / "in")
    job = head.submit(f"python jobs/ocr.py {source} --output {tmp_path / 'out'}")
    assert head.ended(job) is JobStatus.SUCCEEDED
    log = head.jobs.get_job_logs(job)
    assert_read(tmp_path / "out")
    assert "pages 6/6" in log
    assert "3 documents (3 complete, 0 partial, 0 failed), 6 pages (3 ok, 3 blank, 0 failed)." in log


def test_a_key_in_the_runtime_env_of_a_job_is_refused(head: Head, tmp_path: Path) -> None:
    """Exit 2 before any work, with a sentence that names the variable and not its value."""
    entrypoint = f"python jobs/ocr.py {write_source(tmp_path / 'in')} --output {tmp_path / 'out'}"
    job = head.submit(entrypoint, env_vars={"OPENAI_API_KEY": "sk-canary-in-a-runtime-env"})
    assert head.ended(job) is JobStatus.FAILED
    assert head.jobs.get_job_info(job).driver_exit_code == 2
    log = head.jobs.get_job_logs(job)
    assert "The runtime_env holds OPENAI_API_KEY" in log
    assert "canary" not in log
    assert not (tmp_path / "out").exists()
